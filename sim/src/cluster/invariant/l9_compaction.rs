//! L9: compaction keeps what counts, on every replica, although each compacts by itself. Of a log that compacts:
//!
//! - offsets stay dense (L1), and a record that is there is the one that was committed at its offset: key, value,
//!   timestamp, producer, leader epoch;
//! - a committed record may be missing only where a later record of its key was committed, or its transaction was aborted,
//!   or it is a tombstone, and those go in this run. In the end every log reaches as far, and is read once more;
//! - so the last record of every key is on every replica, whichever joined late, and markers decide what is committed;
//! - in the end no value that was deleted is there without its tombstone. A replica that was further behind than
//!   `delete.retention.ms` may have such a value, as in Kafka: this is checked where none can be.
//!
//! What was committed is learned from the first replica that is seen to have it below its watermark: nothing is compacted
//! before it is sealed, durable and written down to be.

use std::collections::{BTreeMap, BTreeSet};

use highwater_node::request::ActiveProducer;
use highwater_records::{BrokerId, TopicIdPartition};

use super::{ClusterInvariant, DependsOn};
use crate::cluster::{KeyedBatch, KeyedRecord, Tombstones, look::PartitionLook};

/// A record that was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Committed {
    record: KeyedRecord,
    producer: (i64, i16),
    epoch: i32,
    fate: Fate,
}

/// Whether a record counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Counts,
    /// Its transaction is open.
    Open,
    Aborted,
}

/// One partition.
#[derive(Default)]
struct Known {
    records: BTreeMap<u64, Committed>,
    /// Offsets of those that count, by key.
    of_key: BTreeMap<u64, BTreeSet<u64>>,
    /// By producer, offsets of records of open transactions.
    open: BTreeMap<i64, Vec<u64>>,
    end: u64,
    /// What each replica had when it was read last, by broker.
    present: BTreeMap<BrokerId, BTreeSet<u64>>,
}

impl Known {
    /// Takes in a batch that was committed, unless it was before.
    fn learn(&mut self, batch: &KeyedBatch) {
        if batch.base < self.end {
            return;
        }
        self.end = batch.last + 1;
        let producer = batch.producer.0;
        if let Some(commits) = batch.commits {
            for offset in self.open.remove(&producer).unwrap_or_default() {
                let Some(known) = self.records.get_mut(&offset) else { continue };
                known.fate = if commits { Fate::Counts } else { Fate::Aborted };
                if let (true, Some(key)) = (commits, known.record.key) {
                    self.of_key.entry(key).or_default().insert(offset);
                }
            }
        }
        for record in &batch.records {
            let fate = if batch.transactional { Fate::Open } else { Fate::Counts };
            match (fate, record.key) {
                (Fate::Open, _) => self.open.entry(producer).or_default().push(record.offset),
                (_, Some(key)) => drop(self.of_key.entry(key).or_default().insert(record.offset)),
                _ => {}
            }
            let known = Committed { record: *record, producer: batch.producer, epoch: batch.epoch, fate };
            self.records.insert(record.offset, known);
        }
    }

    /// Checks batches of one replica that lie one after the other.
    fn check(&self, batches: &[KeyedBatch], tombstones: Tombstones) -> Result<(), String> {
        let (Some(first), Some(last)) = (batches.first(), batches.last()) else { return Ok(()) };
        let mut present = BTreeSet::new();
        for batch in batches.iter().filter(|batch| batch.base < self.end) {
            for record in &batch.records {
                present.insert(record.offset);
                let known = self.records.get(&record.offset);
                let same = known.is_some_and(|known| {
                    known.record == *record && known.producer == batch.producer && known.epoch == batch.epoch
                });
                if !same {
                    return Err(format!(
                        "has {record:?} of {:?}, and {known:?} was committed",
                        batch.producer
                    ));
                }
            }
        }
        for (offset, known) in self.records.range(first.base..=last.last) {
            if present.contains(offset) || known.fate == Fate::Aborted {
                continue;
            }
            let Some(key) = known.record.key else { continue };
            if known.record.value.is_none() && tombstones != Tombstones::Stay {
                continue;
            }
            // Who copies a compacted log has not come to what takes its place yet, and cannot be elected before.
            let later = self.of_key.get(&key).and_then(|of| of.range(offset + 1..).next());
            if known.fate == Fate::Open || later.is_none() {
                return Err(format!(
                    "does not have {known:?}, and nothing takes its place below {}",
                    self.end
                ));
            }
        }
        Ok(())
    }

