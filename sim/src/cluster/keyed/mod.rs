//! A topic that compacts, in some of the runs: clients write values of keys and delete them, in transactions too, and
//! readers read it from somewhere to its end. Replicas compact by themselves, so that their batches differ; what must
//! be the same is said in [`super::invariant::l9_compaction`] and, for readers, in [`scan`].

pub(super) mod batch;
mod scan;
mod transactions;
mod writer;

use std::{sync::Arc, time::Duration};

use highwater_node::request::{CreateTopic, CreateTopicError};
use highwater_records::{PartitionIndex, TopicId, TopicIdPartition};
use parking_lot::Mutex;

use super::plan::ClusterFault;
use crate::{coordinator::hall::Hall, history::Promise, random::Random, world::World};

/// The topic's name.
const TOPIC: &str = "keyed";

/// What becomes of tombstones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tombstones {
    /// Their horizon is beyond the end of the run.
    Stay,
    /// They go while some replica may be further behind than that, and a value that was deleted may come back there, as
    /// in Kafka.
    Go,
    /// They go, and nobody is ever so far behind.
    GoInTime,
}

/// The topic and its clients.
#[derive(Clone, Debug)]
pub struct KeyedPlan {
    /// How many partitions.
    pub partitions: u32,
    /// How many keys.
    pub keys: u64,
    /// What becomes of tombstones.
    pub tombstones: Tombstones,
    /// `delete.retention.ms`, of coordinators' topics too.
    pub delete_retention_ms: u64,
    /// `retention.ms`, where `cleanup.policy` is `compact,delete`.
    pub retention_ms: Option<u64>,
    /// `segment.bytes`.
    pub segment_bytes: u64,
    /// `segment.ms`.
    pub segment_ms: u64,
    /// `min.cleanable.dirty.ratio` in percent.
    pub dirty_percent: u64,
    /// `min.compaction.lag.ms`.
    pub min_lag_ms: u64,
    /// Clients that write without transactions.
    pub writers: u64,
    /// Clients that write in transactions, where there are coordinators.
    pub transactional: u64,
    /// Clients that read.
    pub readers: u64,
}

impl KeyedPlan {
    pub(super) fn draw(random: &mut Random, faults: &std::collections::BTreeSet<ClusterFault>) -> KeyedPlan {
        let clocks = [ClusterFault::ClockJump, ClusterFault::ClockSkew];
        let tombstones = match () {
            () if faults.is_empty() => *random.pick(&[Tombstones::Stay, Tombstones::GoInTime]),
            () if clocks.iter().any(|kind| faults.contains(kind)) || random.chance(1, 4) => Tombstones::Go,
            () => Tombstones::Stay,
        };
        KeyedPlan {
            partitions: random.between(1, 2) as u32,
            keys: random.between(3, 40),
            tombstones,
            delete_retention_ms: match tombstones {
                // Longer than any run.
                Tombstones::Stay => 86_400_000,
                Tombstones::Go => random.between(300, 5_000),
                Tombstones::GoInTime => random.between(3_000, 5_000),
            },
            retention_ms: random.chance(1, 4).then(|| random.between(4_000, 30_000)),
            segment_bytes: random.between(1_000, 4_000),
            segment_ms: random.between(2_000, 10_000),
            dirty_percent: random.between(1, 50),
            min_lag_ms: if random.chance(1, 2) { 0 } else { random.between(100, 3_000) },
            writers: random.between(1, 2),
            transactional: random.between(0, 2),
            readers: random.between(1, 2),
        }
    }

