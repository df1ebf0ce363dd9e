//! TxnOffsetCommit: offsets that count once a transaction is committed. From version 5 on the group joins the transaction
//! by it (KIP-890); below, AddOffsetsToTxn has come before.

use super::{Decoded, exists, group_codes, reply, transaction_codes};
use crate::server::Step;
use highwater_coordinator::{
    AddPartitions, CommitOffsets, CommitPartition, CommitTopic, Transaction, TransactionError,
};
use highwater_records::{ProducerEpoch, ProducerId, TopicId};
use highwater_wire::{
    ErrorCode,
    messages::txn_offset_commit::{
        TxnOffsetCommitRequest, TxnOffsetCommitRequestTopic, TxnOffsetCommitResponse,
        TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
    },
};

const JOINS_SINCE: i16 = 5;

pub(super) fn answer(call: Decoded<TxnOffsetCommitRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
    let image = node.image();
    let mut topics = request.topics;
    let asked: Vec<Asked> = topics
        .iter()
        .map(|topic| {
            let indexes = topic.partitions.iter().map(|partition| partition.partition_index);
            let known = indexes.map(|index| (index, exists(&image, &topic.name, index)));
            (topic.name.clone(), known.collect())
        })
        .collect();
    // As in Kafka, what is about nothing that there is does not trouble the coordinators.
    for topic in &mut topics {
        topic.partitions.retain(|partition| exists(&image, &topic.name, partition.partition_index));
    }
    topics.retain(|topic| !topic.partitions.is_empty());
    if topics.is_empty() {
        return Step::Now(reply(start, &respond(asked, |_| ErrorCode::UnknownServerError)));
    }
    let refused = match request.group_id.is_empty() {
        true => Some(ErrorCode::InvalidGroupId),
        // No producer has a negative id.
        false => (request.producer_id < 0).then_some(ErrorCode::InvalidProducerIdMapping),
    };
    if let Some(code) = refused {
        return Step::Now(reply(start, &respond(asked, |_| code)));
    }
    Step::Later(Box::pin(async move {
        let join = AddPartitions {
            id: request.transactional_id,
            producer_id: request.producer_id,
            producer_epoch: request.producer_epoch,
            partitions: Vec::new(),
            verify_only: start.api_version < JOINS_SINCE,
        };
        // No producer has a negative epoch either, but whose it is comes first.
        let Ok(epoch) = u16::try_from(request.producer_epoch) else {
            let added = node.add_offsets_to_transaction(&caller, &request.group_id, join).await;
            let error = added.err().unwrap_or(TransactionError::Fenced);
            return reply(start, &respond(asked, |_| transaction_codes::code(error, false)));
        };
        let transaction = Transaction {
            producer: ProducerId(request.producer_id.cast_unsigned()),
            epoch: ProducerEpoch(epoch),
        };
        let commit = CommitOffsets {
            group: request.group_id,
            member: request.member_id,
            instance: request.group_instance_id,
            generation: request.generation_id,
            retention_ms: None,
            knows_group_not_found: false,
            transaction: Some(transaction),
            topics: topics.into_iter().map(topic).collect(),
        };
        let response = match node.commit_transactional_offsets(&caller, join, commit).await {
            Ok(Ok(each)) => {
                let mut each = each.into_iter();
                respond(asked, |_| match each.next() {
                    Some(Ok(())) => ErrorCode::None,
                    Some(Err(error)) => group_codes::code(error),
                    None => ErrorCode::UnknownServerError,
                })
            }
            Ok(Err(error)) => respond(asked, |_| group_codes::code(error)),
            Err(error) => {
                let code = match error {
                    // The group was not in the transaction, or the transaction is over.
                    TransactionError::NotInTransaction if start.api_version < JOINS_SINCE - 1 => {
                        ErrorCode::InvalidTxnState
                    }
                    error => transaction_codes::code(error, false),
                };
                respond(asked, |_| code)
            }
        };
        reply(start, &response)
    }))
}

fn topic(topic: TxnOffsetCommitRequestTopic) -> CommitTopic {
    let partitions = topic.partitions.into_iter().map(|partition| CommitPartition {
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.unwrap_or_default(),
    });
    CommitTopic { name: topic.name, id: TopicId::ZERO, partitions: partitions.collect() }
}

/// A topic, and its partitions with whether there are such.
type Asked = (String, Vec<(i32, bool)>);

/// `code` says how it went with each partition that there is.
fn respond(asked: Vec<Asked>, mut code: impl FnMut(i32) -> ErrorCode) -> TxnOffsetCommitResponse {
    let mut topics = Vec::with_capacity(asked.len());
    for (name, indexes) in asked {
        let partitions = indexes.into_iter().map(|(partition_index, known)| {
            let error = if known { code(partition_index) } else { ErrorCode::UnknownTopicOrPartition };
            TxnOffsetCommitResponsePartition { partition_index, error_code: error.code() }
        });
        topics.push(TxnOffsetCommitResponseTopic { name, partitions: partitions.collect() });
    }
    TxnOffsetCommitResponse { topics, ..TxnOffsetCommitResponse::default() }
}