    /// Checks that no replica has a value that was deleted without its tombstone.
    fn check_deleted(&self) -> Result<(), String> {
        for (broker, present) in &self.present {
            for of_key in self.of_key.values() {
                let Some(last) = of_key.last().filter(|last| !present.contains(last)) else { continue };
                let Some(back) = of_key.iter().rev().find(|offset| present.contains(offset)) else {
                    continue;
                };
                return Err(format!(
                    "broker {broker} has the record at {back}, whose key was deleted at {last}, and not that"
                ));
            }
        }
        Ok(())
    }
}

/// See the file's text.
pub struct Compaction {
    tombstones: Tombstones,
    known: BTreeMap<TopicIdPartition, Known>,
}

impl Compaction {
    /// For runs in which that becomes of tombstones.
    pub fn new(tombstones: Tombstones) -> Compaction {
        Compaction { tombstones, known: BTreeMap::new() }
    }
}

impl ClusterInvariant for Compaction {
    fn name(&self) -> &'static str {
        "L9 compaction keeps the last of each key"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Batches
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        if !partition.compacts {
            return Ok(());
        }
        let known = self.known.entry(*at).or_default();
        // Who leads is read like everybody else: first what it tells, then whether all fits.
        for replica in partition.replicas.values() {
            for batch in replica.keyed.as_ref().map_err(|why| format!("{at}: {why}"))? {
                if batch.last < replica.watermark.max(partition.true_watermark) {
                    known.learn(batch);
                }
            }
        }
        for (broker, replica) in &partition.replicas {
            let Ok(batches) = &replica.keyed else { continue };
            let Some(first) = batches.first() else { continue };
            let found = known.check(batches, self.tombstones);
            found.map_err(|why| format!("{at}: broker {broker} {why}"))?;
            // It was read from there on, and what lies behind is read after it.
            let present = known.present.entry(*broker).or_default();
            present.split_off(&first.base);
            // Nobody reads what lies below the start.
            *present = present.split_off(&replica.local_start);
            present.extend(batches.iter().flat_map(|batch| &batch.records).map(|record| record.offset));
        }
        Ok(())
    }

    fn producers(&mut self, at: &TopicIdPartition, _: &[ActiveProducer]) -> Result<(), String> {
        let known = self.known.get(at).filter(|_| self.tombstones == Tombstones::GoInTime);
        known.map_or(Ok(()), |known| known.check_deleted().map_err(|why| format!("{at}: {why}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::invariant::testing::{AT, sound};

    fn record(offset: u64, key: u64, value: Option<u64>) -> KeyedRecord {
        KeyedRecord { offset, key: Some(key), value, timestamp: 5 }
    }

    fn batch(base: u64, last: u64, records: &[KeyedRecord]) -> KeyedBatch {
        let records = records.to_vec();
        KeyedBatch { base, last, epoch: 1, producer: (-1, -1), transactional: false, commits: None, records }
    }

    fn look(first: &[KeyedBatch], second: &[KeyedBatch]) -> PartitionLook {
        let mut partition = PartitionLook { compacts: true, ..sound() };
        partition.replicas.get_mut(&BrokerId(1)).unwrap().keyed = Ok(first.to_vec());
        partition.replicas.get_mut(&BrokerId(2)).unwrap().keyed = Ok(second.to_vec());
        partition
    }

    fn says(tombstones: Tombstones, whole: &[KeyedBatch], left: &[KeyedBatch]) -> Result<(), String> {
        let mut compaction = Compaction::new(tombstones);
        compaction.partition(&AT, &look(whole, &[]))?;
        compaction.partition(&AT, &look(&[], left))?;
        compaction.producers(&AT, &[])
    }

    #[test]
    fn only_what_has_a_later_one_of_its_key_may_go() {
        let (first, second, third) = (record(0, 7, Some(1)), record(1, 8, Some(2)), record(2, 7, Some(3)));
        let whole = [batch(0, 2, &[first, second, third])];
        let left = |records: &[KeyedRecord]| says(Tombstones::Stay, &whole, &[batch(0, 2, records)]);
        assert_eq!(left(&[second, third]), Ok(()));
        assert!(left(&[first, third]).unwrap_err().contains("broker 2 does not have"), "key 8 is gone");
        assert!(left(&[first, second]).is_err(), "the older value of key 7 was kept");
        assert!(left(&[second, record(2, 7, Some(4))]).unwrap_err().contains("was committed"));
        assert!(left(&[second, KeyedRecord { timestamp: 6, ..third }]).is_err());
        let other = [KeyedBatch { epoch: 2, ..batch(0, 2, &[second, third]) }];
        assert!(says(Tombstones::Stay, &whole, &other).is_err(), "another leader epoch");
    }

    #[test]
    fn what_a_transaction_aborts_goes_and_what_is_open_stays() {
        let of = |commits| {
            let txn = |batch| KeyedBatch { producer: (4, 0), transactional: true, ..batch };
            let marker = KeyedBatch { commits, ..txn(batch(2, 2, &[])) };
            let whole =
                [batch(0, 0, &[record(0, 7, Some(1))]), txn(batch(1, 1, &[record(1, 7, Some(2))])), marker];
            let keeps = |at: usize| {
                let mut left = whole.to_vec();
                left[1 - at].records.clear();
                says(Tombstones::Stay, &whole, &left)
            };
            (keeps(0), keeps(1))
        };
        let (old, new) = of(Some(true));
        assert!(old.is_err() && new == Ok(()));
        let (old, new) = of(Some(false));
        assert!(old == Ok(()) && new.is_err(), "the aborted one takes nobody's place");
        let (old, new) = of(None);
        assert!(old.is_err() && new.is_err());
    }

    #[test]
    fn a_tombstone_goes_when_its_time_is_over_and_not_before_what_it_deletes() {
        let (value, tombstone) = (record(0, 7, Some(1)), record(1, 7, None));
        let whole = [batch(0, 1, &[value, tombstone])];
        let left = |tombstones, records: &[KeyedRecord]| says(tombstones, &whole, &[batch(0, 1, records)]);
        assert_eq!(left(Tombstones::Stay, &[tombstone]), Ok(()));
        assert!(left(Tombstones::Stay, &[]).is_err());
        assert_eq!(left(Tombstones::Go, &[]), Ok(()));
        assert_eq!(left(Tombstones::Go, &[value]), Ok(()), "it may have been far behind");
        assert!(left(Tombstones::GoInTime, &[value]).unwrap_err().contains("deleted at 1"));
        assert_eq!(left(Tombstones::GoInTime, &[]), Ok(()));
        // It was read, and then the log began behind it.
        let mut compaction = Compaction::new(Tombstones::GoInTime);
        compaction.partition(&AT, &look(&whole, &[batch(0, 0, &[value])])).unwrap();
        assert!(compaction.producers(&AT, &[]).is_err());
        let mut later = look(&[], &[batch(2, 2, &[record(2, 9, Some(4))])]);
        later.replicas.get_mut(&BrokerId(2)).unwrap().local_start = 2;
        compaction.partition(&AT, &later).unwrap();
        assert_eq!(compaction.producers(&AT, &[]), Ok(()));
    }
}
