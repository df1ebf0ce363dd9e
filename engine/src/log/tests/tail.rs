use std::io::ErrorKind;

use highwater_records::LeaderEpoch;

use crate::{
    LogConfig,
    disk::memory::{Fault, MemoryDisk},
    testing::*,
};

#[test]
fn truncation_drops_batches_epochs_and_producers_above() {
    let disk = MemoryDisk::new();
    let (dir, mut log) = create(&disk, small());
    for n in 0..40 {
        log.append(produced(7, 0, n, 1), LeaderEpoch(n as u32 / 10), NOW).unwrap();
    }
    log.commit().unwrap();
    log.set_high_watermark(offset(30));
    let all = read_all(&log.reader(), offset(0)).unwrap();
    assert_eq!(log.truncate_to(offset(99), NOW).unwrap(), offset(40));
    assert_eq!(log.truncate_to(offset(17), NOW).unwrap(), offset(17));
    assert_eq!(log.latest_epoch(), Some(LeaderEpoch(1)));
    let positions = log.positions();
    assert_eq!((positions.log_end, positions.durable_end), (offset(17), offset(17)));
    assert_eq!(positions.high_watermark, offset(17));
    assert_eq!(read_all(&log.reader(), offset(0)).unwrap(), all[..17]);
    let again = log.append(produced(7, 0, 16, 1), LeaderEpoch(9), NOW).unwrap();
    assert!(again.duplicate);
    assert_eq!(log.append(produced(7, 0, 17, 1), LeaderEpoch(9), NOW).unwrap().base_offset, offset(17));
    let expected = read_all(&log.reader(), offset(0)).unwrap();
    close(dir, log);
    let (_dir, log, report) = reopen(&disk, small());
    assert!(report.notes.is_empty(), "{report:?}");
    assert_eq!(read_all(&log.reader(), offset(0)).unwrap(), expected);
    assert_eq!(log.latest_epoch(), Some(LeaderEpoch(9)));
}

#[test]
fn a_batch_that_straddles_the_point_goes_whole() {
    let (_dir, mut log) = create(&MemoryDisk::new(), small());
    for n in 0..10 {
        log.append(batch(n, &[1; 5]), EPOCH, NOW).unwrap();
    }
    assert_eq!(log.truncate_to(offset(23), NOW).unwrap(), offset(20));
    assert_eq!(log.append(batch(1, &[1]), EPOCH, NOW).unwrap().base_offset, offset(20));
    assert_eq!(log.truncate_to(offset(0), NOW).unwrap(), offset(0));
    assert_eq!(log.latest_epoch(), None);
    assert_eq!(log.append(batch(1, &[1]), EPOCH, NOW).unwrap().base_offset, offset(0));
}

#[test]
fn beginning_again_anywhere() {
    for to in [0, 7, 500] {
        let disk = MemoryDisk::new();
        let (dir, mut log) = create(&disk, small());
        for n in 0..40 {
            log.append(produced(7, 0, n, 1), EPOCH, NOW).unwrap();
        }
        log.commit().unwrap();
        dir.write_checkpoints().unwrap();
        log.truncate_fully_and_start_at(offset(to)).unwrap();
        let positions = log.positions();
        assert_eq!((positions.log_start, positions.log_end), (offset(to), offset(to)));
        assert_eq!(log.producers().count(), 0);
        log.append(batch(1, &[1]), EPOCH, NOW).unwrap();
        log.commit().unwrap();
        drop((dir, log));
        disk.crash(to);
        let (_dir, log, report) = reopen(&disk, small());
        assert!(report.quarantined.is_empty() && report.cut.is_empty(), "{report:?}");
        assert_eq!((log.positions().log_start, log.positions().log_end), (offset(to), offset(to + 1)));
    }
}

/// Wherever it breaks off, the log answers, with what it had or an error, until it is opened again.
#[test]
fn beginning_again_on_a_disk_that_refuses() {
    let config = || LogConfig { tiered: true, ..small() };
    for error in [ErrorKind::Other, ErrorKind::StorageFull] {
        for after in 0.. {
            let disk = MemoryDisk::new();
            let (dir, mut log) = create(&disk, config());
            for n in 0..40 {
                log.append(batch(n, &[1]), EPOCH, NOW).unwrap();
            }
            log.commit().unwrap();
            dir.write_checkpoints().unwrap();
            let before = read_all(&log.reader(), offset(0)).unwrap();
            disk.inject(Fault { after, operations: Vec::new(), error, lasting: true });
            let done = log.restart_at(offset(100), offset(50), &[], None, NOW);
            disk.clear_faults();
            assert!(log.sealed_end() <= log.positions().log_end);
            assert!(log.segment_count() > 0);
            match read_all(&log.reader(), log.positions().local_start) {
                Ok(read) => assert!(read.is_empty() || read == before, "{read:?}"),
                Err(_) => assert!(done.is_err(), "{done:?}"),
            }
            drop((log, dir));
            disk.kill();
            let (_dir, mut log, _) = reopen(&disk, config());
            // The tail goes first: what is left is a prefix, or the new beginning.
            let read = read_all(&log.reader(), log.positions().local_start).unwrap();
            assert!(before.starts_with(&read), "{read:?}");
            let end = log.positions().log_end.get();
            assert!(
                end == read.len() as u64 || (read.is_empty() && end == 100),
                "{after}: {:?}",
                log.positions()
            );
            log.append(batch(1, &[1]), EPOCH, NOW).unwrap();
            if done.is_ok() {
                break;
            }
        }
    }
}
