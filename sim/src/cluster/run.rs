//! One run of a cluster, from a seed to an outcome.

mod failing_disk;
#[cfg(test)]
mod idle_tests;

use std::{cell::Cell, collections::BTreeMap, sync::Arc, time::Duration};

use highwater_records::{BrokerId, TopicIdPartition};

use super::{
    faults::{Faults, deletion::Deleted},
    invariant::{q1_no_spin, r9_orphans},
    keyed,
    machine::{Machine, Surroundings},
    network::Network,
    plan::ClusterPlan,
    quorum::Quorum,
    router::{Heard, Router},
    tiered,
    watch::{Watch, Watched},
    work::Work,
};
use crate::{
    client::{self, Audit},
    coordinator::audit::{Task, everything, groups_settle},
    executor::Executor,
    observer::Violation,
    random::Random,
    simulation::{Options, Outcome, guarded},
    store::Store,
    trace::Trace,
    world::World,
};

/// Once faults are over, everything must work again within this time where intervals are short, and within this where they
/// are those that brokers are shipped with.
const CONVERGES_WITHIN: [Duration; 2] = [Duration::from_secs(180), Duration::from_secs(1800)];

/// How often what is due by itself is done and what brokers know of the metadata log is looked at, in nanoseconds.
const TICK: u64 = 25_000_000;

/// How often everything is looked at, the bucket too, in nanoseconds.
const LOOK_AT_ALL: u64 = 500_000_000;

/// Runs one seed from beginning to end.
pub fn run_cluster(seed: u64, options: Options) -> Outcome {
    run_plan(seed, ClusterPlan::draw(seed), options)
}

/// Runs a plan from beginning to end, with the luck of a seed.
pub fn run_plan(seed: u64, plan: ClusterPlan, options: Options) -> Outcome {
    let trace = if options.lines == 0 { Trace::hashed() } else { Trace::readable(options.lines) };
    let mut run = Run::new(seed, plan, trace);
    let world = run.around.world.clone();
    let sound = guarded(&world, || {
        run.plan.run.start_clients(&run.around.world);
        run.work = Work::start(&run.around.world, &run.plan);
        if let Some(plan) = &run.plan.keyed {
            let hall = run.work.as_ref().map(|work| work.hall.clone());
            keyed::start(&run.around.world, plan, run.plan.promise(), hall);
        }
        run.safety();
        if run.around.world.violation().is_none() {
            run.liveness();
        }
    });
    run.outcome(seed, sound)
}

struct Run {
    plan: ClusterPlan,
    around: Surroundings,
    machines: BTreeMap<BrokerId, Machine>,
    store: Option<Store>,
    faults: Faults,
    watch: Watch,
    work: Option<Work>,
    /// Who runs, as of a generation of the network.
    brokers: (u64, Vec<Watched>),
    next_tick: u64,
    next_look_at_all: u64,
    /// When orphans are looked for next, and whether there were none.
    orphans: Cell<(u64, bool)>,
}

