use highwater_records::{
    LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs,
    batch::{CheckPolicy, CheckedBatch, EndTxnMarker, split},
};

use crate::{
    AbortedTransaction, AppendError, Log, LogConfig, MarkerEpoch, decode_transaction_index,
    disk::memory::{Loss, MemoryDisk},
    testing::*,
};

fn aborted(log: &Log, from: u64, to: u64) -> Vec<(u64, u64, u64)> {
    let found = log.reader().aborted(offset(from), offset(to)).unwrap();
    let plain = |t: AbortedTransaction| (t.producer_id.0, t.first_offset.get(), t.last_offset.get());
    found.into_iter().map(plain).collect()
}

fn stable(log: &Log) -> u64 {
    log.positions().last_stable.get()
}

fn append(log: &mut Log, batch: CheckedBatch) -> u64 {
    log.append(batch, EPOCH, NOW).unwrap().base_offset.get()
}

/// Producer 1: 0 to 2, aborted at 6; producer 2: 3 to 5 and 7, committed at 8; producer 1 again: 9, open.
fn three(log: &mut Log) {
    append(log, transactional(1, 0, 0, 3));
    append(log, transactional(2, 0, 0, 3));
    append(log, marker(1, 0, false));
    append(log, transactional(2, 0, 3, 1));
    append(log, marker(2, 0, true));
    append(log, transactional(1, 0, 3, 1));
}

#[test]
fn the_last_stable_offset_waits_for_markers_and_for_the_watermark() {
    let (_dir, mut log) = create(&MemoryDisk::new(), small());
    append(&mut log, batch(1, &[1]));
    append(&mut log, transactional(1, 0, 0, 2));
    log.set_high_watermark(offset(3));
    assert_eq!(stable(&log), 1);
    append(&mut log, marker(1, 0, true));
    assert_eq!(stable(&log), 1, "the marker is not below the watermark");
    assert_eq!(log.open_transactions(), []);
    log.set_high_watermark(offset(4));
    assert_eq!(stable(&log), 4);
    append(&mut log, transactional(1, 0, 2, 1));
    assert_eq!(stable(&log), 4);
    log.set_high_watermark(offset(5));
    assert_eq!(stable(&log), 4);
    let open = log.open_transactions();
    assert_eq!((open[0].producer_id, open[0].first_offset), (ProducerId(1), offset(4)));
    assert_eq!((open[0].epoch, open[0].last_timestamp), (ProducerEpoch(0), NOW));
}

#[test]
fn aborted_transactions_of_a_range() {
    let (_dir, mut log) = create(&MemoryDisk::new(), small());
    three(&mut log);
    assert_eq!(aborted(&log, 0, 9), [(1, 0, 6)]);
    assert_eq!(aborted(&log, 6, 9), [(1, 0, 6)]);
    assert_eq!(aborted(&log, 7, 9), []);
    assert_eq!(aborted(&log, 0, 0), []);
    append(&mut log, marker(1, 0, false));
    assert_eq!(aborted(&log, 0, 9), [(1, 0, 6)]);
    assert_eq!(aborted(&log, 0, 11), [(1, 0, 6), (1, 9, 10)]);
    let all = log.reader().aborted(Offset::ZERO, offset(11)).unwrap();
    assert_eq!(all.iter().map(|t| t.last_stable.get()).collect::<Vec<_>>(), [3, 11]);
}

#[test]
fn what_a_transaction_refuses() {
    let (_dir, mut log) = create(&MemoryDisk::new(), small());
    append(&mut log, transactional(1, 3, 0, 1));
    let before = log.positions();
    let stray = log.append(produced(1, 3, 1, 1), EPOCH, NOW).unwrap_err();
    assert!(matches!(stray, AppendError::TransactionOpen { first_offset: Offset::ZERO }), "{stray}");
    let end = |log: &mut Log, epoch, coordinator_epoch, rule| {
        let marker = EndTxnMarker { committed: false, coordinator_epoch };
        log.end_transaction((ProducerId(1), ProducerEpoch(epoch)), marker, rule, EPOCH, NOW)
    };
    let late = end(&mut log, 2, 5, MarkerEpoch::SameOrNewer).unwrap_err();
    assert!(matches!(late, AppendError::InvalidProducerEpoch { .. }), "{late}");
    let late = end(&mut log, 3, 5, MarkerEpoch::Newer).unwrap_err();
    assert!(matches!(late, AppendError::InvalidProducerEpoch { .. }), "{late}");
    assert_eq!(log.positions(), before);

    assert_eq!(end(&mut log, 4, 5, MarkerEpoch::Newer).unwrap().base_offset, offset(1));
    assert_eq!(aborted(&log, 0, 2), [(1, 0, 1)]);
    let old = log.append(transactional(1, 3, 1, 1), EPOCH, NOW).unwrap_err();
    assert!(matches!(old, AppendError::InvalidProducerEpoch { .. }), "the marker raised the epoch: {old}");
    let fenced = end(&mut log, 4, 4, MarkerEpoch::SameOrNewer).unwrap_err();
    assert!(matches!(fenced, AppendError::CoordinatorFenced { found: 4, current: 5 }), "{fenced}");
    // The same sequence in the next transaction is another record, not a repetition of the aborted one.
    let next = log.append(transactional(1, 4, 0, 1), EPOCH, NOW).unwrap();
    assert!(!next.duplicate && next.base_offset == offset(2));
}

