//! P3: a producer's sequences go on without a gap, and after 2,147,483,647 with zero: what is committed of one producer in one
//! epoch follows on what was committed before, whatever was tried again and whoever led. A producer's first batch may have
//! any sequence, as brokers take any of a producer that they do not know; some clients begin close to the end.

use std::collections::BTreeMap;

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
}

impl ClusterInvariant for Wrap {
    fn name(&self) -> &'static str {
        "P3 sequences go on, and wrap"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Batches
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        let starts = partition.replicas.values().map(|replica| replica.log_start);
        let start = starts.fold(partition.true_start.max(partition.deleted), u64::max);
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
                    let ((base, (sequence, records)), (next_base, (next, _))) = (first, second);
                    let on = steps(*sequence, *next) - records.cast_signed();
                    // What lay between them may have been deleted before anybody looked at it.
                    if on != 0 && !(on > 0 && base + records < start) {
                        return Err(format!(
                            "{at}: producer {id} has {records} records from sequence {sequence} on at {base}, and goes on with \
                             {next} at {next_base}"
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        batch::SeenBatch,
        cluster::invariant::testing::{batch, says},
    };
    use highwater_records::BrokerId;

    #[test]
    fn after_the_last_sequence_comes_zero() {
        assert_eq!((steps(i32::MAX, 0), steps(0, i32::MAX), steps(5, 8), steps(8, 5)), (1, -1, 3, -3));
        let of =
            |base, last, sequence| SeenBatch { producer: Some((7, 0, sequence)), ..batch(base, last, 1) };
        let seen = |batches: &[SeenBatch]| {
            says(Wrap::default(), |partition| {
                partition.replicas.get_mut(&BrokerId(1)).unwrap().fresh = batches.to_vec();
            })
        };
        let (first, second) = (of(0, 2, i32::MAX - 1), of(3, 3, 1));
        assert_eq!(seen(&[first, second, first]), Ok(()), "the same batch on another replica");
        assert_eq!(seen(&[second, first]), Ok(()), "in whatever order they are looked at");
        assert!(seen(&[first, of(3, 3, 0)]).unwrap_err().contains("goes on with 0 at 3"));
        assert!(seen(&[of(3, 3, 0), first]).unwrap_err().contains("goes on with 0 at 3"));
        assert!(seen(&[of(0, 0, 4), of(1, 1, 6)]).unwrap_err().contains("goes on with 6"), "a gap");
        let deleted = |batches: &[SeenBatch]| {
            says(Wrap::default(), |partition| {
                let replica = partition.replicas.get_mut(&BrokerId(1)).unwrap();
                (replica.log_start, replica.fresh) = (5, batches.to_vec());
            })
        };
        assert_eq!(deleted(&[of(0, 0, 4), of(5, 5, 6)]), Ok(()), "nobody has looked at what is deleted");
        assert!(deleted(&[of(0, 0, 4), of(5, 5, 3)]).is_err(), "it does not go back for that");
    }
}
