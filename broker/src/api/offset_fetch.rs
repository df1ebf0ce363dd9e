//! OffsetFetch: one group up to version 7, several from 8 on, topics by id from 10 on.

use super::{
    Decoded,
    group_codes::{code, outcome},
    reply,
};
use crate::server::Step;
use highwater_coordinator::{FetchOffsets, FetchedOffset, FetchedTopic, GroupError};
use highwater_node::{Node, PendingGroup};
use highwater_records::TopicId;
use highwater_wire::{
    RequestStart,
    messages::offset_fetch::{
        OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
        OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
        OffsetFetchResponseTopic, OffsetFetchResponseTopics,
    },
};
use std::sync::Arc;

/// From here on topics are named by id.
const IDS_SINCE: i16 = 10;

pub(super) fn answer(call: Decoded<OffsetFetchRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
    let groups = if start.api_version < 8 { vec![only_group(&request)] } else { request.groups };
    let asked: Vec<(OffsetFetchRequestGroup, PendingGroup<FetchOffsets>)> = groups
        .into_iter()
        .map(|group| {
            let fetch = FetchOffsets {
                group: group.group_id.clone(),
                member: group.member_id.clone().map(|member| (member, group.member_epoch)),
                topics: known_topics(&node, start, &group),
                require_stable: request.require_stable,
            };
            let pending = node.ask_group(&caller, &group.group_id, fetch);
            (group, pending)
        })
        .collect();
    Step::Later(Box::pin(async move {
        let mut groups = Vec::with_capacity(asked.len());
        for (group, pending) in asked {
            let answer = pending.wait().await.flatten();
            groups.push(respond(&node, start, group, answer));
        }
        reply(start, &shape(start, groups))
    }))
}

/// The one group of a request below version 8, as later ones write it.
fn only_group(request: &OffsetFetchRequest) -> OffsetFetchRequestGroup {
    let topics = request.topics.as_ref().map(|topics| {
        topics
            .iter()
            .map(|topic| OffsetFetchRequestTopics {
                name: topic.name.clone(),
                topic_id: TopicId::ZERO,
                partition_indexes: topic.partition_indexes.clone(),
            })
            .collect()
    });
    OffsetFetchRequestGroup {
        group_id: request.group_id.clone(),
        topics,
        ..OffsetFetchRequestGroup::default()
    }
}

/// The topics to ask for, without those whose id nobody has.
fn known_topics(
    node: &Node,
    start: RequestStart,
    group: &OffsetFetchRequestGroup,
) -> Option<Vec<(String, Vec<i32>)>> {
    let image = node.image();
    let topics = group.topics.as_ref()?.iter().filter_map(|topic| {
        let name = match start.api_version >= IDS_SINCE {
            true => image.topic(topic.topic_id)?.name.clone(),
            false => topic.name.clone(),
        };
        Some((name, topic.partition_indexes.clone()))
    });
    Some(topics.collect())
}

fn respond(
    node: &Arc<Node>,
    start: RequestStart,
    group: OffsetFetchRequestGroup,
    answer: Result<Vec<FetchedTopic>, GroupError>,
) -> OffsetFetchResponseGroup {
    let found = match answer {
        Ok(found) => found,
        Err(error) => {
            return OffsetFetchResponseGroup {
                group_id: group.group_id,
                error_code: code(error).code(),
                topics: Vec::new(),
            };
        }
    };
    let image = node.image();
    let id_of = |name: &str| image.topic_named(name).map_or(TopicId::ZERO, |topic| topic.id);
    let mut found = found.into_iter();
    let topics = match group.topics {
        None => found
            .map(|topic| (id_of(&topic.name), topic))
            .filter(|(id, _)| start.api_version < IDS_SINCE || !id.is_zero())
            .map(|(topic_id, topic)| response_topic(topic.name, topic_id, topic.partitions))
            .collect(),
        Some(asked) => asked
            .into_iter()
            .map(|topic| {
                let known = start.api_version < IDS_SINCE || image.topic(topic.topic_id).is_some();
                let partitions = match found.by_ref().take(usize::from(known)).next() {
                    Some(found) => found.partitions,
                    None => topic
                        .partition_indexes
                        .iter()
                        .map(|partition| FetchedOffset {
                            partition: *partition,
                            committed: Err(GroupError::UnknownTopicId),
                        })
                        .collect(),
                };
                response_topic(topic.name, topic.topic_id, partitions)
            })
            .collect(),
    };
    OffsetFetchResponseGroup { group_id: group.group_id, topics, error_code: 0 }
}

fn response_topic(
    name: String,
    topic_id: TopicId,
    partitions: Vec<FetchedOffset>,
) -> OffsetFetchResponseTopics {
    let partitions = partitions.into_iter().map(|fetched| {
        let error_code = outcome(&fetched.committed);
        let committed = fetched.committed.ok().flatten();
        OffsetFetchResponsePartitions {
            partition_index: fetched.partition,
            committed_offset: committed.as_ref().map_or(-1, |committed| committed.offset),
            committed_leader_epoch: committed.as_ref().map_or(-1, |committed| committed.leader_epoch),
            metadata: Some(committed.map_or_else(String::new, |committed| committed.metadata)),
            error_code,
        }
    });
    OffsetFetchResponseTopics { name, topic_id, partitions: partitions.collect() }
}

/// Below version 8 the one group is the response itself; version 1 has no place for its error but in each partition.
fn shape(start: RequestStart, mut groups: Vec<OffsetFetchResponseGroup>) -> OffsetFetchResponse {
    if start.api_version >= 8 {
        return OffsetFetchResponse { groups, ..OffsetFetchResponse::default() };
    }
    let Some(only) = groups.pop() else { return OffsetFetchResponse::default() };
    let topics = only.topics.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| OffsetFetchResponsePartition {
                partition_index: partition.partition_index,
                committed_offset: partition.committed_offset,
                committed_leader_epoch: partition.committed_leader_epoch,
                metadata: partition.metadata,
                error_code: partition.error_code,
            })
            .collect(),
    });
    OffsetFetchResponse {
        topics: topics.collect(),
        error_code: only.error_code,
        ..OffsetFetchResponse::default()
    }
}
