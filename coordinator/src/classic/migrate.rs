//! What a classic group takes along when it becomes one of consumers, and what it begins with when it was one.

use alloc::{collections::BTreeSet, sync::Arc, vec::Vec};
use bytes::Bytes;

use super::{CONSUMER, ClassicGroup, State, member::Member};
use crate::{
    GroupError,
    group::{Context, Timer},
    group_request::{Caller, GroupReply, JoinRefused, Protocol},
};

/// A member of a classic group as other kinds of groups know it.
#[derive(Clone, Debug)]
pub(crate) struct ClassicMember {
    pub(crate) id: Arc<str>,
    pub(crate) instance: Option<Arc<str>>,
    pub(crate) caller: Caller,
    pub(crate) session_timeout_ms: u64,
    pub(crate) rebalance_timeout_ms: u64,
    pub(crate) protocols: Vec<Protocol>,
    /// What it says for the protocol in force, or for the first it knows.
    pub(crate) subscription: Bytes,
    /// What it was told to do last.
    pub(crate) assignment: Bytes,
}

impl ClassicGroup {
    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn generation(&self) -> i32 {
        self.generation
    }

    /// Its members, to go on elsewhere.
    pub(crate) fn plain_members(&self) -> Vec<ClassicMember> {
        let plain = |member: &Member| {
            let in_force = self.protocol.as_deref().map(|protocol| member.metadata(protocol));
            let subscription = in_force.filter(|subscription| !subscription.is_empty());
            let first = || member.protocols.first().map_or_else(Bytes::new, |first| first.metadata.clone());
            ClassicMember {
                id: member.id.clone(),
                instance: member.instance.clone(),
                caller: member.caller.clone(),
                session_timeout_ms: member.session_timeout_ms,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                protocols: member.protocols.clone(),
                subscription: subscription.unwrap_or_else(first),
                assignment: member.assignment.clone(),
            }
        };
        self.members.values().map(plain).collect()
    }

    /// Everybody who waits is told to join again: the group goes on as another one.
    pub(crate) fn end_waits(&mut self, context: &mut Context<'_>) {
        for member in self.members.values_mut() {
            if let Some(reply_to) = member.joining.take() {
                let refused = JoinRefused {
                    error: GroupError::RebalanceInProgress,
                    member: alloc::string::String::from(&*member.id),
                };
                context.step.replies.push((reply_to, GroupReply::Join(Err(refused))));
            }
            if let Some(reply_to) = member.syncing.take() {
                let again = GroupReply::Sync(Err(GroupError::RebalanceInProgress));
                context.step.replies.push((reply_to, again));
            }
        }
        self.joining = 0;
        for id in core::mem::take(&mut self.pending) {
            context.deadlines.cancel(&Timer::Session(self.id.clone(), id));
        }
        context.deadlines.cancel(&Timer::Join(self.id.clone()));
        context.deadlines.cancel(&Timer::Sync(self.id.clone()));
    }

    /// A stable group of consumers with these members.
    pub(crate) fn of_members(
        id: Arc<str>,
        generation: i32,
        members: Vec<ClassicMember>,
        now: i64,
    ) -> ClassicGroup {
        let mut group = ClassicGroup::new(id, now);
        group.state = State::Stable;
        group.generation = generation;
        group.protocol_type = Some(CONSUMER.into());
        group.leader = members.first().map(|member| member.id.clone());
        for member in members {
            if let Some(instance) = &member.instance {
                group.instances.insert(instance.clone(), member.id.clone());
            }
            group.count_protocols_in(&member.protocols);
            let member = Member {
                id: member.id,
                instance: member.instance,
                caller: member.caller,
                session_timeout_ms: member.session_timeout_ms,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                protocols: member.protocols,
                assignment: member.assignment,
                joining: None,
                syncing: None,
                is_new: false,
            };
            group.members.insert(member.id.clone(), member);
        }
        group.protocol = group.select_protocol();
        group.subscribed = group.subscribed_topics().or_else(|| Some(BTreeSet::new()));
        group
    }

    /// The group begins anew as a classic one: everybody is asked to join.
    pub(crate) fn begin_again(&mut self, context: &mut Context<'_>) {
        for member in self.members.values() {
            self.expect_heartbeat(member, context);
        }
        self.prepare_rebalance(context);
    }
}
