//! CreateTopics.

use super::{Decoded, late, reply};
use crate::server::Reply;
use highwater_node::request::{ConfigEntry, CreateTopic, CreateTopicError, CreatedTopic};
use highwater_wire::{
    ErrorCode,
    messages::create_topics::{
        CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
        CreateTopicsResponse,
    },
};
use std::collections::BTreeMap;

pub(super) async fn answer(call: Decoded<CreateTopicsRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    let (names, wanted): (Vec<_>, Vec<_>) = plan(request.topics).into_iter().unzip();
    // What is refused already does not trouble the node; the answers keep the order of the request.
    let accepted = match late(request.timeout_ms) {
        true => Vec::new(),
        false => wanted.iter().filter_map(|topic| topic.as_ref().ok()).cloned().collect(),
    };
    let mut answers = node.create_topics(&caller, accepted, request.validate_only).await.into_iter();
    let topics = names.into_iter().zip(wanted).map(|(name, topic)| {
        let answer = match topic {
            Ok(_) => answers.next().unwrap_or_else(no_answer),
            Err(refused) => Err(refused),
        };
        result(name, answer)
    });
    reply(start, &CreateTopicsResponse { topics: topics.collect(), ..CreateTopicsResponse::default() })
}

fn no_answer() -> Result<CreatedTopic, CreateTopicError> {
    Err(CreateTopicError::Unavailable("the broker gave no answer in time".to_owned()))
}

/// What to ask of the node, or why not to ask; each name once.
fn plan(topics: Vec<CreatableTopic>) -> Vec<(String, Result<CreateTopic, CreateTopicError>)> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for topic in &topics {
        *times.entry(topic.name.clone()).or_default() += 1;
    }
    let mut plan = Vec::with_capacity(topics.len());
    for topic in topics {
        match times.remove(&topic.name) {
            Some(1) => plan.push((topic.name.clone(), Ok(wanted(topic)))),
            Some(_) => {
                let error = CreateTopicError::InvalidRequest("the request names this topic twice".to_owned());
                plan.push((topic.name, Err(error)));
            }
            None => {}
        }
    }
    plan
}

fn wanted(topic: CreatableTopic) -> CreateTopic {
    let mut assignments = BTreeMap::new();
    for assignment in topic.assignments {
        if assignments.insert(assignment.partition_index, assignment.broker_ids).is_some() {
            // No partition has this number: an assignment with it is refused, in its turn behind the topic's name.
            assignments.insert(-1, Vec::new());
        }
    }
    CreateTopic {
        name: topic.name,
        partitions: (topic.num_partitions != -1).then_some(topic.num_partitions),
        replication_factor: (topic.replication_factor != -1).then_some(topic.replication_factor),
        assignments,
        configs: topic.configs.into_iter().map(|config| (config.name, config.value)).collect(),
    }
}

fn result(name: String, answer: Result<CreatedTopic, CreateTopicError>) -> CreatableTopicResult {
    match answer {
        Ok(created) => CreatableTopicResult {
            name,
            topic_id: created.id,
            num_partitions: created.partitions,
            replication_factor: created.replication_factor,
            configs: Some(created.configs.into_iter().map(config).collect()),
            ..CreatableTopicResult::default()
        },
        Err(error) => CreatableTopicResult {
            name,
            error_code: code(&error).code(),
            error_message: Some(error.to_string()),
            configs: Some(Vec::new()),
            ..CreatableTopicResult::default()
        },
    }
}

fn config(entry: ConfigEntry) -> CreatableTopicConfigs {
    CreatableTopicConfigs {
        name: entry.name,
        value: entry.value,
        read_only: entry.read_only,
        config_source: entry.source,
        is_sensitive: entry.sensitive,
    }
}

fn code(error: &CreateTopicError) -> ErrorCode {
    match error {
        CreateTopicError::AlreadyExists(_) => ErrorCode::TopicAlreadyExists,
        CreateTopicError::InvalidName(_) => ErrorCode::InvalidTopicException,
        CreateTopicError::InvalidPartitions(_) => ErrorCode::InvalidPartitions,
        CreateTopicError::TooManyPartitions => ErrorCode::PolicyViolation,
        CreateTopicError::InvalidReplicationFactor(_) => ErrorCode::InvalidReplicationFactor,
        CreateTopicError::InvalidAssignment(_) => ErrorCode::InvalidReplicaAssignment,
        CreateTopicError::InvalidConfig(_) => ErrorCode::InvalidConfig,
        CreateTopicError::InvalidRequest(_) => ErrorCode::InvalidRequest,
        CreateTopicError::Unavailable(_) => ErrorCode::RequestTimedOut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use highwater_wire::messages::create_topics::CreatableReplicaAssignment;

    fn topic(name: &str) -> CreatableTopic {
        CreatableTopic {
            name: name.into(),
            num_partitions: -1,
            replication_factor: -1,
            ..CreatableTopic::default()
        }
    }

    #[test]
    fn a_topic_named_twice_is_refused_once_and_the_others_are_not() {
        let plan = plan(vec![topic("a"), topic("b"), topic("a")]);
        let names: Vec<_> = plan.iter().map(|(name, topic)| (name.as_str(), topic.is_ok())).collect();
        assert_eq!(names, [("a", false), ("b", true)]);
        assert_eq!(code(plan[0].1.as_ref().unwrap_err()), ErrorCode::InvalidRequest);
    }

    #[test]
    fn an_assignment_that_repeats_a_partition_has_one_that_cannot_be() {
        let one = CreatableReplicaAssignment { partition_index: 0, broker_ids: vec![1] };
        let assigned = CreatableTopic { assignments: vec![one.clone()], ..topic("a") };
        let planned = wanted(assigned);
        assert_eq!((planned.partitions, planned.assignments[&0].as_slice()), (None, &[1][..]));
        let twice = CreatableTopic { assignments: vec![one.clone(), one], ..topic("a") };
        assert!(wanted(twice).assignments.contains_key(&-1));
    }
}
