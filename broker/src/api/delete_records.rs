//! DeleteRecords: partitions start later.

use std::{collections::BTreeMap, time::Duration};

use super::{Decoded, partition_error, reply};
use crate::server::Reply;
use highwater_node::request::{OfPartition, PartitionError, TopicRef};
use highwater_wire::{
    ErrorCode,
    messages::delete_records::{
        DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopicResult,
    },
};

pub(super) async fn answer(call: Decoded<DeleteRecordsRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    // Of a partition that is named twice the last offset counts.
    let mut asked: BTreeMap<String, BTreeMap<i32, i64>> = BTreeMap::new();
    for topic in request.topics {
        let partitions = topic.partitions.into_iter();
        let offsets = partitions.map(|partition| (partition.partition_index, partition.offset));
        asked.entry(topic.name).or_default().extend(offsets);
    }
    let wanted = asked.iter().flat_map(|(topic, partitions)| {
        partitions.iter().map(|(partition, offset)| OfPartition {
            topic: TopicRef::Name(topic.clone()),
            partition: *partition,
            asked: *offset,
        })
    });
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let mut answers = node.delete_records(&caller, timeout, wanted.collect()).await.into_iter();
    let topics = asked.into_iter().map(|(name, partitions)| {
        let results = partitions.into_keys().zip(&mut answers).map(|(partition_index, answer)| {
            let (low_watermark, error) = match answer {
                Ok(start) => (start.as_i64(), ErrorCode::None),
                Err(error @ PartitionError::TimedOut { log_start }) => {
                    (log_start.as_i64(), partition_error(&error))
                }
                Err(error) => (-1, partition_error(&error)),
            };
            DeleteRecordsPartitionResult { partition_index, low_watermark, error_code: error.code() }
        });
        DeleteRecordsTopicResult { name, partitions: results.collect() }
    });
    reply(start, &DeleteRecordsResponse { topics: topics.collect(), ..DeleteRecordsResponse::default() })
}
