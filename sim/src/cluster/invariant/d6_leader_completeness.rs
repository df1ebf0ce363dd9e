//! D6: whoever leads in the epoch in force has everything below the highest watermark that any replica ever had.

use highwater_records::TopicIdPartition;

use super::{ClusterInvariant, DependsOn};
use crate::cluster::look::PartitionLook;

/// See the file's text.
pub struct LeaderCompleteness;

impl ClusterInvariant for LeaderCompleteness {
    fn name(&self) -> &'static str {
        "D6 leader completeness"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Positions
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        for (broker, replica) in &partition.replicas {
            let leads = replica.leads.is_some() && replica.leader_epoch == partition.leader_epoch;
            if leads && replica.log_end < partition.true_watermark {
                return Err(format!(
                    "{at}: broker {broker} leads in epoch {} and ends at {}, but {} was committed",
                    replica.leader_epoch, replica.log_end, partition.true_watermark
                ));
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
    fn a_leader_without_the_end() {
        let end = |at| {
            says(LeaderCompleteness, |partition| {
                partition.replicas.get_mut(&BrokerId(1)).unwrap().log_end = at;
            })
        };
        assert!(end(9).unwrap_err().contains("but 10 was committed"));
        assert_eq!(end(10), Ok(()));
    }
}
