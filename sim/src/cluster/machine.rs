//! One broker's machine: a disk and at most one process.

use std::{path::Path, sync::Arc, time::Duration};

use highwater_engine::disk::memory::{Loss, MemoryDisk};
use highwater_env::{Env, Lane};
use highwater_metadata::config::{BrokerConfig, Settings};
use highwater_node::{
    ClusterParts, EndedByItself, Endpoint, Node, NodeParts,
    peers::{ClusterTimes, MetadataSource},
};
use highwater_records::BrokerId;
use highwater_tiering::bucket::SharedBucket;
use parking_lot::Mutex;

use super::{
    faults::deletion::Deleted,
    network::{Network, Up},
    quorum::Quorum,
    router::Heard,
};
use crate::{
    coordinator::{SETTINGS, hall::CONSUMER_SESSION_MS},
    executor::{BlockingCost, SimEnv},
    history::Promise,
    real::CLEAN_MARK,
    world::World,
};

/// A machine.
pub(super) struct Machine {
    pub(super) id: BrokerId,
    pub(super) disk: MemoryDisk,
    running: Option<Arc<SimEnv>>,
    state: Arc<Mutex<State>>,
    slow: bool,
    skew_ms: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Starting,
    Serving,
    Stopping,
    Ended(Result<(), String>),
}

/// What every machine is connected to.
pub(super) struct Surroundings {
    pub(super) world: Arc<World>,
    pub(super) network: Arc<Network>,
    pub(super) quorum: Arc<Quorum>,
    /// The brokers that have a part in the metadata log; the others follow them.
    pub(super) voters: Vec<BrokerId>,
    pub(super) bucket: Option<SharedBucket>,
    /// What the coordinators' topics promise.
    pub(super) promise: Promise,
    /// Where partitions start at least, as somebody was told.
    pub(super) deleted: Deleted,
    /// Leader epochs that clients know.
    pub(super) heard: Heard,
    /// Whether logs are compacted, and `delete.retention.ms` of those that say nothing of it.
    pub(super) compaction: Option<u64>,
    /// Whether brokers have the intervals that they are shipped with.
    pub(super) as_shipped: bool,
    /// Whether what coordinators write may rot, too: where it is not compacted, so that it can be mended.
    pub(super) rots_coordinators: bool,
}

/// Everything soon, so that much happens in little simulated time.
const TIMES: ClusterTimes = ClusterTimes {
    session: Duration::from_secs(3),
    heartbeat: Duration::from_millis(500),
    replica_lag_max: Duration::from_secs(2),
    fetch_wait_max: Duration::from_millis(500),
    fetch_backoff: Duration::from_millis(200),
    answer: Duration::from_secs(2),
    balance: Duration::from_secs(10),
    registration: Duration::from_secs(20),
    io_patience: Duration::from_secs(2),
    directory_failure: Duration::from_secs(5),
};

/// Longer than any run, in nanoseconds.
const FOREVER: u64 = 1_000_000_000_000_000;

pub(super) const LOG_DIR: &str = "/data";

fn config(id: BrokerId, around: &Surroundings) -> Arc<BrokerConfig> {
    let mut settings = Settings::new();
    let (promise, compaction) = (around.promise, around.compaction);
    let session = CONSUMER_SESSION_MS.to_string();
    let durability = match promise {
        Promise::Synced => "synced",
        Promise::Replicated => "replicated",
    };
    let clients = SETTINGS.iter().map(|(key, value)| (*key, (*value).to_owned()));
    let own = [
        ("node.id", id.0.to_string()),
        ("broker.rack", format!("rack-{}", id.0 % 3)),
        ("replica.selector.class", "org.apache.kafka.common.replica.RackAwareReplicaSelector".to_owned()),
        ("log.dirs", LOG_DIR.to_owned()),
        ("metadata.log.dir", "/metadata".to_owned()),
        ("highwater.scrub.period.ms", "15000".to_owned()),
        // Small enough to go round.
        ("highwater.journal.bytes", "131072".to_owned()),
        // What the coordinators' topics promise, and how many must be in sync.
        ("highwater.durability", durability.to_owned()),
        ("min.insync.replicas", "2".to_owned()),
        ("log.cleaner.enable", compaction.is_some().to_string()),
        ("log.cleaner.backoff.ms", if compaction.is_some() { "700" } else { "15000" }.to_owned()),
        ("log.cleaner.min.cleanable.ratio", "0.1".to_owned()),
        ("log.cleaner.delete.retention.ms", compaction.unwrap_or(86_400_000).to_string()),
        ("log.roll.ms", if compaction.is_some() { "4000" } else { "604800000" }.to_owned()),
        ("transaction.state.log.min.isr", "2".to_owned()),
        ("group.consumer.session.timeout.ms", session),
    ];
    let soon = [
        ("log.retention.check.interval.ms", "1500".to_owned()),
        ("remote.log.manager.task.interval.ms", "1000".to_owned()),
        ("log.flush.offset.checkpoint.interval.ms", "2000".to_owned()),
    ];
    let soon = soon.into_iter().filter(|_| !around.as_shipped);
    for (key, value) in own.into_iter().chain(soon).chain(clients) {
        let given = settings.give(key, &value);
        assert!(given.is_ok(), "{key}={value}: {given:?}");
    }
    Arc::new(BrokerConfig::new(settings).expect("these settings are valid: every run begins with them"))
}

