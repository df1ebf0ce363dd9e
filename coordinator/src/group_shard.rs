use alloc::{collections::BTreeMap, string::String, sync::Arc, vec::Vec};
use highwater_records::TopicId;

use crate::{
    GroupConfig, GroupError,
    classic::{CONSUMER, ClassicGroup},
    consumer::ConsumerGroup,
    deadlines::Deadlines,
    format::{
        ConsumerGroupEpoch, ConsumerMember, CurrentAssignment, FormatError, GroupMetadata, Key, OffsetCommit,
        ResolvedRegex, decode_target, decode_target_epoch,
    },
    group::{Context, Group, Timer},
    group_request::{
        CommitOffsets, ConsumerBeat, ConsumerHeartbeat, DeleteOffsets, DescribedConsumerGroup,
        DescribedGroup, FetchOffsets, FetchedOffset, FetchedTopic, GroupKind, GroupReply, GroupRequest,
        JoinGroup, JoinRefused, LeaveGroup, Left, ListedGroup,
    },
    offsets::{Offsets, tombstone},
    shard::{Logged, Marker, Moment, NewRecord, ReplyTo, Shard, Step, TopicFacts},
};

/// One partition of `__consumer_offsets`: groups and their offsets.
#[derive(Debug)]
pub struct GroupShard {
    pub(crate) config: GroupConfig,
    pub(crate) groups: BTreeMap<Arc<str>, Group>,
    pub(crate) offsets: Offsets,
    pub(crate) deadlines: Deadlines<Timer>,
}

impl GroupShard {
    /// A shard before its replay.
    pub fn new(config: GroupConfig) -> GroupShard {
        GroupShard {
            config,
            groups: BTreeMap::new(),
            offsets: Offsets::default(),
            deadlines: Deadlines::default(),
        }
    }

    /// How many groups there are.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// How many offsets are committed.
    pub fn offset_count(&self) -> usize {
        self.offsets.count()
    }

    fn id_of(&self, group: &str) -> Option<Arc<str>> {
        self.groups.get_key_value(group).map(|(id, _)| id.clone())
    }

    /// The group, made as an empty one if there is none.
    fn ensure(&mut self, group: &str, at: &Moment<'_>) -> Arc<str> {
        if let Some(id) = self.id_of(group) {
            return id;
        }
        let id: Arc<str> = group.into();
        self.groups.insert(id.clone(), Group::Classic(ClassicGroup::new(id.clone(), at.wall.0)));
        id
    }

