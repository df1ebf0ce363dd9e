//! Elections that somebody asks for.

use super::{Change, Election, Rules, change_partition, every_partition};
use crate::{Image, MetadataRecord};
use alloc::vec::Vec;
use highwater_records::TopicIdPartition;

/// Which leader is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionType {
    /// The first of the replicas.
    Preferred,
    /// Anybody who is alive, if nobody who has everything is: what is missing there is lost, and the image says so from
    /// then on ([`Partition::unclean_epoch`](crate::Partition::unclean_epoch)).
    Unclean,
}

/// Why there is no election. Nothing was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElectError {
    /// There is no such partition.
    #[error("unknown topic or partition")]
    UnknownPartition,
    /// The leader is what was asked for, or there is one where an unclean election was asked for.
    #[error("no election is needed")]
    NotNeeded,
    /// The preferred replica is not alive or not in sync.
    #[error("the preferred leader is not available")]
    PreferredNotAvailable,
    /// No replica is alive.
    #[error("no replica is alive")]
    NobodyAvailable,
}

/// Elects a leader as asked.
pub fn elect_leader(
    image: &Image,
    rules: Rules,
    at: TopicIdPartition,
    asked: ElectionType,
) -> Result<Vec<MetadataRecord>, ElectError> {
    let topic = image.topic(at.topic_id).ok_or(ElectError::UnknownPartition)?;
    let partition = topic.partition(at.partition).ok_or(ElectError::UnknownPartition)?;
    let election = match asked {
        ElectionType::Preferred => {
            let first = partition.replicas.first().copied().ok_or(ElectError::UnknownPartition)?;
            if partition.leader == Some(first) {
                return Err(ElectError::NotNeeded);
            }
            if !image.is_active(first) || !partition.isr.contains(&first) {
                return Err(ElectError::PreferredNotAvailable);
            }
            Election::Preferred
        }
        ElectionType::Unclean => {
            if partition.leader.is_some() {
                return Err(ElectError::NotNeeded);
            }
            Election::Unclean
        }
    };
    let change = Change { election, ..Change::none() };
    let records = change_partition(image, rules, topic, at.partition, &change);
    if records.is_empty() { Err(ElectError::NobodyAvailable) } else { Ok(records) }
}

/// Gives up to `most` partitions back to their preferred leaders, where those are alive and in sync: after a restart
/// one broker would lead nothing and the others everything.
pub fn preferred_leaders(image: &Image, rules: Rules, most: usize) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    let elsewhere = every_partition(image).filter(|(_, _, partition)| {
        let first = partition.replicas.first().copied();
        partition.leader.is_some()
            && partition.leader != first
            && first.is_some_and(|first| image.is_active(first) && partition.isr.contains(&first))
    });
    for (topic, at, _) in elsewhere.take(most) {
        let change = Change { election: Election::Preferred, ..Change::none() };
        records.extend(change_partition(image, rules, topic, at.partition, &change));
    }
    records
}

/// Elects leaders for up to `most` partitions that nobody leads and whose topics would rather lose records than wait
/// (`unclean.leader.election.enable`): where that was set after the last leader went.
pub fn unclean_leaders(image: &Image, rules: Rules, most: usize) -> Vec<MetadataRecord> {
    let waiting = every_partition(image).filter(|(topic, _, partition)| {
        partition.leader.is_none()
            && rules.elects_uncleanly(topic)
            && partition.replicas.iter().any(|replica| image.is_active(*replica))
    });
    let elected = waiting
        .take(most)
        .map(|(topic, at, _)| change_partition(image, rules, topic, at.partition, &Change::none()));
    elected.flatten().collect()
}
