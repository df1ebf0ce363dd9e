//! Joining: new members, members that come back, and static members that replace themselves.

use alloc::{format, string::String, sync::Arc, vec::Vec};
use bytes::Bytes;

use super::{ClassicGroup, State, member::Member, protocols::distinct};
use crate::{
    GroupError,
    group::{Context, Timer, uuid},
    group_request::{GroupReply, JoinGroup, JoinRefused, Joined, JoinedMember},
    shard::ReplyTo,
};

/// How long the JoinGroup of a new member waits for a rebalance. It has no id yet and sends no sign of life, so that
/// one whose connection broke would be waited for in vain; one that is still there asks again.
const NEW_MEMBER_JOIN_TIMEOUT_MS: u64 = 5 * 60 * 1_000;

impl ClassicGroup {
    pub(crate) fn join(&mut self, mut request: JoinGroup, reply_to: ReplyTo, context: &mut Context<'_>) {
        request.protocols = distinct(request.protocols);
        if !self.has_room_for(&request.member, context.config.size_max) {
            let member = request.member.clone();
            self.remove(&member, context);
            context.refuse_join(reply_to, GroupError::GroupMaxSizeReached, String::new());
        } else if !self.supports(&request.protocol_type, &request.protocols) {
            context.refuse_join(reply_to, GroupError::InconsistentProtocol, request.member);
        } else if request.member.is_empty() {
            self.join_new(request, reply_to, context);
        } else {
            self.join_known(request, reply_to, context);
        }
    }

    /// Members that wait already are let in; in a rebalance only those who wait are counted, so that the last to
    /// come back are turned away where the bound was lowered.
    fn has_room_for(&self, member: &str, size_max: usize) -> bool {
        match self.state {
            State::Empty => true,
            State::PreparingRebalance => {
                self.members.get(member).is_some_and(|member| member.joining.is_some())
                    || self.joining < size_max
            }
            State::CompletingRebalance | State::Stable => {
                self.members.contains_key(member) || self.members.len() < size_max
            }
        }
    }

    fn join_new(&mut self, request: JoinGroup, reply_to: ReplyTo, context: &mut Context<'_>) {
        let prefix = request.instance.as_deref().unwrap_or(&request.caller.client_id);
        let id: Arc<str> = format!("{prefix}-{}", uuid(context.at.random)).into();
        let present = request.instance.as_deref().and_then(|instance| self.instances.get(instance)).cloned();
        match present {
            Some(present) => self.replace_static(&present, id, request, reply_to, context),
            None if request.instance.is_none() && request.knows_member_id_required => {
                let at = context.at.elapsed_ms.saturating_add(request.session_timeout_ms);
                context.deadlines.set(Timer::Session(self.id.clone(), id.clone()), at);
                self.pending.insert(id.clone());
                context.refuse_join(reply_to, GroupError::MemberIdRequired, String::from(&*id));
            }
            None => self.add(id, request, reply_to, context),
        }
    }

    fn join_known(&mut self, request: JoinGroup, reply_to: ReplyTo, context: &mut Context<'_>) {
        if self.pending.contains(&*request.member) {
            if request.instance.is_some() {
                // Ids are promised to dynamic members alone.
                return context.refuse_join(reply_to, GroupError::UnknownMember, request.member);
            }
            let id = Arc::from(&*request.member);
            return self.add(id, request, reply_to, context);
        }
        if let Err(error) = self.check_member(&request.member, request.instance.as_deref()) {
            return context.refuse_join(reply_to, error, request.member);
        }
        let unchanged = self.members[&*request.member].protocols == request.protocols;
        let leads = self.leader.as_deref() == Some(&*request.member);
        match self.state {
            // Its answer was lost: it is told again.
            State::CompletingRebalance if unchanged => {
                let joined = self.joined(&request.member);
                context.step.replies.push((reply_to, GroupReply::Join(Ok(joined))));
            }
            // A follower that has nothing new to say is told the current generation.
            State::Stable if unchanged && !leads => {
                let joined = self.joined(&request.member);
                context.step.replies.push((reply_to, GroupReply::Join(Ok(joined))));
            }
            // The leader asks for a rebalance by joining: topics may have changed.
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {
                self.update(request, reply_to, context);
                self.rebalance_or_complete(context);
            }
            State::Empty => context.refuse_join(reply_to, GroupError::UnknownMember, request.member),
        }
    }