    /// The group with what it needs to take a step.
    fn with<R>(
        &mut self,
        group: &str,
        at: &Moment<'_>,
        step: &mut Step<GroupShard>,
        act: impl FnOnce(&mut Group, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let group = self.groups.get_mut(group)?;
        let mut context = Context { config: &self.config, at, deadlines: &mut self.deadlines, step };
        Some(act(group, &mut context))
    }

    fn join(&mut self, at: &Moment<'_>, request: JoinGroup, reply_to: ReplyTo, step: &mut Step<GroupShard>) {
        let bounds = self.config.session_timeout_min_ms..=self.config.session_timeout_max_ms;
        let is_new = !self.groups.contains_key(&*request.group);
        let refused = if request.group.is_empty() {
            Some(GroupError::InvalidGroupId)
        } else if !bounds.contains(&request.session_timeout_ms) {
            Some(GroupError::InvalidSessionTimeout)
        } else if is_new && !request.member.is_empty() {
            Some(GroupError::UnknownMember)
        } else {
            None
        };
        if let Some(error) = refused {
            let refused = JoinRefused { error, member: request.member };
            return step.replies.push((reply_to, GroupReply::Join(Err(refused))));
        }
        if let Some(group @ Group::Consumer(_)) = self.groups.get(&*request.group) {
            if !group.is_empty() {
                let error = GroupError::InconsistentProtocol;
                let refused = JoinRefused { error, member: String::new() };
                return step.replies.push((reply_to, GroupReply::Join(Err(refused))));
            }
            // Nobody is left who speaks the newer protocol.
            self.clear(&request.group, step);
        }
        let id = self.ensure(&request.group, at);
        self.with(&id, at, step, |group, context| match group {
            Group::Consumer(_) => {}
            Group::Classic(group) => {
                group.join(request, reply_to, context);
                if is_new && context.step.records.is_empty() {
                    // So that the group is there after a replay, as in Kafka.
                    context.step.record(ClassicGroup::new(id.clone(), at.wall.0).record());
                }
            }
        });
    }

    fn leave(
        &mut self,
        at: &Moment<'_>,
        request: LeaveGroup,
        step: &mut Step<GroupShard>,
    ) -> Result<Vec<Left>, GroupError> {
        check_id(&request.group)?;
        self.with(&request.group, at, step, |group, context| match group {
            Group::Classic(group) => Ok(group.leave(request.members, context)),
            Group::Consumer(_) => Err(GroupError::UnknownMember),
        })
        .unwrap_or(Err(GroupError::UnknownMember))
    }

    fn commit(
        &mut self,
        at: &Moment<'_>,
        request: CommitOffsets,
        step: &mut Step<GroupShard>,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let id = match self.id_of(&request.group) {
            Some(id) => id,
            None if request.generation < 0 => self.ensure(&request.group, at),
            None if request.knows_group_not_found => return Err(GroupError::GroupIdNotFound),
            None => return Err(GroupError::IllegalGeneration),
        };
        let (member, instance) = (&*request.member, request.instance.as_deref());
        let (generation, is_transactional) = (request.generation, request.transaction.is_some());
        self.with(&id, at, step, |group, context| match group {
            Group::Classic(group) => {
                group.check_commit(member, instance, generation, is_transactional)?;
                if !is_transactional {
                    group.committed(member, context);
                }
                Ok(())
            }
            Group::Consumer(group) => group.check_commit(member, generation),
        })
        .unwrap_or(Err(GroupError::UnknownMember))?;
        let mut answers = Vec::new();
        for topic in request.topics {
            let facts = at.topics.named(&topic.name);
            let topic_id =
                if topic.id.is_zero() { facts.map_or(TopicId::ZERO, |facts| facts.id) } else { topic.id };
            for partition in topic.partitions {
                if !has_partition(facts, partition.partition) {
                    answers.push(Err(GroupError::UnknownTopicOrPartition));
                    continue;
                }
                if partition.metadata.len() > self.config.offset_metadata_bytes_max {
                    answers.push(Err(GroupError::OffsetMetadataTooLarge));
                    continue;
                }
                let value = OffsetCommit {
                    offset: partition.offset,
                    leader_epoch: partition.leader_epoch,
                    metadata: partition.metadata,
                    commit_timestamp: at.wall.0,
                    expire_timestamp: request.retention_ms.map_or(-1, |keep| at.wall.0.saturating_add(keep)),
                    topic_id,
                };
                step.records.push(NewRecord {
                    key: Key::offset(&id, &topic.name, partition.partition),
                    value: Some(value.encode()),
                    transaction: request.transaction,
                });
                let producer = request.transaction.map(|transaction| transaction.producer);
                self.offsets.put(&id, &topic.name, partition.partition, value, producer);
                answers.push(Ok(()));
            }
        }
        Ok(answers)
    }

    fn fetch(&self, request: &FetchOffsets) -> Result<Vec<FetchedTopic>, GroupError> {
        let group = &*request.group;
        if let Some(Group::Consumer(found)) = self.groups.get(group) {
            found.check_fetch(request.member.as_ref())?;
        }
        let one = |topic: &str, partition: i32| FetchedOffset {
            partition,
            committed: if request.require_stable && self.offsets.is_pending(group, topic, partition) {
                Err(GroupError::UnstableOffsetCommit)
            } else {
                Ok(self.offsets.committed(group, topic, partition))
            },
        };
        let topics = match &request.topics {
            Some(topics) => topics
                .iter()
                .map(|(topic, partitions)| FetchedTopic {
                    name: topic.clone(),
                    partitions: partitions.iter().map(|partition| one(topic, *partition)).collect(),
                })
                .collect(),
            None => self
                .offsets
                .of_group(group)
                .map(|(topic, partitions)| FetchedTopic {
                    name: String::from(&**topic),
                    partitions: partitions.keys().map(|partition| one(topic, *partition)).collect(),
                })
                .collect(),
        };
        Ok(topics)
    }

    fn list(&self) -> Vec<ListedGroup> {
        let listed = self.groups.iter().map(|(id, group)| match group {
            Group::Classic(group) => ListedGroup {
                group: String::from(&**id),
                protocol_type: group.protocol_type().into(),
                state: group.state().name(),
                kind: GroupKind::Classic,
            },
            Group::Consumer(group) => ListedGroup {
                group: String::from(&**id),
                protocol_type: CONSUMER.into(),
                state: group.state(),
                kind: GroupKind::Consumer,
            },
        });
        listed.collect()
    }

    fn describe(&self, group: &str) -> Result<DescribedGroup, GroupError> {
        match self.groups.get(group) {
            Some(Group::Classic(group)) => Ok(group.describe()),
            Some(Group::Consumer(_)) | None => Err(GroupError::GroupIdNotFound),
        }
    }

    fn describe_consumers(&self, group: &str, at: &Moment<'_>) -> Result<DescribedConsumerGroup, GroupError> {
        check_id(group)?;
        match self.groups.get(group) {
            Some(Group::Consumer(group)) => Ok(group.describe(at.topics)),
            Some(Group::Classic(_)) | None => Err(GroupError::GroupIdNotFound),
        }
    }

    fn consumer_beat(
        &mut self,
        at: &Moment<'_>,
        request: ConsumerHeartbeat,
        step: &mut Step<GroupShard>,
    ) -> Result<ConsumerBeat, GroupError> {
        request.check()?;
        match self.groups.get(&*request.group) {
            Some(Group::Consumer(_)) => {}
            // An empty group of either kind becomes one of the other: there is nobody whom it could surprise.
            Some(group) if request.epoch == 0 && group.is_empty() => {
                self.clear(&request.group, step);
                self.begin_consumers(&request.group);
            }
            None if request.epoch == 0 => self.begin_consumers(&request.group),
            _ => return Err(GroupError::GroupIdNotFound),
        }
        let group = request.group.clone();
        let answer = self.with(&group, at, step, |group, context| match group {
            Group::Consumer(group) => group.heartbeat(request, context),
            Group::Classic(_) => Err(GroupError::GroupIdNotFound),
        });
        answer.unwrap_or(Err(GroupError::GroupIdNotFound))
    }

    fn begin_consumers(&mut self, group: &str) {
        let id: Arc<str> = group.into();
        self.groups.insert(id.clone(), Group::Consumer(ConsumerGroup::new(id)));
    }

    /// Forgets an empty group, and keeps its offsets.
    fn clear(&mut self, group: &str, step: &mut Step<GroupShard>) {
        if let Some(gone) = self.groups.remove(group) {
            for record in gone.tombstones(group) {
                step.record(record);
            }
        }
        self.deadlines.cancel(&Timer::Join(group.into()));
        self.deadlines.cancel(&Timer::Sync(group.into()));
    }

    /// The consumer group that a record tells of; made unless the record deletes.
    fn replayed_consumers(&mut self, group: &str, deletes: bool) -> Option<&mut ConsumerGroup> {
        match self.groups.get(group) {
            Some(Group::Consumer(_)) => {}
            _ if deletes => return None,
            // A classic group of the name ended before, or is one that only stored offsets.
            _ => self.begin_consumers(group),
        }
        match self.groups.get_mut(group) {
            Some(Group::Consumer(group)) => Some(group),
            _ => None,
        }
    }

    /// Applies a record of a consumer group.
    fn replay_consumers(&mut self, key: Key, value: Option<&[u8]>) -> Result<(), FormatError> {
        match key {
            Key::ConsumerGroup { group } => match value {
                None => {
                    if matches!(self.groups.get(&*group), Some(Group::Consumer(_))) {
                        self.groups.remove(&*group);
                    }
                }
                Some(value) => {
                    let value = ConsumerGroupEpoch::decode(value)?;
                    if let Some(group) = self.replayed_consumers(&group, false) {
                        group.replay_epoch(value);
                    }
                }
            },
            Key::ConsumerMember { group, member } => {
                let value = value.map(ConsumerMember::decode).transpose()?;
                if let Some(group) = self.replayed_consumers(&group, value.is_none()) {
                    group.replay_member(member, value);
                }
            }
            Key::TargetEpoch { group } => {
                let epoch = value.map(decode_target_epoch).transpose()?;
                if let Some(group) = self.replayed_consumers(&group, epoch.is_none()) {
                    group.replay_target_epoch(epoch.unwrap_or(0));
                }
            }
            Key::Target { group, member } => {
                let target = value.map(decode_target).transpose()?;
                if let Some(group) = self.replayed_consumers(&group, target.is_none()) {
                    group.replay_target(member, target);
                }
            }
            Key::Current { group, member } => {
                let value = value.map(CurrentAssignment::decode).transpose()?;
                if let Some(group) = self.replayed_consumers(&group, value.is_none()) {
                    group.replay_current(member, value);
                }
            }
            Key::Regex { group, regex } => {
                let value = value.map(ResolvedRegex::decode).transpose()?;
                if let Some(group) = self.replayed_consumers(&group, value.is_none()) {
                    group.replay_regex(regex, value);
                }
            }
            Key::Offset { .. } | Key::Group { .. } | Key::Unknown { .. } => {}
        }
        Ok(())
    }

    fn delete(&mut self, group: &str, step: &mut Step<GroupShard>) -> Result<(), GroupError> {
        let found = self.groups.get(group).ok_or(GroupError::GroupIdNotFound)?;
        found.check_delete()?;
        for (topic, partition) in self.offsets.keys(group) {
            step.record(tombstone(group, &topic, partition));
            self.offsets.remove(group, &topic, partition);
        }
        self.clear(group, step);
        Ok(())
    }

    fn delete_offsets(
        &mut self,
        at: &Moment<'_>,
        request: &DeleteOffsets,
        step: &mut Step<GroupShard>,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        check_id(&request.group)?;
        let group = self.groups.get(&*request.group).ok_or(GroupError::GroupIdNotFound)?;
        group.check_offset_delete()?;
        let mut answers = Vec::new();
        for (topic, partitions) in &request.topics {
            let stays = !group.is_empty() && group.is_subscribed_to(topic);
            for partition in partitions {
                if !has_partition(at.topics.named(topic), *partition) {
                    answers.push(Err(GroupError::UnknownTopicOrPartition));
                    continue;
                }
                if stays {
                    answers.push(Err(GroupError::SubscribedToTopic));
                    continue;
                }
                answers.push(Ok(()));
                if self.offsets.committed(&request.group, topic, *partition).is_some()
                    || self.offsets.is_pending(&request.group, topic, *partition)
                {
                    step.record(tombstone(&request.group, topic, *partition));
                    self.offsets.remove(&request.group, topic, *partition);
                }
            }
        }
        Ok(answers)
    }

    fn replay_group(&mut self, group: String, value: Option<&[u8]>) -> Result<(), FormatError> {
        let Some(value) = value else {
            if matches!(self.groups.get(&*group), Some(Group::Classic(_))) {
                self.groups.remove(&*group);
            }
            return Ok(());
        };
        let id: Arc<str> = self.id_of(&group).unwrap_or_else(|| group.into());
        let restored = ClassicGroup::restore(id.clone(), GroupMetadata::decode(value)?);
        self.groups.insert(id, Group::Classic(restored));
        Ok(())
    }
}

impl Shard for GroupShard {
    type Request = GroupRequest;
    type Reply = GroupReply;
    type Effect = core::convert::Infallible;