impl Run {
    fn new(seed: u64, plan: ClusterPlan, trace: Trace) -> Run {
        let random = Random::new(seed).fork("cluster");
        let executor = Executor::new(seed, trace);
        let store = plan.run.bucket.then(|| Store::new(executor.process("store"), random.fork("store")));
        let world = World::new(executor, random.fork("world"));
        world.executor.note(&[seed], || format!("cluster seed {seed}: {plan:#?}"));
        let brokers: Vec<BrokerId> = (1..=plan.brokers).map(BrokerId).collect();
        let network = Network::new(random.fork("network"), world.executor.process("network"));
        let in_haste = plan.work.as_ref().is_some_and(|work| work.in_haste);
        network.copy_markers(if in_haste { 333 } else { 0 });
        let voters = world.executor.process("quorum");
        let quorum = Quorum::new(voters, network.clone(), random.fork("quorum"), &brokers);
        let bucket = store.as_ref().map(|store| store.clone().into());
        let faults = Faults::new(&plan, random.fork("faults"));
        let told = world.clone();
        quorum.on_unclean(move |at| told.give_up(at));
        let voters = brokers[..brokers.len() - plan.tails as usize].to_vec();
        let around = Surroundings {
            world: world.clone(),
            network: network.clone(),
            quorum,
            voters,
            bucket,
            promise: plan.promise(),
            deleted: Deleted::default(),
            heard: Heard::default(),
            compaction: plan.keyed.as_ref().map(|keyed| keyed.delete_retention_ms),
            as_shipped: plan.as_shipped(),
            // In later kinds of runs only, so that what other seeds meant they still mean.
            rots_coordinators: plan.lull.is_some() && plan.keyed.is_none(),
        };
        world.expect_replicas();
        let mut machines: BTreeMap<BrokerId, Machine> =
            brokers.iter().map(|id| (*id, Machine::new(*id))).collect();
        let at_first = |machine: &&mut Machine| machine.id.0 <= plan.at_first;
        machines.values_mut().filter(at_first).for_each(|machine| machine.boot(&around));
        let router = Router {
            network,
            env: world.clients.clone(),
            replicas: plan.replicas,
            min_isr: plan.min_isr,
            epochs: around.heard.clone(),
            deleted: Default::default(),
        };
        world.connect(Some((world.clients.clone(), Arc::new(router))));
        let watch = Watch::new(plan.beyond, plan.keyed.as_ref().map(|keyed| keyed.tombstones));
        Run {
            plan,
            around,
            machines,
            store,
            faults,
            watch,
            work: None,
            brokers: (u64::MAX, Vec::new()),
            next_tick: 0,
            next_look_at_all: 0,
            orphans: Cell::new((0, false)),
        }
    }

    /// Everything breaks, in a lull now and then.
    fn safety(&mut self) {
        let Some(lull) = self.plan.lull else {
            return self.run_for(self.plan.run.safety, |_| false);
        };
        self.run_for(lull.begins, |_| false);
        self.around.world.lull(lull.lasts);
        self.faults.every(lull.fault_interval, self.around.world.executor.now());
        self.run_for(lull.lasts, |_| false);
        self.faults.every(self.plan.run.fault_interval, self.around.world.executor.now());
        self.run_for(self.plan.run.safety - lull.begins, |_| false);
    }

    /// Nothing breaks any more: all must come right, in bounded time.
    fn liveness(&mut self) {
        self.faults.heal(&self.around, &mut self.machines, self.store.as_ref());
        let topics = self.plan.run.topics.len();
        self.converge("every topic to exist", |run| run.around.world.topics().len() >= topics);
        self.converge("every replica to be in sync", Run::is_whole);
        self.converge("what has rotted to be mended", |run| !run.faults.is_rotten());
        self.around.world.all_is_mended();
        self.fail_a_disk();
        if let Some(work) = &self.work {
            work.hall.behave();
            let settled = groups_settle(&work.hall);
            self.finished("every group to use up its input", &settled);
        }
        self.around.world.be_quiet();
        self.audited();
        self.converge("objects that nobody names to be gone", |run| run.has_no_orphans());
        if let Some(work) = &self.work {
            let all = everything(&work.hall);
            self.finished("every transaction and offset to be told", &all);
        }
        self.converge("every replica to have the same log", Run::is_equal);
        self.look_back();
    }

    /// Nothing happens any more: what leaders know of producers, and what the bucket says by itself.
    fn look_back(&mut self) {
        let world = &self.around.world;
        if world.has_violated() {
            return;
        }
        let (_, brokers) = &self.brokers;
        let mut found = self.watch.read_again(brokers);
        found = found.and_then(|()| self.watch.look_at_producers(brokers));
        for (at, batches) in tiered::batches(world, self.store.as_ref(), self.watch.truth()) {
            found = found.and_then(|()| self.watch.look_at_bucket(at, batches));
        }
        if let Err(violation) = found {
            world.violate(violation);
        }
    }

    /// Looks now and then: every object is looked at.
    fn has_no_orphans(&self) -> bool {
        let (world, now) = (&self.around.world, self.around.world.executor.now());
        let (next, before) = self.orphans.get();
        if now < next {
            return before;
        }
        let are_gone = r9_orphans::are_gone(world, self.store.as_ref(), self.watch.truth());
        self.orphans.set((now + LOOK_AT_ALL, are_gone));
        are_gone
    }

