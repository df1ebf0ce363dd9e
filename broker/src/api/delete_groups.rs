//! DeleteGroups.

use super::{Decoded, group_codes::outcome, reply};
use crate::server::Step;
use highwater_coordinator::DeleteGroup;
use highwater_wire::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

pub(super) fn answer(call: Decoded<DeleteGroupsRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
    let pending: Vec<_> = request
        .groups_names
        .into_iter()
        .map(|group| (node.ask_group(&caller, &group, DeleteGroup(group.clone())), group))
        .collect();
    Step::Later(Box::pin(async move {
        let mut results = Vec::with_capacity(pending.len());
        for (pending, group_id) in pending {
            let error_code = outcome(&pending.wait().await.flatten());
            results.push(DeletableGroupResult { group_id, error_code });
        }
        reply(start, &DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() })
    }))
}
