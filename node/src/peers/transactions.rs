use highwater_coordinator::{AddPartitions, TransactionError};
use highwater_records::{
    BrokerEpoch, BrokerId, LeaderEpoch, PartitionIndex, ProducerEpoch, ProducerId, TopicIdPartition,
};

use crate::request::Caller;

/// What brokers ask of each other so that a transaction goes over the partitions of several.
#[derive(Clone, Debug)]
pub enum TransactionCall {
    /// Of leaders, by the coordinator: to end it.
    Markers(WriteMarkers),
    /// Of the coordinator, by a leader: whether partitions are in it, or to take them in (KIP-890).
    Join(JoinTransaction),
}

/// The answer to the call of the same name.
#[derive(Clone, Debug)]
pub enum TransactionAnswer {
    /// An answer for each partition, in the order of the call. A marker counts when it is answered.
    Markers(Vec<Result<(), MarkerRefusal>>),
    /// The coordinator's answer, of each partition or of all.
    Join(Result<Vec<Result<(), TransactionError>>, TransactionError>),
}

/// Ends a producer's transaction in partitions that the receiver leads, as its coordinator decided.
#[derive(Clone, Debug)]
pub struct WriteMarkers {
    /// Who asks.
    pub from: BrokerId,
    /// In which registration.
    pub broker_epoch: BrokerEpoch,
    /// The partition of `__transaction_state` whose leader decided.
    pub coordinator: PartitionIndex,
    /// The leader epoch in which it did: a later coordinator's markers fence it.
    pub coordinator_epoch: u32,
    /// More than that of every attempt that this broker made before as the coordinator of this producer: a late
    /// copy of an earlier one would end the producer's next transaction.
    pub attempt: u64,
    /// Whose transaction.
    pub producer_id: ProducerId,
    /// The producer epoch that the coordinator chose for the markers.
    pub producer_epoch: ProducerEpoch,
    /// Whether that is newer than the epoch of the records (KIP-890).
    pub epoch_is_newer: bool,
    /// What was decided.
    pub committed: bool,
    /// Where, each in the leader epoch in which the receiver leads as far as the coordinator knows.
    pub partitions: Vec<(TopicIdPartition, LeaderEpoch)>,
}

/// Why a partition has not been given its marker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkerRefusal {
    /// The receiver does not lead it in that epoch: metadata will tell who does.
    #[error("not the leader in that epoch")]
    NotLeader,
    /// A later coordinator was here: nothing is left to do.
    #[error("a later coordinator was here before")]
    Fenced,
    /// The producer has this epoch or a later one already, and that counts: the marker is there.
    #[error("the transaction has ended there")]
    Ended,
    /// Not now: too few replicas are in sync, the disk refuses, or this is a copy of an attempt that was here before.
    #[error("not now: {0}")]
    Later(String),
}

/// Partitions of a transaction, as a leader or a group's coordinator asks on behalf of a producer.
#[derive(Clone, Debug)]
pub struct JoinTransaction {
    /// Who asks.
    pub from: BrokerId,
    /// In which registration.
    pub broker_epoch: BrokerEpoch,
    /// On whose behalf.
    pub caller: Caller,
    /// What is asked.
    pub partitions: AddPartitions,
}

/// Why a whole call is refused. Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionCallError {
    /// The asker has registered again since.
    #[error("the broker epoch is not the current one")]
    StaleBroker,
    /// The asker's registration is not known here: it has none, or this broker has not heard of it yet.
    #[error("the broker epoch is not known here")]
    UnknownBroker,
    /// The node stops, or is no member of a cluster.
    #[error("this node answers no other brokers")]
    NotServing,
}
