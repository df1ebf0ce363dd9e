//! A damaged segment that is written again with what another replica has.

use std::path::{Path, PathBuf};

use highwater_records::{
    LeaderEpoch,
    batch::{BatchView, CheckPolicy, CheckedBatch, split},
};

use crate::{
    Log, Repair, RepairError, StartReason,
    disk::memory::{Loss, MemoryDisk},
    testing::*,
};

const DAMAGED: &str = "00000000000000000010.log";

fn file(name: &str) -> PathBuf {
    Path::new("/data/topic-0").join(name)
}

/// 25 batches of two records, five to a segment; all committed, synced and below the watermark. And what is in it.
fn sound() -> (MemoryDisk, Vec<CheckedBatch>, Vec<(u64, u32, u32)>) {
    sound_from(EPOCH)
}

/// The same with another leader epoch for the first batch.
fn sound_from(first: LeaderEpoch) -> (MemoryDisk, Vec<CheckedBatch>, Vec<(u64, u32, u32)>) {
    let disk = MemoryDisk::new();
    let (dir, mut log) = create(&disk, small());
    for n in 0..25 {
        let epoch = if n == 0 { first } else { EPOCH };
        log.append(batch(50, &[n, n]), epoch, NOW).unwrap();
    }
    log.commit().unwrap();
    dir.write_checkpoints().unwrap();
    let bytes = |from: u64| log.reader().read(offset(from), 1 << 20, offset(50), true).unwrap();
    let mut batches = Vec::new();
    let mut next = 0;
    while next < 50 {
        let range = bytes(next);
        next = range.next_offset().get();
        batches.extend(
            split(range.bytes().unwrap())
                .map(|piece| CheckedBatch::check(piece.unwrap(), &CheckPolicy::replica()).unwrap()),
        );
    }
    let all = read_all(&log.reader(), offset(0)).unwrap();
    drop((log, dir));
    disk.kill();
    (disk, batches, all)
}

/// One bit of a value in the segment that has offset 12.
fn damage(disk: &MemoryDisk) -> Vec<u8> {
    let mut bytes = disk.contents(&file(DAMAGED)).expect("a segment begins there");
    let second = BatchView::parse(&bytes).unwrap().size();
    bytes[second + 80] ^= 4;
    disk.overwrite(&file(DAMAGED), &bytes).unwrap();
    bytes
}

fn open(disk: &MemoryDisk) -> (std::sync::Arc<crate::LogDir>, Log, crate::RecoveryReport) {
    let (dir, mut log, report) = reopen(disk, small());
    let end = log.positions().log_end;
    log.set_high_watermark(end);
    (dir, log, report)
}

fn write_again(log: &mut Log, batches: &[CheckedBatch]) -> Result<(), String> {
    let mut repair: Repair =
        log.begin_repair(offset(12), NOW).map_err(|error| error.to_string())?.ok_or("not now")?;
    let wanted = repair.offsets();
    for batch in batches.iter().filter(|batch| wanted.contains(&batch.view().base_offset())) {
        repair.push(batch).map_err(|error| error.to_string())?;
    }
    assert_eq!(repair.wants(), None);
    let repaired = repair.finish().map_err(|error| error.to_string())?;
    let swap = log.swap_compacted(repaired.group).map_err(|error| error.to_string())?;
    swap.run().map_err(|error| error.to_string())?;
    log.finish_repair(repaired.base, repaired.aside, repaired.learned, NOW);
    Ok(())
}

#[test]
fn what_rots_while_the_log_is_open_or_closed_is_written_again_and_the_damage_kept() {
    for closed in [false, true] {
        let (disk, batches, all) = sound();
        let opened = (!closed).then(|| open(&disk));
        let rotten = damage(&disk);
        let (_dir, mut log, _) = opened.unwrap_or_else(|| {
            // What vouches for a sealed segment goes too, so that recovery reads it.
            disk.vandalize(&file("highwater-quarantine")).unwrap_or(());
            disk.vandalize(Path::new("/data/recovery-point-offset-checkpoint")).unwrap();
            open(&disk)
        });
        assert_ne!(read_all(&log.reader(), offset(0)).ok(), Some(all.clone()));
        write_again(&mut log, &batches).unwrap();
        assert_eq!(read_all(&log.reader(), offset(0)).unwrap(), all);
        assert!(log.quarantined().is_empty());
        let kept = disk.contents(&file(&format!("{DAMAGED}.cut-{NOW}"))).unwrap();
        assert_eq!(kept, rotten);
        drop((log, _dir));
        disk.crash_with(Loss::Everything);
        let (_dir, log, report) = open(&disk);
        assert!(report.quarantined.is_empty() && report.cut.is_empty(), "{report:?}");
        assert_eq!(read_all(&log.reader(), offset(0)).unwrap(), all);
    }
}

