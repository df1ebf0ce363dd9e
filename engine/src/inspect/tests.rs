//! What is sound is said to be sound; every damage is named; what was named is put right, and nothing is deleted.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use highwater_records::LeaderEpoch;

use super::*;
use crate::{
    LogConfig, LogDir, OpenDirError,
    disk::memory::{Loss, MemoryDisk},
    inspect::settle::{repair, settle},
    testing::{EPOCH, NOW, batch, close, create, name, open_dir, options, produced, read_all, reopen, small},
};

const ROOT: &str = "/data";
/// In all batches of [`prepared`].
const RECORDS: u64 = 20;
const LOG: &str = "/data/topic-0";

fn config() -> LogConfig {
    LogConfig { segment_bytes: 600, index_interval_bytes: 100, ..small() }
}

/// Several segments, epochs and a producer.
fn prepared(clean: bool) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let (dir, mut log) = create(&disk, config());
    for n in 0..12u64 {
        let batch =
            if n % 3 == 0 { produced(7, 0, n as i32 / 3, 1) } else { batch(n * 3, &[n as i64 * 100, 50]) };
        log.append(batch, LeaderEpoch(n as u32 / 4), NOW).unwrap();
    }
    log.commit().unwrap();
    dir.write_checkpoints().unwrap();
    if clean {
        close(dir, log)
    } else {
        drop((dir, log))
    }
    disk
}

fn look_at(disk: &MemoryDisk, path: &str) -> Verified {
    let mut last = 0;
    let verified = verify(disk, Path::new(path), true, &mut |progress| {
        assert!(progress.bytes_done >= last && progress.bytes_done <= progress.bytes_total, "{progress:?}");
        last = progress.bytes_done;
    });
    let verified = verified.unwrap();
    assert_eq!(last, verified.bytes);
    verified
}

