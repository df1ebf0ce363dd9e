//! DeleteGroups.

use super::{Decoded, group_codes::outcome, reply};
use crate::server::Step;
use highwater_coordinator::DeleteGroup;
use highwater_wire::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn answer(call: Decoded<DeleteGroupsRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
    // One that is named twice is deleted once, and that is answered twice.
    let names: BTreeSet<String> = request.groups_names.iter().cloned().collect();
    let pending: Vec<_> = names
        .into_iter()
        .map(|group| (node.ask_group(&caller, &group, DeleteGroup(group.clone())), group))
        .collect();
    Step::Later(Box::pin(async move {
        let mut codes = BTreeMap::new();
        for (pending, group_id) in pending {
            codes.insert(group_id, outcome(&pending.wait().await.flatten()));
        }
        let result = |group_id: String| {
            let error_code = codes.get(&group_id).copied().unwrap_or_default();
            DeletableGroupResult { group_id, error_code }
        };
        let results = request.groups_names.into_iter().map(result).collect();
        reply(start, &DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() })
    }))
}
