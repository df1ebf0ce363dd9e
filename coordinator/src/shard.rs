use alloc::{string::String, vec::Vec};
use highwater_records::{Offset, ProducerEpoch, ProducerId, TimestampMs, TopicId};

use crate::{GroupConfigs, format::FormatError};

/// One partition of a coordinator's topic as a state machine.
///
/// Its state changes when a request is handled, before the records that say so count: whoever runs it appends the
/// records of each [`Step`] as one, in the order of the steps, and releases the replies once everything appended so far
/// has passed the watermark. A failed append, or lost leadership, ends the shard; the next one is replayed.
pub trait Shard: Sized + Send + 'static {
    /// What it is asked.
    type Request: Send + 'static;
    /// What it answers.
    type Reply: Send + 'static;
    /// What is to be done elsewhere once the step's records count.
    type Effect: Send + 'static;

    /// Applies a record that was appended before. Records come in the order of the log.
    ///
    /// # Errors
    /// When the bytes are not what this program, or Kafka, writes. A kind of record it does not know is no error.
    fn replay(&mut self, record: &Logged<'_>) -> Result<(), FormatError>;

    /// Applies the end of a transaction, as it stands in the log or has just been appended to it.
    fn marker(&mut self, marker: Marker);

    /// Everything has been replayed, requests come next.
    fn loaded(&mut self, at: &Moment<'_>, step: &mut Step<Self>);

    /// Handles a request. The reply may be given in this step, in a later one, or never if whoever asked gave up.
    fn handle(&mut self, at: &Moment<'_>, request: Self::Request, reply_to: ReplyTo, step: &mut Step<Self>);

    /// When [`Shard::on_deadline`] is to be called, in milliseconds of [`Moment::elapsed_ms`].
    fn next_deadline(&self) -> Option<u64>;

    /// Does one thing whose time has come, if there is one.
    fn on_deadline(&mut self, at: &Moment<'_>, step: &mut Step<Self>);

    /// The cluster's topics changed.
    fn topics_changed(&mut self, at: &Moment<'_>, step: &mut Step<Self>);
}

/// What a step may know of the world.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// Monotonic milliseconds since some fixed instant, for deadlines.
    pub elapsed_ms: u64,
    /// The wall clock, for what is persisted.
    pub wall: TimestampMs,
    /// Random bits, different for every step.
    pub random: u128,
    /// The cluster's topics.
    pub topics: &'a dyn Topics,
    /// What single groups are configured with.
    pub groups: &'a dyn GroupConfigs,
}

/// What is known of the cluster's topics.
pub trait Topics {
    /// The topic of this name.
    fn named(&self, name: &str) -> Option<TopicFacts>;
    /// The name of the topic with this identity.
    fn name_of(&self, id: TopicId) -> Option<String>;
    /// Calls `each` with the name of every topic, in order.
    fn for_each_name(&self, each: &mut dyn FnMut(&str));
}

/// A topic as coordinators need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicFacts {
    /// Its identity.
    pub id: TopicId,
    /// How many partitions it has, numbered from zero.
    pub partitions: u32,
}

/// Names one waiting request. Never used twice by one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyTo(pub u64);

/// What comes out of a step.
pub struct Step<S: Shard> {
    /// To be appended together, in this order.
    pub records: Vec<NewRecord>,
    /// To be released once everything appended so far counts, the records of this step included.
    pub replies: Vec<(ReplyTo, S::Reply)>,
    /// To be released at once: they promise nothing that is stored.
    pub early: Vec<(ReplyTo, S::Reply)>,
    /// To be done once everything appended so far counts.
    pub effects: Vec<S::Effect>,
}

impl<S: Shard> Default for Step<S> {
    fn default() -> Step<S> {
        Step { records: Vec::new(), replies: Vec::new(), early: Vec::new(), effects: Vec::new() }
    }
}

impl<S: Shard> Step<S> {
    /// Adds a record that is part of no transaction.
    pub fn record(&mut self, (key, value): (Vec<u8>, Option<Vec<u8>>)) {
        self.records.push(NewRecord { key, value, transaction: None });
    }
}

/// A record to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value; `None` deletes what the key names.
    pub value: Option<Vec<u8>>,
    /// The transaction it belongs to.
    pub transaction: Option<Transaction>,
}

/// Whose transaction a record is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Transaction {
    /// The producer.
    pub producer: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
}

/// A record as it stands in the log.
#[derive(Clone, Copy, Debug)]
pub struct Logged<'a> {
    /// Its key; records without one are nobody's.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` deletes what the key names.
    pub value: Option<&'a [u8]>,
    /// Where it stands.
    pub offset: Offset,
    /// The transaction it belongs to.
    pub transaction: Option<Transaction>,
}

/// The end of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Whose.
    pub transaction: Transaction,
    /// Whether it was committed.
    pub committed: bool,
}
