//! A consumer group (KIP-848): the coordinator divides the work, and moves each member to its part step by step.
//!
//! The group's epoch counts changes that matter to everybody; a target for each member belongs to an epoch; a member
//! reaches its target by giving up what it must and taking what is free, in its own epoch.

mod assignment;
mod assignor;
mod classic_member;
mod heartbeat;
mod member;
mod migrate;
mod patterns;
mod reconcile;
mod stored;
#[cfg(test)]
mod tests;

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    sync::Arc,
    vec::Vec,
};
use highwater_records::TopicId;

pub use assignment::Assignment;
pub(crate) use assignor::ASSIGNORS;
pub use patterns::Pattern;

use crate::{
    GroupError,
    group::{Context, Timer},
    group_request::{DescribedConsumer, DescribedConsumerGroup},
    shard::Topics,
};
use member::{Member, Progress};

/// A consumer group.
#[derive(Debug)]
pub(crate) struct ConsumerGroup {
    id: Arc<str>,
    epoch: i32,
    /// Tells whether the topics that are read have changed.
    metadata_hash: i64,
    /// The epoch of the targets.
    target_epoch: i32,
    members: BTreeMap<Arc<str>, Member>,
    instances: BTreeMap<Arc<str>, Arc<str>>,
    targets: BTreeMap<Arc<str>, Assignment>,
    /// Who has each partition, those being given up included.
    owners: BTreeMap<(TopicId, i32), Arc<str>>,
    /// The topics that each regular expression of a member matches.
    patterns: BTreeMap<String, BTreeSet<String>>,
    /// Whether topics may have changed since they were last looked at.
    topics_unseen: bool,
    /// When the targets were computed, of [`Moment::elapsed_ms`](crate::Moment::elapsed_ms); a replay does not know.
    assigned_at: Option<u64>,
    /// Whether the last member that spoke the newer protocol has gone, and nobody has looked at that yet.
    all_classic_now: bool,
}

impl ConsumerGroup {
    pub(crate) fn new(id: Arc<str>) -> ConsumerGroup {
        ConsumerGroup {
            id,
            // As Kafka's, whose first member is told the next one.
            epoch: 1,
            metadata_hash: 0,
            target_epoch: 0,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            targets: BTreeMap::new(),
            owners: BTreeMap::new(),
            patterns: BTreeMap::new(),
            topics_unseen: true,
            assigned_at: None,
            all_classic_now: false,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Kafka's word for its state.
    pub(crate) fn state(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else if self.epoch > self.target_epoch {
            "Assigning"
        } else if self.members.values().all(|member| member.is_reconciled_to(self.target_epoch)) {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    /// Topics may have changed: they are looked at with the next heartbeat.
    pub(crate) fn topics_changed(&mut self) {
        self.topics_unseen = true;
    }

    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.members.values().any(|member| self.reads(member, topic))
    }

    fn reads(&self, member: &Member, topic: &str) -> bool {
        let matched = member.regex.as_ref().and_then(|regex| self.patterns.get(regex));
        member.topics.contains(topic) || matched.is_some_and(|topics| topics.contains(topic))
    }

    /// Whether this member in this epoch may commit offsets now.
    pub(crate) fn check_commit(&self, member: &str, epoch: i32) -> Result<(), GroupError> {
        if epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        self.check_epoch(member, epoch)
    }

    /// Whether this member in this epoch may read offsets; whoever is none may always.
    pub(crate) fn check_fetch(&self, member: Option<&(String, i32)>) -> Result<(), GroupError> {
        match member {
            None => Ok(()),
            Some((member, epoch)) => self.check_epoch(member, *epoch),
        }
    }

    fn check_epoch(&self, member: &str, epoch: i32) -> Result<(), GroupError> {
        let member = self.members.get(member).ok_or(GroupError::UnknownMember)?;
        match member.epoch == epoch {
            true => Ok(()),
            false if member.classic.is_some() => Err(GroupError::IllegalGeneration),
            false => Err(GroupError::StaleMemberEpoch),
        }
    }

    /// A member's time without a sign of life is over.
    pub(crate) fn session_expired(&mut self, member: &str, context: &mut Context<'_>) {
        if self.members.contains_key(member) {
            self.fence(member, context);
        }
    }

    /// A member's time to give partitions up is over.
    pub(crate) fn rebalance_time_over(&mut self, member: &str, context: &mut Context<'_>) {
        if self.members.get(member).is_some_and(|member| member.progress == Progress::Unrevoked) {
            self.fence(member, context);
        }
    }

    /// Takes a member out and tells everybody with a new epoch.
    fn fence(&mut self, member: &str, context: &mut Context<'_>) {
        let spoke_newer = self.members.get(member).is_some_and(|member| member.classic.is_none());
        self.remove(member, context);
        self.all_classic_now |= spoke_newer && self.is_all_classic();
        self.bump(context);
    }

    fn bump(&mut self, context: &mut Context<'_>) {
        self.epoch = self.epoch.saturating_add(1);
        context.step.record(self.epoch_record());
    }

    /// Takes a member out of the group and of the records.
    fn remove(&mut self, member: &str, context: &mut Context<'_>) {
        let Some(removed) = self.members.remove(member) else { return };
        for record in self.member_tombstones(&removed.id) {
            context.step.record(record);
        }
        self.release(&removed);
        self.targets.remove(member);
        if let Some(instance) = &removed.instance
            && self.instances.get(instance).is_some_and(|current| **current == *member)
        {
            self.instances.remove(instance);
        }
        context.deadlines.cancel(&Timer::Session(self.id.clone(), removed.id.clone()));
        context.deadlines.cancel(&Timer::Revocation(self.id.clone(), removed.id.clone()));
        context.deadlines.cancel(&Timer::Rejoin(self.id.clone(), removed.id.clone()));
        context.deadlines.cancel(&Timer::Resync(self.id.clone(), removed.id.clone()));
        if removed.regex.is_some() {
            self.forget_patterns(context);
        }
    }

    /// What the member had is free.
    fn release(&mut self, member: &Member) {
        for partition in member.assigned.iter().chain(member.revoking.iter()) {
            if self.owners.get(&partition).is_some_and(|owner| *owner == member.id) {
                self.owners.remove(&partition);
            }
        }
    }

    /// Puts a member in the place of what was known of it.
    fn put(&mut self, member: Member) {
        if let Some(before) = self.members.get(&member.id).cloned() {
            self.release(&before);
        }
        for partition in member.assigned.iter().chain(member.revoking.iter()) {
            self.owners.insert(partition, member.id.clone());
        }
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), member.id.clone());
        }
        self.members.insert(member.id.clone(), member);
    }