    fn request(&self, promise: Promise) -> CreateTopic {
        let durability = match promise {
            Promise::Synced => "synced",
            Promise::Replicated => "replicated",
        };
        let policy = if self.retention_ms.is_some() { "compact,delete" } else { "compact" };
        let mut configs = vec![
            ("cleanup.policy", policy.to_owned()),
            ("highwater.durability", durability.to_owned()),
            ("internal.segment.bytes", self.segment_bytes.to_string()),
            ("segment.ms", self.segment_ms.to_string()),
            ("index.interval.bytes", "300".to_owned()),
            ("min.cleanable.dirty.ratio", format!("0.{:02}", self.dirty_percent)),
            ("min.compaction.lag.ms", self.min_lag_ms.to_string()),
            ("delete.retention.ms", self.delete_retention_ms.to_string()),
        ];
        configs.extend(self.retention_ms.map(|ms| ("retention.ms", ms.to_string())));
        CreateTopic {
            name: TOPIC.to_owned(),
            partitions: Some(self.partitions.cast_signed()),
            replication_factor: Some(1),
            assignments: Default::default(),
            configs: configs.into_iter().map(|(key, value)| (key.to_owned(), Some(value))).collect(),
        }
    }
}

/// What the topic's clients share.
struct Keyed {
    world: Arc<World>,
    plan: KeyedPlan,
    id: TopicId,
    seen: Mutex<scan::Seen>,
}

impl Keyed {
    fn at(&self, part: u32) -> TopicIdPartition {
        TopicIdPartition { topic_id: self.id, partition: PartitionIndex(part) }
    }

    /// Keys and values to write; some keys are written much more often than others.
    fn records(&self, random: &mut Random) -> Vec<(u32, Option<u64>)> {
        let count = random.between(1, 3);
        let one = |random: &mut Random| {
            let most = if random.chance(1, 2) { self.plan.keys } else { 1 + self.plan.keys / 4 };
            let value = (!random.chance(1, 6)).then(|| self.world.tag());
            (random.below(most) as u32, value)
        };
        (0..count).map(|_| one(random)).collect()
    }

    /// They are sent; whether they come to lie anywhere somebody may be told, or nobody ever.
    fn asked(&self, part: u32, records: &[(u32, Option<u64>)]) {
        self.seen.lock().asked(part, records);
    }

    /// Somebody was told that they lie there, and that they are committed.
    fn acked(&self, part: u32, base: u64, records: &[(u32, Option<u64>)]) {
        self.world.stats.progress("keyed batches acknowledged");
        self.seen.lock().acked(part, base, records);
    }
}

/// Has the topic created, and starts its clients; those that write in transactions where there is a hall.
pub(super) fn start(world: &Arc<World>, plan: &KeyedPlan, promise: Promise, hall: Option<Arc<Hall>>) {
    let (inside, plan, random) = (world.clone(), plan.clone(), world.fork_random());
    world.start(async move {
        let Some(id) = create(&inside, &plan, promise).await else { return };
        let keyed = Arc::new(Keyed { world: inside.clone(), plan, id, seen: Mutex::default() });
        let mut random = random;
        let mut fork = || Random::new(random.draw());
        for _ in 0..keyed.plan.writers {
            inside.start(writer::writer(keyed.clone(), fork()));
        }
        for _ in 0..keyed.plan.readers {
            inside.start(scan::reader(keyed.clone(), fork()));
        }
        for number in 0..hall.as_ref().map_or(0, |_| keyed.plan.transactional) {
            let hall = hall.clone().expect("there are none without it");
            inside.start(transactions::writer(keyed.clone(), hall, number, fork()));
        }
    });
}

async fn create(world: &World, plan: &KeyedPlan, promise: Promise) -> Option<TopicId> {
    while !world.is_quiet() {
        let request = plan.request(promise);
        match world.call(move |broker| broker.create_topic(request)).await {
            Some(Ok(id)) => return Some(id),
            Some(Err(CreateTopicError::AlreadyExists(_))) => {
                if let Some(id) = world.topic_named(TOPIC) {
                    return Some(id);
                }
            }
            Some(Err(CreateTopicError::Unavailable(_))) | None => {}
            Some(Err(error)) => {
                let why = format!("{plan:?} was refused: {error}");
                world.violate(crate::observer::Violation { invariant: "a valid topic can be made", why });
                return None;
            }
        }
        world.pause(Duration::from_millis(20), Duration::from_millis(200)).await;
    }
    None
}
