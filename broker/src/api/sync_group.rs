//! SyncGroup: the answer comes when the leader has spoken.

use super::{Decoded, group_codes::code, reply};
use crate::server::Step;
use highwater_coordinator::SyncGroup;
use highwater_wire::{
    ErrorCode,
    messages::sync_group::{SyncGroupRequest, SyncGroupResponse},
};

/// From this version on a request has to say which protocol it means (KIP-559).
const SAYS_PROTOCOL: i16 = 5;

pub(super) fn answer(call: Decoded<SyncGroupRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
    if start.api_version >= SAYS_PROTOCOL
        && (request.protocol_type.is_none() || request.protocol_name.is_none())
    {
        let error_code = ErrorCode::InconsistentGroupProtocol.code();
        return Step::Now(reply(start, &SyncGroupResponse { error_code, ..SyncGroupResponse::default() }));
    }
    let assignments = request.assignments.into_iter();
    let sync = SyncGroup {
        group: request.group_id,
        member: request.member_id,
        instance: request.group_instance_id,
        generation: request.generation_id,
        protocol_type: request.protocol_type,
        protocol: request.protocol_name,
        // Copied: the assignment outlives its request.
        assignments: assignments.map(|part| (part.member_id, part.assignment.to_vec().into())).collect(),
    };
    let group = sync.group.clone();
    let pending = node.ask_group(&caller, &group, sync);
    Step::Poll(Box::pin(async move {
        let response = match pending.wait().await.flatten() {
            Ok(synced) => SyncGroupResponse {
                protocol_type: synced.protocol_type,
                protocol_name: synced.protocol,
                assignment: synced.assignment,
                ..SyncGroupResponse::default()
            },
            Err(error) => {
                SyncGroupResponse { error_code: code(error).code(), ..SyncGroupResponse::default() }
            }
        };
        reply(start, &response)
    }))
}
