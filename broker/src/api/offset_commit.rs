//! OffsetCommit: from version 10 on topics are named by id.

use super::{Decoded, group_codes::outcome, reply};
use crate::server::Step;
use highwater_coordinator::{CommitOffsets, CommitPartition, CommitTopic, GroupError};
use highwater_node::Node;
use highwater_wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};

/// From here on topics are named by id.
const IDS_SINCE: i16 = 10;

pub(super) fn answer(call: Decoded<OffsetCommitRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
    let by_id = start.api_version >= IDS_SINCE;
    let (asked, topics): (Vec<_>, Vec<_>) =
        request.topics.into_iter().map(|topic| split(&node, by_id, topic)).unzip();
    let commit = CommitOffsets {
        group: request.group_id,
        member: request.member_id,
        instance: request.group_instance_id,
        generation: request.generation_id_or_member_epoch,
        retention_ms: (request.retention_time_ms >= 0).then_some(request.retention_time_ms),
        knows_group_not_found: start.api_version >= 9,
        transaction: None,
        topics: topics.into_iter().flatten().collect(),
    };
    let pending = node.commit_offsets(&caller, commit);
    Step::Later(Box::pin(async move {
        let answers = pending.wait().await.flatten();
        let mut each = answers.clone().unwrap_or_default().into_iter();
        let topics = asked.into_iter().map(|(topic, partitions, known)| {
            let partition = |partition_index: i32| {
                let answer = match (&answers, known) {
                    (Err(error), _) => Err(*error),
                    (Ok(_), false) => Err(GroupError::UnknownTopicId),
                    (Ok(_), true) => each.next().unwrap_or(Err(GroupError::NotAvailable)),
                };
                OffsetCommitResponsePartition { partition_index, error_code: outcome(&answer) }
            };
            OffsetCommitResponseTopic { partitions: partitions.into_iter().map(partition).collect(), ..topic }
        });
        reply(start, &OffsetCommitResponse { topics: topics.collect(), ..OffsetCommitResponse::default() })
    }))
}

/// What the response repeats of a topic, its partitions, and whether the topic is known.
type Asked = (OffsetCommitResponseTopic, Vec<i32>, bool);

fn split(node: &Node, by_id: bool, topic: OffsetCommitRequestTopic) -> (Asked, Option<CommitTopic>) {
    let name = match by_id {
        true => node.image().topic(topic.topic_id).map(|known| known.name.clone()),
        false => Some(topic.name.clone()),
    };
    let indexes = topic.partitions.iter().map(|partition| partition.partition_index).collect();
    let response = OffsetCommitResponseTopic {
        name: topic.name,
        topic_id: topic.topic_id,
        ..OffsetCommitResponseTopic::default()
    };
    let partitions = topic.partitions.into_iter().map(|partition| CommitPartition {
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.unwrap_or_default(),
    });
    let asked = (response, indexes, name.is_some());
    (asked, name.map(|name| CommitTopic { name, id: topic.topic_id, partitions: partitions.collect() }))
}
