//! A classic group becomes one of consumers, and back, with its members and what they have (KIP-848, online migration).

use alloc::{sync::Arc, vec::Vec};

use super::{
    Assignment, ConsumerGroup,
    classic_member::embedded,
    member::{Classic, Member},
};
use crate::{
    GroupError,
    classic::{ClassicGroup, ClassicMember},
    format::Key,
    group::{Context, Timer},
    shard::Topics,
    subscription::{Subscription, read_assignment},
};

type Record = (Vec<u8>, Option<Vec<u8>>);

impl ConsumerGroup {
    /// The group with the members of a classic one, each with the part that its leader gave it last.
    ///
    /// # Errors
    /// [`GroupError::GroupIdNotFound`] where what members say or were told is not what consumers say or are told.
    pub(crate) fn of_classic(
        id: Arc<str>,
        generation: i32,
        members: Vec<ClassicMember>,
        topics: &dyn Topics,
    ) -> Result<ConsumerGroup, GroupError> {
        let mut group = ConsumerGroup::new(id);
        (group.epoch, group.target_epoch) = (generation, generation);
        for member in members {
            let said = Subscription::read(&member.subscription).map_err(|_| GroupError::GroupIdNotFound)?;
            let given = read_assignment(&member.assignment).map_err(|_| GroupError::GroupIdNotFound)?;
            let given = given.iter().filter_map(|(topic, partitions)| {
                let facts = topics.named(topic)?;
                Some(partitions.iter().map(move |partition| (facts.id, *partition)))
            });
            let assigned = Assignment::of(given.flatten());
            group.targets.insert(member.id.clone(), assigned.clone());
            group.put(Member {
                instance: member.instance,
                rack: said.rack,
                caller: member.caller,
                topics: said.topics.into_iter().collect(),
                rebalance_timeout_ms: i32::try_from(member.rebalance_timeout_ms).unwrap_or(i32::MAX),
                epoch: generation,
                previous_epoch: generation,
                assigned,
                classic: Some(Classic {
                    session_timeout_ms: member.session_timeout_ms,
                    protocols: member.protocols,
                }),
                ..Member::new(member.id)
            });
        }
        Ok(group)
    }

    /// Everything there is to know of the group, in Kafka's order.
    pub(crate) fn records(&self) -> Vec<Record> {
        let mut records: Vec<Record> =
            self.members.values().map(|member| self.member_record(member)).collect();
        records.push(self.epoch_record());
        records.extend(self.targets.iter().map(|(member, target)| self.target_record(member, target)));
        records.push(self.target_epoch_record());
        records.extend(self.members.values().map(|member| self.current_record(member)));
        records
    }

    /// Every member is expected to give signs of life.
    pub(crate) fn expect_heartbeats(&self, context: &mut Context<'_>) {
        self.members.keys().for_each(|id| self.expect_heartbeat(id, context));
    }

    /// Whether the last member that spoke the newer protocol has gone since this was asked, and others are left.
    pub(crate) fn take_all_classic_now(&mut self) -> bool {
        core::mem::take(&mut self.all_classic_now) && self.is_all_classic()
    }

    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// The classic group with the same members, each with all that it has, what it was to give up too, and the records that
    /// say so. Kafka notes what each was to have: should the group become one of consumers again before its members have
    /// come back, what they still have would be given to others.
    pub(crate) fn to_classic(&self, context: &mut Context<'_>) -> ClassicGroup {
        let mut records: Vec<Record> = Vec::new();
        for id in self.members.keys() {
            records.extend(self.member_tombstones(id));
            for timer in [
                Timer::Revocation(self.id.clone(), id.clone()),
                Timer::Rejoin(self.id.clone(), id.clone()),
                Timer::Resync(self.id.clone(), id.clone()),
            ] {
                context.deadlines.cancel(&timer);
            }
        }
        records.extend(self.patterns.keys().map(|regex| self.regex_tombstone(regex)));
        records.push((Key::target_epoch(&self.id), None));
        records.push((Key::consumer_group(&self.id), None));
        let members = self.members.values().filter_map(|member| {
            let classic = member.classic.as_ref()?;
            let subscription = classic.protocols.first()?.metadata.clone();
            let version = Subscription::read(&subscription).map_or(0, |said| said.version);
            let has = Assignment::of(member.assigned.iter().chain(member.revoking.iter()));
            Some(ClassicMember {
                id: member.id.clone(),
                instance: member.instance.clone(),
                caller: member.caller.clone(),
                session_timeout_ms: classic.session_timeout_ms,
                rebalance_timeout_ms: u64::try_from(member.rebalance_timeout_ms).unwrap_or(0),
                protocols: classic.protocols.clone(),
                assignment: embedded(&has, version, context.at.topics),
                subscription,
            })
        });
        let group =
            ClassicGroup::of_members(self.id.clone(), self.epoch, members.collect(), context.at.wall.0);
        records.push(group.record());
        records.into_iter().for_each(|record| context.step.record(record));
        group
    }
}
