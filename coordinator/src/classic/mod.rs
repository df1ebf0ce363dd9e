//! A classic group: its members divide the work among themselves, the coordinator counts heads and generations.
//!
//! The states are Kafka's. A group that is deleted is taken out of the shard, so that none is ever dead.

mod join;
mod leave;
mod member;
mod migrate;
mod protocols;
mod rebalance;
mod stored;
mod sync;
#[cfg(test)]
mod tests;

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    sync::Arc,
};
use bytes::Bytes;

use crate::{
    GroupError,
    group::{Context, Timer},
    group_request::{DescribedGroup, DescribedMember, GroupReply, JoinRefused},
};
use member::Member;
pub(crate) use migrate::ClassicMember;

/// The protocol type of consumers, whose subscriptions the coordinator can read.
pub(crate) const CONSUMER: &str = "consumer";

/// Where a group stands between two generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// No members. Offsets may be there.
    Empty,
    /// Members are being waited for.
    PreparingRebalance,
    /// The generation has begun, the leader's assignment is being waited for.
    CompletingRebalance,
    /// Everybody knows what to do.
    Stable,
}

impl State {
    /// Kafka's word for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }
}

/// A classic group.
#[derive(Debug)]
pub(crate) struct ClassicGroup {
    id: Arc<str>,
    state: State,
    /// Whether the rebalance that is being prepared began with an empty group, which waits longer for members.
    is_initial: bool,
    /// How much longer an initial rebalance may be extended, in milliseconds.
    initial_left_ms: u64,
    /// Whether an initial rebalance saw another member since its wait began.
    saw_new_member: bool,
    /// Since when the state is what it is, by the wall clock; `None` where an old record does not say.
    state_since: Option<i64>,
    generation: i32,
    protocol_type: Option<String>,
    protocol: Option<String>,
    leader: Option<Arc<str>>,
    members: BTreeMap<Arc<str>, Member>,
    /// Instance ids and the members that have them now.
    instances: BTreeMap<Arc<str>, Arc<str>>,
    /// Member ids that were given out and have not joined yet (KIP-394).
    pending: BTreeSet<Arc<str>>,
    /// Members of the generation that have not asked for their assignment yet.
    unsynced: BTreeSet<Arc<str>>,
    /// How many members wait for the rebalance to complete.
    joining: usize,
    /// How many members know each protocol.
    supported: BTreeMap<String, usize>,
    /// The topics that the members read, where the group is one of consumers and they can be told.
    subscribed: Option<BTreeSet<String>>,
}

impl ClassicGroup {
    /// A group without members.
    pub(crate) fn new(id: Arc<str>, now: i64) -> ClassicGroup {
        ClassicGroup {
            id,
            state: State::Empty,
            is_initial: false,
            initial_left_ms: 0,
            saw_new_member: false,
            state_since: Some(now),
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            pending: BTreeSet::new(),
            unsynced: BTreeSet::new(),
            joining: 0,
            supported: BTreeMap::new(),
            subscribed: None,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    pub(crate) fn protocol_type(&self) -> &str {
        self.protocol_type.as_deref().unwrap_or_default()
    }

    /// From when on the retention of an offset counts that was committed at `commit`; `None` while it is kept
    /// whatever its age (KIP-211).
    pub(crate) fn retention_since(&self, commit: i64) -> Option<i64> {
        match (&self.protocol_type, self.state) {
            // Somebody who only stores offsets here.
            (None, _) => Some(commit),
            (Some(_), State::Empty) => Some(self.state_since.unwrap_or(commit)),
            (Some(kind), State::Stable) if kind == CONSUMER && self.subscribed.is_some() => Some(commit),
            _ => None,
        }
    }

    /// Whether members read `topic`, or may do so.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.protocol_type() == CONSUMER,
        }
    }

    /// Whether its offsets may be deleted at all.
    pub(crate) fn check_offset_delete(&self) -> Result<(), GroupError> {
        if self.is_empty() || self.protocol_type() == CONSUMER {
            Ok(())
        } else {
            Err(GroupError::NonEmptyGroup)
        }
    }

    /// Whether it may be deleted.
    pub(crate) fn check_delete(&self) -> Result<(), GroupError> {
        if self.is_empty() { Ok(()) } else { Err(GroupError::NonEmptyGroup) }
    }

