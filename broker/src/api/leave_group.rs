//! LeaveGroup: up to version 2 one member leaves, from version 3 on several may.

use super::{
    Decoded,
    group_codes::{code, outcome},
    reply,
};
use crate::server::Step;
use highwater_coordinator::{GroupError, LeaveGroup, Leaving};
use highwater_wire::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberResponse};

pub(super) fn answer(call: Decoded<LeaveGroupRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
    let members = if start.api_version < 3 {
        vec![Leaving { member: request.member_id, instance: None }]
    } else {
        let several = request.members.into_iter();
        several
            .map(|member| Leaving { member: member.member_id, instance: member.group_instance_id })
            .collect()
    };
    let asked = members.clone();
    let leave = LeaveGroup { group: request.group_id, members };
    let group = leave.group.clone();
    let pending = node.ask_group(&caller, &group, leave);
    Step::Later(Box::pin(async move {
        let response = match pending.wait().await.flatten() {
            // To later versions a group that is not there is one without these members.
            Err(error @ GroupError::UnknownMember) if start.api_version >= 3 => {
                let members = asked.into_iter().map(|leaving| MemberResponse {
                    member_id: leaving.member,
                    group_instance_id: leaving.instance,
                    error_code: code(error).code(),
                });
                LeaveGroupResponse { members: members.collect(), ..LeaveGroupResponse::default() }
            }
            Err(error) => {
                LeaveGroupResponse { error_code: code(error).code(), ..LeaveGroupResponse::default() }
            }
            Ok(left) if start.api_version < 3 => LeaveGroupResponse {
                error_code: left.first().map_or(0, |left| outcome(&left.result)),
                ..LeaveGroupResponse::default()
            },
            Ok(left) => {
                let members = left.into_iter().map(|left| MemberResponse {
                    member_id: left.leaving.member,
                    group_instance_id: left.leaving.instance,
                    error_code: outcome(&left.result),
                });
                LeaveGroupResponse { members: members.collect(), ..LeaveGroupResponse::default() }
            }
        };
        reply(start, &response)
    }))
}
