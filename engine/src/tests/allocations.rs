//! What the way of a batch asks of the allocator: nothing for each record, and little for each batch.

use std::sync::Arc;

use allocation_counter::measure;
use highwater_records::{Durability, LeaderEpoch, Offset, TopicId, batch::CheckedBatch};

use crate::{Log, LogConfig, LogDir, disk::RealDisk, testing::*};

const BATCHES: u64 = 200;

fn open(place: &std::path::Path, durability: Durability) -> (Arc<LogDir>, Log) {
    let (dir, _) = LogDir::open(Arc::new(RealDisk), place, options(), NOW).unwrap();
    let config =
        LogConfig { durability, retention_ms: None, timestamp_after_max_ms: None, ..LogConfig::default() };
    let log = dir.create_log(name(), TopicId::from_random(2, 2), config, NOW).unwrap();
    (dir, log)
}

fn append(log: &mut Log, batch: &CheckedBatch) {
    log.append(batch.clone(), LeaderEpoch(1), NOW).unwrap();
}

/// Allocations of `work`, which is done once before it counts.
fn allocations(mut work: impl FnMut()) -> u64 {
    work();
    measure(work).count_total
}

#[test]
fn appends_allocate_nothing_for_a_record_and_little_for_a_batch() {
    let place = tempfile::tempdir().unwrap();
    let (_dir, mut log) = open(place.path(), Durability::Replicated);
    let mut each = Vec::new();
    for records in [1, 100] {
        let batch = batch(3, &vec![5; records]);
        let count = allocations(|| (0..BATCHES).for_each(|_| append(&mut log, &batch)));
        println!("{records} records: {count} allocations for {BATCHES} appends");
        each.push(count);
    }
    // Only what grows with the log now and then: its indexes.
    assert!(each.iter().all(|count| *count <= BATCHES / 10), "{each:?} for {BATCHES} batches");
}

#[test]
fn commits_and_reads_allocate_a_little_for_each_call() {
    let place = tempfile::tempdir().unwrap();
    let (_dir, mut log) = open(place.path(), Durability::Synced);
    let batch = batch(3, &[5; 100]);
    let commits = allocations(|| {
        for _ in 0..20 {
            (0..10).for_each(|_| append(&mut log, &batch));
            log.commit().unwrap();
        }
    });
    let end = log.positions().log_end;
    let reads = allocations(|| {
        let mut next = Offset::ZERO;
        while next < end {
            let range = log.reader().read(next, 64 << 10, end, true).unwrap();
            assert!(!range.bytes().unwrap().is_empty());
            next = range.next_offset();
        }
    });
    println!("{commits} allocations for 20 commits of 10 batches, {reads} for reading all of it");
    // Those of the appends, and a dozen for each commit.
    assert!(commits <= 20 * (10 + 12), "{commits}");
    assert!(reads <= 50, "{reads}");
}