    fn replay(&mut self, record: &Logged<'_>) -> Result<(), FormatError> {
        let Some(key) = record.key else { return Ok(()) };
        match Key::decode(key)? {
            Key::Offset { group, topic, partition } => match record.value {
                None => self.offsets.remove(&group, &topic, partition),
                Some(value) => {
                    let value = OffsetCommit::decode(value)?;
                    let id = match self.id_of(&group) {
                        Some(id) => id,
                        None => {
                            // Somebody who stores offsets and is no member.
                            let id: Arc<str> = group.into();
                            let simple = ClassicGroup::new(id.clone(), value.commit_timestamp);
                            self.groups.insert(id.clone(), Group::Classic(simple));
                            id
                        }
                    };
                    let producer = record.transaction.map(|transaction| transaction.producer);
                    self.offsets.put(&id, &topic, partition, value, producer);
                }
            },
            Key::Group { group } => self.replay_group(group, record.value)?,
            Key::Unknown { .. } => {}
            of_consumers => self.replay_consumers(of_consumers, record.value)?,
        }
        Ok(())
    }

    fn marker(&mut self, marker: Marker) {
        self.offsets.marker(marker);
    }

    fn loaded(&mut self, at: &Moment<'_>, step: &mut Step<GroupShard>) {
        let ids: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        for id in ids {
            self.with(&id, at, step, |group, context| match group {
                Group::Classic(group) => group.loaded(context),
                Group::Consumer(group) => group.loaded(context),
            });
        }
        self.forget_deleted_topics(at, step);
        let check = at.elapsed_ms.saturating_add(self.config.offsets_retention_check_ms);
        self.deadlines.set(Timer::Expiry, check);
    }

