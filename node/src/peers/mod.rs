//! What the brokers of a cluster say to each other, as plain values: the seam that the shell fills with sockets and the
//! simulation with a network of its own.

mod control;
mod fetch;
mod in_process;
mod read;
mod tail;
mod transactions;

pub use control::{
    ChangeIsr, ConfirmLeader, ControlError, ControlReply, ControlRequest, HeartbeatReply, ProposeRecords,
};
pub use fetch::{
    FetchSession, ReplicaAnswer, ReplicaFetch, ReplicaFetchError, ReplicaFetched, ReplicaPosition,
    ReplicaRefusal,
};
pub use in_process::InProcess;
pub use read::{ReplicaRead, ReplicaReadError};
pub use tail::{MetadataNews, MetadataTail, MetadataTailError, MetadataTailed};
pub use transactions::{
    JoinTransaction, MarkerRefusal, TransactionAnswer, TransactionCall, TransactionCallError, WriteMarkers,
};

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use highwater_env::BoxFuture;
use highwater_metadata::MetadataLog;
use highwater_records::BrokerId;

/// The other brokers.
///
/// A call may fail, be delayed, be overtaken by a later one, or arrive twice, and its answer may be lost after it took
/// effect: nothing above this trait relies on anything else. The receiver is known to be a broker of the same cluster,
/// and so is the sender to the receiver: proving that is the business of whoever carries the bytes.
pub trait Peers: Send + Sync + 'static {
    /// Asks a leader for what comes next in the partitions that this broker follows there
    /// ([`Node::serve_replica_fetch`](crate::Node::serve_replica_fetch)).
    fn replica_fetch(
        &self,
        to: BrokerId,
        request: ReplicaFetch,
    ) -> BoxFuture<'static, Result<Result<ReplicaFetched, ReplicaFetchError>, PeerError>>;

    /// Asks another replica's broker for what is damaged here
    /// ([`Node::serve_replica_read`](crate::Node::serve_replica_read)).
    fn replica_read(
        &self,
        to: BrokerId,
        read: ReplicaRead,
    ) -> BoxFuture<'static, Result<Result<Bytes, ReplicaReadError>, PeerError>>;

    /// Asks the controller ([`Node::serve_control`](crate::Node::serve_control)).
    fn control(
        &self,
        to: BrokerId,
        request: ControlRequest,
    ) -> BoxFuture<'static, Result<Result<ControlReply, ControlError>, PeerError>>;

    /// Asks a broker that has the metadata log for what comes next in it
    /// ([`Node::serve_metadata_tail`](crate::Node::serve_metadata_tail)).
    fn metadata_tail(
        &self,
        to: BrokerId,
        request: MetadataTail,
    ) -> BoxFuture<'static, Result<Result<MetadataTailed, MetadataTailError>, PeerError>>;

    /// Asks a leader or a transaction coordinator for its part of a transaction
    /// ([`Node::serve_transaction`](crate::Node::serve_transaction)).
    fn transaction(
        &self,
        to: BrokerId,
        call: TransactionCall,
    ) -> BoxFuture<'static, Result<Result<TransactionAnswer, TransactionCallError>, PeerError>>;
}

/// How a broker learns what the cluster decides.
#[derive(Clone)]
pub enum MetadataSource {
    /// It has a part in the metadata log. The log outlives the node.
    Log(Arc<dyn MetadataLog>),
    /// It follows these brokers, which have one, at least one of them. It never leads the log.
    Tail(Vec<BrokerId>),
}

/// No answer. Whether the call had an effect is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer from broker {to}: {why}")]
pub struct PeerError {
    /// Who was asked.
    pub to: BrokerId,
    /// What is known.
    pub why: String,
}

/// How brokers of a cluster wait for each other. The defaults are Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterTimes {
    /// `broker.session.timeout.ms`: after this long without a heartbeat a broker is fenced.
    pub session: Duration,
    /// `broker.heartbeat.interval.ms`.
    pub heartbeat: Duration,
    /// `replica.lag.time.max.ms`: after this long behind, a replica leaves the in-sync set.
    pub replica_lag_max: Duration,
    /// `replica.fetch.wait.max.ms`: how long a leader keeps a fetch that finds nothing.
    pub fetch_wait_max: Duration,
    /// `replica.fetch.backoff.ms`: how long a follower waits after a failure.
    pub fetch_backoff: Duration,
    /// How long an answer of a peer may take beyond what it was asked to wait.
    pub answer: Duration,
    /// `leader.imbalance.check.interval.seconds`: how often preferred leaders get their partitions back.
    pub balance: Duration,
    /// `initial.broker.registration.timeout.ms`: how long a start tries to register while another process with its number
    /// is alive.
    pub registration: Duration,
    /// How long a disk operation may take before the broker gives its leaderships away.
    pub io_patience: Duration,
    /// `log.dir.failure.timeout.ms`: a broker whose data directory is offline tells the controller for at most this long
    /// before it ends.
    pub directory_failure: Duration,
}

impl Default for ClusterTimes {
    fn default() -> ClusterTimes {
        ClusterTimes {
            session: Duration::from_secs(9),
            heartbeat: Duration::from_secs(2),
            replica_lag_max: Duration::from_secs(30),
            fetch_wait_max: Duration::from_millis(500),
            fetch_backoff: Duration::from_secs(1),
            answer: Duration::from_secs(30),
            balance: Duration::from_secs(300),
            registration: Duration::from_secs(60),
            io_patience: Duration::from_secs(20),
            directory_failure: Duration::from_secs(30),
        }
    }
}
