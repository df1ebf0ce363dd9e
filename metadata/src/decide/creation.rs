//! Creating topics.

use super::placement;
use crate::{
    ConfigResource, Image, MetadataRecord,
    config::{BrokerConfig, ConfigError, TopicConfig},
};
use alloc::{collections::BTreeMap, string::String, vec::Vec};
use highwater_records::{BrokerId, PartitionIndex, TopicId};

/// How many partitions one decision may create, inclusive.
pub const PARTITIONS_MAX: u32 = 10_000;

/// How long a topic's name may be, inclusive: with `-` and a number behind it, it must still be a file name.
pub const NAME_LENGTH_MAX: usize = 249;

/// A wish for a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; `None` for the broker's default. To be `None` when `assignments` are given.
    pub partitions: Option<u32>,
    /// How many replicas of each; `None` for the broker's default. To be `None` when `assignments` are given.
    pub replication_factor: Option<u32>,
    /// Replicas by partition, the preferred leader first; empty to let us choose.
    pub assignments: BTreeMap<PartitionIndex, Vec<BrokerId>>,
    /// Configuration to set explicitly.
    pub configs: BTreeMap<String, String>,
}

/// Why a topic is not created. The caller fixes the call, except for [`CreateTopicError::IdInUse`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateTopicError {
    /// A topic has that name.
    #[error("topic `{0}` exists")]
    Exists(String),
    /// The name is no topic name.
    #[error("{0}")]
    InvalidName(InvalidTopicName),
    /// The name differs from an existing one only in `.` against `_`, and metrics would mix the two.
    #[error("topic `{name}` collides with `{other}`: metric names do not tell `.` from `_`")]
    NameCollides {
        /// The name.
        name: String,
        /// The existing topic.
        other: String,
    },
    /// The number of partitions is zero, or too large.
    #[error("{0} is not a number of partitions from 1 to {max}", max = PARTITIONS_MAX)]
    InvalidPartitions(u32),
    /// The number of replicas is zero, or more than there are brokers.
    #[error("{wanted} replicas cannot be placed on {brokers} brokers")]
    InvalidReplicationFactor {
        /// Replicas that were wished for.
        wanted: u32,
        /// Brokers there are.
        brokers: usize,
    },
    /// The assignment names unknown brokers, a broker twice, or not all partitions from zero on.
    #[error("invalid assignment of partition {0}")]
    InvalidAssignment(PartitionIndex),
    /// Both an assignment and numbers were given.
    #[error("an assignment leaves no choice of partitions and replicas")]
    AssignmentAndNumbers,
    /// A configuration key or value is refused.
    #[error(transparent)]
    InvalidConfig(#[from] ConfigError),
    /// The identity is taken: draw another.
    #[error("topic id {0} is in use")]
    IdInUse(TopicId),
}

/// Text that is no topic name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopicName {
    /// No letter at all.
    #[error("a topic name is not empty")]
    Empty,
    /// `.` or `..`.
    #[error("a topic name is not `.` or `..`")]
    Dots,
    /// Longer than [`NAME_LENGTH_MAX`].
    #[error("a topic name has at most {max} characters", max = NAME_LENGTH_MAX)]
    TooLong,
    /// A character that is not allowed.
    #[error("a topic name consists of ASCII letters, digits, `.`, `_` and `-`")]
    Character,
}

/// Whether `name` can be a topic's.
pub fn check_topic_name(name: &str) -> Result<(), InvalidTopicName> {
    if name.is_empty() {
        Err(InvalidTopicName::Empty)
    } else if name == "." || name == ".." {
        Err(InvalidTopicName::Dots)
    } else if name.len() > NAME_LENGTH_MAX {
        Err(InvalidTopicName::TooLong)
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        Err(InvalidTopicName::Character)
    } else {
        Ok(())
    }
}

