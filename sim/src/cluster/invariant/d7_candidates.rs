//! D7: every running broker that may be elected, because it is in sync or eligible, has everything below the highest
//! watermark that any replica ever had. This is also what joining must have made sure of (D4).

use highwater_records::TopicIdPartition;

use super::{ClusterInvariant, DependsOn};
use crate::cluster::look::PartitionLook;

/// See the file's text.
pub struct Candidates;

impl ClusterInvariant for Candidates {
    fn name(&self) -> &'static str {
        "D7 candidate completeness"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Positions
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        for broker in partition.isr.union(&partition.eligible) {
            let Some(replica) = partition.replicas.get(broker) else { continue };
            if replica.log_end < partition.true_watermark {
                return Err(format!(
                    "{at}: broker {broker} may be elected and ends at {}, but {} was committed; in sync {:?}, \
                     eligible {:?}",
                    replica.log_end, partition.true_watermark, partition.isr, partition.eligible
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
    fn somebody_electable_without_the_end() {
        let short = |eligible: &[u32]| {
            says(Candidates, |partition| {
                partition.eligible = brokers(eligible);
                partition.replicas.get_mut(&BrokerId(3)).unwrap().log_end = 9;
            })
        };
        assert!(short(&[3]).unwrap_err().contains("broker 3 may be elected"));
        assert_eq!(short(&[]), Ok(()));
    }
}
