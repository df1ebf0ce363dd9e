use std::path::Path;

use highwater_records::{Durability, TimestampMs};

use crate::{
    ChangeError, LogConfig, ReadError, StartReason, Watermark, disk::memory::MemoryDisk, testing::*,
};

fn filled(disk: &MemoryDisk, config: LogConfig) -> (std::sync::Arc<crate::LogDir>, crate::Log) {
    let (dir, mut log) = create(disk, config);
    for n in 0..40 {
        log.append(batch(50, &[n * 100]), EPOCH, NOW).unwrap();
    }
    log.set_high_watermark(offset(40));
    (dir, log)
}

#[test]
fn by_size_the_oldest_segments_go() {
    let disk = MemoryDisk::new();
    let (dir, mut log) = filled(&disk, LogConfig { retention_bytes: Some(2500), ..small() });
    let before = log.size_bytes();
    let deleted = log.retain(NOW).unwrap();
    assert!(!deleted.is_empty());
    assert_eq!(log.size_bytes(), before - deleted.iter().map(|segment| segment.size).sum::<u64>());
    assert!(log.size_bytes() >= 2500 && log.size_bytes() < 2500 + 1000);
    let start = deleted.last().unwrap().next_offset;
    assert_eq!((log.positions().log_start, log.positions().local_start), (start, start));
    assert!(matches!(log.reader().read(offset(0), 1, offset(40), true), Err(ReadError::OutOfRange { .. })));
    assert!(log.retain(NOW).unwrap().is_empty());
    assert!(disk.files().iter().any(|file| file.to_string_lossy().ends_with(".deleted")));
    dir.write_checkpoints().unwrap();
    assert!(!disk.files().iter().any(|file| file.to_string_lossy().ends_with(".deleted")));
    close(dir, log);
    let (_dir, log, report) = reopen(&disk, small());
    assert!(report.notes.is_empty(), "{report:?}");
    assert_eq!(log.positions().log_start, start);
}

#[test]
fn by_time_the_oldest_segments_go_and_at_last_the_active_one() {
    let disk = MemoryDisk::new();
    let (_dir, mut log) = filled(&disk, LogConfig { retention_ms: Some(1000), ..small() });
    let deleted = log.retain(TimestampMs(2500)).unwrap();
    assert!(!deleted.is_empty() && deleted.last().unwrap().next_offset <= offset(15));
    log.retain(TimestampMs(1_000_000)).unwrap();
    let positions = log.positions();
    assert_eq!((positions.log_start, positions.log_end), (offset(40), offset(40)));
    assert_eq!(log.append(batch(0, &[5]), EPOCH, NOW).unwrap().base_offset, offset(40));
}

#[test]
fn nothing_at_or_above_the_watermark_goes() {
    let disk = MemoryDisk::new();
    let (_dir, mut log) =
        create(&disk, LogConfig { retention_ms: Some(0), retention_bytes: Some(0), ..small() });
    for n in 0..40 {
        log.append(batch(50, &[n]), EPOCH, NOW).unwrap();
    }
    assert!(log.retain(NOW).unwrap().is_empty());
    log.set_high_watermark(offset(20));
    log.retain(NOW).unwrap();
    assert!(log.positions().log_start <= offset(20) && log.positions().log_start > offset(10));
}

#[test]
fn the_start_advances_by_request_and_survives() {
    let disk = MemoryDisk::new();
    let (dir, mut log) = filled(&disk, small());
    let refused = log.advance_start_to(offset(41), StartReason::RecordsDeleted).unwrap_err();
    assert!(matches!(refused, ChangeError::OutOfRange { .. }));
    assert_eq!(log.advance_start_to(offset(23), StartReason::RecordsDeleted).unwrap(), offset(23));
    assert_eq!(log.advance_start_to(offset(3), StartReason::RecordsDeleted).unwrap(), offset(23));
    assert_eq!(log.epochs()[0].start, offset(23));
    let deleted = log.retain(NOW).unwrap();
    assert!(deleted.last().unwrap().next_offset <= offset(23));
    dir.write_checkpoints().unwrap();
    drop((dir, log));
    disk.crash(3);
    let (_dir, log, _) = reopen(&disk, small());
    assert_eq!(log.positions().log_start, offset(23));
    assert_eq!(log.positions().log_end, offset(40).min(log.positions().log_end));
}

