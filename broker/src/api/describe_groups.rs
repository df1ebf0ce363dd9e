//! DescribeGroups: classic groups and their members. Below version 6 a group that does not exist is a dead one.

use super::{Decoded, group_codes::code, metadata::asked, operations, reply};
use crate::server::Step;
use highwater_coordinator::{DescribeGroup, DescribedGroup as Found, GroupError};
use highwater_wire::{
    RequestStart,
    messages::describe_groups::{
        DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
    },
};

pub(super) fn answer(call: Decoded<DescribeGroupsRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
    let pending: Vec<_> = request
        .groups
        .into_iter()
        .map(|group| (node.ask_group(&caller, &group, DescribeGroup(group.clone())), group))
        .collect();
    let operations = asked(request.include_authorized_operations, operations::GROUP);
    Step::Later(Box::pin(async move {
        let mut groups = Vec::with_capacity(pending.len());
        for (pending, group) in pending {
            let mut described = describe(start, group, pending.wait().await.flatten());
            described.authorized_operations = operations;
            groups.push(described);
        }
        reply(start, &DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() })
    }))
}

fn describe(start: RequestStart, group: String, found: Result<Found, GroupError>) -> DescribedGroup {
    let nothing = DescribedGroup { group_id: group, ..DescribedGroup::default() };
    match found {
        Ok(found) => {
            let members = found.members.into_iter().map(|member| DescribedGroupMember {
                member_id: member.member,
                group_instance_id: member.instance,
                client_id: member.caller.client_id,
                client_host: member.caller.host,
                member_metadata: member.metadata,
                member_assignment: member.assignment,
            });
            DescribedGroup {
                group_state: found.state.to_owned(),
                protocol_type: found.protocol_type,
                protocol_data: found.protocol,
                members: members.collect(),
                ..nothing
            }
        }
        Err(error @ GroupError::GroupIdNotFound) => {
            let knows = start.api_version >= 6;
            DescribedGroup {
                error_code: if knows { code(error).code() } else { 0 },
                error_message: knows.then(|| format!("group {} does not exist", nothing.group_id)),
                group_state: "Dead".to_owned(),
                ..nothing
            }
        }
        Err(error) => DescribedGroup { error_code: code(error).code(), ..nothing },
    }
}
