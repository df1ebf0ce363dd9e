//! D12: a replica never cuts what it took for committed: within one life of its broker its log does not end below the
//! watermark it had. One that a reassignment has taken away may begin again.

use std::collections::{BTreeMap, BTreeSet};

use highwater_records::{BrokerId, TopicIdPartition};

use super::{ClusterInvariant, Decision, DependsOn};
use crate::cluster::look::PartitionLook;

/// See the file's text.
#[derive(Default)]
pub struct Truncation {
    watermarks: BTreeMap<(TopicIdPartition, BrokerId), (u64, u64)>,
    /// Replicas that were taken away, until they are seen to begin again.
    taken_away: BTreeSet<(TopicIdPartition, BrokerId)>,
}

impl ClusterInvariant for Truncation {
    fn name(&self) -> &'static str {
        "D12 no cut below the watermark"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Positions
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        for (broker, replica) in &partition.replicas {
            let now = (replica.life, replica.watermark);
            let Some((life, watermark)) = self.watermarks.insert((*at, *broker), now) else { continue };
            let deeper = life == replica.life && replica.log_end < watermark;
            if deeper && !self.taken_away.remove(&(*at, *broker)) {
                return Err(format!(
                    "{at}: broker {broker} cut its log to {}, and its watermark was {watermark}",
                    replica.log_end
                ));
            }
        }
        Ok(())
    }

    fn decided(&mut self, decision: &Decision<'_>) -> Result<(), String> {
        for at in decision.assigned() {
            let of = |image: &highwater_metadata::Image| {
                image.partition(at).map(|partition| partition.replicas.clone()).unwrap_or_default()
            };
            let after = of(decision.after);
            self.taken_away.extend(
                of(decision.before).into_iter().filter(|one| !after.contains(one)).map(|one| (at, one)),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::invariant::testing::says;

    #[test]
    fn a_cut_too_deep() {
        let cut = |life, end| {
            says(Truncation::default(), |partition| {
                let replica = partition.replicas.get_mut(&BrokerId(2)).unwrap();
                (replica.life, replica.log_end, replica.watermark) = (life, end, end);
            })
        };
        assert_eq!(cut(0, 10), Ok(()));
        assert!(cut(0, 9).unwrap_err().contains("its watermark was 10"));
        assert_eq!(cut(1, 9), Ok(()), "another life: what a crash takes is another invariant's matter");
    }
}
