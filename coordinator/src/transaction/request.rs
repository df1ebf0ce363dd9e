use alloc::{collections::BTreeMap, string::String, vec::Vec};
use highwater_records::{ProducerEpoch, ProducerId};

/// A request to the coordinator of a transactional id, or to all ids of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransactionRequest {
    /// A producer begins: it gets an id and an epoch that fence every earlier one.
    Begin(BeginProducer),
    /// Partitions join the transaction, or are to be in it already.
    Add(AddPartitions),
    /// The transaction ends.
    End(EndTransaction),
    /// Every partition has its marker.
    Marked {
        /// The transactional id.
        id: String,
        /// The producer whose markers they are.
        producer_id: ProducerId,
        /// The epoch of the markers.
        producer_epoch: ProducerEpoch,
    },
    /// All transactions of this shard.
    List,
    /// One transaction.
    Describe(String),
}

/// The answer to the request of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransactionReply {
    /// To [`TransactionRequest::Begin`]: id and epoch to use.
    Begin(Result<(ProducerId, ProducerEpoch), TransactionError>),
    /// To [`TransactionRequest::Add`]: an answer for each partition, in the order of the request.
    Add(Result<Vec<Result<(), TransactionError>>, TransactionError>),
    /// To [`TransactionRequest::End`]: id and epoch to go on with.
    End(Result<(ProducerId, ProducerEpoch), TransactionError>),
    /// To [`TransactionRequest::Marked`].
    Marked,
    /// To [`TransactionRequest::List`].
    List(Vec<ListedTransaction>),
    /// To [`TransactionRequest::Describe`].
    Describe(Result<DescribedTransaction, TransactionError>),
}

/// A producer begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeginProducer {
    /// Its transactional id.
    pub id: String,
    /// How long a transaction may take, in milliseconds.
    pub timeout_ms: i32,
    /// What a producer that goes on after an error has had: another one that began since must not be fenced by it.
    pub expected: Option<(i64, i16)>,
    /// A producer id that nobody has had, for [`TransactionError::NeedsProducerId`].
    pub fresh: Option<ProducerId>,
}

/// Partitions of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPartitions {
    /// The transactional id.
    pub id: String,
    /// The producer's id as it says.
    pub producer_id: i64,
    /// The producer's epoch as it says.
    pub producer_epoch: i16,
    /// Topics and partitions.
    pub partitions: Vec<(String, i32)>,
    /// Whether they are to be in the transaction already, as those of older clients are.
    pub verify_only: bool,
}

/// The transaction ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndTransaction {
    /// The transactional id.
    pub id: String,
    /// The producer's id as it says.
    pub producer_id: i64,
    /// The producer's epoch as it says.
    pub producer_epoch: i16,
    /// Commit, or abort.
    pub committed: bool,
    /// Whether the client goes on with another epoch after each transaction (KIP-890).
    pub bumps_epoch: bool,
    /// A producer id that nobody has had, for [`TransactionError::NeedsProducerId`].
    pub fresh: Option<ProducerId>,
}

/// Markers to be written now that the decision counts. Once all are, [`TransactionRequest::Marked`] says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndMarkers {
    /// The transactional id.
    pub id: String,
    /// Whose transaction.
    pub producer_id: ProducerId,
    /// The epoch of the markers.
    pub producer_epoch: ProducerEpoch,
    /// What was decided.
    pub committed: bool,
    /// Whether the epoch is newer than that of the records.
    pub epoch_is_newer: bool,
    /// Where.
    pub partitions: BTreeMap<String, Vec<i32>>,
}

/// A transaction as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTransaction {
    /// The transactional id.
    pub id: String,
    /// Its producer.
    pub producer_id: i64,
    /// The name of its state.
    pub state: &'static str,
    /// When the transaction began, in milliseconds of the broker's clock, or -1.
    pub started_ms: i64,
}

/// A transaction in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedTransaction {
    /// As a list shows it.
    pub listed: ListedTransaction,
    /// Its producer's epoch.
    pub producer_epoch: i16,
    /// How long a transaction may take, in milliseconds.
    pub timeout_ms: i32,
    /// The partitions in it.
    pub partitions: BTreeMap<String, Vec<i32>>,
}

/// Why the coordinator did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// The id is empty.
    #[error("the transactional id is empty")]
    InvalidRequest,
    /// Not above zero, or above `transaction.max.timeout.ms`.
    #[error("the transaction's time-out is above what the broker allows")]
    InvalidTimeout,
    /// The one before is still being ended: retry.
    #[error("another transaction of this id is being ended")]
    Concurrent,
    /// A newer producer has this id: give up.
    #[error("a newer producer has this transactional id")]
    Fenced,
    /// The producer id is not the one of this transactional id: give up.
    #[error("the producer id does not belong to this transactional id")]
    InvalidProducerIdMapping,
    /// The transaction cannot end so now.
    #[error("the transaction is not in a state that allows this")]
    InvalidState,
    /// The partition is not in the transaction: abort it.
    #[error("the partition is not in the transaction")]
    NotInTransaction,
    /// No such partition: nothing of the request was done.
    #[error("unknown topic or partition")]
    UnknownTopicOrPartition,
    /// Other partitions of the request do not exist, so this one was not added either.
    #[error("not attempted")]
    NotAttempted,
    /// There is no such transactional id.
    #[error("unknown transactional id")]
    UnknownId,
    /// All epochs of the producer id are used up: ask again with a fresh one. Clients are never told.
    #[error("a fresh producer id is needed")]
    NeedsProducerId,
    /// Look for the coordinator again.
    #[error("not the coordinator")]
    NotCoordinator,
    /// The coordinator is being loaded: retry.
    #[error("the coordinator is loading")]
    Loading,
    /// There is no coordinator yet: retry.
    #[error("the coordinator is not available")]
    NotAvailable,
}
