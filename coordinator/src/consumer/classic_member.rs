//! Members of a consumer group that speak the classic protocol still: the coordinator divides the work, and they learn
//! their part by joining and syncing whenever a heartbeat tells them that something is to change.

use alloc::{string::String, sync::Arc, vec::Vec};
use bytes::Bytes;

use super::{
    Assignment, ConsumerGroup,
    heartbeat::Said,
    member::{Classic, Member, Progress},
};
use crate::{
    GroupError,
    classic::CONSUMER,
    group::{Context, Timer, uuid},
    group_request::{Heartbeat, JoinGroup, JoinRefused, Joined, Leaving, Left, Protocol, SyncGroup, Synced},
    shard::Topics,
    subscription::{Subscription, write_assignment},
};

impl ConsumerGroup {
    /// Whether all members, and there are some, speak the classic protocol.
    pub(crate) fn is_all_classic(&self) -> bool {
        !self.members.is_empty() && self.members.values().all(|member| member.classic.is_some())
    }

    /// Whether somebody who knows these ways of dividing the work can be a member: one that all others of its kind know,
    /// although nobody will use it.
    fn supports(&self, kind: &str, protocols: &[Protocol]) -> bool {
        let knows = |member: &Member, name: &str| {
            member
                .classic
                .as_ref()
                .is_none_or(|classic| classic.protocols.iter().any(|known| known.name == name))
        };
        kind == CONSUMER
            && protocols
                .iter()
                .any(|protocol| self.members.values().all(|member| knows(member, &protocol.name)))
    }

    pub(crate) fn join_classic(
        &mut self,
        request: &JoinGroup,
        context: &mut Context<'_>,
    ) -> Result<Joined, JoinRefused> {
        let refused = |error| JoinRefused { error, member: request.member.clone() };
        if !self.members.contains_key(&*request.member)
            && self.members.len() >= context.config.consumer_size_max
        {
            return Err(JoinRefused { error: GroupError::GroupMaxSizeReached, member: String::new() });
        }
        if !self.supports(&request.protocol_type, &request.protocols) {
            return Err(refused(GroupError::InconsistentProtocol));
        }
        let Some(Ok(said)) = request.protocols.first().map(|first| Subscription::read(&first.metadata))
        else {
            return Err(refused(GroupError::InconsistentProtocol));
        };
        let is_unknown = request.member.is_empty();
        let id = if is_unknown { uuid(context.at.random) } else { request.member.clone() };
        if is_unknown && request.instance.is_none() && request.knows_member_id_required {
            return Err(JoinRefused { error: GroupError::MemberIdRequired, member: id });
        }
        let id: Arc<str> = id.into();
        let (before, replaced) = self.find_classic(&id, request, context).map_err(refused)?;
        let owned = said.owned.iter().filter_map(|(topic, partitions)| {
            let facts = context.at.topics.named(topic)?;
            Some(partitions.iter().map(move |partition| (facts.id, *partition)))
        });
        let owned = Assignment::of(owned.flatten());
        let member = Member {
            instance: request.instance.as_deref().map(Arc::from),
            rack: said.rack.or(before.rack.clone()),
            caller: request.caller.clone(),
            topics: said.topics.into_iter().collect(),
            regex: None,
            rebalance_timeout_ms: i32::try_from(request.rebalance_timeout_ms).unwrap_or(i32::MAX),
            classic: Some(Classic {
                session_timeout_ms: request.session_timeout_ms,
                protocols: request.protocols.clone(),
            }),
            ..before.clone()
        };
        let said = Said { member, pattern: None, owned: Some(&owned) };
        let member = self.take_in(&before, said, context);
        self.all_classic_now |= replaced && self.is_all_classic();
        self.expect_heartbeat(&member.id, context);
        context.deadlines.cancel(&Timer::Rejoin(self.id.clone(), member.id.clone()));
        let at = context.at.elapsed_ms.saturating_add(request.rebalance_timeout_ms);
        context.deadlines.set(Timer::Resync(self.id.clone(), member.id.clone()), at);
        Ok(Joined {
            member: String::from(&*member.id),
            generation: member.epoch,
            protocol_type: Some(CONSUMER.into()),
            protocol: request.protocols.first().map(|first| first.name.clone()),
            leader: String::new(),
            skip_assignment: false,
            members: Vec::new(),
        })
    }

    /// The member that joins, or a new one, and whether one that spoke the newer protocol made way for it.
    fn find_classic(
        &mut self,
        id: &Arc<str>,
        request: &JoinGroup,
        context: &mut Context<'_>,
    ) -> Result<(Member, bool), GroupError> {
        let Some(instance) = request.instance.as_deref() else {
            return Ok((self.members.get(id).cloned().unwrap_or_else(|| Member::new(id.clone())), false));
        };
        let current = self.instances.get(instance).and_then(|id| self.members.get(id)).cloned();
        match current {
            None if request.member.is_empty() => Ok((Member::new(id.clone()), false)),
            None => Err(GroupError::UnknownMember),
            Some(current) if request.member.is_empty() => {
                let replaced = current.classic.is_none();
                Ok((self.replace(current, id.clone(), context), replaced))
            }
            Some(current) if current.id == *id => Ok((current, false)),
            Some(_) => Err(GroupError::FencedInstanceId),
        }
    }

