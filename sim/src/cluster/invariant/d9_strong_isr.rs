//! D9: what was committed is the same on every replica that may be elected, whether that replica knows already that it
//! was committed or not.

use std::collections::BTreeMap;

use highwater_records::TopicIdPartition;

use super::{ClusterInvariant, DependsOn};
use crate::cluster::look::PartitionLook;

/// See the file's text.
#[derive(Default)]
pub struct StrongIsr {
    committed: BTreeMap<TopicIdPartition, BTreeMap<u64, (u64, u64, i32)>>,
}

impl ClusterInvariant for StrongIsr {
    fn name(&self) -> &'static str {
        "D9 candidates have what was committed"
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
        for replica in partition.replicas.values() {
            for batch in replica.fresh.iter().filter(|batch| batch.last < replica.watermark) {
                committed.entry(batch.base).or_insert((batch.last, batch.content, batch.epoch));
            }
        }
        for (broker, replica) in &partition.replicas {
            for batch in replica.fresh.iter().filter(|batch| batch.last >= replica.watermark) {
                let found = (batch.last, batch.content, batch.epoch);
                if committed.get(&batch.base).is_some_and(|known| *known != found) {
                    return Err(format!(
                        "{at}: broker {broker} may be elected and has {found:?} at {}, where {:?} is committed",
                        batch.base, committed[&batch.base]
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
    use crate::cluster::invariant::testing::{batch, says};
    use highwater_records::BrokerId;

    #[test]
    fn another_batch_where_something_is_committed() {
        let seen = |content| {
            says(StrongIsr::default(), |partition| {
                partition.replicas.get_mut(&BrokerId(1)).unwrap().fresh = vec![batch(3, 4, 9)];
                let behind = partition.replicas.get_mut(&BrokerId(2)).unwrap();
                (behind.watermark, behind.fresh) = (2, vec![batch(3, 4, content)]);
            })
        };
        assert_eq!(seen(9), Ok(()));
        assert!(seen(8).unwrap_err().contains("broker 2 may be elected"));
    }
}
