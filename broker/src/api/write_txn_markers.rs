//! WriteTxnMarkers: transactions end in partitions, because their coordinator says so, or an operator of one that hangs.

use super::{Decoded, reply};
use crate::server::Step;
use highwater_node::{
    MarkerEpoch,
    request::{EndTransaction, ProduceError, TopicRef},
};
use highwater_records::{ProducerEpoch, ProducerId, batch::EndTxnMarker};
use highwater_wire::{
    ErrorCode,
    messages::write_txn_markers::{
        WritableTxnMarker, WritableTxnMarkerPartitionResult, WritableTxnMarkerResult,
        WritableTxnMarkerTopicResult, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
    },
};

/// The protocol of transactions whose epoch grows each time.
const BUMPING: i8 = 2;

pub(super) fn answer(call: Decoded<WriteTxnMarkersRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
    Step::Later(Box::pin(async move {
        let mut markers = Vec::with_capacity(request.markers.len());
        for marker in request.markers {
            let answers = match requests(&marker) {
                Some(requests) => node
                    .write_markers(&caller, requests)
                    .await
                    .into_iter()
                    .map(|answer| answer.err().map_or(ErrorCode::None, |error| code(&error)))
                    .collect(),
                None => Vec::new(),
            };
            markers.push(result(marker, answers));
        }
        reply(start, &WriteTxnMarkersResponse { markers })
    }))
}

/// What to ask of the node; `None` for ids and epochs that nobody can have.
fn requests(marker: &WritableTxnMarker) -> Option<Vec<EndTransaction>> {
    let producer_id = ProducerId(u64::try_from(marker.producer_id).ok()?);
    let producer_epoch = ProducerEpoch(u16::try_from(marker.producer_epoch).ok()?);
    let coordinator_epoch = u32::try_from(marker.coordinator_epoch).ok()?;
    let rule = match marker.transaction_version {
        BUMPING.. => MarkerEpoch::Newer,
        _ => MarkerEpoch::SameOrNewer,
    };
    let partitions = marker.topics.iter().flat_map(|topic| {
        topic.partition_indexes.iter().map(|partition| EndTransaction {
            topic: TopicRef::Name(topic.name.clone()),
            partition: *partition,
            producer_id,
            producer_epoch,
            marker: EndTxnMarker { committed: marker.transaction_result, coordinator_epoch },
            rule,
            attempt: None,
        })
    });
    Some(partitions.collect())
}

fn result(marker: WritableTxnMarker, answers: Vec<ErrorCode>) -> WritableTxnMarkerResult {
    let mut answers = answers.into_iter();
    let topics = marker.topics.into_iter().map(|topic| {
        let partition = |partition_index| WritableTxnMarkerPartitionResult {
            partition_index,
            error_code: answers.next().unwrap_or(ErrorCode::InvalidRequest).code(),
        };
        WritableTxnMarkerTopicResult {
            name: topic.name,
            partitions: topic.partition_indexes.into_iter().map(partition).collect(),
        }
    });
    WritableTxnMarkerResult { producer_id: marker.producer_id, topics: topics.collect() }
}

fn code(error: &ProduceError) -> ErrorCode {
    match error {
        ProduceError::UnknownTopicOrPartition | ProduceError::UnknownTopicId => {
            ErrorCode::UnknownTopicOrPartition
        }
        ProduceError::NotLeader => ErrorCode::NotLeaderOrFollower,
        ProduceError::InvalidProducerEpoch(_) => ErrorCode::InvalidProducerEpoch,
        ProduceError::CoordinatorFenced(_) => ErrorCode::TransactionCoordinatorFenced,
        ProduceError::NotEnoughReplicas => ErrorCode::NotEnoughReplicas,
        ProduceError::NotEnoughReplicasAfterAppend => ErrorCode::NotEnoughReplicasAfterAppend,
        ProduceError::TimedOut | ProduceError::OvertakenMarker => ErrorCode::RequestTimedOut,
        error => {
            tracing::warn!("marker: {error}");
            ErrorCode::KafkaStorageError
        }
    }
}
