//! The composition: which parts a node has, how it starts and how it stops.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use highwater_coordinator::{GroupShard, TransactionShard};
use highwater_engine::{LogDir, disk::Disk};
use highwater_env::Env;
use highwater_metadata::{Image, config::BrokerConfig};
use highwater_records::{BrokerId, TimestampMs};
use highwater_tiering::{Tier, bucket::SharedBucket};
use tokio::sync::Notify;

use crate::{
    cluster::{Cluster, LocalMetadataLog},
    commit::Committer,
    coordinator::{Host, MarkerQueue},
    live_config::LiveConfig,
    metrics::NodeCounters,
    partitions::Partitions,
    producer_ids::ProducerIds,
    quotas::Quotas,
    replicate::Membership,
    sessions::SessionCache,
    stop::EndedByItself,
    tasks::Tasks,
};

/// What a node is made of; passed in, so that the same code runs on a real machine and in a simulation.
pub struct NodeParts {
    /// Time, randomness, spawning, blocking work.
    pub env: Arc<dyn Env>,
    /// The file system that holds `log.dirs` and `metadata.log.dir`.
    pub disk: Arc<dyn Disk>,
    /// Where sealed segments go; `None` turns remote storage off for the whole node.
    pub bucket: Option<SharedBucket>,
    /// The validated configuration.
    pub config: Arc<BrokerConfig>,
    /// Where clients find this broker.
    pub endpoint: Endpoint,
}

/// A host and a port as clients are told them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address.
    pub host: String,
    /// A TCP port.
    pub port: u16,
}

/// One broker without its sockets.
///
/// [`Node::start`] opens the directories and replays the metadata log; requests are methods that may be called from
/// any number of tasks; [`Node::stop`] makes everything durable and marks the stop as clean, [`Node::abandon`] ends it
/// as a crash would. Only one of the two releases the directories: a node's tasks keep it alive until then.
pub struct Node {
    pub(crate) env: Arc<dyn Env>,
    pub(crate) config: Arc<BrokerConfig>,
    pub(crate) live: Arc<LiveConfig>,
    pub(crate) broker: BrokerId,
    pub(crate) cluster: Arc<Cluster>,
    /// The metadata log, if it is this node's own.
    pub(crate) metadata: Option<Arc<LocalMetadataLog>>,
    /// The cluster that this node is a member of; `None` for one that stands alone.
    pub(crate) membership: Option<Arc<Membership>>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) directory: Arc<LogDir>,
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) committer: Arc<Committer>,
    pub(crate) tier: Option<Arc<Tier>>,
    pub(crate) groups: Arc<Host<GroupShard>>,
    pub(crate) transactions: Arc<Host<TransactionShard>>,
    pub(crate) markers: Arc<MarkerQueue>,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) sessions: SessionCache,
    pub(crate) quotas: Quotas,
    pub(crate) counters: NodeCounters,
    pub(crate) stopping: Arc<Notify>,
    pub(crate) stopped: AtomicBool,
    /// Set before it stops, if it does so by itself.
    pub(crate) ended_by_itself: OnceLock<EndedByItself>,
    pub(crate) tasks: Tasks,
}

impl Node {
    /// The cluster as of the last applied entry of the metadata log.
    pub fn image(&self) -> Arc<Image> {
        self.cluster.image()
    }

    /// The configuration this node was started with.
    pub fn config(&self) -> &BrokerConfig {
        &self.config
    }

    /// This broker's number.
    pub fn broker_id(&self) -> BrokerId {
        self.broker
    }

    /// The broker that decides on the cluster's behalf, if one is known.
    pub fn controller(&self) -> Option<BrokerId> {
        self.cluster.log().leadership().leader
    }

    /// Whether [`Node::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Completes once the node stops.
    pub(crate) async fn stops(&self) {
        loop {
            let mut notified = std::pin::pin!(self.stopping.notified());
            notified.as_mut().enable();
            if self.is_stopping() {
                return;
            }
            notified.await;
        }
    }

    /// The wall clock, as records are stamped.
    pub(crate) fn wall(&self) -> TimestampMs {
        TimestampMs(self.env.wall_ms())
    }
}
