//! IncrementalAlterConfigs: single keys of a resource.

use super::{
    Decoded,
    alter_configs::{Failure, Wish, alter, duplicate_key, null_value, told},
    reply,
};
use crate::server::Reply;
use highwater_metadata::decide::{ConfigChange, ConfigOperation};
use highwater_wire::{
    ErrorCode,
    messages::incremental_alter_configs::{
        AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig, IncrementalAlterConfigsRequest,
        IncrementalAlterConfigsResponse,
    },
};
use std::collections::BTreeMap;

pub(super) async fn answer(call: Decoded<IncrementalAlterConfigsRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    let wishes = request.resources.into_iter().map(wish).collect();
    let answers = alter(&node, &caller, wishes, request.validate_only).await;
    let responses = answers.into_iter().map(|(resource_type, resource_name, failure)| {
        let (code, error_message) = told(failure);
        AlterConfigsResourceResponse { error_code: code.code(), error_message, resource_type, resource_name }
    });
    let responses = responses.collect();
    reply(start, &IncrementalAlterConfigsResponse { responses, ..IncrementalAlterConfigsResponse::default() })
}

fn wish(resource: AlterConfigsResource) -> Wish {
    let mut operations = BTreeMap::new();
    let mut change = Ok(());
    for config in resource.configs {
        let name = config.name.clone();
        match operation(config) {
            Err(failure) => change = Err(failure),
            Ok(operation) => {
                if operations.insert(name, operation).is_some() {
                    change = Err(duplicate_key());
                }
            }
        }
    }
    let change = change.map(|()| ConfigChange::Incremental(operations));
    Wish { kind: resource.resource_type, name: resource.resource_name, change }
}

fn operation(config: AlterableConfig) -> Result<ConfigOperation, Failure> {
    match (config.config_operation, config.value) {
        (1, _) => Ok(ConfigOperation::Delete),
        (_, None) => Err(null_value(&config.name)),
        (0, Some(value)) => Ok(ConfigOperation::Set(value)),
        (2, Some(value)) => Ok(ConfigOperation::Append(value)),
        (3, Some(value)) => Ok(ConfigOperation::Subtract(value)),
        (other, _) => Err((ErrorCode::InvalidRequest, format!("Unknown operations type {other}"))),
    }
}