fn shared(disk: &MemoryDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

fn repair_all(disk: &MemoryDisk) -> Repaired {
    repair(&shared(disk), Path::new(ROOT), NOW, &mut |_| {}).unwrap()
}

fn files(disk: &MemoryDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    disk.files().into_iter().map(|file| (file.clone(), disk.contents(&file).unwrap())).collect()
}

#[test]
fn a_clean_directory_is_sound_and_stays_as_it_is() {
    let disk = prepared(true);
    let before = files(&disk);
    let found = look_at(&disk, ROOT);
    assert_eq!(found.findings, []);
    assert_eq!((found.logs, found.batches, found.records), (1, 12, RECORDS));
    assert!(found.segments > 1 && found.small_files > 10, "{found:?}");
    assert_eq!(look_at(&disk, LOG).findings, []);
    for file in disk.files() {
        let name = file.file_name().unwrap().to_str().unwrap();
        if !matches!(name, ".lock" | ".kafka_cleanshutdown" | "checkpoints.hwsum") {
            assert_eq!(look_at(&disk, file.to_str().unwrap()).findings, [], "{name}");
        }
    }
    assert_eq!(files(&disk), before);
}

#[test]
fn what_is_none_of_ours_is_refused() {
    let disk = prepared(true);
    for path in ["/", "/nowhere", "/data/.lock"] {
        let refused = verify(&disk, Path::new(path), false, &mut |_| {});
        assert!(matches!(refused, Err(InspectError::Foreign { .. })), "{path}: {refused:?}");
        let refused = settle(&shared(&disk), Path::new(path), NOW, &mut |_, _, _| {});
        assert!(refused.is_err(), "{path}");
    }
    let file = format!("{LOG}/00000000000000000000.log");
    let refused = repair(&shared(&disk), Path::new(&file), NOW, &mut |_| {});
    assert!(matches!(refused, Err(SettleError::Alone { .. })), "{refused:?}");
}

#[test]
fn an_unclean_directory_is_unsettled_and_settles() {
    let disk = prepared(false);
    assert_eq!(look_at(&disk, ROOT).worst(), Some(Severity::Unsettled));
    let settled = settle(&shared(&disk), Path::new(ROOT), NOW, &mut |_, _, _| {}).unwrap();
    assert!(settled.clean);
    assert_eq!(settled.logs.len(), 1);
    assert_eq!(look_at(&disk, ROOT).findings, []);
    let (_, _, report) = reopen(&disk, config());
    assert!(report.clean);
}

#[test]
fn somebody_who_has_it_open_is_noticed_and_left_alone() {
    let disk = prepared(true);
    let (_dir, _) = open_dir(&disk);
    let found = look_at(&disk, ROOT);
    assert!(found.in_use);
    assert_eq!(found.worst(), Some(Severity::Note));
    let refused = repair(&shared(&disk), Path::new(ROOT), NOW, &mut |_| {});
    assert!(matches!(refused, Err(SettleError::Open(OpenDirError::Locked { .. }))), "{refused:?}");
}

/// A mark's content means nothing.
const UNPROTECTED: [&str; 2] = [".lock", ".kafka_cleanshutdown"];

#[test]
fn every_flipped_bit_is_found_and_none_breaks_the_repair() {
    let sound = prepared(true);
    let (dir, log, _) = reopen(&sound.fork(), config());
    let whole = read_all(&log.reader(), highwater_records::Offset::ZERO).unwrap();
    drop((dir, log));
    let mut missed = Vec::new();
    for file in sound.files() {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        if UNPROTECTED.contains(&name.as_str()) {
            continue;
        }
        let bytes = sound.contents(&file).unwrap();
        // Every bit is flipped for the look; some for the repair, which is slower.
        for bit in 0..bytes.len() * 8 {
            let disk = sound.fork();
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            disk.overwrite(&file, &flipped).unwrap();
            let found = look_at(&disk, ROOT);
            if found.findings.is_empty() {
                missed.push((name.clone(), bit));
            }
            if bit % 23 != 0 {
                continue;
            }
            if name == "meta.properties" {
                // Whose directory it is only a person can say.
                let refused = repair(&shared(&disk), Path::new(ROOT), NOW, &mut |_| {});
                assert!(
                    matches!(refused, Err(SettleError::Open(OpenDirError::Unidentified { .. }))),
                    "bit {bit}"
                );
                continue;
            }
            let before = files(&disk);
            let repaired = repair_all(&disk);
            assert!(repaired.settled.clean, "{name} bit {bit}");
            // Whatever could not be used still lies somewhere.
            let after: Vec<Vec<u8>> = files(&disk).into_values().collect();
            for (_, to) in &repaired.moved {
                assert!(disk.contents(to).is_ok(), "{name} bit {bit}");
            }
            if !name.ends_with(".log") {
                assert!(
                    before
                        .iter()
                        .filter(|(path, _)| path.extension().is_some_and(|e| e == "log"))
                        .all(|(_, bytes)| after.contains(bytes)),
                    "{name} bit {bit}: batches were touched"
                );
            }
            let (dir, log, _) = reopen(&disk, config());
            let mut shown = Vec::new();
            let mut from = log.positions().log_start;
            while from < log.positions().log_end {
                match log.reader().read(from, 1, highwater_records::Offset::MAX, true) {
                    Ok(range) => {
                        shown.extend(read_one(&range));
                        from = range.next_offset();
                    }
                    Err(_) => from = log.reader().behind_damage(from).unwrap_or(log.positions().log_end),
                }
            }
            assert!(
                shown.iter().all(|batch| whole.iter().any(|(_, crc, _)| *crc == batch.1)),
                "{name} bit {bit}"
            );
            assert!(shown.len() + 2 >= whole.len(), "{name} bit {bit}: {} of {}", shown.len(), whole.len());
            drop((dir, log));
        }
    }
    assert_eq!(missed, [], "flips that nobody noticed");
}

fn read_one(range: &crate::LogRange) -> Option<(u64, u32)> {
    let bytes = range.bytes().ok()?;
    let view = highwater_records::batch::BatchView::parse(&bytes).ok()?;
    view.verify_crc().ok()?;
    Some((view.base_offset().get(), view.stored_crc()))
}

#[test]
fn a_log_within_a_directory_is_repaired_alone() {
    let disk = prepared(true);
    let index = Path::new(LOG).join("00000000000000000000.index");
    disk.overwrite(&index, b"no index").unwrap();
    let repaired = repair(&shared(&disk), Path::new(LOG), NOW, &mut |_| {}).unwrap();
    assert_eq!(repaired.moved.len(), 1);
    assert_eq!(disk.contents(&repaired.moved[0].1).unwrap(), b"no index");
    assert!(repaired.settled.clean);
    let left = look_at(&disk, ROOT);
    assert_eq!(left.worst(), Some(Severity::Note), "{left:?}");
}

#[test]
fn a_missing_segment_is_damage_and_its_offsets_are_named() {
    let disk = prepared(true);
    let mut logs: Vec<PathBuf> =
        disk.files().into_iter().filter(|file| file.extension().is_some_and(|e| e == "log")).collect();
    logs.sort();
    disk.remove_file(&logs[1]).unwrap();
    let found = look_at(&disk, ROOT);
    let damage = found.findings.iter().find(|finding| finding.severity == Severity::Damage).unwrap();
    let offsets = damage.offsets.clone().unwrap();
    assert!(
        damage.to_string().contains(&format!("offsets {} to {}", offsets.start, offsets.end)),
        "{damage}"
    );
    let repaired = repair_all(&disk);
    let (_, report) = &repaired.settled.logs[0];
    assert_eq!(report.quarantined[0].offsets, offsets);
}

#[test]
fn inspecting_says_what_is_there() {
    let disk = prepared(true);
    let Contents::Directory(contents) = inspect(&disk, Path::new(ROOT)).unwrap() else { panic!() };
    assert_eq!(
        (contents.cluster_id.as_deref(), contents.node_id, contents.clean),
        (Some("cluster"), Some(1), true)
    );
    let log = &contents.logs[0];
    assert_eq!(log.name, Some(name()));
    assert_eq!(log.segments.last().unwrap().next_offset.get(), RECORDS);
    assert_eq!(log.recovery_point.unwrap().get(), RECORDS);
    assert_eq!(log.segments.iter().map(|segment| segment.batches).sum::<u64>(), 12);
    assert!(log.segments.iter().all(|segment| segment.unread == 0 && segment.times.is_some()));
    assert_eq!(log.epochs.len(), 3);
    let mut lines = 0;
    for file in disk.files() {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let listed = list_entries(&disk, &file, &mut |entry| {
            assert!(entry.iter().all(|(_, value)| !value.is_empty()), "{name}: {entry:?}");
            lines += 1;
        });
        assert_eq!(listed.is_err(), matches!(name.as_str(), ".lock" | "checkpoints.hwsum"), "{name}");
    }
    assert!(lines > 30);
}

#[test]
fn what_compaction_replaced_takes_nothing_with_it() {
    for clean in [true, false] {
        let disk = prepared(clean);
        let mut logs: Vec<PathBuf> =
            disk.files().into_iter().filter(|file| file.extension().is_some_and(|e| e == "log")).collect();
        logs.sort();
        // As Kafka leaves it: the segment that took their place has the base of the first.
        for log in &logs[..2] {
            let mut deleted = log.clone().into_os_string();
            deleted.push(".deleted");
            let bytes = disk.contents(log).unwrap();
            crate::disk::write_file(&disk, Path::new(&deleted), &bytes).unwrap();
        }
        let settled = settle(&shared(&disk), Path::new(ROOT), NOW, &mut |_, _, _| {}).unwrap();
        assert!(settled.clean);
        let (_, log, _) = reopen(&disk, config());
        assert_eq!(log.positions().log_start.get(), 0);
        assert_eq!(read_all(&log.reader(), highwater_records::Offset::ZERO).unwrap().len(), 12, "{clean}");
    }
}

/// A directory whose promised records are in the journal alone, and the journal.
fn with_a_journal() -> (MemoryDisk, PathBuf) {
    let disk = MemoryDisk::new();
    let (dir, _) = LogDir::open(shared(&disk), Path::new("/data"), options(), NOW).unwrap();
    let config = LogConfig { durability: highwater_records::Durability::Synced, ..small() };
    let id = highwater_records::TopicId::from_random(2, 2);
    let mut log = dir.create_log(name(), id, config, NOW).unwrap();
    for n in 0..3 {
        log.append(batch(n, &[1, 2]), EPOCH, NOW).unwrap();
        log.commit().unwrap();
    }
    disk.crash_with(Loss::Everything);
    let is_journal = |file: &PathBuf| file.extension().is_some_and(|kind| kind == "journal");
    let journal = disk.files().into_iter().find(is_journal).unwrap();
    (disk, journal)
}

#[test]
fn a_journal_is_read_and_what_is_wrong_with_it_is_said() {
    let (disk, journal) = with_a_journal();
    let before = files(&disk);
    for place in ["/data", journal.to_str().unwrap()] {
        let found = look_at(&disk, place);
        let told = found.findings.iter().find(|finding| finding.file == journal).unwrap();
        assert_eq!(told.severity, Severity::Unsettled, "{told}");
        assert!(told.what.contains("3 batches of 1 logs"), "{told}");
        assert_eq!(found.count(Severity::Damage), 0, "{:?}", found.findings);
    }
    assert_eq!(files(&disk), before, "looking changes nothing");

    let bytes = disk.contents(&journal).unwrap();
    let mut said = 0;
    // Every eleventh bit: over the bytes that differ all eight come round.
    for bit in (0..4 * 4096 * 8).filter(|bit| bytes[bit / 8] != 0).step_by(11) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let other = disk.fork();
        other.overwrite(&journal, &flipped).unwrap();
        let found = look_at(&other, "/data");
        let damage = found.findings.iter().any(|f| f.severity == Severity::Damage && f.file == journal);
        // The last group, damaged, is what a torn write looks like.
        let last = bit / 8 >= 3 * 4096;
        let fewer =
            found.findings.iter().any(|f| f.file == journal && f.what.contains("2 batches of 1 logs"));
        assert!(damage || last && fewer, "bit {} of byte {}: {:?}", bit % 8, bit / 8, found.findings);
        said += 1;
    }
    assert!(said > 100, "{said}");
}
