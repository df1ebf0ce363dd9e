//! D13: at most one process ever leads a partition in a leader epoch, and none in an epoch that was never decided.

use std::collections::BTreeMap;

use highwater_records::{BrokerId, TopicIdPartition};

use super::{ClusterInvariant, DependsOn};
use crate::cluster::look::PartitionLook;

/// See the file's text.
#[derive(Default)]
pub struct OneLeader {
    /// Which life of which broker.
    leaders: BTreeMap<(TopicIdPartition, u32), (BrokerId, u64)>,
}

impl ClusterInvariant for OneLeader {
    fn name(&self) -> &'static str {
        "D13 one leader per epoch"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Roles
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        let newest = partition.replicas.iter().filter(|(_, replica)| replica.leads.is_some());
        let newest = newest.map(|(broker, replica)| (broker, (replica.life, replica.leader_epoch)));
        let older = partition.older.iter().map(|(broker, leads)| (broker, *leads));
        for (broker, (life, epoch)) in newest.chain(older) {
            let known = *self.leaders.entry((*at, epoch)).or_insert((*broker, life));
            if known.0 != *broker {
                return Err(format!("{at}: brokers {} and {broker} lead in epoch {epoch}", known.0));
            }
            if known.1 != life {
                return Err(format!("{at}: two processes with the number {broker} lead in epoch {epoch}"));
            }
            let decided = match epoch.cmp(&partition.leader_epoch) {
                std::cmp::Ordering::Less => true,
                std::cmp::Ordering::Equal => partition.leader == Some(*broker),
                std::cmp::Ordering::Greater => false,
            };
            if !decided {
                return Err(format!("{at}: broker {broker} leads in epoch {epoch}, which nobody decided"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{
        invariant::testing::{brokers, says},
        look::Leads,
    };

    #[test]
    fn two_leaders_and_one_of_the_future() {
        let leads = |broker: u32, epoch| {
            says(OneLeader::default(), |partition| {
                let replica = partition.replicas.get_mut(&BrokerId(broker)).unwrap();
                replica.leads = Some(Leads { maximal: brokers(&[broker]), version: 7, epoch_start: 11 });
                replica.leader_epoch = epoch;
            })
        };
        assert!(leads(2, 4).unwrap_err().contains("brokers 1 and 2 lead in epoch 4"));
        assert!(leads(2, 5).unwrap_err().contains("nobody decided"));
        assert_eq!(leads(2, 3), Ok(()), "it does not know yet");
    }

    #[test]
    fn two_processes_with_one_number() {
        let leads = |life, epoch| {
            says(OneLeader::default(), |partition| {
                partition.older.insert(BrokerId(1), (life, epoch));
            })
        };
        assert!(leads(9, 4).unwrap_err().contains("two processes with the number 1"));
        assert_eq!(leads(9, 3), Ok(()), "it does not know yet");
    }
}
