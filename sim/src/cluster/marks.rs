//! Rare states: a campaign of seeds must have seen all of them, else it has not looked where bugs are.

use highwater_metadata::{BrokerState, Entry, Image, MetadataRecord, ReplicationRecord};
use highwater_records::TopicIdPartition;

use crate::stats::Stats;

/// Every mark.
pub const MARKS: [&str; 38] = [
    "mark: a broker ends whose directory is offline",
    "mark: a broker hands over",
    "mark: a broker is fenced",
    "mark: a broker is told an image",
    "mark: a broker takes part",
    "mark: a commit outlives its coordinator",
    "mark: a deletion waits too long",
    "mark: a follower cut its log",
    "mark: a follower is read from",
    "mark: a leader is elected",
    "mark: a lull",
    "mark: a marker is tried again",
    "mark: a reassignment ends",
    "mark: a reader sees damage by the checksum",
    "mark: a replica begins at the end of the tier",
    "mark: a transaction outlives its coordinator",
    "mark: an eligible leader is elected",
    "mark: decision on a stale image dropped",
    "mark: in-sync set grows",
    "mark: in-sync set shrinks",
    "mark: leadership leaves a broker whose disk fails",
    "mark: leadership leaves a broker whose disk hangs",
    "mark: nobody may lead",
    "mark: sequences wrap",
    "mark: the older one of two processes ends",
    "mark: the same set again settles a proposal",
    "mark: what has rotted is mended",
    "mark: what has rotted is mended at the leader",
    "fault: bit rot",
    "fault: clock skew",
    "fault: disk error",
    "fault: disk replaced",
    "fault: full disk",
    "fault: power cut everywhere",
    "fault: power cut within disk i/o",
    "fault: records deleted",
    "fault: stuck disk",
    "fault: two processes with one number",
];

/// Counts what an entry that took effect has changed.
pub(super) fn mark(before: &Image, after: &Image, entry: &Entry, stats: &Stats) {
    for record in &entry.records {
        match record {
            MetadataRecord::PartitionChanged { topic, partition, isr, leader, .. } => {
                let at = TopicIdPartition { topic_id: *topic, partition: *partition };
                let Some(was) = before.partition(at) else { continue };
                if isr.len() < was.isr.len() {
                    stats.count("mark: in-sync set shrinks");
                }
                if isr.len() > was.isr.len() {
                    stats.count("mark: in-sync set grows");
                }
                if *isr == was.isr && *leader == was.leader {
                    stats.count("mark: the same set again settles a proposal");
                }
                if *leader != was.leader {
                    stats.count(match leader {
                        None => "mark: nobody may lead",
                        Some(leader) if was.eligible_leaders.contains(leader) => {
                            "mark: an eligible leader is elected"
                        }
                        Some(_) => "mark: a leader is elected",
                    });
                }
                if !was.removing.is_empty() && after.partition(at).is_some_and(|now| now.removing.is_empty())
                {
                    stats.count("mark: a reassignment ends");
                }
            }
            MetadataRecord::Replication(ReplicationRecord::LeaderElectedUncleanly { .. }) => {
                stats.count("mark: unclean election");
            }
            MetadataRecord::Replication(ReplicationRecord::BrokerStateChanged { state, .. }) => {
                stats.count(match state {
                    BrokerState::Fenced => "mark: a broker is fenced",
                    BrokerState::Active => "mark: a broker takes part",
                    BrokerState::Stopping => "mark: a broker hands over",
                });
            }
            _ => {}
        }
    }
}
