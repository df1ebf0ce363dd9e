//! More partitions for a topic that exists.

use super::{creation::PARTITIONS_MAX, placement};
use crate::{Image, MetadataRecord, Topic};
use alloc::{string::String, vec::Vec};
use highwater_records::{BrokerId, PartitionIndex};

/// How a topic shall grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePartitions {
    /// The topic.
    pub topic: String,
    /// How many partitions it shall have in the end.
    pub count: i32,
    /// The replicas of each new partition, the preferred leader first; `None` to let us choose.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

/// Why a topic does not grow. The caller fixes the call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreatePartitionsError {
    /// No topic has that name.
    #[error("This server does not host this topic-partition.")]
    UnknownTopic,
    /// It has as many already.
    #[error("Topic already has {0} partition(s).")]
    Already(usize),
    /// Partitions are never taken away.
    #[error("The topic {topic} currently has {has} partition(s); {wanted} would not be an increase.")]
    NotAnIncrease {
        /// The topic.
        topic: String,
        /// How many it has.
        has: usize,
        /// How many were asked for.
        wanted: i32,
    },
    /// More than a topic can have.
    #[error("{0} is not a number of partitions from 1 to {max}", max = PARTITIONS_MAX)]
    TooMany(i32),
    /// The assignment has not one entry for each new partition.
    #[error(
        "Attempted to add {added} additional partition(s), but only {assigned} assignment(s) were specified."
    )]
    AssignmentCount {
        /// New partitions.
        added: usize,
        /// Entries of the assignment.
        assigned: usize,
    },
    /// The assignment names unknown brokers, a broker twice, or another number of replicas than the topic has.
    #[error("invalid assignment of partition {0}")]
    InvalidAssignment(PartitionIndex),
    /// There are fewer brokers than the topic has replicas.
    #[error("{wanted} replicas cannot be placed on {brokers} brokers")]
    TooFewBrokers {
        /// Replicas of the topic's first partition.
        wanted: usize,
        /// Brokers there are.
        brokers: usize,
    },
}

/// Adds partitions behind those that a topic has. Their replicas go round the brokers as at its creation.
pub fn create_partitions(
    image: &Image,
    wish: &CreatePartitions,
) -> Result<Vec<MetadataRecord>, CreatePartitionsError> {
    let topic = image.topic_named(&wish.topic).ok_or(CreatePartitionsError::UnknownTopic)?;
    let has = topic.partitions.len();
    let wanted = usize::try_from(wish.count).unwrap_or(0);
    if wanted == has {
        return Err(CreatePartitionsError::Already(has));
    }
    if wanted < has {
        let topic = wish.topic.clone();
        return Err(CreatePartitionsError::NotAnIncrease { topic, has, wanted: wish.count });
    }
    let added = match &wish.assignments {
        Some(assignments) if assignments.len() != wanted - has => {
            return Err(CreatePartitionsError::AssignmentCount {
                added: wanted - has,
                assigned: assignments.len(),
            });
        }
        _ if wanted > PARTITIONS_MAX as usize => return Err(CreatePartitionsError::TooMany(wish.count)),
        Some(assignments) => assigned(image, topic, assignments)?,
        None => placed(image, topic, wanted)?,
    };
    let first = u32::try_from(has).unwrap_or(u32::MAX);
    let record =
        |(index, replicas)| placement::partition_created(image, topic.id, PartitionIndex(index), replicas);
    Ok((first..).zip(added).map(record).collect())
}

fn factor_of(topic: &Topic) -> usize {
    topic.partitions.first().map_or(1, |partition| partition.replicas.len())
}

fn placed(image: &Image, topic: &Topic, wanted: usize) -> Result<Vec<Vec<BrokerId>>, CreatePartitionsError> {
    let brokers = placement::usable(image);
    let factor = factor_of(topic);
    if factor > brokers.len() {
        return Err(CreatePartitionsError::TooFewBrokers { wanted: factor, brokers: brokers.len() });
    }
    let added = topic.partitions.len()..wanted;
    Ok(placement::place(&brokers, added, factor, topic.id))
}

fn assigned(
    image: &Image,
    topic: &Topic,
    assignments: &[Vec<BrokerId>],
) -> Result<Vec<Vec<BrokerId>>, CreatePartitionsError> {
    let factor = factor_of(topic);
    for (index, replicas) in (topic.partitions.len()..).zip(assignments) {
        let known = replicas.iter().all(|broker| image.brokers().contains_key(broker));
        let once = replicas.iter().enumerate().all(|(at, broker)| !replicas[..at].contains(broker));
        if replicas.len() != factor || !known || !once {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            return Err(CreatePartitionsError::InvalidAssignment(PartitionIndex(index)));
        }
    }
    Ok(assignments.to_vec())
}
