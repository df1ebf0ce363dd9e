//! L5: a log starts nowhere above its watermark, and where somebody was told that records are deleted, everyone who leads
//! or may be elected starts behind them: no change of leader and no crash brings them back.
//!
//! Not checked: that starts of single replicas never go back. Each applies retention by itself, and a follower that begins
//! again begins where its leader does.

use highwater_records::TopicIdPartition;

use super::{ClusterInvariant, DependsOn};
use crate::cluster::look::PartitionLook;

/// See the file's text.
pub struct LogStart;

impl ClusterInvariant for LogStart {
    fn name(&self) -> &'static str {
        "L5 log start"
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Positions
    }

    fn partition(&mut self, at: &TopicIdPartition, partition: &PartitionLook) -> Result<(), String> {
        let deleted = partition.deleted;
        for (broker, replica) in &partition.replicas {
            if replica.log_start > replica.watermark {
                return Err(format!(
                    "{at}: on broker {broker} the log starts at {}, above its watermark {}",
                    replica.log_start, replica.watermark
                ));
            }
            let may_lead = partition.isr.contains(broker) || partition.eligible.contains(broker);
            if may_lead && replica.log_start < deleted {
                return Err(format!(
                    "{at}: broker {broker} may lead and starts at {}; everything below {deleted} was deleted",
                    replica.log_start
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
    fn above_the_watermark() {
        let starts =
            |at| says(LogStart, |partition| partition.replicas.get_mut(&BrokerId(3)).unwrap().log_start = at);
        assert_eq!(starts(10), Ok(()));
        assert!(starts(11).unwrap_err().contains("above its watermark 10"));
    }

    #[test]
    fn deleted_records_with_somebody_who_may_lead() {
        let with = |broker, start| {
            says(LogStart, |partition| {
                partition.deleted = 5;
                partition.replicas.values_mut().for_each(|replica| replica.log_start = 5);
                partition.replicas.get_mut(&BrokerId(broker)).unwrap().log_start = start;
            })
        };
        assert_eq!(with(2, 5), Ok(()));
        assert!(with(2, 4).unwrap_err().contains("broker 2 may lead and starts at 4"));
        assert_eq!(with(3, 4), Ok(()), "who is not in sync is told before it is");
    }
}
