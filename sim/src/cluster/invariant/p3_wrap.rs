//! P3: a producer's sequences go on without a gap, and after 2,147,483,647 with zero: what is committed of one producer in one
//! epoch follows on what was committed before, whatever was tried again and whoever led. A producer's first batch may have
//! any sequence, as brokers take any of a producer that they do not know; some clients begin close to the end. Nor need they know
//! one whose last batch was deleted: what is tried again then is there once (`p1_one_copy`).

use std::collections::{BTreeMap, BTreeSet};

use highwater_node::request::ActiveProducer;
use highwater_records::TopicIdPartition;

use super::{ClusterInvariant, DependsOn};
use crate::cluster::look::PartitionLook;

/// How many steps it takes from one sequence to another one, the shorter way round: less than zero if that is back.
pub fn steps(from: i32, to: i32) -> i64 {
    const SEQUENCES: i64 = 1 << 31;
    let steps = (i64::from(to) - i64::from(from)).rem_euclid(SEQUENCES);
    if steps < SEQUENCES / 2 { steps } else { steps - SEQUENCES }
}

/// By where batches lie: their first sequences, and how many records they have.
type Placed = BTreeMap<u64, (i32, u64)>;

/// See the file's text.
#[derive(Default)]
pub struct Wrap {
    /// Of each producer and epoch.
    placed: BTreeMap<(TopicIdPartition, i64, i16), Placed>,
    /// What is on any disk begins here: all of that was looked at in the end.
    starts: BTreeMap<TopicIdPartition, u64>,
    /// What lies below was deleted.
    deleted: BTreeMap<TopicIdPartition, u64>,
    /// Those that compact.
    compact: BTreeSet<TopicIdPartition>,
}

impl ClusterInvariant for Wrap {
    fn name(&self) -> &'static str {
        "P3 sequences go on, and wrap"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Batches
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        if partition.compacts {
            self.compact.insert(*at);
        }
        let starts = partition.replicas.values().map(|replica| replica.local_start);
        self.starts.insert(*at, starts.min().unwrap_or(0));
        let deleted = self.deleted.entry(*at).or_default();
        for replica in partition.replicas.values() {
            *deleted = replica.log_start.max(*deleted);
        }
        for replica in partition.replicas.values() {
            for batch in replica.fresh.iter().filter(|batch| batch.last < replica.watermark) {
                let Some((id, epoch, sequence)) = batch.producer else { continue };
                let placed = self.placed.entry((*at, id, epoch)).or_default();
                if placed.insert(batch.base, (sequence, batch.last - batch.base + 1)).is_some() {
                    continue;
                }
                let before = placed.range(..batch.base).next_back();
                let after = placed.range(batch.base + 1..).next();
                let this = placed.get_key_value(&batch.base);
                for (first, second) in before.zip(this).into_iter().chain(this.zip(after)) {
                    // What lies between them may be looked at later.
                    if missing(first, second) < 0 && first.0 + first.1.1 > *deleted {
                        return Err(wrong(at, id, first, second));
                    }
                }
            }
        }
        Ok(())
    }

    fn producers(&mut self, at: &TopicIdPartition, _: &[ActiveProducer]) -> Result<(), String> {
        if self.compact.contains(at) {
            // What was between two batches may have gone, and been looked at by nobody.
            return Ok(());
        }
        let start = self.starts.get(at).copied().unwrap_or(0);
        let deleted = self.deleted.get(at).copied().unwrap_or(0);
        let here = (*at, i64::MIN, i16::MIN)..=(*at, i64::MAX, i16::MAX);
        for ((_, id, _), placed) in self.placed.range(here) {
            for (first, second) in placed.iter().zip(placed.iter().skip(1)) {
                let (base, (_, records)) = first;
                let is_wrong = match missing(first, second) {
                    0 => false,
                    back if back < 0 => base + records > deleted,
                    // What lay between them may have been deleted, or dropped, before anybody looked at it.
                    _ => base + records >= start,
                };
                if is_wrong {
                    return Err(wrong(at, *id, first, second));
                }
            }
        }
        Ok(())
    }
}

/// How many sequences lie between two batches; less than zero if the second one goes back.
fn missing((_, (sequence, records)): (&u64, &(i32, u64)), (_, (next, _)): (&u64, &(i32, u64))) -> i64 {
    steps(*sequence, *next) - records.cast_signed()
}

fn wrong(at: &TopicIdPartition, id: i64, first: (&u64, &(i32, u64)), second: (&u64, &(i32, u64))) -> String {
    let ((base, (sequence, records)), (next_base, (next, _))) = (first, second);
    format!(
        "{at}: producer {id} has {records} records from sequence {sequence} on at {base}, and goes on with {next} at {next_base}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        batch::SeenBatch,
        cluster::invariant::testing::{AT, batch, sound},
    };
    use highwater_records::BrokerId;

    #[test]
    fn after_the_last_sequence_comes_zero() {
        assert_eq!((steps(i32::MAX, 0), steps(0, i32::MAX), steps(5, 8), steps(8, 5)), (1, -1, 3, -3));
        let of =
            |base, last, sequence| SeenBatch { producer: Some((7, 0, sequence)), ..batch(base, last, 1) };
        let seen_from = |start: u64, batches: &[SeenBatch]| {
            let (mut wrap, mut partition) = (Wrap::default(), sound());
            partition.replicas.values_mut().for_each(|replica| replica.local_start = start);
            partition.replicas.get_mut(&BrokerId(1)).unwrap().fresh = batches.to_vec();
            wrap.partition(&AT, &partition)?;
            wrap.producers(&AT, &[]).map_err(|why| format!("in the end {why}"))
        };
        let seen = |batches: &[SeenBatch]| seen_from(0, batches);
        let (first, second) = (of(0, 2, i32::MAX - 1), of(3, 3, 1));
        assert_eq!(seen(&[first, second, first]), Ok(()), "the same batch on another replica");
        assert_eq!(seen(&[second, first]), Ok(()), "in whatever order they are looked at");
        assert!(seen(&[first, of(3, 3, 0)]).unwrap_err().contains("goes on with 0 at 3"));
        assert!(seen(&[of(3, 3, 0), first]).unwrap_err().contains("goes on with 0 at 3"));
        let gap = [of(0, 0, 4), of(2, 2, 6)];
        assert!(seen(&gap).unwrap_err().starts_with("in the end"), "a gap");
        assert_eq!(seen(&[gap[0], gap[1], of(1, 1, 5)]), Ok(()), "it was looked at later");
        assert_eq!(seen_from(2, &gap), Ok(()), "nobody has looked at what is deleted");
        assert!(seen_from(2, &[gap[0], of(2, 2, 3)]).is_err(), "it does not go back for that");
    }

    #[test]
    fn what_was_deleted_may_come_again() {
        let of = |base, sequence| SeenBatch { producer: Some((7, 0, sequence)), ..batch(base, base, 1) };
        for start in 0..3 {
            let (mut wrap, mut partition) = (Wrap::default(), sound());
            let replica = partition.replicas.get_mut(&BrokerId(1)).unwrap();
            replica.fresh = vec![of(1, 4)];
            wrap.partition(&AT, &partition).unwrap();
            let replica = partition.replicas.get_mut(&BrokerId(1)).unwrap();
            (replica.log_start, replica.fresh) = (start, vec![of(2, 4)]);
            assert_eq!(wrap.partition(&AT, &partition).is_ok(), start == 2, "{start}");
        }
    }
}