#[test]
fn a_tiered_log_drops_local_copies_and_keeps_its_start() {
    let disk = MemoryDisk::new();
    let config = LogConfig { tiered: true, retention_bytes: Some(0), retention_ms: Some(0), ..small() };
    let (dir, mut log) = filled(&disk, config.clone());
    assert!(log.retain(NOW).unwrap().is_empty(), "the bucket's retention is not ours");
    let deleted = log.drop_local_below(offset(20)).unwrap();
    let local_start = deleted.last().unwrap().next_offset;
    assert!(local_start <= offset(20) && local_start > offset(0));
    assert_eq!((log.positions().log_start, log.positions().local_start), (offset(0), local_start));
    let error = log.reader().read(offset(0), 1, offset(40), true).unwrap_err();
    assert!(matches!(error, ReadError::BelowLocal { local_start: at } if at == local_start));
    close(dir, log);
    let (dir, mut log, report) = reopen(&disk, config.clone());
    assert!(report.quarantined.is_empty(), "{report:?}");
    assert_eq!((log.positions().log_start, log.positions().local_start), (offset(0), local_start));
    assert_eq!(log.epochs()[0].start, offset(0));
    // All of it, as far as whole sealed segments go.
    log.set_high_watermark(offset(40));
    log.roll(NOW).unwrap();
    log.drop_local_below(offset(40)).unwrap();
    assert_eq!(log.positions().local_start, offset(40));
    log.append(batch(1, &[1]), EPOCH, NOW).unwrap();
    close(dir, log);
    // A lost checkpoint: only the bucket knows where the log begins.
    disk.vandalize(Path::new("/data/log-start-offset-checkpoint")).unwrap();
    let (_dir, mut log, _) = reopen(&disk, config);
    assert_eq!(log.positions().log_start, offset(40));
    assert_eq!(log.adopt_tiered_start(offset(0)), offset(0));
}

#[test]
fn a_tiered_log_begins_again_where_the_bucket_ends() {
    // What a bucket has: all of one log.
    let (_dir, mut source) = create(&MemoryDisk::new(), small());
    for n in 0..30 {
        source.append(produced(7, 0, n * 2, 2), highwater_records::LeaderEpoch(n as u32 / 20), NOW).unwrap();
    }
    source.roll(NOW).unwrap();
    let parts = source.sealed_segments().pop().unwrap().parts().unwrap();

    let disk = MemoryDisk::new();
    let config = LogConfig { tiered: true, ..small() };
    let (dir, mut log) = create(&disk, config.clone());
    for n in 0..5 {
        log.append(produced(7, 0, n * 2, 2), EPOCH, NOW).unwrap();
    }
    log.commit().unwrap();
    dir.write_checkpoints().unwrap();
    let before = log.positions();
    let refused =
        log.restart_at(offset(60), offset(3), &parts.epochs, Some(b"no snapshot"), NOW).unwrap_err();
    assert!(matches!(refused, ChangeError::Disk(_)));
    assert_eq!(log.positions(), before);
    log.restart_at(offset(60), offset(3), &parts.epochs, Some(&parts.producer_snapshot), NOW).unwrap();
    for seed in 0..20 {
        let crashed = disk.fork();
        crashed.crash(seed);
        let (_dir, mut log, report) = reopen(&crashed, config.clone());
        assert!(report.quarantined.is_empty() && report.cut.is_empty(), "{report:?}");
        let positions = log.positions();
        assert_eq!((positions.log_start, positions.local_start), (offset(3), offset(60)));
        let mut epochs = source.epochs();
        epochs[0].start = offset(3);
        assert_eq!(log.epochs(), epochs);
        let epoch = highwater_records::LeaderEpoch(2);
        assert!(log.append(produced(7, 0, 58, 2), epoch, NOW).unwrap().duplicate);
        assert_eq!(log.append(produced(7, 0, 60, 2), epoch, NOW).unwrap().base_offset, offset(60));
    }
}

