//! D8: a leader that is not of the past counts, for its watermark, everyone whom the metadata log has in sync.

use highwater_records::TopicIdPartition;

use super::{ClusterInvariant, DependsOn};
use crate::cluster::look::{Leads, PartitionLook};

/// See the file's text.
pub struct Quorum;

impl ClusterInvariant for Quorum {
    fn name(&self) -> &'static str {
        "D8 the leader counts the in-sync set"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Roles
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        if partition.isr.len() < partition.min_isr {
            return Ok(());
        }
        for (broker, replica) in &partition.replicas {
            let Some(Leads { maximal, version, .. }) = &replica.leads else { continue };
            if replica.leader_epoch == partition.leader_epoch && !partition.isr.is_subset(maximal) {
                return Err(format!(
                    "{at}: broker {broker} counts {maximal:?} in version {version}, in sync are {:?} in {}",
                    partition.isr, partition.partition_epoch
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

    #[test]
    fn somebody_in_sync_whom_nobody_counts() {
        let outcome = says(Quorum, |partition| partition.isr = brokers(&[1, 2, 3]));
        assert!(outcome.unwrap_err().contains("broker 1 counts"));
        assert_eq!(says(Quorum, |partition| partition.leader_epoch = 5), Ok(()), "a leader of the past");
    }
}
