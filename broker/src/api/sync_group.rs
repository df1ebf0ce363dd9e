//! SyncGroup: the answer comes when the leader has spoken.

use super::{Decoded, group_codes::code, reply};
use crate::server::Step;
use highwater_coordinator::SyncGroup;
use highwater_wire::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

pub(super) fn answer(call: Decoded<SyncGroupRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
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
