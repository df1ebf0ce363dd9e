//! One run, from a seed to an outcome.

use std::{sync::Arc, time::Duration};

use highwater_engine::disk::memory::MemoryDisk;
use highwater_env::BoxFuture;

use super::{
    audit::{self, Task},
    chain::lone_producer,
    hall::{CONSUMER_SESSION_MS, Hall, INPUT, OUTPUT},
    plan::CoordinatorPlan,
    reader::{asker, feeder, reader},
    state_log::follower,
    worker::{Seat, worker},
};
use crate::{
    broker::Broker,
    executor::Executor,
    history::Promise,
    host::Host,
    nemesis::Nemesis,
    observer::Violation,
    plan::FaultKind,
    random::Random,
    real,
    simulation::{Options, Outcome, guarded},
    topic::TopicPlan,
    trace::Trace,
    world::World,
};

/// Once faults are over and clients behave, everything must come right within this time.
const CONVERGES_WITHIN: Duration = Duration::from_secs(240);

/// Runs one seed from beginning to end.
pub fn run_coordinator(seed: u64, options: Options) -> Outcome {
    run_plan(seed, CoordinatorPlan::draw(seed), options)
}

/// Runs a plan from beginning to end, with the luck of a seed.
pub fn run_plan(seed: u64, plan: CoordinatorPlan, options: Options) -> Outcome {
    let trace = if options.lines == 0 { Trace::hashed() } else { Trace::readable(options.lines) };
    let mut run = Run::new(seed, plan, trace);
    let world = run.world.clone();
    let sound = guarded(&world, || {
        start(&run.hall, run.plan.producers, Promise::Synced);
        run.run_for(run.plan.safety, |_| false);
        run.liveness();
    });
    run.outcome(seed, sound)
}

struct Run {
    plan: CoordinatorPlan,
    world: Arc<World>,
    hall: Arc<Hall>,
    host: Host,
    nemesis: Nemesis,
}

/// Groups and clocks of coordinators, everything soon; and small topics.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    ("offsets.topic.num.partitions", "2"),
    ("transaction.state.log.num.partitions", "2"),
    ("group.min.session.timeout.ms", "1000"),
    ("group.initial.rebalance.delay.ms", "200"),
    ("group.consumer.heartbeat.interval.ms", "500"),
    ("group.consumer.min.heartbeat.interval.ms", "500"),
    ("group.consumer.min.session.timeout.ms", "1000"),
];

