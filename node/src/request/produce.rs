use std::time::Duration;

use bytes::Bytes;
use highwater_coordinator::TransactionError;
use highwater_engine::MarkerEpoch;
use highwater_records::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs, batch::EndTxnMarker};
use highwater_replication::Acks;

use super::TopicRef;

/// Append record batches to partitions.
#[derive(Clone, Debug)]
pub struct Produce {
    /// When to answer.
    pub acks: Acks,
    /// How long to wait for [`Produce::acks`] after the append.
    pub timeout: Duration,
    /// Whether transactional batches may be among them: the caller knows that the transaction's coordinator has these
    /// partitions in it.
    pub transactional: bool,
    /// What to append, answered in this order.
    pub partitions: Vec<ProducePartition>,
}

/// Ends a producer's transaction in one partition, as its coordinator decided.
#[derive(Clone, Debug)]
pub struct EndTransaction {
    /// The topic.
    pub topic: TopicRef,
    /// The partition as the coordinator named it; negative ones are unknown.
    pub partition: i32,
    /// Whose transaction.
    pub producer_id: ProducerId,
    /// The producer epoch that the coordinator chose for the marker.
    pub producer_epoch: ProducerEpoch,
    /// What it decided.
    pub marker: EndTxnMarker,
    /// How it chose the epoch.
    pub rule: MarkerEpoch,
    /// What tells it from late copies of itself, if a coordinator of this cluster asks.
    pub attempt: Option<MarkerAttempt>,
}

/// An attempt of a coordinator to end a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkerAttempt {
    /// The leader epoch in which the partition's leader is asked.
    pub leader_epoch: LeaderEpoch,
    /// Grows with each attempt of one coordinator in one epoch.
    pub number: u64,
}

/// The batches for one partition.
#[derive(Clone, Debug)]
pub struct ProducePartition {
    /// The topic.
    pub topic: TopicRef,
    /// The partition as the client named it; negative ones are unknown.
    pub partition: i32,
    /// Record batches (v2), one after the other, as they came from the client.
    pub records: Bytes,
}

/// Batches were appended and acknowledged as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Produced {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// The broker's time stamped on the records, where the topic asks for that.
    pub append_time: Option<TimestampMs>,
    /// The lowest offset a client may read, inclusive.
    pub log_start: Offset,
}

/// A record that was refused, by its position in the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// Position of the record in its batch, from zero.
    pub index: u32,
    /// Why.
    pub message: String,
}

/// Why batches were not appended, or not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    /// No such topic or partition here: refresh metadata.
    #[error("unknown topic or partition")]
    UnknownTopicOrPartition,
    /// No topic has this id: refresh metadata.
    #[error("unknown topic id")]
    UnknownTopicId,
    /// Another broker leads, or leadership was lost while waiting: refresh metadata and retry.
    #[error("not the leader")]
    NotLeader,
    /// Coordinators alone write this topic.
    #[error("clients cannot append to an internal topic")]
    InternalTopic,
    /// A batch is larger than `max.message.bytes`.
    #[error("{0}")]
    MessageTooLarge(String),
    /// A checksum or a length does not hold.
    #[error("corrupt batch: {0}")]
    Corrupt(String),
    /// A record breaks a rule.
    #[error("invalid record: {message}")]
    InvalidRecord {
        /// What is wrong.
        message: String,
        /// The records, where single ones can be named.
        records: Vec<RecordError>,
    },
    /// A timestamp is out of the topic's bounds.
    #[error("invalid timestamp: {0}")]
    InvalidTimestamp(String),
    /// The codec is not one this broker, or this request version, may use.
    #[error("unsupported compression: {0}")]
    UnsupportedCompression(String),
    /// A sequence number leaves a gap: fatal for the producer's session.
    #[error("out of order sequence: {0}")]
    OutOfOrderSequence(String),
    /// A newer incarnation of this producer exists.
    #[error("invalid producer epoch: {0}")]
    InvalidProducerEpoch(String),
    /// Records of no transaction while the producer has one open here.
    #[error("invalid transaction state: {0}")]
    InvalidTxnState(String),
    /// A newer transaction coordinator has ended a transaction of this producer since.
    #[error("coordinator fenced: {0}")]
    CoordinatorFenced(String),
    /// A marker that was sent twice, or that a later attempt of the same coordinator has overtaken; nothing was appended.
    /// The coordinator tries again: what became of the other attempt is not known from this.
    #[error("a later attempt at the marker was here before")]
    OvertakenMarker,
    /// A duplicate too old to tell its offset.
    #[error("duplicate sequence")]
    DuplicateSequence,
    /// Too few in-sync replicas; nothing was appended. Retry.
    #[error("not enough in-sync replicas")]
    NotEnoughReplicas,
    /// Too few in-sync replicas; the batch was appended. Retry.
    #[error("not enough in-sync replicas after the append")]
    NotEnoughReplicasAfterAppend,
    /// The acknowledgement did not come in time; the batch was appended. Retry.
    #[error("timed out waiting for acknowledgement")]
    TimedOut,
    /// The disk refused (full, failed, offline), or the tier's state is not known yet. Retry.
    #[error("storage: {0}")]
    Storage(String),
    /// The transaction's coordinator does not have this partition in it.
    #[error(transparent)]
    Transaction(TransactionError),
    /// A transactional batch where none may be: [`Produce::transactional`].
    #[error("a transactional batch needs a transactional id")]
    TransactionsUnsupported,
}

/// Why no producer id was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitProducerIdError {
    /// No block of ids could be had now. Retry.
    #[error("no producer ids available now: {0}")]
    Unavailable(String),
}
