//! Committed offsets, and those that wait for the end of a transaction.

use alloc::{boxed::Box, collections::BTreeMap, string::String, sync::Arc, vec::Vec};
use highwater_records::{ProducerId, TimestampMs, TopicId};

use crate::{
    format::{Key, OffsetCommit},
    group_request::Committed,
    museum::{self, Bug},
    shard::{Marker, Topics},
};

/// Topic, partition, offset.
type OfGroup = BTreeMap<Arc<str>, BTreeMap<i32, Stored>>;

/// The offsets of all groups of a shard.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    groups: BTreeMap<Arc<str>, OfGroup>,
    pending: BTreeMap<ProducerId, BTreeMap<Arc<str>, OfGroup>>,
    /// Topics that occur among committed offsets, and how often.
    topics: BTreeMap<(Arc<str>, TopicId), usize>,
    /// Commits so far: of two, the later one in the log has the larger number.
    commits: u64,
}

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    offset: i64,
    leader_epoch: i32,
    metadata: Box<str>,
    committed_at: i64,
    /// A time of its own to be forgotten at, as old clients could ask for.
    expires_at: Option<i64>,
    topic_id: TopicId,
    number: u64,
}

impl Stored {
    fn committed(&self) -> Committed {
        Committed {
            offset: self.offset,
            leader_epoch: self.leader_epoch,
            metadata: String::from(&*self.metadata),
            at: TimestampMs(self.committed_at),
        }
    }

    /// Whether it may be forgotten, where the retention counts from `since`.
    pub(crate) fn is_expired(&self, since: i64, now: i64, retention_ms: i64) -> bool {
        match self.expires_at {
            Some(at) => now >= at,
            None => now.saturating_sub(since) >= retention_ms,
        }
    }

    /// When it was committed.
    pub(crate) fn committed_at(&self) -> i64 {
        self.committed_at
    }
}

impl Offsets {
    /// Applies a commit; with a producer it is held back until that producer's transaction ends.
    pub(crate) fn put(
        &mut self,
        group: &Arc<str>,
        topic: &str,
        partition: i32,
        value: OffsetCommit,
        producer: Option<ProducerId>,
    ) {
        self.commits += 1;
        let stored = Stored {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.into(),
            committed_at: value.commit_timestamp,
            expires_at: (value.expire_timestamp >= 0).then_some(value.expire_timestamp),
            topic_id: value.topic_id,
            number: self.commits,
        };
        match producer.filter(|_| !museum::has(Bug::PendingOffsetsShow)) {
            None => self.put_stored(group, topic, partition, stored),
            Some(producer) => {
                let pending = self.pending.entry(producer).or_default();
                let topics = pending.entry(group.clone()).or_default();
                topics.entry(topic.into()).or_default().insert(partition, stored);
            }
        }
    }

    fn put_stored(&mut self, group: &Arc<str>, topic: &str, partition: i32, stored: Stored) {
        // One copy of the name for all groups.
        let name = self
            .topics
            .range((Arc::from(topic), TopicId::ZERO)..)
            .next()
            .map(|((name, _), _)| name.clone())
            .filter(|name| **name == *topic)
            .unwrap_or_else(|| topic.into());
        *self.topics.entry((name.clone(), stored.topic_id)).or_default() += 1;
        let partitions = self.groups.entry(group.clone()).or_default().entry(name.clone()).or_default();
        if let Some(before) = partitions.insert(partition, stored) {
            self.forget_topic(&name, before.topic_id);
        }
    }