/// The batch that an epoch began with is damaged: after a crash the log does not know that epoch any more.
#[test]
fn epochs_that_went_with_the_damage_come_back_with_the_batches() {
    let (disk, batches, all) = sound_from(LeaderEpoch(0));
    let first = file("00000000000000000000.log");
    let mut bytes = disk.contents(&first).unwrap();
    // Its magic: nothing of it can be read.
    bytes[16] ^= 4;
    disk.overwrite(&first, &bytes).unwrap();
    let tells = |path: &PathBuf| {
        let name = path.to_string_lossy();
        name.ends_with("leader-epoch-checkpoint") || name.ends_with("hwpoints")
    };
    disk.files().iter().filter(|path| tells(path)).for_each(|path| disk.vandalize(path).unwrap());
    let (dir, mut log, _) = open(&disk);
    let known = |log: &Log| log.epochs().first().map(|entry| (entry.epoch, entry.start));
    assert_eq!(known(&log), Some((EPOCH, offset(2))));
    let mut repair = log.begin_repair(offset(0), NOW).unwrap().unwrap();
    let wanted = repair.offsets();
    let all_there = batches.iter().filter(|batch| wanted.contains(&batch.view().base_offset()));
    all_there.for_each(|batch| repair.push(batch).unwrap());
    let repaired = repair.finish().unwrap();
    log.swap_compacted(repaired.group).unwrap().run().unwrap();
    log.finish_repair(repaired.base, repaired.aside, repaired.learned, NOW);
    assert_eq!(known(&log), Some((LeaderEpoch(0), offset(0))));
    assert_eq!(read_all(&log.reader(), offset(0)).unwrap(), all);
    log.commit().unwrap();
    drop((log, dir));
    disk.crash_with(Loss::Everything);
    assert_eq!(known(&open(&disk).1), Some((LeaderEpoch(0), offset(0))));
}

#[test]
fn what_lies_below_the_start_need_not_be_anywhere() {
    // The start is where a batch begins, or within one.
    for start in [12, 13] {
        let (disk, batches, _) = sound();
        let (dir, mut log, _) = open(&disk);
        damage(&disk);
        log.advance_start_to(offset(start), StartReason::RecordsDeleted).unwrap();
        let mut repair = log.begin_repair(offset(start), NOW).unwrap().unwrap();
        assert_eq!(repair.wants(), Some(offset(start)));
        let wanted = repair.offsets();
        let first = batches.iter().find(|batch| batch.view().base_offset() == offset(10)).unwrap();
        assert!(repair.push(first).is_err(), "that has no record of the log");
        let at = |batch: &&CheckedBatch| {
            wanted.contains(&batch.view().base_offset()) && batch.view().base_offset() >= offset(12)
        };
        batches.iter().filter(at).for_each(|batch| repair.push(batch).unwrap());
        let repaired = repair.finish().unwrap();
        log.swap_compacted(repaired.group).unwrap().run().unwrap();
        log.finish_repair(repaired.base, repaired.aside, repaired.learned, NOW);
        let all = read_all(&log.reader(), offset(start)).unwrap();
        assert_eq!(all.len(), 19);
        drop((log, dir));
        disk.crash_with(Loss::Everything);
        disk.vandalize(Path::new("/data/recovery-point-offset-checkpoint")).unwrap();
        let (_dir, log, report) = open(&disk);
        assert!(report.quarantined.is_empty() && report.cut.is_empty(), "{report:?}");
        assert_eq!(log.positions().log_start, offset(start));
        assert_eq!(read_all(&log.reader(), offset(start)).unwrap(), all);
    }
}

