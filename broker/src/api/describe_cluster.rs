//! DescribeCluster: the brokers.

use super::{Decoded, metadata::asked, operations, reply};
use crate::server::Reply;
use highwater_wire::{
    ErrorCode,
    messages::describe_cluster::{DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse},
};

/// Kafka's numbers for kinds of endpoints.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(super) fn answer(call: Decoded<DescribeClusterRequest>) -> Reply {
    let Decoded { node, start, request, .. } = call;
    let refused = match request.endpoint_type {
        BROKERS => None,
        CONTROLLERS => Some((ErrorCode::MismatchedEndpointType, "this is a broker's endpoint")),
        _ => Some((ErrorCode::UnsupportedEndpointType, "endpoints are those of brokers (1)")),
    };
    if let Some((code, message)) = refused {
        let response = DescribeClusterResponse {
            error_code: code.code(),
            error_message: Some(message.to_owned()),
            ..DescribeClusterResponse::default()
        };
        return reply(start, &response);
    }
    let image = node.image();
    let brokers = image.brokers().iter().filter_map(|(id, broker)| {
        let endpoint = broker.endpoints.first()?;
        Some(DescribeClusterBroker {
            broker_id: id.0.cast_signed(),
            host: endpoint.host.clone(),
            port: i32::from(endpoint.port),
            rack: broker.rack.clone(),
            is_fenced: false,
        })
    });
    let response = DescribeClusterResponse {
        cluster_id: image.cluster_id().unwrap_or_default().to_owned(),
        controller_id: node.controller().unwrap_or(node.broker_id()).0.cast_signed(),
        brokers: brokers.collect(),
        cluster_authorized_operations: asked(
            request.include_cluster_authorized_operations,
            operations::CLUSTER,
        ),
        ..DescribeClusterResponse::default()
    };
    reply(start, &response)
}
