//! R1 and R2: between its log start and its end every replica has everything, on its disk or in the bucket.

use highwater_records::TopicIdPartition;

use super::{ClusterInvariant, DependsOn};
use crate::cluster::look::PartitionLook;

/// See the file's text.
pub struct Coverage;

impl ClusterInvariant for Coverage {
    fn name(&self) -> &'static str {
        "R1/R2 no hole between disk and bucket"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Bucket
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        let Some((start, end)) = partition.tiered else { return Ok(()) };
        for (broker, replica) in &partition.replicas {
            let elsewhere = replica.local_start > replica.log_start;
            if elsewhere && replica.local_start > end {
                return Err(format!(
                    "{at}: the disk of broker {broker} begins at {}, its log at {}, and the bucket has [{start}, {end})",
                    replica.local_start, replica.log_start
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
    fn a_hole() {
        let begins = |at| {
            says(Coverage, |partition| {
                partition.tiered = Some((0, 5));
                partition.replicas.get_mut(&BrokerId(2)).unwrap().local_start = at;
            })
        };
        assert_eq!(begins(5), Ok(()));
        assert!(begins(6).unwrap_err().contains("the disk of broker 2 begins at 6"));
    }
}
