//! OffsetForLeaderEpoch: how a consumer finds out that its log was cut.

use super::{Decoded, list_offsets::epoch, partition_error, reply};
use crate::server::Reply;
use highwater_node::request::{EpochEnd, EpochQuestion, OfPartition, PartitionError, TopicRef};
use highwater_wire::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};

pub(super) async fn answer(call: Decoded<OffsetForLeaderEpochRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    let questions = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| OfPartition {
            topic: TopicRef::Name(topic.topic.clone()),
            partition: partition.partition,
            asked: EpochQuestion {
                current_leader_epoch: epoch(partition.current_leader_epoch),
                leader_epoch: partition.leader_epoch,
            },
        })
    });
    let mut answers = node.offset_for_leader_epoch(&caller, questions.collect()).await.into_iter();
    let topics = request.topics.into_iter().map(|topic| OffsetForLeaderTopicResult {
        topic: topic.topic,
        partitions: topic
            .partitions
            .into_iter()
            .zip(&mut answers)
            .map(|(partition, answer)| end(partition.partition, answer))
            .collect(),
    });
    let topics = topics.collect();
    reply(start, &OffsetForLeaderEpochResponse { topics, ..OffsetForLeaderEpochResponse::default() })
}

fn end(partition: i32, answer: Result<Option<EpochEnd>, PartitionError>) -> EpochEndOffset {
    let unknown = EpochEndOffset { partition, ..EpochEndOffset::default() };
    match answer {
        Ok(None) => unknown,
        Ok(Some(end)) => EpochEndOffset { leader_epoch: end.epoch, end_offset: end.end.as_i64(), ..unknown },
        Err(error) => EpochEndOffset { error_code: partition_error(&error).code(), ..unknown },
    }
}
