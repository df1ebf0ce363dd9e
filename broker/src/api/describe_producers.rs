//! DescribeProducers: who writes to a partition, and whose transaction is open.

use super::{Decoded, partition_error, reply};
use crate::server::Reply;
use highwater_metadata::decide::check_topic_name;
use highwater_node::request::{ActiveProducer, OfPartition, PartitionError, TopicRef};
use highwater_wire::{
    ErrorCode,
    messages::describe_producers::{
        DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
    },
};

pub(super) async fn answer(call: Decoded<DescribeProducersRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    let wanted = request.topics.iter().flat_map(|topic| {
        topic.partition_indexes.iter().map(|partition| OfPartition {
            topic: TopicRef::Name(topic.name.clone()),
            partition: *partition,
            asked: (),
        })
    });
    let mut answers = node.describe_producers(&caller, wanted.collect()).await.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        let possible = check_topic_name(&topic.name).is_ok();
        let each = topic.partition_indexes.into_iter().zip(&mut answers);
        let partitions = each.map(|(index, answer)| match possible {
            true => partition(index, answer),
            false => PartitionResponse {
                partition_index: index,
                error_code: ErrorCode::InvalidTopicException.code(),
                ..PartitionResponse::default()
            },
        });
        TopicResponse { partitions: partitions.collect(), name: topic.name }
    });
    let topics = topics.collect();
    reply(start, &DescribeProducersResponse { topics, ..DescribeProducersResponse::default() })
}

fn partition(index: i32, answer: Result<Vec<ActiveProducer>, PartitionError>) -> PartitionResponse {
    let empty = PartitionResponse { partition_index: index, ..PartitionResponse::default() };
    match answer {
        Ok(producers) => {
            PartitionResponse { active_producers: producers.into_iter().map(producer).collect(), ..empty }
        }
        Err(error) => PartitionResponse {
            error_code: partition_error(&error).code(),
            error_message: Some(error.to_string()),
            ..empty
        },
    }
}

fn producer(producer: ActiveProducer) -> ProducerState {
    ProducerState {
        producer_id: producer.id.0.cast_signed(),
        producer_epoch: i32::from(producer.epoch),
        last_sequence: producer.last_sequence.unwrap_or(-1),
        last_timestamp: producer.last_timestamp.0,
        coordinator_epoch: producer.coordinator_epoch.map_or(-1, u32::cast_signed),
        current_txn_start_offset: producer.transaction_start.map_or(-1, |offset| offset.as_i64()),
    }
}
