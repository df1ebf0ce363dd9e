//! D11: the leader epochs of a log grow, and an epoch begins at the same offset in every log that has its beginning.
//! The first entry of a log may begin where the log starts. One whose first batches are damaged may begin behind them,
//! until they are mended: the table may have been written before that epoch began.

use std::collections::BTreeMap;

use highwater_records::TopicIdPartition;

use super::{ClusterInvariant, DependsOn};
use crate::cluster::look::PartitionLook;

/// See the file's text.
#[derive(Default)]
pub struct Lineage {
    starts: BTreeMap<(TopicIdPartition, u32), u64>,
}

impl ClusterInvariant for Lineage {
    fn name(&self) -> &'static str {
        "D11 epoch lineage"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Roles
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        for (broker, replica) in &partition.replicas {
            let grows = replica.epochs.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1);
            if !grows {
                return Err(format!("{at}: broker {broker} has epochs {:?}", replica.epochs));
            }
            let has_its_beginning = |(_, start): &&(u32, u64)| !replica.damage_ends.contains(start);
            for (epoch, start) in replica.epochs.iter().skip(1).filter(has_its_beginning) {
                let known = self.starts.entry((*at, *epoch)).or_insert(*start);
                if known != start {
                    let all: Vec<_> =
                        partition.replicas.iter().map(|(id, other)| (id.0, &other.epochs)).collect();
                    return Err(format!(
                        "{at}: epoch {epoch} begins at {start} on broker {broker}, and at {known} elsewhere; {all:?}"
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
    use crate::cluster::invariant::testing::says;
    use highwater_records::BrokerId;

    #[test]
    fn one_epoch_in_two_places() {
        let seen = |start| {
            says(Lineage::default(), |partition| {
                partition.replicas.get_mut(&BrokerId(1)).unwrap().epochs = vec![(0, 0), (2, 5)];
                partition.replicas.get_mut(&BrokerId(2)).unwrap().epochs = vec![(1, 3), (2, start)];
            })
        };
        assert_eq!(seen(5), Ok(()));
        let behind_damage = says(Lineage::default(), |partition| {
            partition.replicas.get_mut(&BrokerId(1)).unwrap().epochs = vec![(0, 0), (2, 5)];
            let damaged = partition.replicas.get_mut(&BrokerId(2)).unwrap();
            (damaged.epochs, damaged.damage_ends) = (vec![(0, 0), (2, 6)], vec![6]);
        });
        assert_eq!(behind_damage, Ok(()));
        assert!(seen(6).unwrap_err().contains("epoch 2 begins at 6 on broker 2, and at 5"));
        assert!(seen(3).unwrap_err().contains("has epochs"));
    }
}
