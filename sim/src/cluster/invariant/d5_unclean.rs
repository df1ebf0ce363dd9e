//! D5: a broker that may have lost something is no candidate: with the very entry that registers it again it is in no
//! in-sync set, eligible nowhere and leads nothing. On a `synced` topic only an empty disk loses what counted; a single
//! replica has nobody to take its place.

use highwater_records::Durability;

use super::{ClusterInvariant, Decision};
use crate::cluster::watch::durability;

/// See the file's text.
pub struct Unclean;

impl ClusterInvariant for Unclean {
    fn name(&self) -> &'static str {
        "D5 unclean stops are no candidates"
    }

    fn decided(&mut self, decision: &Decision<'_>) -> Result<(), String> {
        if !decision.effective {
            return Ok(());
        }
        for broker in decision.registered() {
            let Some(stopped) = decision.stops.get(&broker) else { continue };
            for topic in decision.after.topics() {
                let lost =
                    stopped.emptied || (stopped.unclean && durability(topic) == Durability::Replicated);
                for (index, partition) in topic.numbered().filter(|(_, one)| lost && one.replicas.len() > 1) {
                    let candidate = partition.leader == Some(broker)
                        || partition.isr.contains(&broker)
                        || partition.eligible_leaders.contains(&broker);
                    if candidate {
                        return Err(format!(
                            "broker {broker} stopped ({stopped:?}) and is a candidate of {}-{index}: {partition:?}",
                            topic.name
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::invariant::{Stopped, testing::registered_again};

    #[test]
    fn who_may_stay_and_who_may_not() {
        let says = |durability, stopped| registered_again(Unclean, durability, stopped);
        let unclean = Stopped { unclean: true, emptied: false };
        let emptied = Stopped { unclean: true, emptied: true };
        assert!(says("replicated", unclean).unwrap_err().contains("is a candidate of t-0"));
        assert_eq!(says("synced", unclean), Ok(()));
        assert!(says("synced", emptied).is_err());
        assert_eq!(says("replicated", Stopped::default()), Ok(()));
    }
}
