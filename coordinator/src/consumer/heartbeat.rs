//! ConsumerGroupHeartbeat: joining, staying, moving and leaving are all one request.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    sync::Arc,
    vec::Vec,
};

use super::{
    Assignment, ConsumerGroup, Pattern,
    assignor::{self, Reader},
    member::Member,
    reconcile::reconcile,
};
use crate::{
    GroupError,
    group::{Context, uuid},
    group_request::{ConsumerBeat, ConsumerHeartbeat},
    museum::{self, Bug},
    shard::Topics,
};

/// The epoch of a member that leaves.
pub(crate) const LEAVES: i32 = -1;
/// The epoch of a static member that leaves and will be back.
pub(crate) const LEAVES_FOR_A_WHILE: i32 = -2;

/// What a member says of itself, whatever protocol it says it in.
pub(super) struct Said<'a> {
    /// The member as it is to be.
    pub(super) member: Member,
    /// Its regular expression, if that is new.
    pub(super) pattern: Option<Pattern>,
    /// What it has, if it says.
    pub(super) owned: Option<&'a Assignment>,
}

impl ConsumerGroup {
    pub(crate) fn heartbeat(
        &mut self,
        request: ConsumerHeartbeat,
        context: &mut Context<'_>,
    ) -> Result<ConsumerBeat, GroupError> {
        if request.epoch < 0 {
            return self.leave(&request, context);
        }
        self.check_size(&request, context)?;
        let pattern = match request.regex.as_deref() {
            Some(text) if !text.is_empty() => Some(Pattern::new(text)?),
            _ => None,
        };
        let before = self.find(&request, context)?;
        let said = Said { member: updated(&before, &request), pattern, owned: request.owned.as_ref() };
        let member = self.take_in(&before, said, context);
        let is_full = request.epoch == 0
            || (request.rebalance_timeout_ms.is_some()
                && request.topics.is_some()
                && request.owned.is_some());
        let moved = member.assigned != before.assigned;
        self.expect_heartbeat(&member.id, context);
        let own = context.at.groups.of_group(&self.id);
        Ok(ConsumerBeat {
            member: String::from(&*member.id),
            epoch: member.epoch,
            interval_ms: own.heartbeat_interval_ms.unwrap_or(context.config.consumer_heartbeat_interval_ms),
            assignment: (is_full || moved).then_some(member.assigned),
        })
    }

    /// Takes in what a member says, does what follows from it for the group, and answers how the member is now.
    pub(super) fn take_in(&mut self, before: &Member, said: Said<'_>, context: &mut Context<'_>) -> Member {
        let Said { member, pattern, owned } = said;
        let is_new = !self.members.contains_key(&before.id);
        let mut bump = false;
        if is_new || member != *before {
            context.step.record(self.member_record(&member));
            // Of somebody new that reads nothing the others need not know. Another assignor or rack counts from the next
            // assignment on, as with Kafka.
            bump = member.topics != before.topics || member.regex != before.regex;
        }
        self.put(member.clone());
        if let (Some(pattern), Some(text)) = (pattern, &member.regex)
            && !self.patterns.contains_key(text)
        {
            let topics = pattern.topics(context.at.topics);
            context.step.record(self.regex_record(text, &topics, context.at.wall.0));
            self.patterns.insert(text.clone(), topics);
            bump = true;
        }
        if member.regex != before.regex {
            self.forget_patterns(context);
        }
        let may_assign = self.may_assign(context);
        if may_assign && (bump || self.topics_unseen || self.epoch > self.target_epoch) {
            bump |= self.look_at_topics(context);
        }
        if bump {
            self.bump(context);
        }
        if may_assign && self.epoch > self.target_epoch {
            self.retarget(context);
        }
        let target = self.targets.get(&member.id).cloned().unwrap_or_default();
        let owners = &self.owners;
        let after = reconcile(&member, self.target_epoch, &target, owned, |topic, partition| {
            owners.contains_key(&(topic, partition)) && !museum::has(Bug::RevocationNotAwaited)
        });
        if after != member || is_new {
            context.step.record(self.current_record(&after));
            self.put(after.clone());
            self.expect_revocation(&after.id, context);
        }
        after
    }

    fn check_size(&self, request: &ConsumerHeartbeat, context: &Context<'_>) -> Result<(), GroupError> {
        let known = self.members.contains_key(&*request.member)
            || request.instance.as_deref().is_some_and(|instance| self.instances.contains_key(instance));
        if !known && self.members.len() >= context.config.consumer_size_max {
            return Err(GroupError::GroupMaxSizeReached);
        }
        Ok(())
    }

