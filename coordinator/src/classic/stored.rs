//! A classic group as a record, and back.

use alloc::{collections::BTreeSet, string::String, sync::Arc, vec, vec::Vec};

use super::{ClassicGroup, State, member::Member};
use crate::{
    format::{GroupMetadata, Key, MemberMetadata},
    group::Context,
    group_request::{Caller, Protocol},
};

impl ClassicGroup {
    /// The group as it is to be found after a replay.
    pub(crate) fn record(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self.members.values().map(|member| MemberMetadata {
            member: String::from(&*member.id),
            instance: member.instance.as_deref().map(String::from),
            client_id: member.caller.client_id.clone(),
            client_host: member.caller.host.clone(),
            rebalance_timeout: i32::try_from(member.rebalance_timeout_ms).unwrap_or(i32::MAX),
            session_timeout: i32::try_from(member.session_timeout_ms).unwrap_or(i32::MAX),
            subscription: member.metadata(protocol),
            assignment: member.assignment.clone(),
        });
        let value = GroupMetadata {
            protocol_type: self.protocol_type().into(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.as_deref().map(String::from),
            state_timestamp: self.state_since.unwrap_or(-1),
            members: members.collect(),
        };
        (Key::group(&self.id), Some(value.encode()))
    }

    /// The group that a record tells of. Nobody waits for anything yet.
    pub(crate) fn restore(id: Arc<str>, value: GroupMetadata) -> ClassicGroup {
        let mut group = ClassicGroup::new(id, value.state_timestamp);
        group.state_since = (value.state_timestamp >= 0).then_some(value.state_timestamp);
        group.generation = value.generation;
        group.protocol_type = Some(value.protocol_type).filter(|kind| !kind.is_empty());
        group.protocol = value.protocol;
        group.leader = value.leader.map(Arc::from);
        if !value.members.is_empty() {
            group.state = State::Stable;
        }
        for member in value.members {
            let id: Arc<str> = member.member.into();
            let instance: Option<Arc<str>> = member.instance.map(Arc::from);
            if let Some(instance) = &instance {
                group.instances.insert(instance.clone(), id.clone());
            }
            let session_timeout_ms = u64::try_from(member.session_timeout).unwrap_or(0);
            let name = group.protocol.clone().unwrap_or_default();
            let protocols = vec![Protocol { name, metadata: member.subscription }];
            group.count_protocols_in(&protocols);
            let member = Member {
                id: id.clone(),
                instance,
                caller: Caller { client_id: member.client_id, host: member.client_host },
                session_timeout_ms,
                rebalance_timeout_ms: u64::try_from(member.rebalance_timeout).unwrap_or(session_timeout_ms),
                protocols,
                assignment: member.assignment,
                joining: None,
                syncing: None,
                is_new: false,
            };
            group.members.insert(id, member);
        }
        if group.leader.as_ref().is_some_and(|leader| !group.members.contains_key(leader)) {
            group.leader = group.members.keys().next().cloned();
        }
        group.subscribed = match group.is_empty() {
            true => (group.protocol_type() == super::CONSUMER).then(BTreeSet::new),
            false => group.subscribed_topics(),
        };
        group
    }

    /// After a replay every member is given its session time anew; a group larger than is allowed now shrinks.
    pub(crate) fn loaded(&mut self, context: &mut Context<'_>) {
        for member in self.members.values() {
            self.expect_heartbeat(member, context);
        }
        if self.members.len() > context.config.size_max {
            self.prepare_rebalance(context);
        }
    }
}
