//! AlterConfigs: the whole configuration of a resource at once. What both it and IncrementalAlterConfigs need is here.

use super::{Decoded, reply};
use crate::server::Reply;
use highwater_metadata::decide::{self, ConfigChange, ConfigTarget, check_topic_name};
use highwater_node::{
    Node,
    request::{AlterConfigsError, Caller},
};
use highwater_records::BrokerId;
use highwater_wire::{
    ErrorCode,
    messages::alter_configs::{
        AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse,
    },
};
use std::collections::BTreeMap;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;

/// Why a resource was not altered.
pub(super) type Failure = (ErrorCode, String);

/// A resource as a request names it, and what shall become of it.
pub(super) struct Wish {
    pub(super) kind: i8,
    pub(super) name: String,
    pub(super) change: Result<ConfigChange, Failure>,
}

pub(super) async fn answer(call: Decoded<AlterConfigsRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    let wishes = request.resources.into_iter().map(wish).collect();
    let answers = alter(&node, &caller, wishes, request.validate_only).await;
    let responses = answers.into_iter().map(|(resource_type, resource_name, failure)| {
        let (code, error_message) = told(failure);
        AlterConfigsResourceResponse { error_code: code.code(), error_message, resource_type, resource_name }
    });
    let responses = responses.collect();
    reply(start, &AlterConfigsResponse { responses, ..AlterConfigsResponse::default() })
}

fn wish(resource: AlterConfigsResource) -> Wish {
    let mut values = BTreeMap::new();
    let mut change = Ok(());
    for config in resource.configs {
        let Some(value) = config.value else {
            change = Err(null_value(&config.name));
            continue;
        };
        if values.insert(config.name, value).is_some() {
            change = Err(duplicate_key());
        }
    }
    let change = change.map(|()| ConfigChange::Whole(values));
    Wish { kind: resource.resource_type, name: resource.resource_name, change }
}

pub(super) fn null_value(key: &str) -> Failure {
    (ErrorCode::InvalidRequest, format!("Null value not supported for : {key}"))
}

pub(super) fn duplicate_key() -> Failure {
    (ErrorCode::InvalidRequest, "Error due to duplicate config keys".to_owned())
}

/// The code and the message of a response.
pub(super) fn told(failure: Option<Failure>) -> (ErrorCode, Option<String>) {
    match failure {
        None => (ErrorCode::None, None),
        Some((code, message)) => (code, Some(message)),
    }
}

/// Asks the node for what can be asked, and answers in the order of the request.
pub(super) async fn alter(
    node: &Node,
    caller: &Caller,
    wishes: Vec<Wish>,
    validate_only: bool,
) -> Vec<(i8, String, Option<Failure>)> {
    let mut times: BTreeMap<(i8, String), usize> = BTreeMap::new();
    for wish in &wishes {
        *times.entry((wish.kind, wish.name.clone())).or_default() += 1;
    }
    let mut changes = Vec::new();
    let mut answers = Vec::with_capacity(wishes.len());
    for Wish { kind, name, change } in wishes {
        let once = times.get(&(kind, name.clone())) == Some(&1);
        let prepared = match change {
            _ if !once => {
                Err((ErrorCode::InvalidRequest, "Each resource must appear at most once.".to_owned()))
            }
            Err(failure) => Err(failure),
            Ok(change) => target(kind, &name).map(|target| (target, change)),
        };
        let failure = match prepared {
            Ok(change) => {
                changes.push((answers.len(), change));
                None
            }
            Err(failure) => Some(failure),
        };
        answers.push((kind, name, failure));
    }
    let (places, changes): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
    let done = node.alter_configs(caller, changes, validate_only).await;
    for (place, done) in places.into_iter().zip(done) {
        answers[place].2 = done.err().map(|error| (code(answers[place].0, &error), error.to_string()));
    }
    answers
}

fn target(kind: i8, name: &str) -> Result<ConfigTarget, Failure> {
    match kind {
        TOPIC if name.is_empty() => {
            Err((ErrorCode::InvalidRequest, "Default topic resources are not allowed.".to_owned()))
        }
        TOPIC => match check_topic_name(name) {
            Ok(()) => Ok(ConfigTarget::Topic(name.to_owned())),
            Err(error) => Err((ErrorCode::InvalidTopicException, error.to_string())),
        },
        BROKER if name.is_empty() => Ok(ConfigTarget::Brokers),
        BROKER => match name.parse() {
            Ok(id) => Ok(ConfigTarget::Broker(BrokerId(id))),
            Err(_) => {
                let message = format!("Node id must be an integer, but it is: {name}");
                Err((ErrorCode::InvalidRequest, message))
            }
        },
        GROUP if name.is_empty() => {
            Err((ErrorCode::InvalidRequest, "Default group resources are not allowed.".to_owned()))
        }
        GROUP => Ok(ConfigTarget::Group(name.to_owned())),
        other => {
            let message = format!(
                "resources of type {other} have no configuration here; topics (2), brokers (4) and groups (32) have"
            );
            Err((ErrorCode::InvalidRequest, message))
        }
    }
}

fn code(kind: i8, error: &AlterConfigsError) -> ErrorCode {
    match error {
        AlterConfigsError::Refused(decide::AlterConfigsError::UnknownTopic(_)) => {
            ErrorCode::UnknownTopicOrPartition
        }
        // Kafka tells the two apart so, and says itself that it should not (KAFKA-13609).
        AlterConfigsError::Refused(decide::AlterConfigsError::InvalidConfig(_)) if kind == BROKER => {
            ErrorCode::InvalidRequest
        }
        AlterConfigsError::Refused(decide::AlterConfigsError::InvalidConfig(_)) => ErrorCode::InvalidConfig,
        AlterConfigsError::InvalidRequest(_) => ErrorCode::InvalidRequest,
        AlterConfigsError::Unavailable(_) => ErrorCode::RequestTimedOut,
    }
}
