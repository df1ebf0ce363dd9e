//! Syncing: the leader's assignment reaches everybody.

use alloc::{collections::BTreeMap, string::String};
use bytes::Bytes;

use super::{ClassicGroup, State};
use crate::{
    GroupError,
    group::{Context, Timer},
    group_request::{GroupReply, SyncGroup, Synced},
    shard::ReplyTo,
};

impl ClassicGroup {
    pub(crate) fn sync(&mut self, request: SyncGroup, reply_to: ReplyTo, context: &mut Context<'_>) {
        if let Err(error) = self.check_sync(&request) {
            return context.step.replies.push((reply_to, GroupReply::Sync(Err(error))));
        }
        self.unsynced.remove(&*request.member);
        if self.unsynced.is_empty() {
            context.deadlines.cancel(&Timer::Sync(self.id.clone()));
        }
        if self.state == State::Stable {
            let answer = self.synced(&self.members[&*request.member].assignment);
            return context.step.replies.push((reply_to, GroupReply::Sync(Ok(answer))));
        }
        let Some(member) = self.members.get_mut(&*request.member) else { return };
        if let Some(earlier) = member.syncing.replace(reply_to) {
            // It asked twice: its first request is not waited for any more.
            let again = GroupReply::Sync(Err(GroupError::RebalanceInProgress));
            context.step.replies.push((earlier, again));
        }
        if self.leader.as_deref() == Some(&*request.member) {
            self.assign(request.assignments.into_iter().collect(), context);
        }
    }

    fn check_sync(&self, request: &SyncGroup) -> Result<(), GroupError> {
        self.check_member(&request.member, request.instance.as_deref())?;
        if request.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        let differs = |said: &Option<String>, ours: &Option<String>| said.is_some() && said != ours;
        if differs(&request.protocol_type, &self.protocol_type) || differs(&request.protocol, &self.protocol)
        {
            return Err(GroupError::InconsistentProtocol);
        }
        match self.state {
            State::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            State::Empty => Err(GroupError::UnknownMember),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    /// The generation is complete. Its record stands in the log before anybody is told.
    fn assign(&mut self, mut assignments: BTreeMap<String, Bytes>, context: &mut Context<'_>) {
        for member in self.members.values_mut() {
            member.assignment = assignments.remove(&*member.id).unwrap_or_default();
        }
        self.enter(State::Stable, context);
        context.step.record(self.record());
        let template = self.synced(&Bytes::new());
        for member in self.members.values_mut() {
            let Some(reply_to) = member.syncing.take() else { continue };
            let answer = Synced { assignment: member.assignment.clone(), ..template.clone() };
            context.step.replies.push((reply_to, GroupReply::Sync(Ok(answer))));
            let at = context.at.elapsed_ms.saturating_add(member.session_timeout_ms);
            context.deadlines.set(Timer::Session(self.id.clone(), member.id.clone()), at);
        }
    }

    fn synced(&self, assignment: &Bytes) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: assignment.clone(),
        }
    }
}
