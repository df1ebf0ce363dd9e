//! The life of topics after their creation.

use crate::{Image, MetadataRecord};
use alloc::{vec, vec::Vec};
use highwater_records::TopicId;

/// No topic has this identity (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("topic {0} does not exist")]
pub struct UnknownTopic(pub TopicId);

/// Deletes a topic, its partitions and its configuration.
pub fn delete_topic(image: &Image, id: TopicId) -> Result<Vec<MetadataRecord>, UnknownTopic> {
    match image.topic(id) {
        Some(_) => Ok(vec![MetadataRecord::TopicDeleted { id }]),
        None => Err(UnknownTopic(id)),
    }
}

/// Records that nothing a deleted topic has stored is left. Nothing to decide if that is known already.
pub fn purge_topic(image: &Image, id: TopicId) -> Vec<MetadataRecord> {
    match image.deleted_topics().any(|topic| topic.id == id) {
        true => vec![MetadataRecord::TopicPurged { id }],
        false => Vec::new(),
    }
}
