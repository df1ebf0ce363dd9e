//! Logs to copy: random batches in segments, and what reading them must give.

use std::{io::IoSlice, path::PathBuf, sync::Arc};

use bytes::Bytes;
use highwater_engine::{
    AbortedTransaction,
    disk::{Disk, Open, memory::MemoryDisk},
};
use highwater_records::{
    LeaderEpoch, Offset, PartitionIndex, ProducerId, TimestampMs, TopicId, TopicIdPartition,
    batch::{BatchBuilder, Record},
    compression::Codec,
};

use crate::{SegmentSource, TierRead};

pub(crate) const PARTITION: TopicIdPartition =
    TopicIdPartition { topic_id: TopicId::from_bytes([6; 16]), partition: PartitionIndex(3) };

pub(crate) fn offset(value: u64) -> Offset {
    Offset::new(value).unwrap()
}

/// SplitMix64.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % sides
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) base: u64,
    pub(crate) next: u64,
    pub(crate) bytes: Bytes,
    /// Timestamp of each record; `-1` for none.
    pub(crate) times: Vec<i64>,
}

/// A log: the truth that the tier is compared with.
pub(crate) struct Log {
    disk: MemoryDisk,
    dice: Dice,
    pub(crate) batches: Vec<Batch>,
    pub(crate) epochs: Vec<(LeaderEpoch, Offset)>,
    /// Where segments begin; the last one ends at the log's end.
    pub(crate) bases: Vec<u64>,
    files: u64,
    pub(crate) now_ms: i64,
}

impl Log {
    pub(crate) fn new(seed: u64) -> Log {
        Log {
            disk: MemoryDisk::new(),
            dice: Dice(seed),
            batches: Vec::new(),
            epochs: vec![(LeaderEpoch(0), Offset::ZERO)],
            bases: Vec::new(),
            files: 0,
            now_ms: 1_600_000_000_000,
        }
    }

    pub(crate) fn end(&self) -> u64 {
        self.batches.last().map_or(0, |batch| batch.next)
    }

    /// Another leader: what follows carries its epoch.
    pub(crate) fn new_epoch(&mut self) -> LeaderEpoch {
        let epoch = LeaderEpoch(self.epochs.last().unwrap().0.0 + 1);
        let end = offset(self.end());
        self.epochs.push((epoch, end));
        epoch
    }

    /// Loses everything from the batch that has `at` on; returns where the log ends then.
    pub(crate) fn truncate(&mut self, at: u64) -> u64 {
        self.batches.retain(|batch| batch.next <= at);
        let end = self.end();
        self.bases.retain(|base| *base < end);
        self.epochs.retain(|(_, start)| start.get() < end || start.get() == 0);
        end
    }

    /// Appends a segment of a few batches and seals it.
    pub(crate) fn segment(&mut self) {
        self.bases.push(self.end());
        for _ in 0..1 + self.dice.roll(6) {
            let mut builder = BatchBuilder::new(Codec::None);
            let mut times = Vec::new();
            for _ in 0..1 + self.dice.roll(4) {
                self.now_ms += self.dice.roll(50) as i64;
                let time = match self.dice.roll(8) {
                    0 => self.now_ms - 500,
                    _ => self.now_ms,
                };
                // Some batches are larger than a chunk, most are far smaller.
                let size = if self.dice.roll(12) == 0 { self.dice.roll(9000) } else { self.dice.roll(900) };
                let value: Vec<u8> = (0..size).map(|_| self.dice.roll(256) as u8).collect();
                let record = Record {
                    timestamp: TimestampMs(time),
                    key: Some(b"k"),
                    value: Some(&value),
                    headers: &[],
                };
                builder.push(record).unwrap();
                times.push(time);
            }
            let base = self.end();
            let epoch = self.epochs.last().unwrap().0;
            let bytes = builder.build(offset(base), Some(epoch)).unwrap();
            self.batches.push(Batch { base, next: base + times.len() as u64, bytes, times });
        }
    }

    /// Appends segments of one record each.
    pub(crate) fn tiny_segments(&mut self, count: usize) {
        for _ in 0..count {
            let base = self.end();
            self.bases.push(base);
            let mut builder = BatchBuilder::new(Codec::None);
            let record = Record { timestamp: TimestampMs(self.now_ms), key: None, value: None, headers: &[] };
            builder.push(record).unwrap();
            let bytes = builder.build(offset(base), Some(self.epochs.last().unwrap().0)).unwrap();
            self.batches.push(Batch { base, next: base + 1, bytes, times: vec![self.now_ms] });
        }
    }

    /// Appends a segment of at least this many bytes, in batches of 100 KiB and more.
    #[cfg(feature = "s3-server")]
    pub(crate) fn large_segment(&mut self, bytes: usize) {
        self.bases.push(self.end());
        let mut size = 0;
        while size < bytes {
            let seed = self.dice.roll(u64::MAX);
            let value: Vec<u8> = (0..100_000 + seed % 5000).map(|at| (seed >> (at % 57)) as u8).collect();
            let mut builder = BatchBuilder::new(Codec::None);
            let record =
                Record { timestamp: TimestampMs(self.now_ms), key: None, value: Some(&value), headers: &[] };
            builder.push(record).unwrap();
            let base = self.end();
            let bytes = builder.build(offset(base), Some(self.epochs.last().unwrap().0)).unwrap();
            size += bytes.len();
            self.batches.push(Batch { base, next: base + 1, bytes, times: vec![self.now_ms] });
        }
    }