    fn handle(
        &mut self,
        at: &Moment<'_>,
        request: GroupRequest,
        reply_to: ReplyTo,
        step: &mut Step<GroupShard>,
    ) {
        let reply = match request {
            GroupRequest::Join(request) => return self.join(at, request, reply_to, step),
            GroupRequest::Sync(request) => {
                let group = request.group.clone();
                let found = check_id(&group).and_then(|()| {
                    self.with(&group, at, step, |group, context| match group {
                        Group::Classic(group) => {
                            group.sync(request, reply_to, context);
                            Ok(())
                        }
                        Group::Consumer(_) => Err(GroupError::UnknownMember),
                    })
                    .unwrap_or(Err(GroupError::UnknownMember))
                });
                match found {
                    Ok(()) => return,
                    Err(error) => GroupReply::Sync(Err(error)),
                }
            }
            GroupRequest::Heartbeat(beat) => {
                let found = check_id(&beat.group).and_then(|()| {
                    let (member, instance) = (&*beat.member, beat.instance.as_deref());
                    self.with(&beat.group, at, step, |group, context| match group {
                        Group::Classic(group) => group.heartbeat(member, instance, beat.generation, context),
                        Group::Consumer(_) => Err(GroupError::UnknownMember),
                    })
                    .unwrap_or(Err(GroupError::UnknownMember))
                });
                // It promises nothing that is stored, and must not wait for a slow disk.
                return step.early.push((reply_to, GroupReply::Heartbeat(found)));
            }
            GroupRequest::Leave(request) => GroupReply::Leave(self.leave(at, request, step)),
            GroupRequest::Commit(request) => GroupReply::Commit(self.commit(at, request, step)),
            GroupRequest::Fetch(request) => GroupReply::Fetch(self.fetch(&request)),
            GroupRequest::List => GroupReply::List(self.list()),
            GroupRequest::Describe(group) => GroupReply::Describe(self.describe(&group)),
            GroupRequest::Delete(group) => GroupReply::Delete(self.delete(&group, step)),
            GroupRequest::ConsumerBeat(request) => {
                GroupReply::ConsumerBeat(self.consumer_beat(at, request, step))
            }
            GroupRequest::DescribeConsumers(group) => {
                GroupReply::DescribeConsumers(self.describe_consumers(&group, at))
            }
            GroupRequest::DeleteOffsets(request) => {
                GroupReply::DeleteOffsets(self.delete_offsets(at, &request, step))
            }
        };
        step.replies.push((reply_to, reply));
    }