/// Creates a topic under the identity `id`, which is random and not zero.
///
/// Stored explicitly with it, besides what was wished: `remote.storage.enable` and `highwater.durability`, as
/// resolved now.
pub fn create_topic(
    image: &Image,
    wish: &CreateTopic,
    broker: &BrokerConfig,
    id: TopicId,
) -> Result<Vec<MetadataRecord>, CreateTopicError> {
    let name = &wish.name;
    check_topic_name(name).map_err(CreateTopicError::InvalidName)?;
    if image.topic_named(name).is_some() {
        return Err(CreateTopicError::Exists(name.clone()));
    }
    if let Some(other) = colliding(image, name) {
        return Err(CreateTopicError::NameCollides { name: name.clone(), other });
    }
    if id.is_zero() || image.topic(id).is_some() {
        return Err(CreateTopicError::IdInUse(id));
    }
    let replicas =
        if wish.assignments.is_empty() { place(image, wish, broker, id) } else { assigned(image, wish) };
    let replicas_max = replicas.iter().flatten().map(Vec::len).max().unwrap_or(1);
    // As in Kafka, a configuration that is wrong is told before a place that is.
    let configs = TopicConfig::complete(wish.configs.clone(), broker, replicas_max)?;
    let replicas = replicas?;

    let mut records = Vec::with_capacity(1 + replicas.len() + configs.len());
    records.push(MetadataRecord::TopicCreated { id, name: name.clone() });
    for (index, replicas) in (0..).zip(replicas) {
        records.push(placement::partition_created(image, id, PartitionIndex(index), replicas));
    }
    let resource = ConfigResource::Topic(id);
    records.extend(configs.into_iter().map(|(key, value)| MetadataRecord::ConfigSet {
        resource: resource.clone(),
        key,
        value: Some(value),
    }));
    Ok(records)
}

fn colliding(image: &Image, name: &str) -> Option<String> {
    if !name.contains(['.', '_']) {
        return None;
    }
    let same = |a: u8, b: u8| a == b || (matches!(a, b'.' | b'_') && matches!(b, b'.' | b'_'));
    let collides =
        |other: &str| other.len() == name.len() && other.bytes().zip(name.bytes()).all(|(a, b)| same(a, b));
    image.topics().find(|topic| collides(&topic.name)).map(|topic| topic.name.clone())
}

/// Places replicas on brokers that take part, beginning at one that the topic's identity chooses.
fn place(
    image: &Image,
    wish: &CreateTopic,
    broker: &BrokerConfig,
    id: TopicId,
) -> Result<Vec<Vec<BrokerId>>, CreateTopicError> {
    let brokers = placement::usable(image);
    let wanted = wish.replication_factor.unwrap_or(broker.default_replication_factor);
    if wanted == 0 {
        return Err(CreateTopicError::InvalidReplicationFactor { wanted, brokers: brokers.len() });
    }
    let partitions = wish.partitions.unwrap_or(broker.num_partitions);
    if partitions == 0 || partitions > PARTITIONS_MAX {
        return Err(CreateTopicError::InvalidPartitions(partitions));
    }
    let fitting = usize::try_from(wanted).ok().filter(|wanted| (1..=brokers.len()).contains(wanted));
    let Some(factor) = fitting else {
        return Err(CreateTopicError::InvalidReplicationFactor { wanted, brokers: brokers.len() });
    };
    Ok(placement::place(&brokers, 0..partitions as usize, factor, id))
}

fn assigned(image: &Image, wish: &CreateTopic) -> Result<Vec<Vec<BrokerId>>, CreateTopicError> {
    if wish.partitions.is_some() || wish.replication_factor.is_some() {
        return Err(CreateTopicError::AssignmentAndNumbers);
    }
    let partitions = u32::try_from(wish.assignments.len()).unwrap_or(u32::MAX);
    if partitions > PARTITIONS_MAX {
        return Err(CreateTopicError::InvalidPartitions(partitions));
    }
    let factor = wish.assignments.values().next().map_or(0, Vec::len);
    for (index, (partition, replicas)) in (0..).zip(&wish.assignments) {
        let known = replicas.iter().all(|broker| image.brokers().contains_key(broker));
        let once = replicas.iter().enumerate().all(|(at, broker)| !replicas[..at].contains(broker));
        if partition.0 != index || replicas.is_empty() || replicas.len() != factor || !known || !once {
            return Err(CreateTopicError::InvalidAssignment(*partition));
        }
    }
    Ok(wish.assignments.values().cloned().collect())
}
