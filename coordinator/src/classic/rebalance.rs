//! From one generation to the next.

use alloc::{sync::Arc, vec::Vec};
use bytes::Bytes;

use super::{ClassicGroup, State};
use crate::{
    GroupError,
    group::{Context, Timer},
    group_request::GroupReply,
};

impl ClassicGroup {
    /// Something changed that the next generation must know.
    pub(super) fn rebalance_or_complete(&mut self, context: &mut Context<'_>) {
        match self.state {
            State::PreparingRebalance => self.complete_unless_initial(context),
            _ => self.prepare_rebalance(context),
        }
    }

    /// Asks all members to join again.
    pub(crate) fn prepare_rebalance(&mut self, context: &mut Context<'_>) {
        if self.state == State::CompletingRebalance {
            for member in self.members.values_mut() {
                member.assignment = Bytes::new();
                if let Some(reply_to) = member.syncing.take() {
                    let again = GroupReply::Sync(Err(GroupError::RebalanceInProgress));
                    context.step.replies.push((reply_to, again));
                    let at = context.at.elapsed_ms.saturating_add(member.session_timeout_ms);
                    context.deadlines.set(Timer::Session(self.id.clone(), member.id.clone()), at);
                }
            }
        }
        self.unsynced.clear();
        context.deadlines.cancel(&Timer::Sync(self.id.clone()));
        self.is_initial = self.state == State::Empty;
        self.enter(State::PreparingRebalance, context);
        if self.is_initial {
            // The group is new: others will come in a moment.
            let delay = context.config.initial_rebalance_delay_ms;
            self.saw_new_member = false;
            self.initial_left_ms = self.rebalance_timeout_ms().saturating_sub(delay);
            self.wait_for_joins(delay, context);
        } else if self.all_joined() {
            self.complete_join(context);
        } else {
            self.wait_for_joins(self.rebalance_timeout_ms(), context);
        }
    }

    fn wait_for_joins(&self, for_ms: u64, context: &mut Context<'_>) {
        let at = context.at.elapsed_ms.saturating_add(for_ms);
        context.deadlines.set(Timer::Join(self.id.clone()), at);
    }

    fn all_joined(&self) -> bool {
        self.members.len() == self.joining && self.pending.is_empty()
    }

    /// Goes on if nobody is missing; an initial rebalance has its own time.
    pub(super) fn complete_unless_initial(&mut self, context: &mut Context<'_>) {
        if !self.is_initial {
            self.complete_if_all_joined(context);
        }
    }

    /// Goes on if nobody is missing.
    pub(super) fn complete_if_all_joined(&mut self, context: &mut Context<'_>) {
        if self.state == State::PreparingRebalance && self.all_joined() {
            self.complete_join(context);
        }
    }

    /// The time to join is over, or to be extended while an initial rebalance still sees new members.
    pub(crate) fn join_time_over(&mut self, context: &mut Context<'_>) {
        if self.state != State::PreparingRebalance {
            return;
        }
        if self.is_initial && self.saw_new_member && self.initial_left_ms > 0 {
            self.saw_new_member = false;
            let delay = context.config.initial_rebalance_delay_ms.min(self.initial_left_ms);
            self.initial_left_ms -= delay;
            return self.wait_for_joins(delay, context);
        }
        self.complete_join(context);
    }

    /// The next generation begins with those who came. Static members may stay away until their session ends.
    fn complete_join(&mut self, context: &mut Context<'_>) {
        context.deadlines.cancel(&Timer::Join(self.id.clone()));
        let gone =
            self.members.values().filter(|member| member.joining.is_none() && member.instance.is_none());
        let gone: Vec<Arc<str>> = gone.map(|member| member.id.clone()).collect();
        for member in gone {
            self.remove(&member, context);
        }
        if !self.elect_leader() && !self.members.is_empty() {
            // Nobody came back, and those that are left are static: their sessions decide.
            return self.wait_for_joins(self.rebalance_timeout_ms(), context);
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.unsynced.clear();
        self.is_initial = false;
        if self.members.is_empty() {
            self.protocol = None;
            self.enter(State::Empty, context);
            self.subscribed = self.subscribed_of_empty();
            return context.step.record(self.record());
        }
        self.protocol = self.select_protocol();
        self.subscribed = self.subscribed_topics();
        self.enter(State::CompletingRebalance, context);
        let all: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in all {
            let joined = self.joined(&id);
            self.finish_join(&id, Ok(joined), context);
            if let Some(member) = self.members.get_mut(&id) {
                member.is_new = false;
            }
            self.expect_heartbeat(&self.members[&id], context);
            self.unsynced.insert(id);
        }
        let at = context.at.elapsed_ms.saturating_add(self.rebalance_timeout_ms());
        context.deadlines.set(Timer::Sync(self.id.clone()), at);
    }

    fn subscribed_of_empty(&self) -> Option<alloc::collections::BTreeSet<alloc::string::String>> {
        (self.protocol_type() == super::CONSUMER).then(Default::default)
    }

    /// Keeps the leader if it came, else takes the first who did.
    fn elect_leader(&mut self) -> bool {
        let came = |id: &Arc<str>| self.members.get(id).is_some_and(|member| member.joining.is_some());
        if self.leader.as_ref().is_some_and(came) {
            return true;
        }
        match self.members.values().find(|member| member.joining.is_some()) {
            Some(first) => {
                self.leader = Some(first.id.clone());
                true
            }
            None => false,
        }
    }

    /// The time to ask for assignments is over: who has not is taken out.
    pub(crate) fn sync_time_over(&mut self, context: &mut Context<'_>) {
        if !matches!(self.state, State::CompletingRebalance | State::Stable) || self.unsynced.is_empty() {
            return;
        }
        for member in core::mem::take(&mut self.unsynced) {
            self.remove(&member, context);
        }
        self.prepare_rebalance(context);
    }
}