#[test]
fn segments_tell_of_what_their_markers_aborted() {
    let disk = MemoryDisk::new();
    let (dir, mut log) = create(&disk, LogConfig { segment_bytes: 300, ..small() });
    three(&mut log);
    append(&mut log, marker(1, 0, false));
    append(&mut log, batch(50, &[1, 1]));
    log.roll(NOW).unwrap();
    log.commit().unwrap();
    let expected = aborted(&log, 0, 11);
    assert_eq!(expected, [(1, 0, 6), (1, 9, 10)]);
    let mut indexed = Vec::new();
    for segment in log.sealed_segments() {
        let parts = segment.parts().unwrap();
        for entry in decode_transaction_index(&parts.transaction_index).unwrap() {
            assert!(entry.last_offset >= segment.base_offset && entry.last_offset < segment.next_offset);
            indexed.push((entry.producer_id.0, entry.first_offset.get(), entry.last_offset.get()));
        }
    }
    assert_eq!(indexed, expected);
    assert!(log.segment_count() > 2);

    // The index goes with its segments, and what is left tells of whole transactions.
    log.set_high_watermark(log.positions().log_end);
    let start = log.sealed_segments()[1].base_offset;
    log.advance_start_to(start, crate::StartReason::RecordsDeleted).unwrap();
    log.retain(NOW).unwrap();
    let behind: Vec<_> = expected.into_iter().filter(|(_, _, marker)| *marker >= start.get()).collect();
    assert_eq!(aborted(&log, start.get(), 11), behind);
    assert!(behind.iter().any(|(_, first, _)| *first >= start.get()), "{behind:?}");
    close(dir, log);
}

#[test]
fn all_of_it_survives_every_kind_of_stop() {
    for segment_bytes in [250, 400, 10_000] {
        let config = LogConfig { segment_bytes, ..small() };
        for stop in 0..3 {
            let disk = MemoryDisk::new();
            let (dir, mut log) = create(&disk, config.clone());
            three(&mut log);
            log.set_high_watermark(offset(8));
            log.commit().unwrap();
            dir.write_checkpoints().unwrap();
            let before = (log.positions().last_stable, aborted(&log, 0, 10), log.open_transactions());
            match stop {
                0 => close(dir, log),
                1 => drop((dir, log)),
                _ => {
                    drop((dir, log));
                    disk.crash_with(Loss::Everything);
                }
            }
            let (_dir, log, report) = reopen(&disk, config.clone());
            assert!(report.notes.is_empty(), "{report:?}");
            let after = (log.positions().last_stable, aborted(&log, 0, 10), log.open_transactions());
            assert_eq!(after, before, "{segment_bytes} {stop}");
            assert_eq!(after.0, offset(3), "the marker at 8 is not below the watermark");
        }
    }
}

#[test]
fn truncation_takes_decisions_back() {
    for segment_bytes in [250, 10_000] {
        let disk = MemoryDisk::new();
        let config = LogConfig { segment_bytes, ..small() };
        let (dir, mut log) = create(&disk, config.clone());
        three(&mut log);
        log.commit().unwrap();
        close(dir, log);
        let (dir, mut log, _) = reopen(&disk, config.clone());
        // KAFKA-12153: the first unstable offset follows a truncation.
        log.truncate_to(offset(6), NOW).unwrap();
        log.set_high_watermark(offset(6));
        assert_eq!((stable(&log), aborted(&log, 0, 6)), (0, vec![]));
        assert_eq!(log.open_transactions().len(), 2);
        append(&mut log, marker(1, 0, true));
        append(&mut log, marker(2, 0, false));
        log.set_high_watermark(offset(8));
        assert_eq!((stable(&log), aborted(&log, 0, 8)), (8, vec![(2, 3, 7)]));
        log.commit().unwrap();
        close(dir, log);
        let (_dir, log, _) = reopen(&disk, config);
        assert_eq!((stable(&log), aborted(&log, 0, 8)), (8, vec![(2, 3, 7)]));
    }
}

