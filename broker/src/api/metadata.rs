//! Metadata: brokers and topics, some of which may come into being by the question.

use super::{Decoded, operations, reply};
use crate::server::Reply;
use highwater_metadata::{Image, Topic};
use highwater_node::request::EnsureTopicError;
use highwater_records::TopicId;
use highwater_wire::{
    ErrorCode,
    messages::metadata::{
        MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
        MetadataResponsePartition, MetadataResponseTopic,
    },
};
use std::collections::BTreeSet;

/// From here on topics may be asked for by id; two versions before have the field already.
const IDS_SINCE: i16 = 12;

pub(super) async fn answer(call: Decoded<MetadataRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    let wanted = match request.topics {
        None => None,
        // The first version had no null yet.
        Some(topics) if topics.is_empty() && start.api_version == 0 => None,
        Some(topics)
            if start.api_version < IDS_SINCE && topics.iter().any(|topic| wanted_name(topic).is_none()) =>
        {
            let topics = topics.into_iter().map(|topic| refused(topic, ErrorCode::InvalidRequest)).collect();
            return reply(start, &MetadataResponse { topics, ..MetadataResponse::default() });
        }
        // As in Kafka: where there are ids, names are not looked at.
        Some(mut topics) => {
            if topics.iter().any(|topic| !topic.topic_id.is_zero()) {
                topics.retain(|topic| !topic.topic_id.is_zero());
            }
            Some(topics)
        }
    };
    let found = match wanted {
        None => None,
        Some(mut topics) => {
            // One answer for each topic, however often it was asked for.
            let mut seen = BTreeSet::new();
            topics.retain(|topic| seen.insert((topic.topic_id, topic.name.clone())));
            let names: Vec<String> = topics.iter().filter_map(wanted_name).map(str::to_owned).collect();
            let ensured = node.ensure_topics(&caller, &names, request.allow_auto_topic_creation).await;
            Some((topics, ensured))
        }
    };
    // Only now: what was created just before is in it.
    let image = node.image();
    let topic_operations = asked(request.include_topic_authorized_operations, operations::TOPIC);
    let mut topics: Vec<MetadataResponseTopic> = match found {
        None => image.topics().map(|topic| describe(&image, topic)).collect(),
        Some((wanted, ensured)) => answers(&image, wanted, ensured),
    };
    for topic in &mut topics {
        topic.topic_authorized_operations = topic_operations;
    }
    let response = MetadataResponse {
        brokers: brokers(&image),
        cluster_id: image.cluster_id().map(str::to_owned),
        controller_id: node.controller().unwrap_or(node.broker_id()).0.cast_signed(),
        topics,
        cluster_authorized_operations: asked(
            request.include_cluster_authorized_operations,
            operations::CLUSTER,
        ),
        ..MetadataResponse::default()
    };
    reply(start, &response)
}

pub(super) fn asked(asked: bool, operations: i32) -> i32 {
    if asked { operations } else { operations::NOT_ASKED }
}

/// The name a topic is asked for by; `None` where it is asked for by id.
fn wanted_name(topic: &MetadataRequestTopic) -> Option<&str> {
    if topic.topic_id.is_zero() { topic.name.as_deref() } else { None }
}

fn answers(
    image: &Image,
    wanted: Vec<MetadataRequestTopic>,
    ensured: Vec<Result<TopicId, EnsureTopicError>>,
) -> Vec<MetadataResponseTopic> {
    let mut ensured = ensured.into_iter();
    let mut answers = Vec::with_capacity(wanted.len());
    for topic in wanted {
        let found = match wanted_name(&topic) {
            Some(_) => match ensured.next() {
                Some(Ok(id)) => image.topic(id).ok_or(ErrorCode::UnknownTopicOrPartition),
                Some(Err(error)) => Err(code(&error)),
                None => Err(ErrorCode::UnknownServerError),
            },
            None => image.topic(topic.topic_id).ok_or(ErrorCode::UnknownTopicId),
        };
        answers.push(match found {
            Ok(found) => describe(image, found),
            Err(error) => MetadataResponseTopic { name: topic.name.clone(), ..refused(topic, error) },
        });
    }
    answers
}

/// What is said of a topic that there is nothing to say of. Its name is not null: only the newest versions may say so.
fn refused(topic: MetadataRequestTopic, error: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: error.code(),
        name: Some(topic.name.unwrap_or_default()),
        topic_id: topic.topic_id,
        ..MetadataResponseTopic::default()
    }
}

fn code(error: &EnsureTopicError) -> ErrorCode {
    match error {
        EnsureTopicError::Unknown => ErrorCode::UnknownTopicOrPartition,
        EnsureTopicError::InvalidName(_) => ErrorCode::InvalidTopicException,
        // What Kafka says of a topic that is about to exist: every client asks again.
        EnsureTopicError::Unavailable(detail) => {
            tracing::warn!("topic cannot be created: {detail}");
            ErrorCode::LeaderNotAvailable
        }
    }
}

fn brokers(image: &Image) -> Vec<MetadataResponseBroker> {
    let reachable = image.brokers().iter().filter_map(|(id, broker)| {
        let endpoint = broker.endpoints.first()?;
        Some(MetadataResponseBroker {
            node_id: id.0.cast_signed(),
            host: endpoint.host.clone(),
            port: i32::from(endpoint.port),
            rack: broker.rack.clone(),
        })
    });
    reachable.collect()
}

pub(super) fn describe(image: &Image, topic: &Topic) -> MetadataResponseTopic {
    let ids = |brokers: &[highwater_records::BrokerId]| brokers.iter().map(|id| id.0.cast_signed()).collect();
    let partitions = topic.numbered().map(|(index, partition)| MetadataResponsePartition {
        error_code: match partition.leader {
            Some(_) => ErrorCode::None.code(),
            None => ErrorCode::LeaderNotAvailable.code(),
        },
        partition_index: index.0.cast_signed(),
        leader_id: partition.leader.map_or(-1, |leader| leader.0.cast_signed()),
        leader_epoch: image.leader_epoch(partition).as_i32(),
        replica_nodes: ids(&partition.replicas),
        isr_nodes: ids(&partition.isr),
        offline_replicas: partition
            .replicas
            .iter()
            .filter(|replica| !image.brokers().contains_key(replica))
            .map(|replica| replica.0.cast_signed())
            .collect(),
    });
    MetadataResponseTopic {
        name: Some(topic.name.clone()),
        topic_id: topic.id,
        is_internal: matches!(
            topic.name.as_str(),
            "__consumer_offsets" | "__transaction_state" | "__share_group_state"
        ),
        partitions: partitions.collect(),
        ..MetadataResponseTopic::default()
    }
}