impl Machine {
    pub(super) fn new(id: BrokerId) -> Machine {
        let disk = MemoryDisk::new();
        Machine { id, disk, running: None, state: Arc::default(), slow: false, skew_ms: 0 }
    }

    pub(super) fn is_on(&self) -> bool {
        self.running.is_some()
    }

    /// Whether it was asked to stop, and did.
    pub(super) fn has_stopped_cleanly(&self) -> bool {
        matches!(*self.state.lock(), State::Ended(Ok(())))
    }

    /// Whether its disk says that its last process stopped cleanly: one that was cut off may have been at the very end of
    /// its stop.
    pub(super) fn is_marked_clean(&self) -> bool {
        self.disk.contents(&Path::new(LOG_DIR).join(CLEAN_MARK)).is_ok()
    }

    pub(super) fn is_serving(&self) -> bool {
        self.is_on() && *self.state.lock() == State::Serving
    }

    pub(super) fn has_ended(&self) -> bool {
        self.is_on() && matches!(*self.state.lock(), State::Ended(_))
    }

    /// Why it does not serve, for people.
    pub(super) fn describe(&self) -> String {
        format!("broker {}: on {}, {:?}", self.id, self.is_on(), *self.state.lock())
    }

    pub(super) fn boot(&mut self, around: &Surroundings) {
        let world = &around.world;
        let env = world.executor.process("broker");
        let id = self.id;
        world.executor.note(&[30, u64::from(id.0)], || format!("broker {id} starts"));
        self.disk.set_time(world.executor.wall_ms());
        self.state = Arc::default();
        let parts = NodeParts {
            env: env.clone(),
            disk: Arc::new(self.disk.clone()),
            bucket: around.bucket.clone(),
            config: config(id, around),
            endpoint: Endpoint { host: format!("broker-{id}"), port: 9092 },
        };
        let metadata = match around.voters.contains(&id) {
            true => MetadataSource::Log(around.quorum.handle(id, env.clone())),
            false => MetadataSource::Tail(around.voters.clone()),
        };
        let peers = around.network.peers(id, env.clone());
        // Few enough that who was away for a while is told what all of them add up to.
        let times = if around.as_shipped { ClusterTimes::default() } else { TIMES };
        let cluster = ClusterParts { metadata, peers, times, records_kept: 60 };
        let (state, inside) = (self.state.clone(), env.clone());
        let (network, world) = (around.network.clone(), around.world.clone());
        // The controller among them must be reachable before it is one: whoever waits for a name is not.
        let task = async move {
            match Node::start_in_cluster(parts, cluster).await {
                Ok(node) => {
                    world.stats.progress("broker starts");
                    world.executor.note(&[31, u64::from(id.0)], || format!("broker {id} has registered"));
                    *state.lock() = State::Serving;
                    let process = inside.id();
                    network.set_up(id, Up::new(inside, node.clone()));
                    let Some(why) = node.ends().await else { return };
                    drop(node);
                    world.stats.count(match why {
                        EndedByItself::DirectoryOffline(_) => {
                            "mark: a broker ends whose directory is offline"
                        }
                        EndedByItself::Superseded => "mark: the older one of two processes ends",
                    });
                    network.set_down(id, process);
                    world.executor.note(&[39, u64::from(id.0)], || format!("broker {id} ends: {why}"));
                    *state.lock() = State::Ended(Err(why.to_string()));
                }
                Err(error) => {
                    world.stats.count("broker starts that failed");
                    world.executor.note(&[32, u64::from(id.0)], || format!("broker {id}: {error}"));
                    *state.lock() = State::Ended(Err(error.to_string()));
                }
            }
        };
        env.spawn(Lane::Control, Box::pin(task));
        self.running = Some(env);
        self.set_slow(self.slow, around);
        self.set_skew(self.skew_ms, around);
    }

