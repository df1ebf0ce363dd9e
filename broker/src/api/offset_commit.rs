//! OffsetCommit: from version 10 on topics are named by id.

use super::{Decoded, exists, group_codes::outcome, reply};
use crate::server::{Reply, Step};
use highwater_coordinator::{CommitOffsets, CommitPartition, CommitTopic, GroupError};
use highwater_metadata::Image;
use highwater_wire::{
    RequestStart,
    messages::offset_commit::{
        OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse, OffsetCommitResponsePartition,
        OffsetCommitResponseTopic,
    },
};

/// From here on topics are named by id.
const IDS_SINCE: i16 = 10;

pub(super) fn answer(call: Decoded<OffsetCommitRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
    let by_id = start.api_version >= IDS_SINCE;
    let image = node.image();
    let (asked, topics): (Vec<_>, Vec<_>) =
        request.topics.into_iter().map(|topic| split(&image, by_id, topic)).unzip();
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
    // As in Kafka, what is about nothing that there is does not trouble the group.
    if commit.topics.is_empty() {
        return Step::Now(respond(start, asked, Ok(Vec::new())));
    }
    let pending = node.commit_offsets(&caller, commit);
    Step::Later(Box::pin(async move { respond(start, asked, pending.wait().await.flatten()) }))
}

fn respond(start: RequestStart, asked: Vec<Asked>, answers: Result<Committed, GroupError>) -> Reply {
    let mut each = answers.clone().unwrap_or_default().into_iter();
    let topics = asked.into_iter().map(|(topic, partitions)| {
        let partition = |(partition_index, known): (i32, Result<(), GroupError>)| {
            let answer = match (&answers, known) {
                (_, Err(unknown)) => Err(unknown),
                (Err(error), Ok(())) => Err(*error),
                (Ok(_), Ok(())) => each.next().unwrap_or(Err(GroupError::NotAvailable)),
            };
            OffsetCommitResponsePartition { partition_index, error_code: outcome(&answer) }
        };
        OffsetCommitResponseTopic { partitions: partitions.into_iter().map(partition).collect(), ..topic }
    });
    reply(start, &OffsetCommitResponse { topics: topics.collect(), ..OffsetCommitResponse::default() })
}

/// How it went with each partition that the group was asked about.
type Committed = Vec<Result<(), GroupError>>;

/// What the response repeats of a topic, and its partitions with whether there are such.
type Asked = (OffsetCommitResponseTopic, Vec<(i32, Result<(), GroupError>)>);

fn split(image: &Image, by_id: bool, topic: OffsetCommitRequestTopic) -> (Asked, Option<CommitTopic>) {
    let found = if by_id { image.topic(topic.topic_id) } else { image.topic_named(&topic.name) };
    let known = |index: i32| match found {
        None if by_id => Err(GroupError::UnknownTopicId),
        Some(topic) if exists(image, &topic.name, index) => Ok(()),
        _ => Err(GroupError::UnknownTopicOrPartition),
    };
    let indexes = topic.partitions.iter().map(|partition| partition.partition_index);
    let indexes: Vec<_> = indexes.map(|index| (index, known(index))).collect();
    let response = OffsetCommitResponseTopic {
        name: topic.name,
        topic_id: topic.topic_id,
        ..OffsetCommitResponseTopic::default()
    };
    let there = topic.partitions.into_iter().filter(|partition| known(partition.partition_index).is_ok());
    let partitions = there.map(|partition| CommitPartition {
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.unwrap_or_default(),
    });
    let partitions: Vec<_> = partitions.collect();
    let wanted = found.filter(|_| !partitions.is_empty()).map(|found| CommitTopic {
        name: found.name.clone(),
        id: topic.topic_id,
        partitions,
    });
    ((response, indexes), wanted)
}
