use std::path::{Path, PathBuf};

use crate::{
    ReadError, StartReason,
    disk::memory::{Fault, Loss, MemoryDisk, Operation},
    testing::*,
};

fn file(base: u64, suffix: &str) -> PathBuf {
    Path::new("/data/topic-0").join(format!("{base:020}.{suffix}"))
}

/// 40 batches, committed and written down; then 5 more that are not.
fn workload(disk: &MemoryDisk) -> Vec<(u64, u32, u32)> {
    let (dir, mut log) = create(disk, small());
    for n in 0..40 {
        log.append(batch(50, &[n, n]), EPOCH, NOW).unwrap();
    }
    log.commit().unwrap();
    dir.write_checkpoints().unwrap();
    for n in 40..45 {
        log.append(batch(50, &[n, n]), EPOCH, NOW).unwrap();
    }
    read_all(&log.reader(), offset(0)).unwrap()
}

#[test]
fn a_torn_tail_is_cut_before_the_first_append_and_kept_aside() {
    let disk = MemoryDisk::new();
    let all = workload(&disk);
    disk.crash_with(Loss::Nothing);
    let last = disk.files().into_iter().rfind(|path| path.extension().is_some_and(|e| e == "log")).unwrap();
    let mut bytes = disk.contents(&last).unwrap();
    let torn = bytes.len() - 10;
    bytes[torn] ^= 1;
    disk.overwrite(&last, &bytes).unwrap();
    let (_dir, mut log, report) = reopen(&disk, small());
    assert_eq!(report.cut.len(), 1);
    assert_eq!(report.cut[0].at, offset(88));
    let aside = Path::new("/data/topic-0").join(report.cut[0].file.as_ref().unwrap());
    assert_eq!(disk.contents(&aside).unwrap().len() as u64, report.cut[0].bytes);
    assert_eq!(read_all(&log.reader(), offset(0)).unwrap(), all[..44]);
    assert_eq!(log.append(batch(1, &[1]), EPOCH, NOW).unwrap().base_offset, offset(88));
}

#[test]
fn a_bad_batch_below_the_bound_is_quarantined_and_the_rest_served() {
    let disk = MemoryDisk::new();
    let all = workload(&disk);
    disk.crash_with(Loss::Nothing);
    let first = file(0, "log");
    let mut bytes = disk.contents(&first).unwrap();
    // The second batch's magic; its index lies.
    let size = bytes.len() / 5;
    bytes[size + 16] = 9;
    disk.overwrite(&first, &bytes).unwrap();
    disk.vandalize(&file(0, "index")).unwrap();
    let mut reports = Vec::new();
    for _ in 0..3 {
        let (_dir, log, report) = reopen(&disk, small());
        assert_eq!(report.quarantined.len(), 1, "{report:?}");
        assert_eq!(report.quarantined[0].offsets, offset(2)..offset(4));
        let reader = log.reader();
        assert_eq!(reader.read(offset(0), 1 << 20, offset(90), true).unwrap().next_offset(), offset(2));
        assert!(matches!(reader.read(offset(2), 1 << 20, offset(90), true), Err(ReadError::Corrupt { .. })));
        assert!(matches!(reader.read(offset(3), 1 << 20, offset(90), true), Err(ReadError::Corrupt { .. })));
        assert_eq!(read_all(&reader, offset(4)).unwrap(), all[2..]);
        reports.push(report.quarantined);
        disk.crash_with(Loss::Nothing);
    }
    assert!(reports.windows(2).all(|pair| pair[0] == pair[1]));
}