    fn expect_heartbeat(&self, member: &Arc<str>, context: &mut Context<'_>) {
        let classic = self.members.get(member).and_then(|member| member.classic.as_ref());
        let session = match classic {
            Some(own) => own.session_timeout_ms,
            None => {
                let own = context.at.groups.of_group(&self.id).session_timeout_ms;
                own.unwrap_or(context.config.consumer_session_timeout_ms)
            }
        };
        let at = context.at.elapsed_ms.saturating_add(session);
        context.deadlines.set(Timer::Session(self.id.clone(), member.clone()), at);
    }

    /// After a replay every member is given its time anew.
    pub(crate) fn loaded(&mut self, context: &mut Context<'_>) {
        self.topics_unseen = true;
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            self.expect_heartbeat(&id, context);
            self.expect_revocation(&id, context);
        }
    }

    fn expect_revocation(&self, id: &Arc<str>, context: &mut Context<'_>) {
        let timer = Timer::Revocation(self.id.clone(), id.clone());
        match self.members.get(id) {
            Some(member) if member.progress == Progress::Unrevoked => {
                let timeout = u64::try_from(member.rebalance_timeout_ms).unwrap_or(0);
                context.deadlines.set(timer, context.at.elapsed_ms.saturating_add(timeout));
            }
            _ => context.deadlines.cancel(&timer),
        }
    }

    pub(crate) fn describe(&self, topics: &dyn Topics) -> DescribedConsumerGroup {
        let named = |assignment: &Assignment| -> Vec<(TopicId, String, Vec<i32>)> {
            let named = assignment.topics().filter_map(|(id, partitions)| {
                // A topic that is gone is about to be taken from the member.
                Some((id, topics.name_of(id)?, partitions))
            });
            named.collect()
        };
        let members = self.members.values().map(|member| DescribedConsumer {
            member: String::from(&*member.id),
            instance: member.instance.as_deref().map(String::from),
            rack: member.rack.clone(),
            epoch: member.epoch,
            caller: member.caller.clone(),
            topics: member.topics.iter().cloned().collect(),
            regex: member.regex.clone(),
            is_classic: member.classic.is_some(),
            assigned: named(&member.assigned),
            target: self.targets.get(&member.id).map(named).unwrap_or_default(),
        });
        DescribedConsumerGroup {
            state: self.state(),
            epoch: self.epoch,
            target_epoch: self.target_epoch,
            assignor: self.assignor(),
            members: members.collect(),
        }
    }

    /// The assignor in force.
    fn assignor(&self) -> String {
        assignor::chosen(self.members.values().filter_map(|member| member.assignor.as_deref()))
    }
}
