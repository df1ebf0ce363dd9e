//! CreatePartitions: topics grow, and never shrink.

use super::{Decoded, late, reply};
use crate::server::Reply;
use highwater_metadata::decide::{self, CreatePartitionsError as Refused};
use highwater_node::request::CreatePartitionsError;
use highwater_records::BrokerId;
use highwater_wire::{
    ErrorCode,
    messages::create_partitions::{
        CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
        CreatePartitionsTopicResult,
    },
};
use std::collections::BTreeMap;

pub(super) async fn answer(call: Decoded<CreatePartitionsRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for topic in &request.topics {
        *times.entry(topic.name.clone()).or_default() += 1;
    }
    let mut results = Vec::with_capacity(times.len());
    for (name, _) in times.iter().filter(|(_, times)| **times > 1) {
        results.push(failed(name.clone(), ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned()));
    }
    let wishes: Vec<_> = request
        .topics
        .into_iter()
        .filter(|topic| times.get(&topic.name) == Some(&1))
        .map(|topic| (topic.name.clone(), wish(topic)))
        .collect();
    let accepted = match late(request.timeout_ms) {
        true => Vec::new(),
        false => wishes.iter().map(|(_, wish)| wish.clone()).collect(),
    };
    let mut answers = node.create_partitions(&caller, accepted, request.validate_only).await.into_iter();
    for (name, _) in wishes {
        results.push(match answers.next() {
            Some(Ok(())) => CreatePartitionsTopicResult { name, ..CreatePartitionsTopicResult::default() },
            Some(Err(error)) => failed(name, code(&error), error.to_string()),
            None => failed(name, ErrorCode::RequestTimedOut, "the broker gave no answer in time".to_owned()),
        });
    }
    reply(start, &CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() })
}

/// What to ask of the node. A negative id becomes that of a broker that nobody is: it is refused in its turn.
fn wish(topic: CreatePartitionsTopic) -> decide::CreatePartitions {
    let broker = |id: i32| BrokerId(u32::try_from(id).unwrap_or(u32::MAX));
    let brokers = |ids: Vec<i32>| ids.into_iter().map(broker).collect();
    let assigned = |each: Vec<CreatePartitionsAssignment>| {
        each.into_iter().map(|assignment| brokers(assignment.broker_ids)).collect()
    };
    let assignments = topic.assignments.map(assigned);
    decide::CreatePartitions { topic: topic.name, count: topic.count, assignments }
}

fn failed(name: String, code: ErrorCode, message: String) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult { name, error_code: code.code(), error_message: Some(message) }
}

fn code(error: &CreatePartitionsError) -> ErrorCode {
    match error {
        CreatePartitionsError::Refused(refused) => match refused {
            Refused::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
            Refused::Already(_) | Refused::NotAnIncrease { .. } => ErrorCode::InvalidPartitions,
            Refused::TooMany(_) => ErrorCode::PolicyViolation,
            Refused::AssignmentCount { .. } | Refused::InvalidAssignment(_) => {
                ErrorCode::InvalidReplicaAssignment
            }
            Refused::TooFewBrokers { .. } => ErrorCode::InvalidReplicationFactor,
        },
        CreatePartitionsError::Internal => ErrorCode::PolicyViolation,
        CreatePartitionsError::Unavailable(_) => ErrorCode::RequestTimedOut,
    }
}
