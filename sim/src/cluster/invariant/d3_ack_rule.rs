//! D3: a leader's watermark moves only while enough replicas are in sync, and only over what every replica in sync has,
//! as the topic's durability demands.

use std::collections::BTreeMap;

use highwater_records::{BrokerId, TopicIdPartition};

use super::{ClusterInvariant, DependsOn};
use crate::cluster::look::PartitionLook;

/// What was seen of a partition's leader last.
struct Seen {
    leader: (BrokerId, u64, u32),
    watermark: u64,
    /// Whether too few were in sync, in which version.
    below_minimum: Option<u32>,
}

/// See the file's text.
#[derive(Default)]
pub struct AckRule {
    seen: BTreeMap<TopicIdPartition, Seen>,
}

impl ClusterInvariant for AckRule {
    fn name(&self) -> &'static str {
        "D3 acknowledgement rule"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Positions
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        let Some((broker, replica, leads)) = partition.leaders().next() else {
            self.seen.remove(at);
            return Ok(());
        };
        let leader = (broker, replica.life, replica.leader_epoch);
        let below = partition.isr.len() < partition.min_isr && leads.version == partition.partition_epoch;
        let below_minimum = below.then_some(partition.partition_epoch);
        let before = self.seen.insert(*at, Seen { leader, watermark: replica.watermark, below_minimum });
        let Some(before) = before.filter(|before| before.leader == leader) else { return Ok(()) };
        if replica.watermark <= before.watermark {
            return Ok(());
        }
        if below && before.below_minimum == below_minimum {
            return Err(format!(
                "{at}: the watermark of broker {broker} moved from {} to {} while only {:?} were in sync",
                before.watermark, replica.watermark, partition.isr
            ));
        }
        for member in partition.isr.intersection(&leads.maximal) {
            let Some(follower) = partition.replicas.get(member) else { continue };
            let counted = partition.counted(follower);
            if counted < replica.watermark {
                return Err(format!(
                    "{at}: the watermark of broker {broker} moved to {}, and broker {member}, in sync, has {counted}",
                    replica.watermark
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::invariant::testing::{AT, brokers, says};

    #[test]
    fn a_watermark_that_moves_too_far_or_too_soon() {
        let moved = |isr: &[u32], durable_end| {
            says(AckRule::default(), |partition| {
                partition.isr = brokers(isr);
                partition.replicas.get_mut(&BrokerId(1)).unwrap().watermark = 11;
                partition.replicas.get_mut(&BrokerId(2)).unwrap().durable_end = durable_end;
            })
        };
        assert_eq!(moved(&[1, 2], 11), Ok(()));
        assert!(moved(&[1, 2], 10).unwrap_err().contains("broker 2, in sync, has 10"));
        let mut rule = AckRule::default();
        let picture = |watermark| {
            let mut partition = crate::cluster::invariant::testing::sound();
            partition.isr = brokers(&[1]);
            partition.replicas.get_mut(&BrokerId(1)).unwrap().watermark = watermark;
            partition
        };
        assert_eq!(rule.partition(&AT, &picture(10)), Ok(()));
        assert!(rule.partition(&AT, &picture(11)).unwrap_err().contains("were in sync"));
    }
}
