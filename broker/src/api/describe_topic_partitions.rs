//! DescribeTopicPartitions: topics, in pages of a bounded number of partitions.

use super::{Decoded, metadata, operations, reply};
use crate::server::Reply;
use highwater_metadata::{Image, Topic};
use highwater_wire::{
    ErrorCode,
    messages::describe_topic_partitions::{
        Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
        DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic, TopicRequest,
    },
    messages::metadata::MetadataResponsePartition,
};
use std::{collections::BTreeSet, ops::Bound};

/// The most partitions of one answer (Kafka's default of `max.request.partition.size.limit`).
const PARTITIONS_MAX: usize = 2000;

pub(super) fn answer(call: Decoded<DescribeTopicPartitionsRequest>) -> Reply {
    let Decoded { node, start, request, .. } = call;
    let image = node.image();
    let room = usize::try_from(request.response_partition_limit).unwrap_or(0).clamp(1, PARTITIONS_MAX);
    // A cursor points at a partition of one of the topics that are asked for.
    let names =
        |name: &str| request.topics.is_empty() || request.topics.iter().any(|topic| topic.name == name);
    let stray = |cursor: &Cursor| cursor.partition_index < 0 || !names(&cursor.topic_name);
    if request.cursor.as_ref().is_some_and(stray) {
        let error_code = ErrorCode::InvalidRequest.code();
        let refused = |topic: TopicRequest| DescribeTopicPartitionsResponseTopic {
            error_code,
            name: Some(topic.name),
            ..DescribeTopicPartitionsResponseTopic::default()
        };
        let topics = request.topics.into_iter().map(refused).collect();
        return reply(start, &DescribeTopicPartitionsResponse { topics, ..Default::default() });
    }
    let names: BTreeSet<String> = match request.topics.is_empty() {
        true => image.topics().map(|topic| topic.name.clone()).collect(),
        false => request.topics.into_iter().map(|topic| topic.name).collect(),
    };
    let (topics, next_cursor) = page(&image, &names, request.cursor.as_ref(), room);
    reply(
        start,
        &DescribeTopicPartitionsResponse {
            topics,
            next_cursor,
            ..DescribeTopicPartitionsResponse::default()
        },
    )
}

/// The topics from the cursor on, in the order of their names, until `room` partitions are told.
fn page(
    image: &Image,
    names: &BTreeSet<String>,
    cursor: Option<&Cursor>,
    mut room: usize,
) -> (Vec<DescribeTopicPartitionsResponseTopic>, Option<Cursor>) {
    let from = cursor.map_or("", |cursor| cursor.topic_name.as_str());
    let mut topics = Vec::new();
    for name in names.range::<str, _>((Bound::Included(from), Bound::Unbounded)) {
        if room == 0 {
            let next = Cursor { topic_name: name.clone(), partition_index: 0 };
            return (topics, Some(next));
        }
        let first = match cursor {
            Some(cursor) if cursor.topic_name == *name => {
                usize::try_from(cursor.partition_index).unwrap_or(0)
            }
            _ => 0,
        };
        let Some(topic) = image.topic_named(name) else {
            topics.push(unknown(name));
            continue;
        };
        let told = described(image, topic, first, room);
        room -= told.partitions.len();
        let next = first + told.partitions.len();
        topics.push(told);
        if next < topic.partitions.len() {
            let partition_index = i32::try_from(next).unwrap_or(i32::MAX);
            return (topics, Some(Cursor { topic_name: name.clone(), partition_index }));
        }
    }
    (topics, None)
}

fn unknown(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let error = match highwater_metadata::decide::check_topic_name(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: error.code(),
        name: Some(name.to_owned()),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn described(
    image: &Image,
    topic: &Topic,
    first: usize,
    room: usize,
) -> DescribeTopicPartitionsResponseTopic {
    let told = metadata::describe(image, topic);
    DescribeTopicPartitionsResponseTopic {
        name: told.name,
        topic_id: told.topic_id,
        is_internal: told.is_internal,
        partitions: told.partitions.into_iter().skip(first).take(room).map(partition).collect(),
        topic_authorized_operations: operations::TOPIC,
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn partition(told: MetadataResponsePartition) -> DescribeTopicPartitionsResponsePartition {
    DescribeTopicPartitionsResponsePartition {
        error_code: told.error_code,
        partition_index: told.partition_index,
        leader_id: told.leader_id,
        leader_epoch: told.leader_epoch,
        replica_nodes: told.replica_nodes,
        isr_nodes: told.isr_nodes,
        // There is no list of replicas that may lead besides those in sync.
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        offline_replicas: told.offline_replicas,
    }
}