#[test]
fn a_lost_or_damaged_index_is_made_from_the_batches() {
    let config = LogConfig { segment_bytes: 300, ..small() };
    let prepared = MemoryDisk::new();
    let (dir, mut log) = create(&prepared, config.clone());
    three(&mut log);
    append(&mut log, batch(50, &[1, 1]));
    log.commit().unwrap();
    let expected = aborted(&log, 0, 9);
    close(dir, log);
    let ends = |suffix: &str| {
        let found = prepared.files().into_iter().filter(|file| file.to_string_lossy().ends_with(suffix));
        found.collect::<Vec<_>>()
    };
    let files: Vec<_> = ends(".txnindex").into_iter().chain(ends(".hwtxn")).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in files {
        let disk = prepared.fork();
        disk.vandalize(&file).unwrap();
        let (dir, log, _) = reopen(&disk, config.clone());
        assert_eq!(aborted(&log, 0, 9), expected);
        // What was made is as good as what was lost, now and after a power cut.
        drop((dir, log));
        disk.crash_with(Loss::Everything);
        let (_dir, log, _) = reopen(&disk, config.clone());
        assert_eq!(aborted(&log, 0, 9), expected);
        for len in 0..prepared.contents(&file).unwrap().len() {
            let disk = prepared.fork();
            disk.overwrite(&file, &prepared.contents(&file).unwrap()[..len]).unwrap();
            assert_eq!(aborted(&reopen(&disk, config.clone()).1, 0, 9), expected);
        }
    }
}

#[test]
fn an_open_transaction_does_not_expire() {
    let (_dir, mut log) = create(&MemoryDisk::new(), small());
    append(&mut log, transactional(1, 0, 0, 1));
    append(&mut log, produced(2, 0, 0, 1));
    let later = TimestampMs(NOW.0 + 48 * 3_600_000);
    log.retain(later).unwrap();
    assert_eq!(log.producers().map(|(id, _)| id.0).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_follower_concludes_what_its_leader_did() {
    let (_dir, mut leader) = create(&MemoryDisk::new(), small());
    three(&mut leader);
    let (_dir, mut follower) = create(&MemoryDisk::new(), small());
    let bytes = leader.reader().read(offset(0), 10_000, offset(10), true).unwrap().bytes().unwrap();
    for piece in split(bytes) {
        let batch = CheckedBatch::check(piece.unwrap(), &CheckPolicy::replica()).unwrap();
        follower.append_as_follower(batch, NOW).unwrap();
    }
    for log in [&mut leader, &mut follower] {
        log.set_high_watermark(offset(10));
        assert_eq!((stable(log), aborted(log, 0, 9)), (9, vec![(1, 0, 6)]));
    }
    let states = |log: &Log| log.producers().map(|(id, state)| (id, state.clone())).collect::<Vec<_>>();
    assert_eq!(states(&leader), states(&follower));
    assert_eq!(leader.latest_epoch(), Some(LeaderEpoch(1)));
}

#[test]
fn a_log_that_begins_again_knows_what_is_open() {
    let (_dir, mut source) = create(&MemoryDisk::new(), small());
    three(&mut source);
    source.roll(NOW).unwrap();
    let snapshot = source.sealed_segments().pop().unwrap().parts().unwrap().producer_snapshot;
    let disk = MemoryDisk::new();
    let config = LogConfig { tiered: true, ..small() };
    let (_dir, mut log) = create(&disk, config);
    log.restart_at(offset(10), offset(0), &source.epochs(), Some(&snapshot), NOW).unwrap();
    assert_eq!(log.open_transactions()[0].first_offset, offset(9));
    append(&mut log, marker(1, 0, false));
    log.set_high_watermark(offset(11));
    assert_eq!((stable(&log), aborted(&log, 10, 11)), (11, vec![(1, 9, 10)]));
}