    /// Whether every partition has a leader and all its replicas are in sync.
    fn is_whole(&self) -> bool {
        self.watch
            .truth()
            .topics()
            .flat_map(|topic| topic.partitions.iter())
            .all(|partition| partition.leader.is_some() && partition.isr.len() == partition.replicas.len())
    }

    /// Whether all replicas of each partition end at the same offset, and know that all of it is committed.
    fn is_equal(&self) -> bool {
        let nodes = self.around.network.nodes();
        self.watch.truth().topics().all(|topic| {
            topic.numbered().all(|(partition, state)| {
                let at = TopicIdPartition { topic_id: topic.id, partition };
                let ends: Vec<_> = state
                    .replicas
                    .iter()
                    .map(|replica| {
                        let view = nodes.get(replica)?.node.replica(at)?;
                        let positions = view.positions;
                        (positions.high_watermark == positions.log_end).then_some(positions.log_end)
                    })
                    .collect();
                ends.iter().all(|end| end.is_some() && *end == ends[0])
            })
        })
    }

    /// How long anything may take to come right.
    fn patience(&self) -> Duration {
        CONVERGES_WITHIN[usize::from(self.plan.as_shipped())]
    }

    fn finished(&mut self, what: &str, task: &Arc<Task>) {
        if self.around.world.has_violated() {
            return;
        }
        let inside = task.clone();
        self.run_for(self.patience(), move |_| inside.state().is_some());
        if task.state().is_none() && !self.around.world.has_violated() {
            self.stuck(format!("{what}: waits for {}", task.waits_for()));
        }
    }

    fn audited(&mut self) {
        if self.around.world.violation().is_some() {
            return;
        }
        let audit: Arc<Audit> = client::audit(&self.around.world);
        self.run_for(self.patience(), |_| audit.is_done());
        if !audit.is_done() && self.around.world.violation().is_none() {
            self.stuck(format!("these still wait: {}", audit.missing()));
        }
    }

    fn converge(&mut self, what: &str, done: impl Fn(&Run) -> bool) {
        if self.around.world.violation().is_some() {
            return;
        }
        self.run_for(self.patience(), &done);
        if !done(self) && self.around.world.violation().is_none() {
            self.stuck(format!("waiting for {what}"));
        }
    }

    fn stuck(&self, why: String) {
        let machines: Vec<String> = self.machines.values().map(Machine::describe).collect();
        let mut partitions = String::new();
        for (broker, up) in self.around.network.nodes() {
            let (applied, controller) = (up.node.image().applied(), up.node.controller());
            let stopping = up.node.is_stopping();
            partitions += &format!(
                "\n  {broker} has applied {applied:?}, controller {controller:?}, stopping {stopping}"
            );
        }
        let truth = self.watch.truth();
        for topic in truth.topics() {
            for (index, state) in topic.numbered() {
                let at = TopicIdPartition { topic_id: topic.id, partition: index };
                partitions +=
                    &format!("\n  {}-{index} epoch {}: {state:?}", topic.name, truth.leader_epoch(state));
                for (broker, up) in self.around.network.nodes() {
                    if let Some(view) = up.node.replica(at) {
                        partitions += &format!(
                            "\n    {broker}: epoch {}, {:?}, {:?}",
                            view.leader_epoch, view.leading, view.positions
                        );
                    }
                }
            }
        }
        let why = format!(
            "{why}; not within {:?} of simulated time; {machines:?}; registrations {:?}; led by {:?}{partitions}",
            self.patience(),
            truth.registrations(),
            self.around.quorum.leader()
        );
        self.around.world.violate(Violation { invariant: "liveness", why });
    }

