//! ListConfigResources: what has a configuration.

use super::{Decoded, reply};
use crate::server::Reply;
use highwater_wire::{
    ErrorCode,
    messages::list_config_resources::{
        ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
    },
};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// All kinds that Kafka lists; of metrics of clients there are none here.
const KINDS: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

pub(super) fn answer(call: Decoded<ListConfigResourcesRequest>) -> Reply {
    let Decoded { node, start, request, .. } = call;
    let kinds: Vec<i8> = match start.api_version {
        0 => vec![CLIENT_METRICS],
        _ if request.resource_types.is_empty() => KINDS.to_vec(),
        _ => request.resource_types,
    };
    if kinds.iter().any(|kind| !KINDS.contains(kind)) {
        let error_code = ErrorCode::UnsupportedVersion.code();
        let response = ListConfigResourcesResponse { error_code, ..ListConfigResourcesResponse::default() };
        return reply(start, &response);
    }
    let image = node.image();
    let mut config_resources = Vec::new();
    let mut list = |resource_type: i8, resource_name: String| {
        config_resources.push(ConfigResource { resource_name, resource_type });
    };
    if kinds.contains(&TOPIC) {
        image.topics().for_each(|topic| list(TOPIC, topic.name.clone()));
    }
    for kind in [BROKER, BROKER_LOGGER] {
        if kinds.contains(&kind) {
            image.brokers().keys().for_each(|id| list(kind, id.to_string()));
        }
    }
    if kinds.contains(&GROUP) {
        image.configured_groups().for_each(|name| list(GROUP, name.to_owned()));
    }
    reply(start, &ListConfigResourcesResponse { config_resources, ..ListConfigResourcesResponse::default() })
}
