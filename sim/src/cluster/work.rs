//! Groups and transactions in a cluster: the clients of [`crate::coordinator`], against whoever coordinates at the
//! moment, and the rare states that a campaign must have seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use highwater_coordinator::partition_of;
use highwater_env::BoxFuture;
use highwater_metadata::Image;
use highwater_node::CoordinatorKey;
use highwater_records::{BrokerId, PartitionIndex};
use parking_lot::Mutex;

use super::{ClusterFault, ClusterPlan};
use crate::{
    broker::Whom,
    coordinator::{
        GroupPlan,
        hall::{Hall, caller, group_name, producer_name},
        happening::{Commit, GroupNumber, Happening, Incarnation, Told, Txn, Write},
        invariant::Invariant,
        start,
    },
    random::Random,
    stats::Stats,
    world::World,
};

/// Which groups and transactional producers there are.
#[derive(Clone, Debug)]
pub struct WorkPlan {
    /// Partitions of the topic that groups read.
    pub input: u32,
    /// Partitions of the topic that transactions write.
    pub output: u32,
    /// The groups.
    pub groups: Vec<GroupPlan>,
    /// Transactional producers without a group.
    pub producers: u64,
    /// Of so many rounds a client misbehaves in one, on average; zero for never.
    pub mischief: u64,
    /// Producers without a group have one transaction after the other, of the older protocol and under ids of their own,
    /// and one of three calls that ask for markers is copied.
    pub in_haste: bool,
}

impl WorkPlan {
    pub(super) fn draw(random: &mut Random) -> WorkPlan {
        WorkPlan {
            input: random.between(1, 2) as u32,
            output: random.between(1, 3) as u32,
            groups: (0..random.between(1, 2)).map(|_| GroupPlan::draw(random)).collect(),
            producers: random.between(0, 2),
            mischief: if random.chance(1, 4) { 0 } else { random.between(30, 150) },
            in_haste: false,
        }
    }
}

/// The clients of a run, and what they live through.
pub(super) struct Work {
    pub(super) hall: Arc<Hall>,
    moves: Arc<Mutex<Moves>>,
}

/// How many partitions each coordinator's topic has.
pub(super) const SHARDS: u32 = 2;

const TRANSACTIONS: &str = "__transaction_state";
const OFFSETS: &str = "__consumer_offsets";

impl Work {
    /// Starts every client that a plan names.
    pub(super) fn start(world: &Arc<World>, plan: &ClusterPlan) -> Option<Work> {
        let work = plan.work.as_ref()?;
        let clocks = [ClusterFault::ClockJump, ClusterFault::ClockSkew];
        let clocks_differ = clocks.iter().any(|kind| plan.run.faults.contains(kind));
        let parts = (work.input, work.output);
        let hall = Hall::new(
            world.clone(),
            work.groups.clone(),
            parts,
            (work.mischief, work.in_haste),
            clocks_differ,
        );
        let moves = Arc::new(Mutex::new(Moves::default()));
        hall.watch(Box::new(Watcher { world: world.clone(), moves: moves.clone() }));
        hall.start(create_coordinators(hall.clone()));
        start(&hall, work.producers, plan.promise());
        Some(Work { hall, moves })
    }

    /// Takes in who coordinates now.
    pub(super) fn look(&self, truth: &Image) {
        self.moves.lock().look(truth);
    }
}

/// Has the coordinators' topics created once there are brokers enough for all their replicas.
async fn create_coordinators(hall: Arc<Hall>) {
    let all = [TRANSACTIONS, OFFSETS];
    while !all.iter().all(|name| hall.world.topic_named(name).is_some()) && !hall.is_over() {
        let ask = |node: Arc<highwater_node::Node>| -> BoxFuture<'static, ()> {
            Box::pin(async move {
                if node.image().brokers().len() >= 3 {
                    let keys = [CoordinatorKey::Transaction("x".into()), CoordinatorKey::Group("x".into())];
                    let _ = node.find_coordinators(&caller(), &keys).await;
                }
            })
        };
        let _ = hall.call(Whom::Anybody, ask).await;
        hall.pause(10, 200).await;
    }
}

