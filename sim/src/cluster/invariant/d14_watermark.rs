//! D14 inside a cluster: no watermark is beyond the end of its log, and a leader's never goes back within its epoch. What
//! clients are told is checked by the invariant of the same number of their histories.

use std::collections::BTreeMap;

use highwater_records::TopicIdPartition;

use super::{ClusterInvariant, DependsOn};
use crate::cluster::look::PartitionLook;

/// See the file's text.
#[derive(Default)]
pub struct Watermark {
    leaders: BTreeMap<(TopicIdPartition, u32), u64>,
}

impl ClusterInvariant for Watermark {
    fn name(&self) -> &'static str {
        "D14 watermark of replicas"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Positions
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        for (broker, replica) in &partition.replicas {
            let ordered = replica.log_start <= replica.watermark && replica.watermark <= replica.log_end;
            if !ordered || replica.durable_end > replica.log_end {
                return Err(format!("{at}: positions of broker {broker} are out of order: {replica:?}"));
            }
            if replica.leads.is_none() {
                continue;
            }
            let known = self.leaders.entry((*at, replica.leader_epoch)).or_default();
            if replica.watermark < *known {
                return Err(format!(
                    "{at}: the watermark of leader {broker} went back from {known} to {} in epoch {}",
                    replica.watermark, replica.leader_epoch
                ));
            }
            *known = replica.watermark;
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
    fn going_back_and_beyond_the_end() {
        let watermark = |broker, value| {
            says(Watermark::default(), |partition| {
                partition.replicas.get_mut(&BrokerId(broker)).unwrap().watermark = value;
            })
        };
        assert_eq!(watermark(1, 12), Ok(()));
        assert!(watermark(1, 9).unwrap_err().contains("went back from 10 to 9"));
        assert_eq!(watermark(2, 9), Ok(()), "a follower may hear of an older one");
        assert!(watermark(2, 13).unwrap_err().contains("out of order"));
    }
}
