//! What an all-seeing observer knows of each partition: the state that invariants compare with.

use std::collections::BTreeMap;

use highwater_records::{TopicId, TopicIdPartition};

use crate::history::{Event, OpId, Promise, Stop};

/// Everything known, as of the event before the one that is being checked.
#[derive(Debug, Default)]
pub struct Ghost {
    topics: BTreeMap<TopicId, Topic>,
    partitions: BTreeMap<TopicIdPartition, Partition>,
    /// Whether partitions have several replicas, each of which drops by itself what is too old or too much.
    pub replicated: bool,
    /// How the broker stopped last.
    pub last_stop: Option<Stop>,
}

#[derive(Debug)]
struct Topic {
    promise: Promise,
    deleting: bool,
}

/// One partition.
#[derive(Debug, Default)]
pub struct Partition {
    /// Batches that were acknowledged or read, by base offset.
    pub known: BTreeMap<u64, Known>,
    /// Everything that a client has begun to append, by content.
    pub invoked: BTreeMap<u64, OpId>,
    /// Appends that were refused for good.
    pub refused: BTreeMap<u64, OpId>,
    /// One past the highest acknowledged offset.
    pub acked_end: u64,
    /// The highest watermark that any client was told.
    pub exposed_watermark: u64,
    /// The highest log start that any client was told.
    pub log_start: u64,
    /// Everything below was deleted, as somebody was told.
    pub deleted: u64,
    /// What was known when each operation that is under way began.
    pub began: BTreeMap<OpId, Began>,
}

/// A batch that somebody was told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Offset of its last record.
    pub last: u64,
    /// [`crate::batch::SeenBatch::content`].
    pub content: u64,
    /// The leader epoch, once it was read.
    pub epoch: Option<i32>,
    /// Whether a reader has seen it.
    pub consumed: bool,
    /// Whether its producer was told.
    pub acked: bool,
}

/// What held when an operation began: its answer must not be older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Began {
    /// Whether it appends: such an operation is tried again after a restart.
    pub appends: bool,
    /// [`Partition::acked_end`] then.
    pub acked_end: u64,
    /// [`Partition::exposed_watermark`] then.
    pub exposed_watermark: u64,
    /// [`Partition::log_start`] then.
    pub log_start: u64,
    /// [`Partition::deleted`] then.
    pub deleted: u64,
}

impl Ghost {
    /// The partition, unless its topic is unknown or being deleted: of those nothing is promised.
    pub fn partition(&self, at: TopicIdPartition) -> Option<(&Partition, Promise)> {
        let topic = self.topics.get(&at.topic_id).filter(|topic| !topic.deleting)?;
        Some((self.partitions.get(&at)?, topic.promise))
    }

    /// Partitions of topics that are promised something.
    pub fn partitions(&self) -> impl Iterator<Item = (TopicIdPartition, &Partition)> {
        self.partitions
            .iter()
            .filter(|(at, _)| self.topics.get(&at.topic_id).is_some_and(|topic| !topic.deleting))
            .map(|(at, partition)| (*at, partition))
    }

    /// Takes in an event that was checked.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::TopicCreated { topic, promise, .. } => {
                self.topics.insert(*topic, Topic { promise: *promise, deleting: false });
            }
            Event::TopicDeleting { topic } => {
                if let Some(topic) = self.topics.get_mut(topic) {
                    topic.deleting = true;
                }
            }
            Event::Stopped { how } => {
                self.last_stop = Some(*how);
                // Nobody will get an answer any more to what the broker was asked.
                for partition in self.partitions.values_mut() {
                    partition.began.retain(|_, began| began.appends);
                }
            }
            _ => {
                if let Some(at) = event.partition() {
                    self.partitions.entry(at).or_default().apply(event);
                }
            }
        }
    }
}

impl Partition {
    /// Known batches that reach into `[from, to)`.
    pub fn known_in(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, &Known)> {
        // Batches do not overlap, so the last one that begins before `from` is the only early one.
        let first = self.known.range(..=from).next_back().filter(|(_, known)| known.last >= from);
        let first = first.map_or(from, |(base, _)| *base);
        self.known.range(first..to.max(first)).map(|(base, known)| (*base, known))
    }

    fn began_now(&self, appends: bool) -> Began {
        Began {
            appends,
            acked_end: self.acked_end,
            exposed_watermark: self.exposed_watermark,
            log_start: self.log_start,
            deleted: self.deleted,
        }
    }

    fn apply(&mut self, event: &Event) {
        if let Some((_, watermark)) = event.watermark() {
            self.exposed_watermark = self.exposed_watermark.max(watermark);
        }
        if let Some((_, log_start)) = event.log_start() {
            self.log_start = self.log_start.max(log_start);
        }
        match event {
            Event::ProduceInvoked { op, content, .. } => {
                self.invoked.entry(*content).or_insert(*op);
                let began = self.began_now(true);
                self.began.entry(*op).or_insert(began);
            }
            Event::ReadInvoked { op, .. } => {
                let began = self.began_now(false);
                self.began.insert(*op, began);
            }
            Event::ProduceAcked { op, base, last, content, .. } => {
                self.began.remove(op);
                let known =
                    Known { last: *last, content: *content, epoch: None, consumed: false, acked: true };
                self.known.entry(*base).or_insert(known).acked = true;
                self.acked_end = self.acked_end.max(last + 1);
            }
            Event::ProduceRefused { op, content, .. } => {
                self.began.remove(op);
                self.refused.insert(*content, *op);
            }
            Event::Fetched { op, batches, .. } => {
                self.began.remove(op);
                for batch in &batches.good {
                    let new = Known {
                        last: batch.last,
                        content: batch.content,
                        epoch: None,
                        consumed: true,
                        acked: false,
                    };
                    let known = self.known.entry(batch.base).or_insert(new);
                    known.consumed = true;
                    known.epoch.get_or_insert(batch.epoch);
                }
            }
            Event::OutOfRange { op, .. }
            | Event::ListedLatest { op, .. }
            | Event::ListedEarliest { op, .. } => {
                self.began.remove(op);
            }
            Event::RecordsDeleted { start, .. } => self.deleted = self.deleted.max(*start),
            Event::LossReported { lost_from, .. } => self.lose(*lost_from),
            _ => {}
        }
    }

    fn lose(&mut self, from: u64) {
        self.known.retain(|_, known| known.last < from);
        self.acked_end = self.acked_end.min(from);
        self.exposed_watermark = self.exposed_watermark.min(from);
        for began in self.began.values_mut() {
            began.acked_end = began.acked_end.min(from);
            began.exposed_watermark = began.exposed_watermark.min(from);
        }
    }
}
