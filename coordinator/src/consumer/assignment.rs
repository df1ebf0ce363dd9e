use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use highwater_records::TopicId;

/// Partitions by topic; no topic is without partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment(BTreeMap<TopicId, BTreeSet<i32>>);

impl Assignment {
    /// These partitions.
    pub fn of(partitions: impl IntoIterator<Item = (TopicId, i32)>) -> Assignment {
        let mut assignment = Assignment::default();
        for (topic, partition) in partitions {
            assignment.add(topic, partition);
        }
        assignment
    }

    /// Adds a partition.
    pub fn add(&mut self, topic: TopicId, partition: i32) {
        self.0.entry(topic).or_default().insert(partition);
    }

    /// Whether a partition is part of it.
    pub fn contains(&self, topic: TopicId, partition: i32) -> bool {
        self.0.get(&topic).is_some_and(|partitions| partitions.contains(&partition))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many partitions there are.
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// Every partition, in order.
    pub fn iter(&self) -> impl Iterator<Item = (TopicId, i32)> {
        self.0.iter().flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition)))
    }

    /// Topics and their partitions, in order.
    pub fn topics(&self) -> impl Iterator<Item = (TopicId, Vec<i32>)> {
        self.0.iter().map(|(topic, partitions)| (*topic, partitions.iter().copied().collect()))
    }
}
