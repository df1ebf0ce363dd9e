//! ListGroups.

use super::{Decoded, group_codes::code, reply};
use crate::server::Reply;
use highwater_wire::messages::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

pub(super) async fn answer(call: Decoded<ListGroupsRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    let wanted = |filter: &[String], word: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(word))
    };
    let response = match node.list_groups(&caller).await {
        Err(error) => ListGroupsResponse { error_code: code(error).code(), ..ListGroupsResponse::default() },
        Ok(groups) => {
            let groups = groups.into_iter().filter(|group| {
                wanted(&request.states_filter, group.state)
                    && wanted(&request.types_filter, group.kind.name())
            });
            let groups = groups.map(|group| ListedGroup {
                group_id: group.group,
                protocol_type: group.protocol_type,
                group_state: group.state.to_owned(),
                group_type: group.kind.name().to_owned(),
            });
            ListGroupsResponse { groups: groups.collect(), ..ListGroupsResponse::default() }
        }
    };
    reply(start, &response)
}
