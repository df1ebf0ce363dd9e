//! JoinGroup: the answer comes when the rebalance is complete.

use super::{
    Decoded,
    group_codes::{code, member, milliseconds},
    reply,
};
use crate::server::Step;
use highwater_coordinator::{JoinGroup, JoinRefused, Joined, Protocol};
use highwater_wire::{
    RequestStart,
    messages::join_group::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember},
};

pub(super) fn answer(call: Decoded<JoinGroupRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
    let version = start.api_version;
    let timeout = if version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms };
    let protocols = request.protocols.into_iter();
    let join = JoinGroup {
        group: request.group_id,
        member: request.member_id,
        instance: request.group_instance_id,
        caller: member(&caller),
        session_timeout_ms: milliseconds(request.session_timeout_ms),
        rebalance_timeout_ms: milliseconds(timeout),
        protocol_type: request.protocol_type,
        protocols: protocols
            // Copied: the member outlives its request.
            .map(|known| Protocol { name: known.name, metadata: known.metadata.to_vec().into() })
            .collect(),
        knows_member_id_required: version >= 4,
        knows_skip_assignment: version >= 9,
    };
    let (group, member) = (join.group.clone(), join.member.clone());
    let pending = node.ask_group(&caller, &group, join);
    Step::Poll(Box::pin(async move {
        let answer = pending.wait().await;
        let answer = answer.unwrap_or_else(|error| Err(JoinRefused { error, member }));
        reply(start, &respond(start, answer))
    }))
}

fn respond(start: RequestStart, answer: Result<Joined, JoinRefused>) -> JoinGroupResponse {
    let joined = match answer {
        Ok(joined) => joined,
        Err(refused) => {
            return JoinGroupResponse {
                error_code: code(refused.error).code(),
                member_id: refused.member,
                protocol_name: named(start, None),
                ..JoinGroupResponse::default()
            };
        }
    };
    let members = joined.members.into_iter().map(|member| JoinGroupResponseMember {
        member_id: member.member,
        group_instance_id: member.instance,
        metadata: member.metadata,
    });
    JoinGroupResponse {
        generation_id: joined.generation,
        protocol_type: joined.protocol_type,
        protocol_name: named(start, joined.protocol),
        leader: joined.leader,
        skip_assignment: joined.skip_assignment,
        member_id: joined.member,
        members: members.collect(),
        ..JoinGroupResponse::default()
    }
}

/// Before version 7 there is no null for it.
fn named(start: RequestStart, protocol: Option<String>) -> Option<String> {
    if start.api_version >= 7 { protocol } else { Some(protocol.unwrap_or_default()) }
}
