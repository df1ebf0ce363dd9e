//! What a node has besides its own parts when it is one of several.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use highwater_env::{Env, EnvExt};
use highwater_metadata::{Image, Sessions};
use highwater_records::{BrokerEpoch, BrokerId};
use highwater_replication::Moment;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Ready, session::ServedSessions};
use crate::{
    first_of::{First, first_of},
    museum::{Bug, has},
    peers::{ClusterTimes, ControlError, ControlReply, ControlRequest, MetadataSource, Peers},
};

/// What makes a node a member of a cluster; passed to [`Node::start_in_cluster`](crate::Node::start_in_cluster).
pub struct ClusterParts {
    /// How this broker learns what the cluster decides.
    pub metadata: MetadataSource,
    /// The other brokers.
    pub peers: Arc<dyn Peers>,
    /// How long to wait for what.
    pub times: ClusterTimes,
    /// How many of the latest records of the metadata log are kept for brokers that follow this one; a broker that is
    /// further behind gets what all of them add up to.
    pub records_kept: usize,
}

/// This node as a member.
pub(crate) struct Membership {
    pub(crate) env: Arc<dyn Env>,
    pub(crate) broker: BrokerId,
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) times: ClusterTimes,
    /// Drawn at the start of this process.
    pub(crate) incarnation: [u8; 16],
    /// The registration of this process; zero until it is in force.
    epoch: AtomicU64,
    /// Whether this broker asks the controller to let it stop, and whether it may.
    pub(crate) wants_stop: AtomicBool,
    pub(crate) may_stop: AtomicBool,
    /// Wakes the heartbeat.
    pub(crate) beat: Notify,
    /// Told after each heartbeat that was answered.
    pub(crate) beaten: Notify,
    /// Followers that fetch from this broker.
    pub(crate) served: ServedSessions,
    /// Leaders that this broker fetches from, each with the partitions whose position is to be told.
    pub(crate) following: Mutex<BTreeMap<BrokerId, Arc<Ready>>>,
    /// Partitions whose in-sync set is to be changed.
    pub(crate) proposals: Ready,
    /// As the controller: who was heard of. Cleared when another controller takes over.
    pub(crate) sessions: Mutex<Sessions>,
    /// As the controller: one decision at a time, so that they do not drop each other.
    pub(crate) deciding: tokio::sync::Mutex<()>,
}

impl Membership {
    pub(crate) fn new(env: Arc<dyn Env>, broker: BrokerId, parts: &ClusterParts) -> Membership {
        let mut incarnation = [0; 16];
        incarnation[..8].copy_from_slice(&env.random().to_be_bytes());
        incarnation[8..].copy_from_slice(&(env.random() | 1).to_be_bytes());
        Membership {
            broker,
            peers: parts.peers.clone(),
            times: parts.times,
            incarnation,
            epoch: AtomicU64::new(0),
            wants_stop: AtomicBool::new(false),
            may_stop: AtomicBool::new(false),
            beat: Notify::new(),
            beaten: Notify::new(),
            served: ServedSessions::default(),
            following: Mutex::default(),
            proposals: Ready::default(),
            sessions: Mutex::default(),
            deciding: tokio::sync::Mutex::default(),
            env,
        }
    }

    /// The registration of this process; zero until it is in force.
    pub(crate) fn broker_epoch(&self) -> BrokerEpoch {
        BrokerEpoch(self.epoch.load(Ordering::Acquire))
    }

    pub(crate) fn registered(&self, epoch: BrokerEpoch) {
        self.epoch.store(epoch.0, Ordering::Release);
    }

    /// Whether another process has registered as this broker since this one did: it is the broker now. Not only does
    /// nothing that this process says count any more; what the image says of this broker is not about this process.
    pub(crate) fn is_superseded(&self, image: &Image) -> bool {
        let own = self.broker_epoch();
        !has(Bug::SupersededGoesOn)
            && own.0 > 0
            && image.registration(self.broker).is_some_and(|latest| latest.epoch > own)
    }

    /// Monotonic milliseconds, as the cores count.
    pub(crate) fn moment(&self) -> Moment {
        moment(&*self.env)
    }

    /// Asks a broker as the controller; `None` without an answer in time.
    pub(crate) async fn ask(
        &self,
        controller: BrokerId,
        request: ControlRequest,
    ) -> Option<Result<ControlReply, ControlError>> {
        let answer = self.peers.control(controller, request);
        match first_of(answer, self.env.sleep(self.times.answer)).await {
            First::Left(Ok(answer)) => Some(answer),
            First::Left(Err(_)) | First::Right(()) => None,
        }
    }
}

/// Monotonic milliseconds, as the cores count.
pub(crate) fn moment(env: &dyn Env) -> Moment {
    Moment(env.now().as_nanos() / 1_000_000)
}
