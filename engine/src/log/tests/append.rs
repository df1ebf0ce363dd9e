use highwater_records::{LeaderEpoch, TimestampMs, batch::TimestampType};

use crate::{
    AppendError, LogConfig,
    disk::memory::{Fault, MemoryDisk, Operation},
    testing::*,
};

#[test]
fn batches_lie_back_to_back() {
    let (_dir, mut log) = create(&MemoryDisk::new(), small());
    for n in 0..30 {
        let appended = log.append(batch(n, &[1, 2, 3]), EPOCH, NOW).unwrap();
        assert_eq!((appended.base_offset, appended.last_offset), (offset(n * 3), offset(n * 3 + 2)));
        assert!(!appended.duplicate && appended.append_time.is_none());
    }
    assert!(log.segment_count() > 3, "{}", log.segment_count());
    let read = read_all(&log.reader(), offset(0)).unwrap();
    assert_eq!(
        read.iter().map(|(base, ..)| *base).collect::<Vec<_>>(),
        (0..30).map(|n| n * 3).collect::<Vec<_>>()
    );
}

#[test]
fn what_is_refused_changes_nothing() {
    let config = LogConfig { max_message_bytes: 200, timestamp_after_max_ms: Some(10), ..small() };
    let (_dir, mut log) = create(&MemoryDisk::new(), config);
    log.append(batch(0, &[NOW.0]), LeaderEpoch(5), NOW).unwrap();
    let before = (log.positions(), read_all(&log.reader(), offset(0)).unwrap());
    let refuse = |log: &mut crate::Log, batch, epoch| log.append(batch, LeaderEpoch(epoch), NOW).unwrap_err();
    assert!(matches!(refuse(&mut log, batch(89, &[1; 20]), 5), AppendError::TooLarge { max: 200, .. }));
    assert!(matches!(refuse(&mut log, batch(1, &[NOW.0 + 11]), 5), AppendError::InvalidTimestamp { .. }));
    let stale = refuse(&mut log, batch(1, &[NOW.0]), 4);
    assert!(matches!(stale, AppendError::StaleLeaderEpoch { latest: LeaderEpoch(5), .. }));
    assert_eq!((log.positions(), read_all(&log.reader(), offset(0)).unwrap()), before);
}

#[test]
fn a_batch_larger_than_a_segment_is_refused() {
    let (_dir, mut log) = create(&MemoryDisk::new(), small());
    let refused = log.append(batch(80, &[1; 20]), EPOCH, NOW).unwrap_err();
    assert!(matches!(refused, AppendError::TooLarge { max: 1000, .. }), "{refused}");
}

#[test]
fn log_append_time_stamps_and_the_checksum_holds() {
    let config = LogConfig { timestamp_type: TimestampType::LogAppendTime, ..small() };
    let (_dir, mut log) = create(&MemoryDisk::new(), config);
    let appended = log.append(batch(0, &[1, 2]), EPOCH, NOW).unwrap();
    assert_eq!(appended.append_time, Some(NOW));
    read_all(&log.reader(), offset(0)).unwrap();
    assert_eq!(log.reader().offset_for_timestamp(TimestampMs(5)).unwrap(), Some((NOW, offset(0))));
}

#[test]
fn a_full_disk_is_a_clean_error_and_the_log_goes_on_when_there_is_room() {
    let disk = MemoryDisk::new();
    let (dir, mut log) = create(&disk, small());
    log.append(batch(1, &[1]), EPOCH, NOW).unwrap();
    let used: u64 = disk.files().iter().map(|file| disk.contents(file).unwrap().len() as u64).sum();
    disk.set_capacity(Some(used + 40));
    let before = log.positions();
    let error = log.append(batch(2, &[1]), EPOCH, NOW).unwrap_err();
    assert!(matches!(&error, AppendError::Disk(e) if e.kind() == std::io::ErrorKind::StorageFull), "{error}");
    assert_eq!(log.positions(), before);
    assert_eq!(read_all(&log.reader(), offset(0)).unwrap().len(), 1);
    disk.set_capacity(None);
    log.append(batch(3, &[1]), EPOCH, NOW).unwrap();
    let expected = read_all(&log.reader(), offset(0)).unwrap();
    assert_eq!(expected.len(), 2);
    close(dir, log);
    let (_dir, log, report) = reopen(&disk, small());
    assert!(report.clean && report.notes.is_empty(), "{report:?}");
    assert_eq!(read_all(&log.reader(), offset(0)).unwrap(), expected);
}