/// One broker, which compacts.
const ALONE: &[(&str, &str)] = &[
    ("offsets.topic.replication.factor", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    // Longer than a run, and shorter than clocks jump.
    ("offsets.retention.minutes", "12"),
    ("offsets.retention.check.interval.ms", "2000"),
    ("log.roll.ms", "5000"),
    ("log.cleaner.backoff.ms", "3000"),
];

/// Starts every client of a hall, and so many producers without a group; their topics promise this.
pub(crate) fn start(hall: &Arc<Hall>, producers: u64, promise: Promise) {
    let world = &hall.world;
    hall.start(create_topics(hall.clone(), promise));
    for (group, plan) in (0..).zip(&hall.groups) {
        for number in 0..plan.classic + plan.consumers {
            let seat = Seat { group, number, speaks_classic: number < plan.classic };
            hall.start(worker(hall.clone(), seat, world.fork_random()));
        }
    }
    for id in 0..producers {
        for _ in 0..if hall.in_haste { 1 } else { 2 } {
            hall.start(lone_producer(hall.clone(), id, world.fork_random()));
        }
    }
    hall.start(feeder(hall.clone(), world.fork_random()));
    hall.start(asker(hall.clone(), world.fork_random()));
    hall.start(reader(hall.clone(), world.fork_random()));
    hall.start(follower(hall.clone(), world.fork_random()));
}

impl Run {
    fn new(seed: u64, plan: CoordinatorPlan, trace: Trace) -> Run {
        let random = Random::new(seed).fork("coordinator");
        let executor = Executor::new(seed, trace);
        let disk = MemoryDisk::new();
        let session = CONSUMER_SESSION_MS.to_string();
        let settings =
            SETTINGS.iter().chain(ALONE).copied().chain([("group.consumer.session.timeout.ms", &*session)]);
        let system = real::system_with(&disk, settings);
        let world = World::new(executor, random.fork("world"));
        world.executor.note(&[seed], || format!("coordinator seed {seed}: {plan:#?}"));
        let nemesis = Nemesis::new(&plan.nemesis(), random.fork("nemesis"));
        let clock_jumps = plan.faults.contains(&FaultKind::ClockJump);
        let (groups, parts) = (plan.groups.clone(), (plan.input, plan.output));
        let hall = Hall::new(world.clone(), groups, parts, (plan.mischief, false), clock_jumps);
        let mut host = Host::new(world.clone(), system, disk);
        host.boot();
        Run { plan, world, hall, host, nemesis }
    }

    /// Nothing breaks any more and everybody behaves: all must come right, in bounded time.
    fn liveness(&mut self) {
        if self.world.violation().is_some() {
            return;
        }
        self.nemesis.heal(&self.world, &mut self.host, None);
        self.hall.behave();
        // Whatever an older request may still do, it has done.
        let settled = audit::groups_settle(&self.hall);
        self.finished("every group to use up its input", &settled);
        self.world.be_quiet();
        let before = self.everything("after faults");
        self.nemesis.stop_cleanly(&self.world, &mut self.host);
        let starts = self.world.stats.of("broker starts");
        self.converge("a clean stop and start", |run| run.world.stats.of("broker starts") > starts);
        let after = self.everything("after a clean restart");
        if let Some((before, after)) = before.zip(after) {
            audit::compare(&self.hall, &before, &after);
        }
    }

    fn everything(&mut self, when: &str) -> Option<audit::State> {
        let task = audit::everything(&self.hall);
        self.finished(when, &task);
        task.state()
    }

    fn finished(&mut self, what: &str, task: &Arc<Task>) {
        let inside = task.clone();
        self.converge_or(what, move |_| inside.state().is_some(), || task.waits_for());
    }

    fn converge(&mut self, what: &str, done: impl Fn(&Run) -> bool) {
        self.converge_or(what, done, String::new);
    }

    fn converge_or(&mut self, what: &str, done: impl Fn(&Run) -> bool, missing: impl Fn() -> String) {
        if self.world.violation().is_some() {
            return;
        }
        self.run_for(CONVERGES_WITHIN, &done);
        if !done(self) && self.world.violation().is_none() {
            let why = format!(
                "{what}: waits for {}; not within {CONVERGES_WITHIN:?} of simulated time; broker: {:?}",
                missing(),
                self.host.failure()
            );
            self.world.violate(Violation { invariant: "liveness (T5: nothing hangs)", why });
        }
    }

    /// Steps for so long, or until `done`, or until something does not hold.
    fn run_for(&mut self, time: Duration, done: impl Fn(&Run) -> bool) {
        let until = self.world.executor.now() + time.as_nanos() as u64;
        loop {
            self.nemesis.act(&self.world, &mut self.host, None);
            let now = self.world.executor.now();
            if now >= until || self.world.violation().is_some() || done(self) {
                return;
            }
            let _ = self.world.executor.step(until.min(self.nemesis.next_due().max(now + 1)));
        }
    }

    fn outcome(self, seed: u64, sound: bool) -> Outcome {
        let outcome = Outcome::of(&self.world, seed);
        if sound {
            self.world.connect(None);
            self.world.executor.shut_down();
        }
        outcome
    }
}

/// Makes the two topics, however often it takes. The world does not know them: what is promised of their records other
/// runs check.
async fn create_topics(hall: Arc<Hall>, promise: Promise) {
    for (name, partitions) in [(INPUT, hall.input), (OUTPUT, hall.output)] {
        let plan = TopicPlan {
            name: name.to_owned(),
            partitions,
            promise,
            tiered: false,
            lasting: true,
            segment_bytes: 4_000,
            segment_ms: 20_000,
            retention_bytes: None,
            retention_ms: None,
            local_retention_bytes: 4_000,
        };
        while hall.world.topic_named(name).is_none() && !hall.is_over() {
            let request = plan.request();
            let _ = hall
                .world
                .call(move |broker: Arc<dyn Broker>| -> BoxFuture<'static, _> {
                    Box::pin(async move { broker.create_topic(request).await.is_ok() })
                })
                .await;
            hall.pause(10, 200).await;
        }
    }
}
