//! DeleteRecords: partitions start later.

use super::{Decoded, partition_error, reply};
use crate::server::Reply;
use highwater_node::request::{OfPartition, TopicRef};
use highwater_wire::{
    ErrorCode,
    messages::delete_records::{
        DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopicResult,
    },
};

pub(super) async fn answer(call: Decoded<DeleteRecordsRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    let wanted = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| OfPartition {
            topic: TopicRef::Name(topic.name.clone()),
            partition: partition.partition_index,
            asked: partition.offset,
        })
    });
    let mut answers = node.delete_records(&caller, wanted.collect()).await.into_iter();
    let topics = request.topics.into_iter().map(|topic| DeleteRecordsTopicResult {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .zip(&mut answers)
            .map(|(partition, answer)| {
                let (low_watermark, error) = match answer {
                    Ok(start) => (start.as_i64(), ErrorCode::None),
                    Err(error) => (-1, partition_error(&error)),
                };
                DeleteRecordsPartitionResult {
                    partition_index: partition.partition_index,
                    low_watermark,
                    error_code: error.code(),
                }
            })
            .collect(),
    });
    reply(start, &DeleteRecordsResponse { topics: topics.collect(), ..DeleteRecordsResponse::default() })
}
