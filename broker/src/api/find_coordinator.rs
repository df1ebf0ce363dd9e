//! FindCoordinator: there are no coordinators yet, and the answer says so.

use super::{Decoded, reply};
use crate::server::Reply;
use highwater_wire::{
    ErrorCode,
    messages::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse},
};

pub(super) fn answer(call: Decoded<FindCoordinatorRequest>) -> Reply {
    reply(call.start, &respond(call.start.api_version, call.request))
}

fn respond(version: i16, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let what = match request.key_type {
        0 => "consumer groups: assign partitions by hand and leave group.id unset",
        1 => "transactions: leave transactional.id unset",
        _ => "share groups",
    };
    let message = Some(format!("this broker does not serve {what}"));
    let error_code = ErrorCode::UnsupportedVersion.code();
    // Whoever reads a node despite the error must not find a broker there: -1.
    if version < 4 {
        let (node_id, port) = (-1, -1);
        return FindCoordinatorResponse {
            error_code,
            error_message: message,
            node_id,
            port,
            ..FindCoordinatorResponse::default()
        };
    }
    let refused = |key| Coordinator {
        key,
        node_id: -1,
        port: -1,
        error_code,
        error_message: message.clone(),
        ..Coordinator::default()
    };
    FindCoordinatorResponse {
        coordinators: request.coordinator_keys.into_iter().map(refused).collect(),
        ..FindCoordinatorResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_or_many_are_told_the_same() {
        let one = respond(3, FindCoordinatorRequest { key: "g".into(), ..FindCoordinatorRequest::default() });
        assert_eq!((one.error_code, one.node_id, one.port), (35, -1, -1));
        assert!(one.error_message.unwrap().contains("group.id"));
        let coordinator_keys = vec!["a".to_owned(), "b".to_owned()];
        let many = respond(
            4,
            FindCoordinatorRequest { key_type: 1, coordinator_keys, ..FindCoordinatorRequest::default() },
        );
        let keys: Vec<_> =
            many.coordinators.iter().map(|found| (found.key.as_str(), found.error_code)).collect();
        assert_eq!(keys, [("a", 35), ("b", 35)]);
        assert!(many.coordinators[0].error_message.as_ref().unwrap().contains("transactional.id"));
    }
}