    fn forget_topic(&mut self, name: &Arc<str>, id: TopicId) {
        let key = (name.clone(), id);
        if let Some(count) = self.topics.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.topics.remove(&key);
            }
        }
    }

    /// Applies a tombstone, to offsets that are held back too.
    pub(crate) fn remove(&mut self, group: &str, topic: &str, partition: i32) {
        if let Some(removed) = remove_from(&mut self.groups, group, topic, partition) {
            self.forget_topic(&Arc::from(topic), removed.topic_id);
        }
        self.pending.retain(|_, groups| {
            remove_from(groups, group, topic, partition);
            !groups.is_empty()
        });
    }

    /// Applies the end of a transaction. Of two commits the later one in the log counts, as compaction has it.
    pub(crate) fn marker(&mut self, marker: Marker) -> Vec<Arc<str>> {
        let Some(groups) = self.pending.remove(&marker.transaction.producer) else { return Vec::new() };
        let ended = groups.keys().cloned().collect();
        if !marker.committed && !museum::has(Bug::AbortedOffsetsShow) {
            return ended;
        }
        for (group, topics) in groups {
            for (topic, partitions) in topics {
                for (partition, stored) in partitions {
                    if self.get(&group, &topic, partition).is_none_or(|now| now.number < stored.number) {
                        self.put_stored(&group, &topic, partition, stored);
                    }
                }
            }
        }
        ended
    }

    fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&Stored> {
        self.groups.get(group)?.get(topic)?.get(&partition)
    }

    /// What is committed for a partition.
    pub(crate) fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<Committed> {
        self.get(group, topic, partition).map(Stored::committed)
    }

    /// Whether an offset of the partition waits for the end of a transaction.
    pub(crate) fn is_pending(&self, group: &str, topic: &str, partition: i32) -> bool {
        self.pending.values().any(|groups| {
            groups
                .get(group)
                .and_then(|topics| topics.get(topic))
                .is_some_and(|partitions| partitions.contains_key(&partition))
        })
    }

    /// Whether any offset of the group waits for the end of a transaction.
    pub(crate) fn has_pending(&self, group: &str) -> bool {
        self.pending.values().any(|groups| groups.contains_key(group))
    }

    /// Whether the group has any offset, committed or waiting.
    pub(crate) fn has_any(&self, group: &str) -> bool {
        self.groups.contains_key(group) || self.has_pending(group)
    }

    /// Topics and partitions of a group's committed offsets.
    pub(crate) fn of_group(&self, group: &str) -> impl Iterator<Item = (&Arc<str>, &BTreeMap<i32, Stored>)> {
        self.groups.get(group).into_iter().flatten()
    }

    /// The keys of everything the group has, committed or waiting.
    pub(crate) fn keys(&self, group: &str) -> Vec<(Arc<str>, i32)> {
        let committed = self.groups.get(group).into_iter();
        let pending = self.pending.values().filter_map(|groups| groups.get(group));
        let mut keys: Vec<_> = committed
            .chain(pending)
            .flatten()
            .flat_map(|(topic, partitions)| partitions.keys().map(|partition| (topic.clone(), *partition)))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Committed offsets of topics that are no more, or whose name belongs to another topic now.
    pub(crate) fn of_deleted_topics(&self, topics: &dyn Topics) -> Vec<(Arc<str>, Arc<str>, i32)> {
        let is_gone =
            |name: &str, id: TopicId| topics.named(name).is_none_or(|facts| !id.is_zero() && facts.id != id);
        let gone: Vec<_> = self.topics.keys().filter(|(name, id)| is_gone(name, *id)).collect();
        if gone.is_empty() {
            return Vec::new();
        }
        let mut found = Vec::new();
        for (group, of_group) in &self.groups {
            for (name, id) in &gone {
                let partitions = of_group.get(name).into_iter().flatten();
                let stale = partitions.filter(|(_, stored)| stored.topic_id == *id);
                found.extend(stale.map(|(partition, _)| (group.clone(), name.clone(), *partition)));
            }
        }
        found
    }

    /// How many offsets are committed.
    pub(crate) fn count(&self) -> usize {
        self.topics.values().sum()
    }
}

fn remove_from(
    groups: &mut BTreeMap<Arc<str>, OfGroup>,
    group: &str,
    topic: &str,
    partition: i32,
) -> Option<Stored> {
    let topics = groups.get_mut(group)?;
    let partitions = topics.get_mut(topic)?;
    let removed = partitions.remove(&partition);
    if partitions.is_empty() {
        topics.remove(topic);
    }
    if topics.is_empty() {
        groups.remove(group);
    }
    removed
}

/// The record that forgets an offset.
pub(crate) fn tombstone(group: &str, topic: &str, partition: i32) -> (Vec<u8>, Option<Vec<u8>>) {
    (Key::offset(group, topic, partition), None)
}
