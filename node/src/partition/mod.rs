//! One partition as this broker runs it: its log, its role, and the requests that wait for it.

mod append;
mod attempts;
mod follow;
mod role;
mod state;
mod tiered;
mod waiting;

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use highwater_engine::{Log, LogName};
use highwater_metadata::config::TopicConfig;
use highwater_records::TopicIdPartition;
use highwater_tiering::PartitionTier;
use parking_lot::RwLock;

pub(crate) use append::{AppendOutcome, check_batch};
pub(crate) use follow::{FollowError, LeaderPositions, TieredStart, begins_before, check_fetched};
pub(crate) use role::{Assigned, Assumed};
pub(crate) use state::{Finished, State, View};
pub(crate) use tiered::{diverges, lineage, tiered_end};

use crate::{changes::Changes, combine::Combined, metrics::TopicCounters};

/// Where a node's partitions say that something of them may have changed, once somebody watches.
pub(crate) type ChangeListener = Arc<OnceLock<Arc<Changes>>>;

/// A partition that is open on this broker.
pub(crate) struct Partition {
    /// Its identity.
    pub(crate) id: TopicIdPartition,
    /// Its directory's name: topic name and number.
    pub(crate) name: LogName,
    /// Its topic's configuration; replaced when that is altered.
    config: RwLock<Arc<TopicConfig>>,
    /// Its objects, where the topic has remote storage.
    pub(crate) tier: Option<Arc<PartitionTier>>,
    /// What is counted, for the topic's partitions on this broker together.
    pub(crate) counters: Arc<TopicCounters>,
    /// Whether somebody asked for it since idle ones were last looked for.
    used: AtomicBool,
    /// Who is told that something of it may have changed.
    listener: ChangeListener,
    /// One round of upkeep at a time: what one copies another one may delete.
    pub(crate) upkeep: tokio::sync::Mutex<()>,
    /// One comparison with the head at a time.
    pub(crate) learning: tokio::sync::Mutex<()>,
    /// One damaged segment at a time.
    pub(crate) mending: tokio::sync::Mutex<()>,
    /// The log and who waits for it; nothing once the partition is closed.
    state: Combined<Option<State>>,
}

/// The partition was closed: its topic is deleted, or the node stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the partition is closed")]
pub(crate) struct Closed;

impl Partition {
    pub(crate) fn new(
        id: TopicIdPartition,
        name: LogName,
        config: Arc<TopicConfig>,
        tier: Option<Arc<PartitionTier>>,
        counters: Arc<TopicCounters>,
        listener: ChangeListener,
        state: State,
    ) -> Partition {
        Partition {
            id,
            name,
            config: RwLock::new(config),
            tier,
            counters,
            used: AtomicBool::new(false),
            listener,
            upkeep: tokio::sync::Mutex::default(),
            learning: tokio::sync::Mutex::default(),
            mending: tokio::sync::Mutex::default(),
            state: Combined::new(Some(state)),
        }
    }

    /// Its topic's configuration.
    pub(crate) fn config(&self) -> Arc<TopicConfig> {
        self.config.read().clone()
    }

    /// Somebody asks for it.
    pub(crate) fn mark_used(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked for it since this was last asked.
    pub(crate) fn was_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Whether somebody asked for it since [`Partition::was_used`].
    pub(crate) fn in_use(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// Its topic's configuration was altered.
    pub(crate) fn set_config(&self, config: Arc<TopicConfig>) {
        *self.config.write() = config;
    }

    /// Runs `operation` under the partition's lock. For tasks: nothing in it may wait.
    pub(crate) async fn with<R: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut State) -> R + Send + 'static,
    ) -> Result<R, Closed> {
        let done = self.see(operation).await;
        self.tell_listener();
        done
    }

    /// The same for whoever changes nothing that anybody watches.
    pub(crate) async fn see<R: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut State) -> R + Send + 'static,
    ) -> Result<R, Closed> {
        self.state.with(|state| state.as_mut().map(operation).ok_or(Closed)).await
    }

    /// Runs `operation` under the partition's lock, waiting for it. For code that may block.
    pub(crate) fn with_blocking<R>(&self, operation: impl FnOnce(&mut State) -> R) -> Result<R, Closed> {
        let done = self.look(operation);
        self.tell_listener();
        done
    }

    /// The same for whoever changes nothing that anybody watches.
    pub(crate) fn look<R>(&self, operation: impl FnOnce(&mut State) -> R) -> Result<R, Closed> {
        self.state.with_blocking(|state| state.as_mut().map(operation).ok_or(Closed))
    }

    /// Closes the partition: tells everyone who waits, and gives the log to whoever ends it. `None` if somebody
    /// did already.
    pub(crate) async fn close(&self) -> Option<Log> {
        let log = self.state.with(|state| state.take().map(State::into_log)).await;
        self.tell_listener();
        log
    }

    pub(crate) fn tell_listener(&self) {
        if let Some(changes) = self.listener.get() {
            changes.note(self.id);
        }
    }
}
