//! The partitions of one topic.

use super::Partition;
use crate::shared::{Iter, SharedMap};
use alloc::sync::Arc;
use core::{fmt, ops::Index};

/// The partitions of a topic, by number and without gaps. Copies share what they have in common, so that a change of one
/// partition costs the same in a topic of any size.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Partitions {
    by_number: SharedMap<usize, Arc<Partition>>,
}

impl Partitions {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.by_number.len()
    }

    /// Whether there are none: the topic is being made.
    pub const fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// The partition with this number.
    pub fn get(&self, number: usize) -> Option<&Partition> {
        self.by_number.get(&number).map(|partition| &**partition)
    }

    /// The partition with number 0.
    pub fn first(&self) -> Option<&Partition> {
        self.get(0)
    }

    /// All of them, in the order of their numbers.
    pub fn iter(&self) -> PartitionsIter<'_> {
        self.into_iter()
    }

    pub(super) fn push(&mut self, partition: Partition) {
        self.by_number.insert(self.len(), Arc::new(partition));
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Partition> {
        self.by_number.get_mut(&number).map(Arc::make_mut)
    }
}

/// A topic's partitions, in the order of their numbers.
pub struct PartitionsIter<'a>(Iter<'a, usize, Arc<Partition>>);

impl<'a> Iterator for PartitionsIter<'a> {
    type Item = &'a Partition;

    fn next(&mut self) -> Option<&'a Partition> {
        self.0.next().map(|(_, partition)| &**partition)
    }
}

impl<'a> IntoIterator for &'a Partitions {
    type Item = &'a Partition;
    type IntoIter = PartitionsIter<'a>;

    fn into_iter(self) -> PartitionsIter<'a> {
        PartitionsIter(self.by_number.iter())
    }
}

impl Index<usize> for Partitions {
    type Output = Partition;

    /// # Panics
    /// If there is no such partition.
    fn index(&self, number: usize) -> &Partition {
        self.get(number).expect("the partition is there")
    }
}

impl fmt::Debug for Partitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
