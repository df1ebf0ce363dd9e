//! R3: only what is committed is in the bucket.

use highwater_records::TopicIdPartition;

use super::{ClusterInvariant, DependsOn};
use crate::cluster::look::PartitionLook;

/// See the file's text.
pub struct CommittedOnly;

impl ClusterInvariant for CommittedOnly {
    fn name(&self) -> &'static str {
        "R3 only what is committed is uploaded"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Bucket
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        let Some((_, end)) = partition.tiered else { return Ok(()) };
        let now = partition.replicas.values().map(|replica| replica.watermark).max().unwrap_or(0);
        let committed = partition.true_watermark.max(now);
        if end > committed {
            return Err(format!(
                "{at}: the bucket has everything below {end}, committed is {committed}: {:?}",
                partition.replicas
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::invariant::testing::says;

    #[test]
    fn too_much() {
        let has = |end| says(CommittedOnly, |partition| partition.tiered = Some((0, end)));
        assert_eq!(has(10), Ok(()));
        assert!(has(11).unwrap_err().contains("committed is 10"));
    }
}
