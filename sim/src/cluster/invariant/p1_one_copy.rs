//! P1: what a producer with an id sends is committed once, in the order of its sequences, whatever was tried again and
//! whoever led.
//!
//! Of what retention has taken a leader need not know any more, as with Kafka: a replica that had nothing and began at the log
//! start has no producers from before it. What is tried again then is there once, since the first copy is gone.

use std::collections::BTreeMap;

use highwater_records::TopicIdPartition;

use super::{ClusterInvariant, DependsOn, p3_wrap::steps};
use crate::cluster::look::PartitionLook;

/// A producer's id and epoch, in a partition.
type Session = (TopicIdPartition, i64, i16);

/// A sequence, and where each one lies, by its steps from that one: sequences wrap.
type Placed = (i32, BTreeMap<i64, u64>);

/// See the file's text.
#[derive(Default)]
pub struct OneCopy {
    placed: BTreeMap<Session, Placed>,
}

impl ClusterInvariant for OneCopy {
    fn name(&self) -> &'static str {
        "P1 exactly one copy"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Batches
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        let starts = partition.replicas.values().map(|replica| replica.log_start);
        let start = starts.max().unwrap_or(0);
        for replica in partition.replicas.values() {
            for batch in replica.fresh.iter().filter(|batch| batch.last < replica.watermark) {
                let Some((id, epoch, sequence)) = batch.producer.filter(|_| batch.base >= start) else {
                    continue;
                };
                let (origin, placed) =
                    self.placed.entry((*at, id, epoch)).or_insert_with(|| (sequence, BTreeMap::new()));
                let step = steps(*origin, sequence);
                let known = placed.entry(step).or_insert(batch.base);
                if *known < start {
                    *known = batch.base;
                }
                if *known != batch.base {
                    return Err(format!(
                        "{at}: sequence {sequence} of producer {id} lies at {known} and at {}",
                        batch.base
                    ));
                }
                let earlier = placed.range(..step).next_back().filter(|(_, base)| **base > batch.base);
                let later =
                    placed.range(step + 1..).next().filter(|(_, base)| (start..batch.base).contains(*base));
                if let Some((other, base)) = earlier.or(later) {
                    return Err(format!(
                        "{at}: producer {id} has sequence {sequence} at {} and the one {} steps from it at {base}",
                        batch.base,
                        other - step
                    ));
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
        cluster::invariant::testing::{AT, batch, says, sound},
    };
    use highwater_records::BrokerId;

    #[test]
    fn twice_and_out_of_order() {
        let of = |base, sequence| SeenBatch { producer: Some((7, 0, sequence)), ..batch(base, base, 1) };
        let seen = |second| {
            says(OneCopy::default(), |partition| {
                partition.replicas.get_mut(&BrokerId(1)).unwrap().fresh = vec![of(3, 1), second];
            })
        };
        assert_eq!(seen(of(4, 2)), Ok(()));
        assert!(seen(of(4, 1)).unwrap_err().contains("lies at 3 and at 4"));
        assert!(seen(of(4, 0)).unwrap_err().contains("has sequence 0 at 4 and the one 1 steps"));
        assert!(seen(of(4, i32::MAX)).unwrap_err().contains("2 steps from it at 3"), "sequences wrap");
    }

    #[test]
    fn again_when_retention_has_taken_the_first() {
        let of = |base, sequence| SeenBatch { producer: Some((7, 0, sequence)), ..batch(base, base, 1) };
        let seen = |start, third| {
            let mut invariant = OneCopy::default();
            let mut look = |start, fresh| {
                let mut partition = sound();
                let replica = partition.replicas.get_mut(&BrokerId(1)).unwrap();
                (replica.fresh, replica.log_start) = (fresh, start);
                invariant.partition(&AT, &partition)
            };
            look(0, vec![of(3, 1), of(4, 2)]).and_then(|()| look(start, vec![third]))
        };
        assert_eq!(seen(5, of(5, 1)), Ok(()));
        assert!(seen(3, of(5, 1)).unwrap_err().contains("lies at 3 and at 5"));
        assert!(seen(4, of(5, 1)).unwrap_err().contains("the one 1 steps from it at 4"), "that one is there");
    }
}