#[test]
fn a_damaged_header_does_not_take_what_lies_behind_it() {
    // Where its batch ends: beyond the cut, or before it. Or that it is a batch at all.
    for (byte, bit) in [(23, 1), (26, 2), (16, 1)] {
        for known in [false, true] {
            let (disk, _, _) = sound();
            let opened = (!known).then(|| open(&disk));
            let mut bytes = disk.contents(&file(DAMAGED)).unwrap();
            let second = BatchView::parse(&bytes).unwrap().size();
            bytes[second + byte] ^= bit;
            disk.overwrite(&file(DAMAGED), &bytes).unwrap();
            let (_dir, mut log, _) = opened.unwrap_or_else(|| {
                disk.vandalize(Path::new("/data/recovery-point-offset-checkpoint")).unwrap();
                open(&disk)
            });
            assert_eq!(log.truncate_to(offset(16), NOW).unwrap(), offset(16), "{byte} {known}");
            // Three batches of this size.
            assert_eq!(disk.contents(&file(DAMAGED)).unwrap(), bytes[..3 * second]);
        }
    }
}

#[test]
fn a_log_that_is_never_at_rest_is_mended() {
    let (disk, _, _) = sound();
    let (_dir, mut log, _) = open(&disk);
    log.append(batch(50, &[1]), EPOCH, NOW).unwrap();
    log.commit().unwrap();
    log.set_high_watermark(offset(51));
    // Something is always on its way.
    log.append(batch(51, &[1]), EPOCH, NOW).unwrap();
    assert!(log.begin_repair(offset(50), NOW).unwrap().is_none(), "sealed with what is not committed");
    assert_eq!(log.sealed_end(), offset(52));
    log.append(batch(52, &[1]), EPOCH, NOW).unwrap();
    log.commit().unwrap();
    log.set_high_watermark(offset(52));
    let repair = log.begin_repair(offset(50), NOW).unwrap().expect("what was sealed is committed now");
    assert_eq!(repair.offsets(), offset(50)..offset(52));
}

#[test]
fn only_the_same_batches_are_taken() {
    let (disk, batches, _) = sound();
    let (_dir, mut log, _) = open(&disk);
    damage(&disk);
    let mut repair = log.begin_repair(offset(12), NOW).unwrap().unwrap();
    assert!(log.begin_repair(offset(2), NOW).unwrap().is_none(), "one at a time");
    let at = |base: u64| batches.iter().find(|batch| batch.view().base_offset() == offset(base)).unwrap();
    let refused = |repair: &mut Repair, batch: &CheckedBatch| match repair.push(batch) {
        Err(RepairError::DoesNotFit(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(refused(&mut repair, at(12)).contains("offsets 12 to 14, of 10 to"));
    repair.push(at(10)).unwrap();
    let mut bytes = at(12).bytes().to_vec();
    bytes[15] += 1;
    let newer = CheckedBatch::check(bytes.into(), &CheckPolicy::replica()).unwrap();
    assert!(refused(&mut repair, &newer).contains("leader epoch"));
    assert_eq!(repair.wants(), Some(offset(12)));
    drop(repair);
    assert!(log.begin_repair(offset(49), NOW).unwrap().is_none(), "it is sealed, and not settled yet");
    log.commit().unwrap();
    assert!(log.begin_repair(offset(49), NOW).unwrap().is_some());
    log.append(batch(50, &[1]), EPOCH, NOW).unwrap();
    assert!(log.begin_repair(offset(50), NOW).unwrap().is_none(), "it is not committed");
}

#[test]
fn every_crash_of_a_repair_leaves_the_damage_or_what_was_there() {
    let mut states = 0;
    for changes in 0.. {
        let (disk, batches, all) = sound();
        let (dir, mut log, _) = open(&disk);
        damage(&disk);
        disk.stop_after(changes, changes % 2 == 1);
        let done = write_again(&mut log, &batches).is_ok() && !disk.stopped();
        drop((log, dir));
        for loss in [Loss::Everything, Loss::Nothing, Loss::Seeded(changes)] {
            let crashed = disk.fork();
            crashed.crash_with(loss);
            let (_dir, mut log, report) = open(&crashed);
            assert!(report.cut.is_empty(), "{report:?}");
            // Nobody need read it again to open the log; who does sees the damage, or all of it.
            let found = read_all(&log.reader(), offset(0));
            assert!(found.is_err() || found.as_ref().is_ok_and(|found| *found == all), "{found:?}");
            assert!(!done || found.is_ok());
            write_again(&mut log, &batches).unwrap();
            assert_eq!(read_all(&log.reader(), offset(0)).unwrap(), all);
            states += 1;
        }
        if done {
            break;
        }
    }
    assert!(states > 30, "{states}");
}