    /// The member that asks, or a new one.
    fn find(&mut self, request: &ConsumerHeartbeat, context: &mut Context<'_>) -> Result<Member, GroupError> {
        let joins = request.epoch == 0;
        let id: Arc<str> = match request.member.is_empty() {
            true => uuid(context.at.random).into(),
            false => Arc::from(&*request.member),
        };
        let Some(instance) = request.instance.as_deref() else {
            return match self.members.get(&id) {
                None if joins => Ok(Member::new(id)),
                None => Err(GroupError::UnknownMember),
                Some(member) => self.check_beat(member, request).map(|()| member.clone()),
            };
        };
        let Some(current) = self.instances.get(instance).and_then(|id| self.members.get(id)).cloned() else {
            let known = || self.members.get(&id).cloned();
            return if joins {
                Ok(known().unwrap_or_else(|| Member::new(id.clone())))
            } else {
                Err(GroupError::UnknownMember)
            };
        };
        if current.id == id && !joins {
            return self.check_beat(&current, request).map(|()| current);
        }
        if !joins {
            return Err(GroupError::FencedInstanceId);
        }
        // One that speaks the classic protocol cannot say that it will be back.
        if current.epoch != LEAVES_FOR_A_WHILE && current.classic.is_none() {
            return Err(GroupError::UnreleasedInstance);
        }
        if current.id == id { Ok(current) } else { Ok(self.replace(current, id, context)) }
    }

    /// The same instance under a new id: it takes over what the other one had.
    pub(super) fn replace(&mut self, current: Member, id: Arc<str>, context: &mut Context<'_>) -> Member {
        let target = self.targets.get(&current.id).cloned();
        self.remove(&current.id, context);
        let member = Member { id: id.clone(), epoch: 0, previous_epoch: 0, ..current };
        if let Some(target) = target {
            context.step.record(self.target_record(&id, &target));
            self.targets.insert(id, target);
        }
        context.step.record(self.member_record(&member));
        self.put(member.clone());
        member
    }

    /// Whether the member is in the epoch it says, or in the one after it and its answer was lost.
    fn check_beat(&self, member: &Member, request: &ConsumerHeartbeat) -> Result<(), GroupError> {
        if request.epoch == member.epoch || request.epoch == 0 {
            return Ok(());
        }
        let has_no_more = request.owned.as_ref().is_some_and(|owned| {
            owned.iter().all(|(topic, partition)| member.assigned.contains(topic, partition))
        });
        if request.epoch == member.previous_epoch && request.epoch < member.epoch && has_no_more {
            Ok(())
        } else {
            Err(GroupError::FencedMemberEpoch)
        }
    }

    fn leave(
        &mut self,
        request: &ConsumerHeartbeat,
        context: &mut Context<'_>,
    ) -> Result<ConsumerBeat, GroupError> {
        let beat = ConsumerBeat {
            member: request.member.clone(),
            epoch: request.epoch,
            // There is nothing to keep any more.
            interval_ms: 0,
            assignment: None,
        };
        let Some(instance) = request.instance.as_deref() else {
            if !self.members.contains_key(&*request.member) {
                return Err(GroupError::UnknownMember);
            }
            self.fence(&request.member, context);
            return Ok(beat);
        };
        // A member that had another instance's name before may be gone by its later one.
        let known = self.instances.get(instance).filter(|id| self.members.contains_key(*id));
        let id = known.cloned().ok_or(GroupError::UnknownMember)?;
        if *id != *request.member {
            return Err(GroupError::FencedInstanceId);
        }
        if request.epoch == LEAVES_FOR_A_WHILE
            && let Some(mut member) = self.members.get(&id).cloned()
        {
            // Its partitions wait for it until its session ends.
            member.epoch = LEAVES_FOR_A_WHILE;
            context.step.record(self.current_record(&member));
            self.put(member);
        } else {
            self.fence(&id, context);
        }
        Ok(beat)
    }

    /// Forgets the expressions that no member has any more.
    pub(super) fn forget_patterns(&mut self, context: &mut Context<'_>) {
        if self.patterns.is_empty() {
            return;
        }
        let used: BTreeSet<&String> =
            self.members.values().filter_map(|member| member.regex.as_ref()).collect();
        let unused: Vec<String> =
            self.patterns.keys().filter(|pattern| !used.contains(pattern)).cloned().collect();
        for pattern in unused {
            context.step.record(self.regex_tombstone(&pattern));
            self.patterns.remove(&pattern);
        }
    }

    /// Whether the topics that the group reads have changed since they were last looked at.
    fn look_at_topics(&mut self, context: &mut Context<'_>) -> bool {
        if self.topics_unseen {
            let patterns: Vec<String> = self.patterns.keys().cloned().collect();
            for text in patterns {
                let Ok(pattern) = Pattern::new(&text) else { continue };
                let topics = pattern.topics(context.at.topics);
                if self.patterns.get(&text) != Some(&topics) {
                    context.step.record(self.regex_record(&text, &topics, context.at.wall.0));
                    self.patterns.insert(text, topics);
                }
            }
        }
        self.topics_unseen = false;
        let hash = self.hash_of_topics(context.at.topics);
        let changed = hash != self.metadata_hash;
        self.metadata_hash = hash;
        changed
    }

