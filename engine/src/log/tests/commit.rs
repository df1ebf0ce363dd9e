use crate::{
    AppendError, CommitError, LogConfig, ReadError, Watermark,
    disk::memory::{Fault, Loss, MemoryDisk, Operation},
    testing::*,
};
use highwater_records::Durability;

#[test]
fn a_commit_makes_durable_what_was_there_when_it_began() {
    let disk = MemoryDisk::new();
    let (_dir, mut log) = create(&disk, small());
    log.append(batch(0, &[1]), EPOCH, NOW).unwrap();
    let job = log.begin_commit().unwrap();
    assert!(log.begin_commit().is_none(), "one at a time");
    log.append(batch(1, &[1]), EPOCH, NOW).unwrap();
    let done = job.run();
    assert_eq!(log.positions().durable_end, offset(0));
    assert_eq!(log.finish_commit(done).unwrap(), offset(1));
    assert_eq!(log.commit().unwrap(), offset(2));
    assert!(log.begin_commit().is_none(), "nothing is left");
    assert_eq!(log.positions().recovery_point, offset(0), "not written down yet");
}

#[test]
fn a_roll_syncs_nothing_and_the_next_commit_takes_everything() {
    let disk = MemoryDisk::new();
    let (_dir, mut log) = create(&disk, small());
    log.append(batch(0, &[1]), EPOCH, NOW).unwrap();
    log.commit().unwrap();
    let syncs = (disk.counts().syncs, disk.counts().dir_syncs);
    for n in 0..40 {
        log.append(batch(n, &[1]), EPOCH, NOW).unwrap();
    }
    log.roll(NOW).unwrap();
    assert_eq!((disk.counts().syncs, disk.counts().dir_syncs), syncs);
    log.commit().unwrap();
    let expected = read_all(&log.reader(), offset(0)).unwrap();
    drop((_dir, log));
    disk.crash_with(Loss::Everything);
    let (_dir, log, report) = reopen(&disk, small());
    assert_eq!(read_all(&log.reader(), offset(0)).unwrap(), expected);
    assert!(report.cut.is_empty() && report.quarantined.is_empty(), "{report:?}");
}

#[test]
fn a_job_that_is_dropped_loses_nothing() {
    let disk = MemoryDisk::new();
    let (_dir, mut log) = create(&disk, small());
    log.append(batch(0, &[1]), EPOCH, NOW).unwrap();
    drop(log.begin_commit().unwrap());
    assert_eq!(log.commit().unwrap(), offset(1));
}

#[test]
fn a_roll_while_a_commit_runs_is_not_forgotten() {
    let disk = MemoryDisk::new();
    let (_dir, mut log) = create(&disk, small());
    log.append(batch(0, &[1]), EPOCH, NOW).unwrap();
    let job = log.begin_commit().unwrap();
    log.append(batch(1, &[1]), EPOCH, NOW).unwrap();
    log.roll(NOW).unwrap();
    log.append(batch(2, &[1]), EPOCH, NOW).unwrap();
    let done = job.run();
    assert_eq!(log.finish_commit(done).unwrap(), offset(1));
    assert_eq!(log.commit().unwrap(), offset(3));
    let expected = read_all(&log.reader(), offset(0)).unwrap();
    drop((_dir, log));
    disk.crash_with(Loss::Everything);
    let (_dir, log, _) = reopen(&disk, small());
    assert_eq!(read_all(&log.reader(), offset(0)).unwrap(), expected);
}

#[test]
fn a_truncation_while_a_commit_runs_bounds_it() {
    let (_dir, mut log) = create(&MemoryDisk::new(), small());
    for n in 0..30 {
        log.append(batch(n, &[1]), EPOCH, NOW).unwrap();
    }
    let job = log.begin_commit().unwrap();
    log.truncate_to(offset(3), NOW).unwrap();
    for n in 0..10 {
        log.append(batch(100 + n, &[1]), EPOCH, NOW).unwrap();
    }
    let done = job.run();
    assert_eq!(log.finish_commit(done).unwrap(), offset(3));
    assert_eq!(log.commit().unwrap(), offset(13));
}

#[test]
fn a_failed_sync_takes_the_directory_offline_for_good() {
    let disk = MemoryDisk::new();
    let (dir, mut log) = create(&disk, small());
    log.append(batch(0, &[1]), EPOCH, NOW).unwrap();
    log.commit().unwrap();
    log.append(batch(1, &[1]), EPOCH, NOW).unwrap();
    disk.inject(Fault {
        after: 0,
        operations: vec![Operation::Sync],
        error: std::io::ErrorKind::Other,
        lasting: false,
    });
    let job = log.begin_commit().unwrap();
    let done = job.run();
    assert!(matches!(log.finish_commit(done), Err(CommitError::Offline(_))));
    assert!(dir.failed().is_some());
    assert_eq!(log.positions().durable_end, offset(1));
    assert!(matches!(log.append(batch(2, &[1]), EPOCH, NOW), Err(AppendError::Offline(_))));
    assert!(log.begin_commit().is_none());
    let reader = log.reader();
    assert_eq!(reader.read(offset(0), 1 << 20, offset(2), true).unwrap().next_offset(), offset(1));
    assert!(matches!(reader.read(offset(1), 1 << 20, offset(2), true), Err(ReadError::Offline(_))));
    assert!(log.close(NOW).is_err());
    assert!(dir.close(NOW).is_err());
}

#[test]
fn a_log_alone_moves_its_own_watermark_by_its_durability() {
    for (durability, before, after) in [(Durability::Synced, 0, 1), (Durability::Replicated, 1, 1)] {
        let config = LogConfig { watermark: Watermark::Own, durability, ..small() };
        let (_dir, mut log) = create(&MemoryDisk::new(), config);
        log.append(batch(0, &[1]), EPOCH, NOW).unwrap();
        assert_eq!(log.positions().high_watermark, offset(before));
        log.commit().unwrap();
        assert_eq!(log.positions().high_watermark, offset(after));
    }
}

#[test]
fn a_full_disk_that_refuses_the_epochs_file_is_no_failed_sync() {
    let disk = MemoryDisk::new();
    let (dir, mut log) = create(&disk, small());
    log.append(batch(1, &[1]), EPOCH, NOW).unwrap();
    let used: usize = disk.files().iter().map(|path| disk.contents(path).unwrap().len()).sum();
    disk.set_capacity(Some(used as u64));
    let before = log.positions().durable_end;
    assert!(matches!(log.commit(), Err(CommitError::Disk(_))));
    assert_eq!(log.positions().durable_end, before, "nothing counts as durable");
    assert_eq!(dir.failed(), None, "and the directory stays in use");
    disk.set_capacity(None);
    assert_eq!(log.commit(), Ok(log.positions().log_end));
}
