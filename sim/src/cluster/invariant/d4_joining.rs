//! D4: whoever joins the in-sync set has, at that moment, everything that was ever committed and everything that the
//! leader found when it began to lead.

use std::collections::BTreeMap;

use highwater_records::TopicIdPartition;

use super::{ClusterInvariant, DependsOn};
use crate::cluster::look::PartitionLook;

/// See the file's text.
#[derive(Default)]
pub struct Joining {
    before: BTreeMap<TopicIdPartition, PartitionLook>,
}

impl ClusterInvariant for Joining {
    fn name(&self) -> &'static str {
        "D4 joining the in-sync set"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Roles
    }

    fn partition(&mut self, at: &TopicIdPartition, now: &PartitionLook) -> Result<(), String> {
        let settled = self.before.get(at).is_some_and(|before| before.partition_epoch == now.partition_epoch);
        if settled {
            return Ok(());
        }
        let slim = PartitionLook { replicas: BTreeMap::new(), ..now.clone() };
        let Some(before) = self.before.insert(*at, slim) else { return Ok(()) };
        if before.leader_epoch != now.leader_epoch || before.leader != now.leader {
            return Ok(());
        }
        let start = now.leaders().next().map_or(0, |(_, _, leads)| leads.epoch_start);
        let needed = start.max(before.true_watermark);
        for member in now.isr.difference(&before.isr) {
            let Some(replica) = now.replicas.get(member) else { continue };
            if now.counted(replica) < needed {
                return Err(format!(
                    "{at}: broker {member} joined in version {} with {}, and needs {needed} (committed {}, start {start})",
                    now.partition_epoch,
                    now.counted(replica),
                    before.true_watermark
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::invariant::testing::{brokers, says};
    use highwater_records::BrokerId;

    #[test]
    fn one_that_joins_below_the_start() {
        let joined = |end| {
            says(Joining::default(), |partition| {
                partition.isr = brokers(&[1, 2, 3]);
                partition.partition_epoch = 8;
                partition.replicas.get_mut(&BrokerId(3)).unwrap().durable_end = end;
            })
        };
        assert_eq!(joined(11), Ok(()));
        assert!(joined(10).unwrap_err().contains("broker 3 joined"));
    }
}
