//! Heartbeat.

use super::{Decoded, group_codes::outcome, reply};
use crate::server::Step;
use highwater_coordinator::{GroupError, Heartbeat};
use highwater_wire::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};

pub(super) fn answer(call: Decoded<HeartbeatRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
    let beat = Heartbeat {
        group: request.group_id,
        member: request.member_id,
        instance: request.group_instance_id,
        generation: request.generation_id,
    };
    let group = beat.group.clone();
    let pending = node.ask_group(&caller, &group, beat);
    Step::Poll(Box::pin(async move {
        let answer = match pending.wait().await.flatten() {
            // As in Kafka: a member need not know that its group is being replayed.
            Err(GroupError::Loading) => Ok(()),
            answer => answer,
        };
        reply(start, &HeartbeatResponse { error_code: outcome(&answer), ..HeartbeatResponse::default() })
    }))
}