    /// Whether this member of this generation may commit offsets now. A transaction's offsets are not held to the
    /// state.
    pub(crate) fn check_commit(
        &self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        is_transactional: bool,
    ) -> Result<(), GroupError> {
        if generation < 0 && self.is_empty() {
            // An admin client, or a consumer that chose its partitions itself.
            return Ok(());
        }
        if generation >= 0 || !member.is_empty() || instance.is_some() {
            self.check_member(member, instance)?;
            if generation != self.generation {
                return Err(GroupError::IllegalGeneration);
            }
        } else if !is_transactional && !self.is_empty() {
            return Err(GroupError::UnknownMember);
        }
        if !is_transactional && self.state == State::CompletingRebalance {
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(())
    }

    /// A commit is a sign of life.
    pub(crate) fn committed(&self, member: &str, context: &mut Context<'_>) {
        if matches!(self.state, State::Stable | State::PreparingRebalance)
            && let Some(member) = self.members.get(member)
        {
            self.expect_heartbeat(member, context);
        }
    }

    /// Whether `member` is one, and `instance` is its own.
    fn check_member(&self, member: &str, instance: Option<&str>) -> Result<(), GroupError> {
        if let Some(instance) = instance {
            match self.instances.get(instance) {
                None => return Err(GroupError::UnknownMember),
                Some(current) if **current != *member => return Err(GroupError::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member) { Ok(()) } else { Err(GroupError::UnknownMember) }
    }

    pub(crate) fn heartbeat(
        &self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        context: &mut Context<'_>,
    ) -> Result<(), GroupError> {
        if self.pending.contains(member) {
            // Given an id and nothing more: it is to join first.
            return Err(GroupError::UnknownMember);
        }
        self.check_member(member, instance)?;
        if generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        match self.state {
            State::Empty => Err(GroupError::UnknownMember),
            State::PreparingRebalance => {
                self.expect_heartbeat(&self.members[member], context);
                Err(GroupError::RebalanceInProgress)
            }
            // The assignment may be long in coming; the member has done what it can.
            State::CompletingRebalance | State::Stable => {
                self.expect_heartbeat(&self.members[member], context);
                Ok(())
            }
        }
    }

    fn expect_heartbeat(&self, member: &Member, context: &mut Context<'_>) {
        let at = context.at.elapsed_ms.saturating_add(member.session_timeout_ms);
        context.deadlines.set(Timer::Session(self.id.clone(), member.id.clone()), at);
    }

    /// A member's time without a sign of life is over.
    pub(crate) fn session_expired(&mut self, member: &str, context: &mut Context<'_>) {
        if self.pending.remove(member) {
            self.complete_if_all_joined(context);
        } else if self.members.get(member).is_some_and(Member::is_overdue) {
            self.remove(member, context);
            match self.state {
                State::Stable | State::CompletingRebalance => self.prepare_rebalance(context),
                State::PreparingRebalance => self.complete_if_all_joined(context),
                State::Empty => {}
            }
        }
    }

    /// Takes a member out; whoever waits for an answer as this member is told that it is none.
    fn remove(&mut self, member: &str, context: &mut Context<'_>) {
        self.pending.remove(member);
        self.unsynced.remove(member);
        let Some(mut removed) = self.members.remove(member) else { return };
        context.deadlines.cancel(&Timer::Session(self.id.clone(), removed.id.clone()));
        if let Some(reply_to) = removed.joining.take() {
            self.joining -= 1;
            let refused = JoinRefused { error: GroupError::UnknownMember, member: String::new() };
            context.step.replies.push((reply_to, GroupReply::Join(Err(refused))));
        }
        if let Some(reply_to) = removed.syncing.take() {
            context.step.replies.push((reply_to, GroupReply::Sync(Err(GroupError::UnknownMember))));
        }
        self.count_protocols_out(&removed.protocols);
        if let Some(instance) = &removed.instance {
            self.instances.remove(instance);
        }
        if self.leader.as_deref() == Some(member) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// The longest time that any member may take to come back.
    fn rebalance_timeout_ms(&self) -> u64 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0)
    }

    fn enter(&mut self, state: State, context: &Context<'_>) {
        self.state = state;
        self.state_since = Some(context.at.wall.0);
    }

    /// Whether nobody was ever a member: offsets are all there is.
    pub(crate) fn describe(&self) -> DescribedGroup {
        let stable = self.state == State::Stable;
        let protocol = self.protocol.as_deref().filter(|_| stable);
        let members = self.members.values().map(|member| DescribedMember {
            member: String::from(&*member.id),
            instance: member.instance.as_deref().map(String::from),
            caller: member.caller.clone(),
            metadata: protocol.map_or_else(Bytes::new, |protocol| member.metadata(protocol)),
            assignment: if stable { member.assignment.clone() } else { Bytes::new() },
        });
        DescribedGroup {
            state: self.state.name(),
            protocol_type: self.protocol_type().into(),
            protocol: protocol.unwrap_or_default().into(),
            members: members.collect(),
        }
    }
}