    /// Steps for so long, or until `done`, or until something does not hold.
    fn run_for(&mut self, time: Duration, done: impl Fn(&Run) -> bool) {
        let until = self.around.world.executor.now() + time.as_nanos() as u64;
        // What changes it is done here and nowhere else while this runs.
        let mut next_due = self.faults.next_due();
        loop {
            let now = self.around.world.executor.now();
            // A machine without power is not there any more, not even to be looked at.
            let power_cut = self.faults.has_cut_power(&self.machines);
            let ticks = now >= self.next_tick && !power_cut;
            if !power_cut {
                self.look_at_changes();
            }
            if ticks {
                self.next_tick = now + TICK;
                self.look_at_the_rest();
            }
            if ticks || power_cut || now >= next_due {
                let (around, machines) = (&self.around, &mut self.machines);
                let stopped = self.faults.act(around, machines, self.store.as_ref(), self.watch.truth());
                for (broker, how) in stopped {
                    self.watch.stopped(broker, how);
                }
                next_due = self.faults.next_due();
                self.look_at_changes();
            }
            if now >= until || self.around.world.has_violated() || (ticks && done(self)) {
                return;
            }
            let next = next_due.min(self.next_tick).max(now + 1);
            let _ = self.around.world.executor.step(until.min(next));
        }
    }

    /// After every step: new entries of the metadata log, and every replica of which something may have changed.
    fn look_at_changes(&mut self) {
        let is_decided = self.around.quorum.count() > self.watch.entries();
        let is_another = self.brokers.0 != self.around.network.generation();
        // Most steps change nothing.
        if is_decided || is_another || self.brokers.1.iter().any(|watched| watched.changes.any()) {
            self.look_at(is_decided, is_another);
        }
    }

    fn look_at(&mut self, is_decided: bool, is_another: bool) {
        let world = &self.around.world;
        if is_decided {
            let entries = self.around.quorum.entries_from(self.watch.entries());
            self.watch.take_in(&entries, &world.stats);
            if let Some(work) = &self.work {
                work.look(self.watch.truth());
            }
        }
        if is_another {
            self.brokers = (self.around.network.generation(), Watched::all(&self.around.network));
        }
        self.watch.take_deleted(&self.around.deleted);
        let (_, brokers) = &self.brokers;
        let mut found = Ok(());
        if is_decided || is_another {
            brokers.iter().for_each(|watched| drop(watched.changes.take()));
            found = self.watch.look(brokers, &world.stats);
        } else {
            for watched in brokers {
                let mut changed = watched.changes.take();
                changed.sort_unstable();
                changed.dedup();
                for at in changed {
                    let look = |()| {
                        self.watch.look_at(at, brokers, Some(watched.broker), None, &world.stats).map(drop)
                    };
                    found = found.and_then(look);
                }
            }
        }
        if let Err(violation) = found {
            world.violate(violation);
        }
    }

    /// Now and then: what brokers know of the metadata log, what the bucket has, and marks.
    fn look_at_the_rest(&mut self) {
        let world = &self.around.world;
        for (mark, times) in self.around.network.take_marks() {
            (0..times).for_each(|_| world.stats.count(mark));
        }
        self.watch.take_deleted(&self.around.deleted);
        let (_, brokers) = &self.brokers;
        let mut found = self.watch.look_at_images(brokers);
        if let Some(why) = self.around.network.take_spin() {
            found = found.and(Err(Violation { invariant: q1_no_spin::NAME, why }));
        }
        found = found.and(self.store.as_ref().and_then(Store::wrong_key).map_or(Ok(()), Err));
        if world.executor.now() >= self.next_look_at_all {
            self.next_look_at_all = world.executor.now() + LOOK_AT_ALL;
            let tiered = tiered::look(world, self.store.as_ref(), self.watch.truth());
            found = found.and_then(|()| self.watch.look_again(brokers, &tiered, &world.stats));
        }
        if let Err(violation) = found {
            world.violate(violation);
        }
    }

    fn outcome(self, seed: u64, sound: bool) -> Outcome {
        let world = &self.around.world;
        let outcome = Outcome::of(world, seed);
        if sound {
            world.connect(None);
            drop(self.brokers);
            self.around.network.clear();
            world.executor.shut_down();
        }
        // What has panicked is left as it lies: its destructors may not bear it.
        outcome
    }
}