    /// From now on its wall clock is ahead by so much.
    pub(super) fn set_skew(&mut self, skew_ms: i64, around: &Surroundings) {
        self.skew_ms = skew_ms;
        if let Some(env) = &self.running {
            around.world.executor.set_skew(env.id(), skew_ms);
        }
    }

    /// Its disk takes nothing more from now on, but what is freed; or it does again.
    pub(super) fn set_full(&self, full: bool) {
        let used = || {
            let files = self.disk.files().into_iter().filter_map(|path| self.disk.contents(&path).ok());
            files.map(|bytes| bytes.len() as u64).sum()
        };
        self.disk.set_capacity(full.then(used));
    }

    /// Asks the broker to stop; it has when [`Machine::has_ended`].
    pub(super) fn ask_to_stop(&self, around: &Surroundings) {
        let (Some(env), Some(up)) = (&self.running, around.network.node(self.id)) else { return };
        if *self.state.lock() != State::Serving {
            return;
        }
        *self.state.lock() = State::Stopping;
        let (id, process) = (self.id, env.id());
        around.world.executor.note(&[33, u64::from(id.0)], || format!("broker {id} is asked to stop"));
        let (state, network, world) = (self.state.clone(), around.network.clone(), around.world.clone());
        let task = async move {
            let stopped = up.node.stop().await;
            drop(up);
            network.set_down(id, process);
            world.executor.note(&[34, u64::from(id.0)], || format!("broker {id} has stopped: {stopped:?}"));
            *state.lock() = State::Ended(stopped.map_err(|error| error.to_string()));
        };
        env.spawn(Lane::Control, Box::pin(task));
    }

    /// The process is gone at this instant; `loss` says what the disk loses, if the machine goes too.
    pub(super) fn take_down(&mut self, loss: Option<Loss>, around: &Surroundings) {
        let Some(env) = self.running.take() else { return };
        let id = self.id;
        around.world.executor.note(&[35, u64::from(id.0)], || format!("broker {id} is gone, {loss:?}"));
        around.network.set_down(id, env.id());
        match loss {
            Some(loss) => self.disk.crash_with(loss),
            None => self.disk.kill(),
        }
        around.world.executor.kill(env.id());
    }

    /// Everything that was on the disk is gone. Only while the machine is off.
    pub(super) fn replace_disk(&mut self) {
        assert!(!self.is_on(), "a disk is replaced while the machine is off");
        self.disk = MemoryDisk::new();
    }

    /// Stands still for a while.
    pub(super) fn pause(&self, until: u64, around: &Surroundings) {
        if let Some(env) = &self.running {
            around.world.executor.pause(env.id(), until);
        }
    }

    /// No disk operation that begins from now on comes back while this process lives.
    pub(super) fn get_stuck(&self, around: &Surroundings) {
        let Some(env) = &self.running else { return };
        let cost = BlockingCost { min_nanos: FOREVER, usual_nanos: FOREVER, rare_nanos: FOREVER };
        around.world.executor.set_blocking_cost(env.id(), cost);
    }

    pub(super) fn set_slow(&mut self, slow: bool, around: &Surroundings) {
        self.slow = slow;
        let Some(env) = &self.running else { return };
        let cost = BlockingCost { min_nanos: 5_000_000, usual_nanos: 400_000_000, rare_nanos: 5_000_000_000 };
        around.world.executor.set_blocking_cost(env.id(), if slow { cost } else { BlockingCost::default() });
    }
}