    fn next_deadline(&self) -> Option<u64> {
        self.deadlines.next()
    }

    fn on_deadline(&mut self, at: &Moment<'_>, step: &mut Step<GroupShard>) {
        let Some(timer) = self.deadlines.take_due(at.elapsed_ms) else { return };
        match timer {
            Timer::Expiry => self.expire(at, step),
            Timer::Session(group, member) => {
                self.with(&group, at, step, |group, context| match group {
                    Group::Classic(group) => group.session_expired(&member, context),
                    Group::Consumer(group) => group.session_expired(&member, context),
                });
            }
            Timer::Revocation(group, member) => {
                self.with(&group, at, step, |group, context| match group {
                    Group::Classic(_) => {}
                    Group::Consumer(group) => group.rebalance_time_over(&member, context),
                });
            }
            Timer::Join(group) => {
                self.with(&group, at, step, |group, context| match group {
                    Group::Classic(group) => group.join_time_over(context),
                    Group::Consumer(_) => {}
                });
            }
            Timer::Sync(group) => {
                self.with(&group, at, step, |group, context| match group {
                    Group::Classic(group) => group.sync_time_over(context),
                    Group::Consumer(_) => {}
                });
            }
        }
    }

    fn topics_changed(&mut self, at: &Moment<'_>, step: &mut Step<GroupShard>) {
        for group in self.groups.values_mut() {
            if let Group::Consumer(group) = group {
                group.topics_changed();
            }
        }
        self.forget_deleted_topics(at, step);
    }
}

/// Whether the cluster has this partition.
fn has_partition(topic: Option<TopicFacts>, partition: i32) -> bool {
    topic.is_some_and(|facts| u32::try_from(partition).is_ok_and(|partition| partition < facts.partitions))
}

/// A group has a name.
fn check_id(group: &str) -> Result<(), GroupError> {
    if group.is_empty() { Err(GroupError::InvalidGroupId) } else { Ok(()) }
}