/// Offsets lie outside the checksum: after a byte too many or too few in front of it, a whole batch that is right
/// by its checksum follows, under offsets that nobody gave it.
#[test]
fn inserted_and_lost_bytes_never_move_records_to_other_offsets() {
    let disk = MemoryDisk::new();
    let all = workload(&disk);
    disk.crash_with(Loss::Nothing);
    {
        // All of it is promised.
        let (dir, mut log, _) = reopen(&disk, small());
        log.commit().unwrap();
        dir.write_checkpoints().unwrap();
        disk.crash_with(Loss::Nothing);
    }
    let logs: Vec<PathBuf> =
        disk.files().into_iter().filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
    for path in [&logs[0], &logs[logs.len() - 1]] {
        let bytes = disk.contents(path).unwrap();
        for position in 0..bytes.len().min(130) {
            for insert in [&[][..], &[0], &[0xff], &[2, 3, 0]] {
                let mut damaged = bytes.clone();
                let removed = usize::from(insert.is_empty());
                damaged.splice(position..position + removed, insert.iter().copied());
                let disk = disk.fork();
                disk.overwrite(path, &damaged).unwrap();
                let (_dir, log, _) = reopen(&disk, small());
                let reader = log.reader();
                assert!(log.positions().log_end <= offset(90), "{path:?} {position} {insert:?}");
                for from in 0..90 {
                    let Ok(found) = read_all(&reader, offset(from)) else { continue };
                    let known = found.iter().all(|batch| all.contains(batch));
                    assert!(known, "{path:?} {position} {insert:?}: {found:?}");
                    break;
                }
            }
        }
    }
}

#[test]
fn a_missing_segment_below_the_bound_is_a_hole_and_no_end() {
    let disk = MemoryDisk::new();
    let all = workload(&disk);
    disk.crash_with(Loss::Nothing);
    disk.vandalize(&file(20, "log")).unwrap();
    let (_dir, log, report) = reopen(&disk, small());
    assert_eq!(report.quarantined.len(), 1);
    assert_eq!(report.quarantined[0].offsets, offset(20)..offset(30));
    let reader = log.reader();
    assert!(matches!(reader.read(offset(20), 1 << 20, offset(90), true), Err(ReadError::Corrupt { .. })));
    assert_eq!(read_all(&reader, offset(30)).unwrap(), all[15..]);
    assert_eq!(log.positions().log_start, offset(0));
}

#[test]
fn a_promised_end_that_is_gone_keeps_its_offsets() {
    let disk = MemoryDisk::new();
    let all = workload(&disk);
    disk.crash_with(Loss::Nothing);
    let segments: Vec<PathBuf> =
        disk.files().into_iter().filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
    for path in &segments[3..] {
        disk.vandalize(path).unwrap();
    }
    for _ in 0..2 {
        let (_dir, mut log, report) = reopen(&disk, small());
        assert_eq!(report.quarantined[0].offsets, offset(30)..offset(80));
        let reader = log.reader();
        assert!(matches!(reader.read(offset(30), 1 << 20, offset(90), true), Err(ReadError::Corrupt { .. })));
        assert_eq!(reader.read(offset(20), 1 << 20, offset(90), true).unwrap().next_offset(), offset(30));
        assert!(log.positions().log_end >= offset(80));
        assert_eq!(all[20].0, 40);
        log.append(batch(1, &[1]), EPOCH, NOW).unwrap();
        assert_eq!(read_all(&log.reader(), offset(80)).unwrap()[0].0, 80);
        log.commit().unwrap();
        disk.crash_with(Loss::Nothing);
    }
}

#[test]
fn a_roll_that_failed_halfway_does_not_end_the_log() {
    for after in 0..12 {
        for hides in [false, true] {
            let disk = MemoryDisk::new();
            let (_dir, mut log) = create(&disk, small());
            let mut expected = 0;
            for n in 0..40 {
                if n == 14 {
                    disk.inject(Fault {
                        after,
                        operations: if hides { Vec::new() } else { vec![Operation::Open] },
                        error: std::io::ErrorKind::Other,
                        lasting: false,
                    });
                }
                // A large batch asks for a roll; a small one after it still fits into the old segment.
                let seed = if n % 2 == 0 { 80 } else { 0 };
                expected += u64::from(log.append(batch(seed, &[1]), EPOCH, NOW).is_ok());
            }
            disk.clear_faults();
            let all = read_all(&log.reader(), offset(0)).unwrap();
            assert_eq!(all.len() as u64, expected);
            drop((_dir, log));
            disk.kill();
            let (_dir, log, report) = reopen(&disk, small());
            assert!(report.cut.is_empty() && report.quarantined.is_empty(), "{after}: {report:?}");
            assert_eq!(read_all(&log.reader(), offset(0)).unwrap(), all, "{after}");
        }
    }
}

