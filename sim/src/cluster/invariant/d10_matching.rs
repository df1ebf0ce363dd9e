//! D10: what lies below a replica's watermark is the same on every replica, and for ever: offsets, content, leader
//! epoch. A cut that took something committed shows here when another batch comes to its place.

use std::collections::BTreeMap;

use highwater_records::TopicIdPartition;

use super::{ClusterInvariant, DependsOn};
use crate::cluster::look::PartitionLook;

/// See the file's text.
#[derive(Default)]
pub struct Matching {
    committed: BTreeMap<TopicIdPartition, BTreeMap<u64, (u64, u64, i32)>>,
}

impl ClusterInvariant for Matching {
    fn name(&self) -> &'static str {
        "D10 log matching"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Batches
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        if partition.compacts {
            // Record by record: `l9_compaction`.
            return Ok(());
        }
        let committed = self.committed.entry(*at).or_default();
        for (broker, replica) in &partition.replicas {
            for batch in replica.fresh.iter().filter(|batch| batch.last < replica.watermark) {
                let found = (batch.last, batch.content, batch.epoch);
                let known = committed.entry(batch.base).or_insert(found);
                if *known != found {
                    return Err(format!(
                        "{at}: at {} broker {broker} has committed {found:?}, and {known:?} was committed before",
                        batch.base
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
    use crate::cluster::invariant::testing::*;
    use highwater_records::BrokerId;

    #[test]
    fn two_truths() {
        let seen = |content| {
            says(Matching::default(), |partition| {
                partition.replicas.get_mut(&BrokerId(1)).unwrap().fresh = vec![batch(3, 4, 9)];
                partition.replicas.get_mut(&BrokerId(2)).unwrap().fresh = vec![batch(3, 4, content)];
            })
        };
        assert_eq!(seen(9), Ok(()));
        assert!(seen(8).unwrap_err().contains("at 3 broker 2"));
    }
}