    /// The member that asks, as one of the classic protocol.
    fn classic(&self, member: &str, instance: Option<&str>) -> Result<(&Member, &Classic), GroupError> {
        if let Some(instance) = instance {
            let current = self.instances.get(instance).ok_or(GroupError::UnknownMember)?;
            if **current != *member {
                return Err(GroupError::FencedInstanceId);
            }
        }
        let member = self.members.get(member).ok_or(GroupError::UnknownMember)?;
        member.classic.as_ref().map(|classic| (member, classic)).ok_or(GroupError::UnknownMember)
    }

    pub(crate) fn sync_classic(
        &self,
        request: &SyncGroup,
        context: &mut Context<'_>,
    ) -> Result<Synced, GroupError> {
        let (member, classic) = self.classic(&request.member, request.instance.as_deref())?;
        if member.epoch != request.generation {
            return Err(GroupError::IllegalGeneration);
        }
        let first = classic.protocols.first();
        let differs = |said: &Option<String>, ours: Option<&str>| said.is_some() && said.as_deref() != ours;
        if differs(&request.protocol_type, Some(CONSUMER))
            || differs(&request.protocol, first.map(|first| &*first.name))
        {
            return Err(GroupError::InconsistentProtocol);
        }
        // One that is giving partitions up has joined already, and is told again once that is done.
        if self.epoch > member.epoch && member.progress != Progress::Unrevoked {
            self.expect_rejoin(member, context);
            return Err(GroupError::RebalanceInProgress);
        }
        let version =
            first.and_then(|first| Subscription::read(&first.metadata).ok()).map_or(0, |said| said.version);
        let assignment = embedded(&member.assigned, version, context.at.topics);
        let id = member.id.clone();
        context.deadlines.cancel(&Timer::Resync(self.id.clone(), id.clone()));
        self.expect_heartbeat(&id, context);
        Ok(Synced {
            protocol_type: request.protocol_type.clone(),
            protocol: request.protocol.clone(),
            assignment,
        })
    }

    pub(crate) fn heartbeat_classic(
        &self,
        beat: &Heartbeat,
        context: &mut Context<'_>,
    ) -> Result<(), GroupError> {
        let (member, _) = self.classic(&beat.member, beat.instance.as_deref())?;
        if member.epoch != beat.generation {
            return Err(GroupError::IllegalGeneration);
        }
        let id = member.id.clone();
        self.expect_heartbeat(&id, context);
        let Some(member) = self.members.get(&id) else { return Err(GroupError::UnknownMember) };
        let is_to_join = member.epoch < self.epoch
            || member.progress == Progress::Unrevoked
            || (member.progress == Progress::Unreleased && !self.waits_for_others(member));
        if is_to_join {
            self.expect_rejoin(member, context);
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether others still have what the member is to have.
    fn waits_for_others(&self, member: &Member) -> bool {
        let target = self.targets.get(&member.id);
        target.into_iter().flat_map(Assignment::iter).any(|(topic, partition)| {
            !member.assigned.contains(topic, partition) && self.owners.contains_key(&(topic, partition))
        })
    }

    /// Members that go, by the classic protocol.
    pub(crate) fn leave_classic(&mut self, members: Vec<Leaving>, context: &mut Context<'_>) -> Vec<Left> {
        let mut left = Vec::with_capacity(members.len());
        for leaving in members {
            let result = self.leaving_classic(&leaving).map(|id| self.remove(&id, context));
            left.push(Left { leaving, result });
        }
        if left.iter().any(|left| left.result.is_ok()) {
            self.bump(context);
        }
        left
    }

    fn leaving_classic(&self, leaving: &Leaving) -> Result<Arc<str>, GroupError> {
        let instance = leaving.instance.as_deref();
        let named = match (leaving.member.is_empty(), instance) {
            // An administrator names an instance.
            (true, Some(instance)) => &**self.instances.get(instance).ok_or(GroupError::UnknownMember)?,
            _ => &*leaving.member,
        };
        self.classic(named, instance).map(|(member, _)| member.id.clone())
    }

    /// A member's time to join, or to ask for its part, is over.
    pub(crate) fn classic_time_over(&mut self, member: &str, context: &mut Context<'_>) {
        if self.members.get(member).is_some_and(|member| member.classic.is_some()) {
            self.fence(member, context);
        }
    }

    /// A member has been told to join: it has so long from the first time on.
    fn expect_rejoin(&self, member: &Member, context: &mut Context<'_>) {
        let timer = Timer::Rejoin(self.id.clone(), member.id.clone());
        if !context.deadlines.is_set(&timer) {
            let timeout = u64::try_from(member.rebalance_timeout_ms).unwrap_or(0);
            context.deadlines.set(timer, context.at.elapsed_ms.saturating_add(timeout));
        }
    }
}

/// An assignment in the words of the classic protocol.
pub(super) fn embedded(assignment: &Assignment, version: i16, topics: &dyn Topics) -> Bytes {
    let named: Vec<_> =
        assignment.topics().filter_map(|(id, partitions)| Some((topics.name_of(id)?, partitions))).collect();
    write_assignment(version, &named)
}