    /// FNV-1a over names, identities and numbers of partitions. Kafka computes another one, and raises the epoch once
    /// when it finds ours.
    fn hash_of_topics(&self, topics: &dyn Topics) -> i64 {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for member in self.members.values() {
            names.extend(member.topics.iter().map(String::as_str));
            let matched = member.regex.as_ref().and_then(|regex| self.patterns.get(regex));
            names.extend(matched.into_iter().flatten().map(String::as_str));
        }
        if names.is_empty() {
            // What a group without topics begins with.
            return 0;
        }
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut feed = |bytes: &[u8]| {
            for byte in bytes {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for name in names {
            let Some(facts) = topics.named(name) else { continue };
            feed(name.as_bytes());
            feed(facts.id.as_bytes());
            feed(&facts.partitions.to_be_bytes());
        }
        // Zero stands for "unknown".
        (hash | 1).cast_signed()
    }

    /// Whether targets may be computed now. That looks at every member: where thousands join, each of them must not
    /// have it done for all.
    fn may_assign(&self, context: &Context<'_>) -> bool {
        let each = u64::try_from(self.members.len()).unwrap_or(u64::MAX);
        let own = context.at.groups.of_group(&self.id).assignment_interval_ms;
        let interval = own.unwrap_or(context.config.consumer_assignment_interval_ms.min(each));
        self.assigned_at.is_none_or(|at| context.at.elapsed_ms >= at.saturating_add(interval))
    }

    /// Computes everybody's target for the current epoch; what changed is recorded.
    fn retarget(&mut self, context: &mut Context<'_>) {
        let readers: Vec<Reader<'_>> = self
            .members
            .values()
            .map(|member| Reader {
                id: member.id.clone(),
                instance: member.instance.clone(),
                topics: self.topics_of(member, context.at.topics),
                current: self.targets.get(&member.id),
            })
            .collect();
        let targets = assignor::assign(&self.assignor(), &readers);
        for (member, target) in &targets {
            if self.targets.get(member) != Some(target) {
                context.step.record(self.target_record(member, target));
            }
        }
        self.targets = targets;
        self.target_epoch = self.epoch;
        self.assigned_at = Some(context.at.elapsed_ms);
        context.step.record(self.target_epoch_record());
    }

    fn topics_of(&self, member: &Member, topics: &dyn Topics) -> BTreeMap<highwater_records::TopicId, u32> {
        let matched = member.regex.as_ref().and_then(|regex| self.patterns.get(regex));
        let names = member.topics.iter().chain(matched.into_iter().flatten());
        names.filter_map(|name| topics.named(name)).map(|facts| (facts.id, facts.partitions)).collect()
    }
}

/// The member with what the request says anew.
fn updated(before: &Member, request: &ConsumerHeartbeat) -> Member {
    let mut member = before.clone();
    if let Some(instance) = &request.instance {
        member.instance = Some(Arc::from(&**instance));
    }
    if let Some(rack) = &request.rack {
        member.rack = Some(rack.clone());
    }
    if let Some(timeout) = request.rebalance_timeout_ms {
        member.rebalance_timeout_ms = timeout;
    }
    if let Some(assignor) = &request.assignor {
        member.assignor = Some(assignor.clone());
    }
    if let Some(topics) = &request.topics {
        member.topics = topics.iter().cloned().collect();
    }
    if let Some(regex) = &request.regex {
        member.regex = Some(regex.clone()).filter(|regex| !regex.is_empty());
    }
    member.caller = request.caller.clone();
    member.classic = None;
    member
}

impl ConsumerHeartbeat {
    /// What is wrong with the request by itself.
    pub(crate) fn check(&self) -> Result<(), GroupError> {
        let empty = |text: &Option<String>| text.as_deref() == Some("");
        let refuse = |refused: bool| if refused { Err(GroupError::InvalidRequest) } else { Ok(()) };
        refuse(self.group.is_empty() || empty(&self.instance) || empty(&self.rack))?;
        match self.epoch {
            0 => {
                refuse(self.rebalance_timeout_ms.is_none())?;
                refuse(self.owned.as_ref().is_none_or(|owned| !owned.is_empty()))?;
                refuse(self.topics.is_none() && self.regex.is_none())?;
            }
            LEAVES_FOR_A_WHILE => refuse(self.instance.is_none())?,
            LEAVES | 1.. => refuse(self.member.is_empty())?,
            _ => return Err(GroupError::InvalidRequest),
        }
        match &self.assignor {
            Some(assignor) if !super::ASSIGNORS.contains(&&**assignor) => {
                Err(GroupError::UnsupportedAssignor)
            }
            _ => Ok(()),
        }
    }
}
