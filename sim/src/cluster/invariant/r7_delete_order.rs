//! R7: nothing goes from the bucket before the log start of its leader has moved behind it: where the bucket begins, some
//! replica's log began before, or begins by now.
//!
//! Not checked: that the next leader's log begins there too; until it has read what the bucket has it knows no better.

use highwater_records::TopicIdPartition;

use super::{ClusterInvariant, DependsOn};
use crate::cluster::look::PartitionLook;

/// See the file's text.
pub struct DeleteOrder;

impl ClusterInvariant for DeleteOrder {
    fn name(&self) -> &'static str {
        "R7 the log start moves first"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Bucket
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        let Some((start, end)) = partition.tiered else { return Ok(()) };
        let now = partition.replicas.values().map(|replica| replica.log_start).max().unwrap_or(0);
        match now.max(partition.true_start) {
            known if start > known => {
                Err(format!("{at}: the bucket has [{start}, {end}), and no log ever began after {known}"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::invariant::testing::says;
    use highwater_records::BrokerId;

    #[test]
    fn gone_before_anybody_knew() {
        let bucket = |true_start, now, start| {
            says(DeleteOrder, |partition| {
                partition.true_start = true_start;
                partition.replicas.get_mut(&BrokerId(1)).unwrap().log_start = now;
                partition.tiered = Some((start, 9));
            })
        };
        assert_eq!(bucket(5, 0, 5), Ok(()));
        assert_eq!(bucket(0, 5, 5), Ok(()));
        assert!(bucket(4, 0, 5).unwrap_err().contains("no log ever began after 4"));
    }
}
