//! Offsets committed, read and deleted.

use alloc::{string::String, vec::Vec};
use highwater_records::TopicId;

use super::{GroupShard, check_id};
use crate::{
    GroupError,
    format::{Key, OffsetCommit},
    group::Group,
    group_request::{CommitOffsets, DeleteOffsets, FetchOffsets, FetchedOffset, FetchedTopic},
    museum::{self, Bug},
    offsets::tombstone,
    shard::{Moment, NewRecord, Step, TopicFacts},
};

impl GroupShard {
    pub(super) fn commit(
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
            _ if museum::has(Bug::CommitsNotFenced) => Ok(()),
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

    pub(super) fn fetch(&self, request: &FetchOffsets) -> Result<Vec<FetchedTopic>, GroupError> {
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

    pub(super) fn delete_offsets(
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
}

/// Whether the cluster has this partition.
fn has_partition(topic: Option<TopicFacts>, partition: i32) -> bool {
    topic.is_some_and(|facts| u32::try_from(partition).is_ok_and(|partition| partition < facts.partitions))
}