/// Coordinators that move while something depends on them.
#[derive(Default)]
struct Moves {
    /// Who leads each partition of the coordinators' topics, and how often that changed.
    leaders: BTreeMap<(&'static str, u32), (Option<BrokerId>, u64)>,
    ids: BTreeMap<Incarnation, u64>,
    transactions: BTreeMap<Txn, Open>,
    of_write: BTreeMap<Write, Txn>,
    asked: BTreeMap<Commit, GroupNumber>,
    /// Commits that were acknowledged, and how often their coordinator had moved then.
    committed: BTreeMap<Commit, (GroupNumber, u64)>,
    told: BTreeSet<Commit>,
}

struct Open {
    id: u64,
    has_written: bool,
    /// Whether its coordinator moved after its first batch.
    moved: bool,
}

impl Moves {
    fn look(&mut self, truth: &Image) {
        for name in [TRANSACTIONS, OFFSETS] {
            let Some(topic) = truth.topic_named(name) else { continue };
            for (PartitionIndex(index), state) in topic.numbered() {
                let (leader, changes) = self.leaders.entry((name, index)).or_default();
                if *leader == state.leader || state.leader.is_none() {
                    continue;
                }
                let is_first = leader.is_none();
                *leader = state.leader;
                if is_first {
                    continue;
                }
                *changes += 1;
                let here = |id| partition_of(&producer_name(id), SHARDS) == index;
                let open = self.transactions.values_mut().filter(|open| open.has_written && here(open.id));
                open.filter(|_| name == TRANSACTIONS).for_each(|open| open.moved = true);
            }
        }
    }

    fn changes(&self, group: GroupNumber) -> u64 {
        let index = partition_of(&group_name(group), SHARDS);
        self.leaders.get(&(OFFSETS, index)).map_or(0, |(_, changes)| *changes)
    }

    fn take_in(&mut self, event: &Happening, stats: &Stats) {
        match event {
            Happening::ProducerAsks { incarnation, id } => {
                self.ids.insert(*incarnation, *id);
            }
            Happening::TxnBegins { txn, incarnation, .. } => {
                let id = self.ids.get(incarnation).copied().unwrap_or(0);
                self.transactions.insert(*txn, Open { id, has_written: false, moved: false });
            }
            Happening::WriteAsked { write, txn, .. } => {
                self.of_write.insert(*write, *txn);
            }
            Happening::WriteAnswered { write, .. } => {
                let txn = self.of_write.remove(write);
                if let Some(open) = txn.and_then(|txn| self.transactions.get_mut(&txn)) {
                    open.has_written = true;
                }
            }
            Happening::EndAnswered { txn } => {
                let ended = self.transactions.remove(txn);
                if ended.is_some_and(|open| open.moved) {
                    stats.count("mark: a transaction outlives its coordinator");
                }
            }
            Happening::CommitAsked { commit, group, .. } => {
                self.asked.insert(*commit, *group);
            }
            Happening::CommitAnswered { commit } => {
                let asked = self.asked.remove(commit);
                if let Some(group) = asked {
                    self.committed.insert(*commit, (group, self.changes(group)));
                }
            }
            Happening::OffsetTold { told: Told::Offset(_, commit), .. } => {
                let known = self.committed.get(commit).copied();
                if known.is_some_and(|(group, then)| self.changes(group) > then) && self.told.insert(*commit)
                {
                    stats.count("mark: a commit outlives its coordinator");
                }
            }
            _ => {}
        }
    }
}

/// Shows every event to [`Moves`].
struct Watcher {
    world: Arc<World>,
    moves: Arc<Mutex<Moves>>,
}

impl Invariant for Watcher {
    fn name(&self) -> &'static str {
        "marks"
    }

    fn check(&mut self, _: u64, event: &Happening) -> Result<(), String> {
        self.moves.lock().take_in(event, &self.world.stats);
        Ok(())
    }
}
