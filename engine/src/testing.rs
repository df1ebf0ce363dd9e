//! What the tests of this room share: a directory on a disk in memory, and batches with known content.

use std::{path::Path, sync::Arc};

use highwater_records::{
    BrokerId, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, TimestampMs, TopicId,
    batch::{BatchBuilder, BatchView, CheckPolicy, CheckedBatch, EndTxnMarker, Producer, Record, split},
    compression::Codec,
};

use crate::{
    DirOptions, Log, LogConfig, LogDir, LogName, LogReader, OpenReport, RecoveryReport,
    disk::memory::MemoryDisk,
};

pub(crate) const EPOCH: LeaderEpoch = LeaderEpoch(1);
pub(crate) const NOW: TimestampMs = TimestampMs(1_000_000);

pub(crate) fn offset(value: u64) -> Offset {
    Offset::new(value).unwrap()
}

pub(crate) fn name() -> LogName {
    LogName::new("topic", PartitionIndex(0))
}

pub(crate) fn options() -> DirOptions {
    DirOptions {
        cluster_id: "cluster".to_owned(),
        node_id: BrokerId(1),
        new_directory_id: TopicId::from_random(1, 1),
    }
}

/// Small segments, dense indexes, every timestamp allowed.
pub(crate) fn small() -> LogConfig {
    LogConfig {
        segment_bytes: 1000,
        index_interval_bytes: 150,
        point_bytes: 300,
        retention_ms: None,
        timestamp_after_max_ms: None,
        ..LogConfig::default()
    }
}

pub(crate) fn open_dir(disk: &MemoryDisk) -> (Arc<LogDir>, OpenReport) {
    LogDir::open(Arc::new(disk.clone()), Path::new("/data"), options(), NOW).unwrap()
}

pub(crate) fn create(disk: &MemoryDisk, config: LogConfig) -> (Arc<LogDir>, Log) {
    let (dir, _) = open_dir(disk);
    let log = dir.create_log(name(), TopicId::from_random(2, 2), config, NOW).unwrap();
    (dir, log)
}

pub(crate) fn reopen(disk: &MemoryDisk, config: LogConfig) -> (Arc<LogDir>, Log, RecoveryReport) {
    let (dir, _) = open_dir(disk);
    let (log, report) = dir.open_log(&name(), config, NOW).unwrap();
    (dir, log, report)
}

pub(crate) fn close(dir: Arc<LogDir>, log: Log) {
    log.close(NOW).unwrap();
    assert!(dir.close(NOW).unwrap().clean);
}

/// A batch of records with these timestamps; the value of each is `seed` and its index.
pub(crate) fn batch(seed: u64, timestamps: &[i64]) -> CheckedBatch {
    build(seed, timestamps, None, false)
}

/// A batch of `count` records of an idempotent producer.
pub(crate) fn produced(id: u64, epoch: u16, sequence: i32, count: u32) -> CheckedBatch {
    let producer = Producer {
        id: ProducerId(id),
        epoch: ProducerEpoch(epoch),
        base_sequence: Sequence::from_i32(sequence),
    };
    build(sequence as u64, &vec![NOW.0; count as usize], Some(producer), false)
}

/// The same within a transaction.
pub(crate) fn transactional(id: u64, epoch: u16, sequence: i32, count: u32) -> CheckedBatch {
    let producer = Producer {
        id: ProducerId(id),
        epoch: ProducerEpoch(epoch),
        base_sequence: Sequence::from_i32(sequence),
    };
    build(sequence as u64, &vec![NOW.0; count as usize], Some(producer), true)
}

/// The marker that ends a transaction.
pub(crate) fn marker(id: u64, epoch: u16, committed: bool) -> CheckedBatch {
    let marker = EndTxnMarker { committed, coordinator_epoch: 0 };
    let bytes = marker.to_batch(ProducerId(id), ProducerEpoch(epoch), NOW, Offset::ZERO, None).unwrap();
    CheckedBatch::check(bytes, &CheckPolicy::internal()).unwrap()
}

/// One record with this key, of an idempotent producer, or of a transaction where its id is at least 20.
pub(crate) fn keyed(key: u8, id: u64, sequence: i32) -> CheckedBatch {
    let producer =
        Producer { id: ProducerId(id), epoch: ProducerEpoch(0), base_sequence: Sequence::from_i32(sequence) };
    let mut builder = BatchBuilder::new(Codec::None).producer(producer);
    if id >= 20 {
        builder = builder.transactional();
    }
    builder.push(Record { timestamp: NOW, key: Some(&[key]), value: Some(b"v"), headers: &[] }).unwrap();
    let bytes = builder.build(Offset::ZERO, None).unwrap();
    CheckedBatch::check(bytes, &CheckPolicy::internal()).unwrap()
}

fn build(seed: u64, timestamps: &[i64], producer: Option<Producer>, transactional: bool) -> CheckedBatch {
    let mut builder = BatchBuilder::new(Codec::None);
    if let Some(producer) = producer {
        builder = builder.producer(producer);
    }
    if transactional {
        builder = builder.transactional();
    }
    for (index, timestamp) in timestamps.iter().enumerate() {
        let value = format!("{seed}:{index}:{}", "x".repeat((seed % 90) as usize));
        builder
            .push(Record {
                timestamp: TimestampMs(*timestamp),
                key: None,
                value: Some(value.as_bytes()),
                headers: &[],
            })
            .unwrap();
    }
    CheckedBatch::check(builder.build(Offset::ZERO, None).unwrap(), &CheckPolicy::client(1 << 20)).unwrap()
}

/// Everything from `from` on as (base offset, checksum, leader epoch), every batch's checksum verified.
pub(crate) fn read_all(reader: &LogReader, from: Offset) -> Result<Vec<(u64, u32, u32)>, crate::ReadError> {
    let mut found = Vec::new();
    let mut next = from;
    loop {
        let range = reader.read(next, 700, Offset::MAX, true)?;
        if range.is_empty() {
            return Ok(found);
        }
        let bytes = range.bytes().map_err(crate::ReadError::Disk)?;
        assert_eq!(bytes.len(), range.len());
        for piece in split(bytes) {
            let piece = piece.unwrap();
            let view = BatchView::parse(&piece).unwrap();
            view.verify_crc().map_err(|error| crate::ReadError::Corrupt {
                segment: Offset::ZERO,
                position: 0,
                reason: error.to_string(),
            })?;
            found.push((view.base_offset().get(), view.stored_crc(), view.leader_epoch().unwrap().0));
        }
        assert!(range.next_offset() > next);
        next = range.next_offset();
    }
}