#[test]
fn indexes_epochs_and_snapshots_are_rebuilt() {
    let disk = MemoryDisk::new();
    let (dir, mut log) = create(&disk, small());
    for n in 0..40 {
        let epoch = highwater_records::LeaderEpoch(n as u32 / 15);
        log.append(produced(7, 0, n, 1), epoch, NOW).unwrap();
    }
    let before = (read_all(&log.reader(), offset(0)).unwrap(), log.epochs(), log.producers.clone());
    close(dir, log);
    for path in disk.files() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let hint =
            [".index", ".timeindex", ".snapshot", ".hwproducers"].iter().any(|end| name.ends_with(end));
        if hint || name == "leader-epoch-checkpoint" {
            disk.vandalize(&path).unwrap();
        }
    }
    let (_dir, log, report) = reopen(&disk, small());
    assert!(report.clean && report.indexes_rebuilt > 3, "{report:?}");
    assert_eq!((read_all(&log.reader(), offset(0)).unwrap(), log.epochs(), log.producers.clone()), before);
}

#[test]
fn a_lost_recovery_checkpoint_promises_nothing_and_loses_nothing() {
    let disk = MemoryDisk::new();
    let all = workload(&disk);
    disk.crash_with(Loss::Nothing);
    let checkpoint = Path::new("/data/recovery-point-offset-checkpoint");
    let text = String::from_utf8(disk.contents(checkpoint).unwrap()).unwrap();
    disk.overwrite(checkpoint, text.replace("80", "99").as_bytes()).unwrap();
    let (dir, report) = open_dir(&disk);
    assert_eq!(report.distrusted.len(), 1);
    let (log, report) = dir.open_log(&name(), small(), NOW).unwrap();
    assert!(report.quarantined.is_empty() && report.cut.is_empty());
    assert_eq!(read_all(&log.reader(), offset(0)).unwrap(), all);
}

#[test]
fn the_second_opening_in_one_run_recovers_what_was_not_closed() {
    let disk = MemoryDisk::new();
    let (dir, mut log) = create(&disk, small());
    log.append(batch(1, &[1]), EPOCH, NOW).unwrap();
    drop(log);
    let (log, report) = dir.open_log(&name(), small(), NOW).unwrap();
    assert!(!report.clean);
    log.close(NOW).unwrap();
    let (log, report) = dir.open_log(&name(), small(), NOW).unwrap();
    assert!(report.clean);
    drop(log);
    assert!(!dir.close(NOW).unwrap().clean, "it was not closed");
}

#[test]
fn offsets_below_a_start_that_was_written_down_are_not_given_out_again() {
    for seed in 0..50 {
        let disk = MemoryDisk::new();
        let (dir, mut log) = create(&disk, small());
        log.append(batch(1, &[1]), EPOCH, NOW).unwrap();
        log.roll(NOW).unwrap();
        log.append(batch(1, &[2, 3]), EPOCH, NOW).unwrap();
        log.set_high_watermark(offset(2));
        log.advance_start_to(offset(2), StartReason::RecordsDeleted).unwrap();
        // Makes the start durable, and nothing of the records.
        dir.write_checkpoints().unwrap();
        disk.crash(seed);
        let (_dir, mut log, _) = reopen(&disk, small());
        let positions = log.positions();
        assert_eq!(positions.log_start, offset(2), "seed {seed}");
        assert!([offset(2), offset(3)].contains(&positions.log_end), "seed {seed}: {positions:?}");
        let appended = log.append(batch(1, &[4]), EPOCH, NOW).unwrap();
        assert_eq!(appended.base_offset, positions.log_end);
    }
}
