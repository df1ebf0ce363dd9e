//! D2: whoever is elected has everything that counted, or the metadata log says that records may be lost. A leader that
//! was no candidate before is elected with that report, in a new leader epoch, and only where somebody has asked for it:
//! an operator, or the topic's `unclean.leader.election.enable`.

use highwater_metadata::{Image, MetadataRecord, Partition};
use highwater_records::TopicIdPartition;

use super::{ClusterInvariant, Decision};
/// See the file's text.
pub struct ReportedLoss {
    /// Whether an operator may have asked.
    pub operator: bool,
}

impl ClusterInvariant for ReportedLoss {
    fn name(&self) -> &'static str {
        "D2 losses are asked for and reported"
    }

    fn decided(&mut self, decision: &Decision<'_>) -> Result<(), String> {
        if !decision.effective {
            return Ok(());
        }
        let reported = decision.elected_uncleanly();
        for at in &reported {
            if !self.operator && !is_allowed(decision.after, *at) {
                return Err(format!("{at}: an unclean election that nobody has asked for"));
            }
        }
        for record in &decision.entry.records {
            let MetadataRecord::PartitionChanged { topic, partition, isr, .. } = record else { continue };
            let at = TopicIdPartition { topic_id: *topic, partition: *partition };
            let (Some(before), Some(after)) = (decision.before.partition(at), decision.after.partition(at))
            else {
                continue;
            };
            let Some(leader) = after.leader.filter(|leader| before.leader != Some(*leader)) else { continue };
            if decision.after.leader_epoch(after) <= decision.before.leader_epoch(before) {
                return Err(format!("{at}: broker {leader} is elected in an epoch that was there before"));
            }
            // A reassignment may end, and take the leader away, with the entry by which the last new replica joins: what
            // that one has is D4's matter.
            let ends = before.leader.is_some_and(|former| before.removing.contains(&former));
            let joins = ends && isr.contains(&leader);
            if !is_candidate(before, leader) && !joins && !reported.contains(&at) {
                return Err(format!(
                    "{at}: broker {leader} is elected and was no candidate; nothing says that records may be lost: {before:?}"
                ));
            }
        }
        Ok(())
    }
}

fn is_candidate(partition: &Partition, broker: highwater_records::BrokerId) -> bool {
    partition.isr.contains(&broker) || partition.eligible_leaders.contains(&broker)
}

fn is_allowed(image: &Image, at: TopicIdPartition) -> bool {
    let set = image.topic(at.topic_id).and_then(|topic| topic.configs.get("unclean.leader.election.enable"));
    set.is_some_and(|set| set == "true")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::invariant::testing::elected;

    #[test]
    fn elections_without_report_or_wish() {
        // Brokers 1 and 2 are replicas, 2 alone is in sync; whoever is elected is elected in place of nobody.
        let says =
            |operator, leader, epoch, report| elected(ReportedLoss { operator }, leader, epoch, report);
        assert_eq!(says(false, 2, 1, false), Ok(()));
        assert!(says(false, 2, 0, false).unwrap_err().contains("was there before"));
        assert!(says(false, 1, 1, false).unwrap_err().contains("nothing says"));
        assert!(says(false, 1, 1, true).unwrap_err().contains("nobody has asked"));
        assert_eq!(says(true, 1, 1, true), Ok(()));
    }
}
