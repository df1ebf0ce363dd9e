//! AddPartitionsToTxn: partitions join a transaction. From version 4 on brokers ask for many transactions at once.

use super::{Decoded, exists, reply, transaction_codes::code};
use crate::server::Step;
use highwater_coordinator::{AddPartitions, TransactionError};
use highwater_metadata::Image;
use highwater_wire::{
    ErrorCode,
    messages::add_partitions_to_txn::{
        AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
        AddPartitionsToTxnResult, AddPartitionsToTxnTopic, AddPartitionsToTxnTopicResult,
        AddPartitionsToTxnTransaction,
    },
};

const INTERNAL: [&str; 2] = ["__consumer_offsets", "__transaction_state"];
const BATCHED_SINCE: i16 = 4;
const FENCED_SINCE: i16 = 2;

pub(super) fn answer(call: Decoded<AddPartitionsToTxnRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
    let version = start.api_version;
    let transactions = if version >= BATCHED_SINCE {
        request.transactions
    } else {
        vec![AddPartitionsToTxnTransaction {
            transactional_id: request.v3_and_below_transactional_id,
            producer_id: request.v3_and_below_producer_id,
            producer_epoch: request.v3_and_below_producer_epoch,
            verify_only: false,
            topics: request.v3_and_below_topics,
        }]
    };
    Step::Later(Box::pin(async move {
        let mut results = Vec::with_capacity(transactions.len());
        for transaction in transactions {
            if let Some(topic_results) = refused(&node.image(), version, &transaction.topics) {
                let transactional_id = transaction.transactional_id;
                results.push(AddPartitionsToTxnResult { transactional_id, topic_results });
                continue;
            }
            let partitions = transaction
                .topics
                .iter()
                .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.name.clone(), *partition)));
            let add = AddPartitions {
                id: transaction.transactional_id.clone(),
                producer_id: transaction.producer_id,
                producer_epoch: transaction.producer_epoch,
                partitions: partitions.collect(),
                verify_only: transaction.verify_only,
            };
            let answers = node.add_to_transaction(&caller, add).await;
            results.push(AddPartitionsToTxnResult {
                transactional_id: transaction.transactional_id,
                topic_results: topics(transaction.topics, answers, version),
            });
        }
        let response = if version >= BATCHED_SINCE {
            AddPartitionsToTxnResponse {
                results_by_transaction: results,
                ..AddPartitionsToTxnResponse::default()
            }
        } else {
            let only = results.pop().unwrap_or_default();
            AddPartitionsToTxnResponse {
                results_by_topic_v3_and_below: only.topic_results,
                ..AddPartitionsToTxnResponse::default()
            }
        };
        reply(start, &response)
    }))
}

/// What is said of partitions of which one cannot be written to, before any coordinator is asked: of that one why, of
/// the others that nothing was tried. `None` when there is nothing to say.
fn refused(
    image: &Image,
    version: i16,
    topics: &[AddPartitionsToTxnTopic],
) -> Option<Vec<AddPartitionsToTxnTopicResult>> {
    let mut any = false;
    let mut result = |topic: &str, partition_index: i32| {
        let error = match exists(image, topic, partition_index) {
            // Nobody but brokers write to these, and those ask in the later versions.
            _ if version < BATCHED_SINCE && INTERNAL.contains(&topic) => ErrorCode::TopicAuthorizationFailed,
            false => ErrorCode::UnknownTopicOrPartition,
            true => ErrorCode::OperationNotAttempted,
        };
        any |= error != ErrorCode::OperationNotAttempted;
        AddPartitionsToTxnPartitionResult { partition_index, partition_error_code: error.code() }
    };
    let results = topics.iter().map(|topic| AddPartitionsToTxnTopicResult {
        name: topic.name.clone(),
        results_by_partition: topic.partitions.iter().map(|index| result(&topic.name, *index)).collect(),
    });
    let results = results.collect();
    any.then_some(results)
}

fn topics(
    asked: Vec<AddPartitionsToTxnTopic>,
    answers: Result<Vec<Result<(), TransactionError>>, TransactionError>,
    version: i16,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let (mut each, all) = match answers {
        Ok(each) => (each.into_iter(), Err(TransactionError::NotAvailable)),
        Err(error) => (Vec::new().into_iter(), Err(error)),
    };
    let mut result = |partition_index| {
        let error = match each.next().unwrap_or(all) {
            Ok(()) => ErrorCode::None,
            Err(error) => code(error, version >= FENCED_SINCE),
        };
        AddPartitionsToTxnPartitionResult { partition_index, partition_error_code: error.code() }
    };
    asked
        .into_iter()
        .map(|topic| AddPartitionsToTxnTopicResult {
            name: topic.name,
            results_by_partition: topic.partitions.into_iter().map(&mut result).collect(),
        })
        .collect()
}