    fn add(&mut self, id: Arc<str>, request: JoinGroup, reply_to: ReplyTo, context: &mut Context<'_>) {
        if self.state == State::PreparingRebalance && self.is_initial {
            self.saw_new_member = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type);
        }
        let instance: Option<Arc<str>> = request.instance.as_deref().map(Arc::from);
        if let Some(instance) = &instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.count_protocols_in(&request.protocols);
        self.pending.remove(&id);
        self.joining += 1;
        let at = context.at.elapsed_ms.saturating_add(NEW_MEMBER_JOIN_TIMEOUT_MS);
        context.deadlines.set(Timer::Session(self.id.clone(), id.clone()), at);
        let member = Member {
            id: id.clone(),
            instance,
            caller: request.caller,
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            protocols: request.protocols,
            assignment: Bytes::new(),
            joining: Some(reply_to),
            syncing: None,
            is_new: true,
        };
        self.members.insert(id, member);
        self.rebalance_or_complete(context);
    }

    /// Takes over what a member says now, and lets it wait for the rebalance. Whoever waited before as this member
    /// has given up, or will be told that another request took its place.
    fn update(&mut self, request: JoinGroup, reply_to: ReplyTo, context: &mut Context<'_>) {
        let Some(member) = self.members.get_mut(&*request.member) else { return };
        let before = core::mem::replace(&mut member.protocols, request.protocols.clone());
        member.session_timeout_ms = request.session_timeout_ms;
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        match member.joining.replace(reply_to) {
            None => self.joining += 1,
            Some(earlier) => {
                context.refuse_join(earlier, GroupError::RebalanceInProgress, request.member.clone());
            }
        }
        self.count_protocols_out(&before);
        self.count_protocols_in(&request.protocols);
    }

    /// A static member came back without its member id: it gets a new one, and whoever still uses the old one is
    /// fenced (KIP-345).
    fn replace_static(
        &mut self,
        old: &str,
        id: Arc<str>,
        request: JoinGroup,
        reply_to: ReplyTo,
        context: &mut Context<'_>,
    ) {
        let led_before = self.leader.clone();
        let Some(mut member) = self.members.remove(old) else { return };
        self.unsynced.remove(old);
        context.deadlines.cancel(&Timer::Session(self.id.clone(), member.id.clone()));
        if let Some(waiting) = member.joining.take() {
            self.joining -= 1;
            context.refuse_join(waiting, GroupError::FencedInstanceId, old.into());
        }
        if let Some(waiting) = member.syncing.take() {
            let fenced = GroupReply::Sync(Err(GroupError::FencedInstanceId));
            context.step.replies.push((waiting, fenced));
        }
        member.id = id.clone();
        member.caller = request.caller.clone();
        if self.leader.as_deref() == Some(old) {
            self.leader = Some(id.clone());
        }
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.members.insert(id.clone(), member);
        let knows_skip_assignment = request.knows_skip_assignment;
        self.update(JoinGroup { member: String::from(&*id), ..request }, reply_to, context);
        self.expect_heartbeat(&self.members[&id], context);
        match self.state {
            State::Stable if self.select_protocol() == self.protocol => {
                self.subscribed = self.subscribed_topics();
                context.step.record(self.record());
                let mut joined = self.joined(&id);
                if knows_skip_assignment {
                    joined.skip_assignment = self.leader.as_deref() == Some(&*id);
                } else {
                    // Nobody it could take for itself, or it would divide the work anew.
                    joined.leader = led_before.as_deref().unwrap_or_default().into();
                    joined.members.clear();
                }
                self.finish_join(&id, Ok(joined), context);
            }
            // The leader may have been told the old id already.
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(context),
            State::PreparingRebalance | State::Empty => self.complete_unless_initial(context),
        }
    }

    /// What a member is told about the current generation.
    pub(super) fn joined(&self, member: &str) -> Joined {
        let leads = self.leader.as_deref() == Some(member);
        let members: Vec<JoinedMember> = match leads {
            true => self.members.values().map(|member| self.joined_member(member)).collect(),
            false => Vec::new(),
        };
        Joined {
            member: member.into(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.as_deref().unwrap_or_default().into(),
            skip_assignment: false,
            members,
        }
    }

    fn joined_member(&self, member: &Member) -> JoinedMember {
        JoinedMember {
            member: String::from(&*member.id),
            instance: member.instance.as_deref().map(String::from),
            metadata: member.metadata(self.protocol.as_deref().unwrap_or_default()),
        }
    }

    /// Answers the request that waits as this member.
    pub(super) fn finish_join(
        &mut self,
        member: &str,
        answer: Result<Joined, JoinRefused>,
        context: &mut Context<'_>,
    ) {
        let Some(member) = self.members.get_mut(member) else { return };
        if let Some(reply_to) = member.joining.take() {
            self.joining -= 1;
            context.step.replies.push((reply_to, GroupReply::Join(answer)));
        }
    }
}