#[test]
fn bytes_of_a_failed_append_that_could_not_be_removed_do_no_harm() {
    let disk = MemoryDisk::new();
    let (dir, mut log) = create(&disk, small());
    log.append(batch(1, &[1]), EPOCH, NOW).unwrap();
    let used: u64 = disk.files().iter().map(|file| disk.contents(file).unwrap().len() as u64).sum();
    // The write fits in part, and cutting it back fails too.
    disk.set_capacity(Some(used + 60));
    disk.inject(Fault {
        after: 1,
        operations: vec![Operation::Write],
        error: std::io::ErrorKind::Other,
        lasting: false,
    });
    log.append(batch(80, &[1]), EPOCH, NOW).unwrap_err();
    disk.set_capacity(None);
    log.append(batch(2, &[1]), EPOCH, NOW).unwrap();
    let expected = read_all(&log.reader(), offset(0)).unwrap();
    close(dir, log);
    let (_dir, log, report) = reopen(&disk, small());
    assert!(report.notes.is_empty(), "{report:?}");
    assert_eq!(read_all(&log.reader(), offset(0)).unwrap(), expected);
}

#[test]
fn producers_are_checked_and_survive_roll_restart_and_crash() {
    let disk = MemoryDisk::new();
    let (dir, mut log) = create(&disk, small());
    for n in 0..20 {
        log.append(produced(7, 0, n * 2, 2), EPOCH, NOW).unwrap();
    }
    assert!(log.segment_count() > 1);
    let check = |log: &mut crate::Log| {
        for n in 15..20 {
            let again = log.append(produced(7, 0, n * 2, 2), EPOCH, NOW).unwrap();
            assert!(again.duplicate);
            assert_eq!(again.base_offset, offset(n as u64 * 2));
        }
        let error = log.append(produced(7, 0, 28, 2), EPOCH, NOW).unwrap_err();
        assert!(matches!(error, AppendError::DuplicateBeyondWindow));
        let error = log.append(produced(7, 0, 42, 2), EPOCH, NOW).unwrap_err();
        assert!(matches!(error, AppendError::OutOfOrderSequence { .. }));
    };
    check(&mut log);
    close(dir, log);
    let (dir, mut log, _) = reopen(&disk, small());
    check(&mut log);
    log.commit().unwrap();
    drop((dir, log));
    disk.crash(1);
    let (_dir, mut log, report) = reopen(&disk, small());
    assert!(!report.clean);
    check(&mut log);
    let error = log.append(produced(7, 1, 3, 1), EPOCH, NOW).unwrap_err();
    assert!(matches!(error, AppendError::OutOfOrderSequence { .. }));
    log.append(produced(7, 1, 0, 1), EPOCH, NOW).unwrap();
    let error = log.append(produced(7, 0, 40, 1), EPOCH, NOW).unwrap_err();
    assert!(matches!(error, AppendError::InvalidProducerEpoch { .. }));
    log.append(produced(8, 3, 99, 1), EPOCH, NOW).unwrap();
}

#[test]
fn a_follower_takes_batches_as_they_are() {
    let (_dir, mut leader) = create(&MemoryDisk::new(), small());
    let (_dir2, mut follower) = create(&MemoryDisk::new(), small());
    for n in 0..10 {
        leader.append(batch(n, &[1, 2]), LeaderEpoch(n as u32 / 3), NOW).unwrap();
    }
    let reader = leader.reader();
    let mut next = offset(0);
    loop {
        let range = reader.read(next, 300, crate::testing::offset(1 << 40), true).unwrap();
        if range.is_empty() {
            break;
        }
        for piece in highwater_records::batch::split(range.bytes().unwrap()) {
            let policy = highwater_records::batch::CheckPolicy::replica();
            let checked = highwater_records::batch::CheckedBatch::check(piece.unwrap(), &policy).unwrap();
            follower.append_as_follower(checked.clone(), NOW).unwrap();
            let gap = follower.append_as_follower(checked, NOW).unwrap_err();
            assert!(matches!(gap, AppendError::OutOfPlace { .. }));
        }
        next = range.next_offset();
    }
    assert_eq!(read_all(&follower.reader(), offset(0)).unwrap(), read_all(&reader, offset(0)).unwrap());
    assert_eq!(follower.epochs(), leader.epochs());
}
