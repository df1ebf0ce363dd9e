//! What a broker is asked and what it answers, in plain values.
//!
//! Every error says what the caller does next; the shell maps each to one of Kafka's codes and to nothing else.

mod fetch;
mod list_offsets;
mod partitions;
mod produce;
mod quotas;
mod topics;

pub use fetch::{
    Fetch, FetchError, FetchPartition, FetchSession, FetchSessionError, Fetched, FetchedPartition, Isolation,
    SessionFetched,
};
pub use list_offsets::{ListOffset, ListOffsetsError, ListedOffset, OffsetSpec};
pub use partitions::{
    ActiveProducer, CreatePartitionsError, EpochEnd, EpochQuestion, LogDirectory, LogSize, OfPartition,
    PartitionError,
};
pub use produce::{
    EndTransaction, InitProducerIdError, MarkerAttempt, Produce, ProduceError, ProducePartition, Produced,
    RecordError,
};
pub use quotas::AlterQuotasError;
pub use topics::{
    AlterConfigsError, ConfigEntry, CreateTopic, CreateTopicError, CreatedTopic, DeleteTopicError,
    DeletedTopic, DescribeConfigsError, EnsureTopicError,
};

use highwater_records::TopicId;

/// Who asks. Every call carries it, so that authorization has one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// What the client calls itself; empty if it does not say.
    pub client_id: String,
    /// Where it connects from, for logs.
    pub address: String,
}

/// A topic as a request names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicRef {
    /// By name.
    Name(String),
    /// By identity.
    Id(TopicId),
}