    #[cfg(feature = "s3-server")]
    pub(crate) fn batch_at(&self, base: u64) -> Bytes {
        self.batches.iter().find(|batch| batch.base == base).unwrap().bytes.clone()
    }

    pub(crate) fn segment_end(&self, index: usize) -> u64 {
        self.bases.get(index + 1).copied().unwrap_or(self.end())
    }

    pub(crate) fn segment_bytes(&self, base: u64, next: u64) -> Vec<u8> {
        let within = self.batches.iter().filter(|batch| batch.base >= base && batch.next <= next);
        within.flat_map(|batch| batch.bytes.iter().copied()).collect()
    }

    /// The sealed segments that end above `from`, at most `count`.
    pub(crate) fn sources(&mut self, from: u64, count: usize) -> Vec<SegmentSource> {
        let wanted: Vec<usize> =
            (0..self.bases.len()).filter(|index| self.segment_end(*index) > from).take(count).collect();
        wanted.into_iter().map(|index| self.source(self.bases[index], self.segment_end(index))).collect()
    }

    pub(crate) fn source(&mut self, base: u64, next: u64) -> SegmentSource {
        let bytes = self.segment_bytes(base, next);
        let path = PathBuf::from(format!("/{}", self.files));
        self.files += 1;
        let file = self.disk.open(&path, Open::CreateNew).unwrap();
        file.write_at(&[IoSlice::new(&bytes)], 0).unwrap();
        let epochs = self.epochs.iter().copied().filter(|(_, start)| start.get() < next).collect();
        SegmentSource {
            base_offset: offset(base),
            next_offset: offset(next),
            log: file as Arc<_>,
            log_len: bytes.len() as u64,
            modified_ms: self.now_ms,
            transaction_index: self.transaction_index(base, next),
            producer_snapshot: Bytes::from(format!("snapshot-{next}")),
            epochs,
        }
    }

    /// Every third batch of several records passes for an aborted transaction, marker and all.
    fn aborted(&self, start: u64, end: u64) -> impl Iterator<Item = AbortedTransaction> {
        let part = move |batch: &&Batch| batch.base >= start && batch.next <= end;
        let aborted = |batch: &&Batch| batch.base.is_multiple_of(3) && batch.next - batch.base > 1;
        self.batches.iter().filter(part).filter(aborted).map(|batch| AbortedTransaction {
            producer_id: ProducerId(batch.base),
            first_offset: offset(batch.base),
            last_offset: offset(batch.next - 1),
            last_stable: offset(batch.next),
        })
    }

    fn transaction_index(&self, base: u64, next: u64) -> Bytes {
        let mut index = Vec::new();
        for aborted in self.aborted(base, next) {
            let offsets = [aborted.first_offset, aborted.last_offset, aborted.last_stable];
            index.extend_from_slice(&[0; 2]);
            index.extend_from_slice(&aborted.producer_id.0.to_be_bytes());
            offsets.iter().for_each(|offset| index.extend_from_slice(&offset.get().to_be_bytes()));
        }
        index.into()
    }

    /// The aborted transactions of a range in a tier that ends at `end`.
    pub(crate) fn aborted_in(&self, from: u64, to: u64, end: u64) -> Vec<AbortedTransaction> {
        self.aborted(0, end).filter(|t| t.last_offset.get() >= from && t.first_offset.get() < to).collect()
    }

    /// Checks that `read` is whole batches of this log, the first one with `from`.
    pub(crate) fn check_read(&self, from: u64, end: u64, max: usize, must: bool, read: &TierRead) {
        let mut expected = self.batches.iter().filter(|batch| batch.next > from && batch.next <= end);
        let mut rest = &read.bytes[..];
        let mut next = from;
        let mut count = 0;
        while !rest.is_empty() {
            let batch = expected.next().expect("more than the log has");
            assert!(
                rest.starts_with(&batch.bytes),
                "from {from}: another batch than the one at {}",
                batch.base
            );
            rest = &rest[batch.bytes.len()..];
            next = batch.next;
            count += 1;
        }
        assert_eq!(read.next_offset.get(), next);
        assert!(read.bytes.len() <= max || (must && count == 1), "{} > {max}", read.bytes.len());
        // It stops because the next batch does not fit, not before.
        if let Some(batch) = expected.next() {
            assert!(read.bytes.len() + batch.bytes.len() > max, "from {from}: {count} batches only");
            assert!(!must || count > 0);
        }
    }

    pub(crate) fn first_at(&self, start: u64, end: u64, time: i64) -> Option<(TimestampMs, Offset)> {
        self.records(start, end).find(|(at, _)| at.0 >= time)
    }

    pub(crate) fn latest(&self, start: u64, end: u64) -> Option<(TimestampMs, Offset)> {
        self.records(start, end).reduce(|one, other| if other.0 > one.0 { other } else { one })
    }

    fn records(&self, start: u64, end: u64) -> impl Iterator<Item = (TimestampMs, Offset)> {
        let all = self.batches.iter().flat_map(|batch| {
            batch
                .times
                .iter()
                .enumerate()
                .map(|(at, time)| (TimestampMs(*time), offset(batch.base + at as u64)))
        });
        all.filter(move |(_, at)| at.get() >= start && at.get() < end)
    }
}
