//! ElectLeaders: leadership goes back to preferred replicas, or to anybody where nobody leads.

use super::{Decoded, late, reply};
use crate::server::Reply;
use highwater_metadata::decide::{ElectError, ElectionType};
use highwater_node::{LeadershipError, Node, request::Caller};
use highwater_records::{PartitionIndex, TopicIdPartition};
use highwater_wire::{
    ErrorCode,
    messages::elect_leaders::{
        ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult, TopicPartitions,
    },
};

pub(super) async fn answer(call: Decoded<ElectLeadersRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    if request.topic_partitions.as_ref().is_some_and(Vec::is_empty) {
        return reply(start, &ElectLeadersResponse::default());
    }
    if late(request.timeout_ms) {
        return reply(start, &refused(request, ErrorCode::RequestTimedOut, "no time is left for it"));
    }
    let election = match request.election_type {
        0 => ElectionType::Preferred,
        1 => ElectionType::Unclean,
        other => {
            let message = format!("there is no election of type {other}");
            return reply(start, &refused(request, ErrorCode::InvalidRequest, &message));
        }
    };
    let asked_for_all = request.topic_partitions.is_none();
    let wanted = request.topic_partitions.unwrap_or_else(|| all(&node));
    let mut results = Vec::with_capacity(wanted.len());
    for TopicPartitions { topic, partitions } in wanted {
        let mut partition_result = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let result = elect(&node, &caller, &topic, partition, election).await;
            if !(asked_for_all && result.error_code == ErrorCode::ElectionNotNeeded.code()) {
                partition_result.push(result);
            }
        }
        results.push(ReplicaElectionResult { topic, partition_result });
    }
    reply(
        start,
        &ElectLeadersResponse { replica_election_results: results, ..ElectLeadersResponse::default() },
    )
}

fn all(node: &Node) -> Vec<TopicPartitions> {
    let image = node.image();
    let topics = image.topics().map(|topic| TopicPartitions {
        topic: topic.name.to_string(),
        partitions: topic.numbered().map(|(index, _)| index.0.cast_signed()).collect(),
    });
    topics.collect()
}

async fn elect(
    node: &Node,
    caller: &Caller,
    topic: &str,
    partition: i32,
    election: ElectionType,
) -> PartitionResult {
    let id = node.image().topic_named(topic).map(|topic| topic.id);
    let elected = match id.zip(u32::try_from(partition).ok()) {
        None => Err(LeadershipError::Refused(ElectError::UnknownPartition)),
        Some((topic_id, index)) => {
            let at = TopicIdPartition { topic_id, partition: PartitionIndex(index) };
            node.elect_leader(caller, at, election).await
        }
    };
    let (code, message) = match elected {
        Ok(()) => (ErrorCode::None, None),
        Err(error) => (code(&error), Some(error.to_string())),
    };
    PartitionResult { partition_id: partition, error_code: code.code(), error_message: message }
}

fn code(error: &LeadershipError<ElectError>) -> ErrorCode {
    match error {
        LeadershipError::Refused(refused) => match refused {
            ElectError::UnknownPartition => ErrorCode::UnknownTopicOrPartition,
            ElectError::NotNeeded => ErrorCode::ElectionNotNeeded,
            ElectError::PreferredNotAvailable => ErrorCode::PreferredLeaderNotAvailable,
            ElectError::NobodyAvailable => ErrorCode::EligibleLeadersNotAvailable,
        },
        LeadershipError::Unavailable(_) => ErrorCode::RequestTimedOut,
    }
}

/// The same of all that was asked: as in Kafka every partition that was named has the error, too.
fn refused(request: ElectLeadersRequest, code: ErrorCode, message: &str) -> ElectLeadersResponse {
    let code = code.code();
    let result = |partition_id| PartitionResult {
        partition_id,
        error_code: code,
        error_message: Some(message.to_owned()),
    };
    let results =
        request.topic_partitions.unwrap_or_default().into_iter().map(|topic| ReplicaElectionResult {
            topic: topic.topic,
            partition_result: topic.partitions.into_iter().map(result).collect(),
        });
    ElectLeadersResponse {
        error_code: code,
        replica_election_results: results.collect(),
        ..ElectLeadersResponse::default()
    }
}
