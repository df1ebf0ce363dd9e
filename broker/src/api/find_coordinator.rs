//! FindCoordinator: which broker coordinates a group or a transactional id. The first question creates
//! `__consumer_offsets` or `__transaction_state`.

use super::{Decoded, group_codes::code, reply};
use crate::server::Reply;
use highwater_coordinator::GroupError;
use highwater_node::{CoordinatorKey, Endpoint};
use highwater_records::BrokerId;
use highwater_wire::{
    ErrorCode,
    messages::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse},
};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(super) async fn answer(call: Decoded<FindCoordinatorRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    let asked = if start.api_version < 4 { vec![request.key] } else { request.coordinator_keys };
    let key_of = match request.key_type {
        GROUP => Some(CoordinatorKey::Group as fn(String) -> CoordinatorKey),
        TRANSACTION => Some(CoordinatorKey::Transaction as fn(String) -> CoordinatorKey),
        _ => None,
    };
    let coordinators = if let Some(key_of) = key_of {
        let keys: Vec<_> = asked.iter().cloned().map(key_of).collect();
        let found = node.find_coordinators(&caller, &keys).await;
        asked.into_iter().zip(found).map(|(key, found)| coordinator(key, found)).collect()
    } else {
        asked.into_iter().map(refused).collect()
    };
    reply(start, &respond(start.api_version, coordinators))
}

fn respond(version: i16, mut coordinators: Vec<Coordinator>) -> FindCoordinatorResponse {
    if version >= 4 {
        return FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() };
    }
    let only = coordinators.pop().unwrap_or_default();
    FindCoordinatorResponse {
        error_code: only.error_code,
        error_message: only.error_message,
        node_id: only.node_id,
        host: only.host,
        port: only.port,
        ..FindCoordinatorResponse::default()
    }
}

fn coordinator(key: String, found: Result<(BrokerId, Endpoint), GroupError>) -> Coordinator {
    match found {
        Ok((broker, endpoint)) => Coordinator {
            key,
            node_id: broker.0.cast_signed(),
            host: endpoint.host,
            port: i32::from(endpoint.port),
            error_message: Some(String::new()),
            ..Coordinator::default()
        },
        Err(error) => nobody(key, code(error), error.to_string()),
    }
}

fn refused(key: String) -> Coordinator {
    nobody(
        key,
        ErrorCode::InvalidRequest,
        "this broker coordinates groups (0) and transactions (1)".to_owned(),
    )
}

/// Whoever reads a node despite the error must not find a broker there: -1.
fn nobody(key: String, error: ErrorCode, message: String) -> Coordinator {
    Coordinator {
        key,
        node_id: -1,
        port: -1,
        error_code: error.code(),
        error_message: Some(message),
        ..Coordinator::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_or_many_are_told_the_same() {
        let one = respond(3, vec![refused("t".into())]);
        assert_eq!((one.error_code, one.node_id, one.port), (42, -1, -1));
        assert!(one.error_message.unwrap().contains("transactions (1)"));
        let endpoint = Endpoint { host: "here".into(), port: 9092 };
        let found = vec![
            coordinator("a".into(), Ok((BrokerId(3), endpoint))),
            coordinator("b".into(), Err(GroupError::NotAvailable)),
        ];
        let many = respond(4, found);
        let keys: Vec<_> = many
            .coordinators
            .iter()
            .map(|found| (found.key.as_str(), found.error_code, found.node_id, found.port))
            .collect();
        assert_eq!(keys, [("a", 0, 3, 9092), ("b", 15, -1, -1)]);
    }
}
