//! L1: on every replica the batches follow each other without a gap, and no offset is there twice.

use std::collections::BTreeMap;

use highwater_records::{BrokerId, TopicIdPartition};

use super::{ClusterInvariant, DependsOn};
use crate::cluster::look::PartitionLook;

/// See the file's text.
#[derive(Default)]
pub struct Dense {
    /// The life of each replica that was read, and how far (exclusive).
    read: BTreeMap<(TopicIdPartition, BrokerId), (u64, u64)>,
}

impl ClusterInvariant for Dense {
    fn name(&self) -> &'static str {
        "L1 no gaps between batches"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Batches
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        for (broker, replica) in &partition.replicas {
            let Some(first) = replica.fresh.first() else { continue };
            // A cut is read again from there on, and what a replica has given up begins where it begins, or
            // with the batch in whose middle it does.
            let known = self.read.get(&(*at, *broker)).filter(|(life, _)| *life == replica.life);
            if let Some((_, end)) = known
                && first.base > *end
                && first.base > replica.local_start
            {
                return Err(format!(
                    "{at}: broker {broker} has a batch at {}, and none between {end} and it",
                    first.base
                ));
            }
            for pair in replica.fresh.windows(2) {
                if pair[1].base != pair[0].last + 1 {
                    return Err(format!(
                        "{at}: on broker {broker} the batch {}..={} is followed by one at {}",
                        pair[0].base, pair[0].last, pair[1].base
                    ));
                }
            }
            let end = replica.fresh.last().map_or(0, |batch| batch.last + 1);
            self.read.insert((*at, *broker), (replica.life, end));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::invariant::testing::{AT, batch, sound};

    #[test]
    fn gaps_and_offsets_that_are_there_twice() {
        let mut dense = Dense::default();
        let mut says = |life, fresh: &[(u64, u64)]| {
            let mut partition = sound();
            let replica = partition.replicas.get_mut(&BrokerId(2)).unwrap();
            replica.life = life;
            replica.fresh = fresh.iter().map(|(base, last)| batch(*base, *last, 1)).collect();
            dense.partition(&AT, &partition)
        };
        assert_eq!(says(1, &[(0, 1), (2, 2)]), Ok(()));
        assert_eq!(says(1, &[(3, 3)]), Ok(()));
        assert_eq!(says(1, &[(2, 3)]), Ok(()), "it was cut, and read again");
        assert!(says(1, &[(6, 6)]).unwrap_err().contains("none between 4"));
        assert!(says(1, &[(4, 5), (5, 6)]).unwrap_err().contains("4..=5 is followed by one at 5"));
        assert_eq!(says(2, &[(9, 9)]), Ok(()), "another life begins anywhere");
    }
}
