//! CreatePartitions: topics grow, and never shrink.

use super::{Decoded, reply};
use crate::server::Reply;
use highwater_metadata::decide::{self, CreatePartitionsError as Refused};
use highwater_node::request::CreatePartitionsError;
use highwater_records::BrokerId;
use highwater_wire::{
    ErrorCode,
    messages::create_partitions::{
        CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
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
    let accepted = wishes.iter().filter_map(|(_, wish)| wish.clone()).collect();
    let mut answers = node.create_partitions(&caller, accepted, request.validate_only).await.into_iter();
    for (name, wish) in wishes {
        let Some(_) = wish else {
            let message = "a broker id is negative".to_owned();
            results.push(failed(name, ErrorCode::InvalidReplicaAssignment, message));
            continue;
        };
        results.push(match answers.next() {
            Some(Ok(())) => CreatePartitionsTopicResult { name, ..CreatePartitionsTopicResult::default() },
            Some(Err(error)) => failed(name, code(&error), error.to_string()),
            None => failed(name, ErrorCode::RequestTimedOut, "the broker gave no answer".to_owned()),
        });
    }
    reply(start, &CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() })
}

/// What to ask of the node; `None` where an assignment names what can be no broker.
fn wish(topic: CreatePartitionsTopic) -> Option<decide::CreatePartitions> {
    let brokers = |ids: Vec<i32>| -> Option<Vec<BrokerId>> {
        ids.into_iter().map(|id| u32::try_from(id).ok().map(BrokerId)).collect()
    };
    let assignments = match topic.assignments {
        None => None,
        Some(assignments) => {
            let assigned = assignments.into_iter().map(|assignment| brokers(assignment.broker_ids));
            Some(assigned.collect::<Option<Vec<_>>>()?)
        }
    };
    Some(decide::CreatePartitions { topic: topic.name, count: topic.count, assignments })
}

fn failed(name: String, code: ErrorCode, message: String) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult { name, error_code: code.code(), error_message: Some(message) }
}

fn code(error: &CreatePartitionsError) -> ErrorCode {
    match error {
        CreatePartitionsError::Refused(refused) => match refused {
            Refused::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
            Refused::Already(_) | Refused::NotAnIncrease { .. } | Refused::TooMany(_) => {
                ErrorCode::InvalidPartitions
            }
            Refused::AssignmentCount { .. } | Refused::InvalidAssignment(_) => {
                ErrorCode::InvalidReplicaAssignment
            }
            Refused::TooFewBrokers { .. } => ErrorCode::InvalidReplicationFactor,
        },
        CreatePartitionsError::Unavailable(_) => ErrorCode::RequestTimedOut,
    }
}