#[test]
fn sealed_segments_are_described_with_all_their_parts() {
    let disk = MemoryDisk::new();
    let (_dir, mut log) = create(&disk, small());
    for n in 0..20 {
        log.append(produced(7, 0, n * 2, 2), EPOCH, NOW).unwrap();
    }
    assert!(log.sealed_segments().iter().all(|segment| !segment.synced));
    log.commit().unwrap();
    let sealed = log.sealed_segments();
    assert_eq!(sealed.len(), log.segment_count() - 1);
    let mut next = offset(0);
    for segment in &sealed {
        assert!(segment.synced && !segment.damaged);
        assert_eq!(segment.base_offset, next);
        next = segment.next_offset;
        let parts = segment.parts().unwrap();
        assert_eq!(parts.log_len, segment.size);
        assert_eq!(parts.log.len().unwrap(), segment.size);
        assert!(!parts.time_index.is_empty() && parts.time_index.len() % 12 == 0);
        let snapshot =
            disk.contents(Path::new(&format!("/data/topic-0/{:020}.snapshot", next.get()))).unwrap();
        assert_eq!(parts.producer_snapshot, snapshot);
        assert_eq!(parts.epochs, log.epochs());
    }
}

#[test]
fn where_an_epoch_began_outlives_the_segments_that_showed_it() {
    let disk = MemoryDisk::new();
    let config =
        LogConfig { tiered: true, durability: Durability::Synced, watermark: Watermark::Own, ..small() };
    let (dir, mut log) = create(&disk, config.clone());
    for n in 0..60 {
        log.append(batch(50, &[n]), highwater_records::LeaderEpoch(n as u32 / 20), NOW).unwrap();
        if n % 10 == 9 {
            log.roll(NOW).unwrap();
        }
    }
    log.commit().unwrap();
    dir.settle().unwrap();
    let epochs = log.epochs();
    assert_eq!(epochs.len(), 3);
    assert!(!log.drop_local_below(offset(55)).unwrap().is_empty());
    assert!(log.positions().local_start > offset(40), "{:?}", log.positions());
    dir.write_checkpoints().unwrap();
    for seed in 0..30 {
        let crashed = disk.fork();
        crashed.crash(seed);
        let (_dir, log, _) = reopen(&crashed, config.clone());
        assert_eq!(log.epochs(), epochs, "seed {seed}");
    }
}

/// Cluster seed 6000425: it led with the epoch before, and told a replica in sync to cut everything.
#[test]
fn of_a_log_that_was_emptied_no_former_epoch_comes_back() {
    let disk = MemoryDisk::new();
    let config = LogConfig {
        durability: Durability::Synced,
        watermark: Watermark::Own,
        retention_ms: Some(1000),
        ..small()
    };
    let (dir, mut log) = create(&disk, config.clone());
    log.append(batch(50, &[1]), highwater_records::LeaderEpoch(3), NOW).unwrap();
    close(dir, log);
    let (dir, mut log, _) = reopen(&disk, config.clone());
    let epoch = highwater_records::LeaderEpoch(5);
    log.append(batch(50, &[2]), epoch, NOW).unwrap();
    log.commit().unwrap();
    dir.settle().unwrap();
    log.retain(TimestampMs(5000)).unwrap();
    dir.write_checkpoints().unwrap();
    let positions = log.positions();
    assert_eq!((positions.log_start, positions.log_end), (offset(2), offset(2)));
    assert_eq!(log.end_offset_for_epoch(epoch), Some((epoch, offset(2))));
    disk.kill();
    let (_dir, log, _) = reopen(&disk, config);
    assert_eq!((log.positions().log_start, log.positions().log_end), (offset(2), offset(2)));
    assert_eq!(log.epochs(), [], "its file knows epoch 3 only");
}

#[test]
fn what_runs_on_after_its_log_was_deleted_says_nothing_of_the_disk() {
    let disk = MemoryDisk::new();
    let (dir, mut log) = filled(&disk, small());
    let commit = log.begin_sync().unwrap();
    let head = log.begin_advance(offset(12), StartReason::RecordsDeleted).unwrap().unwrap();
    dir.delete_log(log).unwrap();
    drop((commit.run(), head.run()));
    assert!(dir.failed().is_none(), "{:?}", dir.failed());
    let other = dir.create_log(name(), highwater_records::TopicId::from_random(3, 3), small(), NOW);
    other.unwrap().append(batch(50, &[1]), EPOCH, NOW).unwrap();
}
