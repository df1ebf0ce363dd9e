use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use highwater_engine::disk::memory::MemoryDisk;

use crate::{
    broker::System,
    client::{self, Audit},
    executor::Executor,
    host::Host,
    nemesis::Nemesis,
    observer::Violation,
    plan::Plan,
    random::Random,
    store::Store,
    trace::Trace,
    world::World,
};

/// How to run a seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Keep this many of the last lines of the transcript; zero for none. Changes nothing else.
    pub lines: usize,
}

/// What came of a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The trace's hash.
    pub hash: u64,
    /// Steps of the executor.
    pub steps: u64,
    /// How long it was, in simulated time.
    pub simulated: Duration,
    /// What happened, how often.
    pub counts: BTreeMap<&'static str, u64>,
    /// What did not hold first.
    pub violation: Option<Violation>,
    /// The last lines of the transcript, if they were kept.
    pub transcript: Vec<String>,
}

impl Outcome {
    /// What has come of a seed until now.
    pub(crate) fn of(world: &World, seed: u64) -> Outcome {
        let executor = &world.executor;
        Outcome {
            seed,
            hash: executor.trace(Trace::hash),
            steps: executor.steps(),
            simulated: Duration::from_nanos(executor.now()),
            counts: world.stats.all(),
            violation: world.violation(),
            transcript: executor.trace(|trace| trace.lines().map(str::to_owned).collect()),
        }
    }
}

/// Runs all of it; whether nothing has panicked. A panic is a violation like any other.
pub(crate) fn guarded(world: &World, whole: impl FnOnce()) -> bool {
    let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(whole)) else { return true };
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| panic.downcast_ref().copied()).unwrap_or("something that is no text");
    world.violate(Violation { invariant: "nothing panics", why: said.to_owned() });
    false
}

/// Builds what a run is about, on a disk, with a bucket if the plan has one.
pub trait Subject {
    /// A system for this run.
    fn system(&self, plan: &Plan, disk: &MemoryDisk, store: Option<&Store>) -> Arc<dyn System>;

    /// Changes the plan of a seed, to look for something.
    fn adapt(&self, plan: &mut Plan) {
        let _ = plan;
    }
}

/// Once faults are over, everything must work again within this time.
const CONVERGES_WITHIN: Duration = Duration::from_secs(300);

/// Runs one seed from beginning to end.
pub fn run(seed: u64, subject: &dyn Subject, options: Options) -> Outcome {
    let mut plan = Plan::draw(seed);
    subject.adapt(&mut plan);
    let trace = if options.lines == 0 { Trace::hashed() } else { Trace::readable(options.lines) };
    let mut run = Run::new(seed, plan, subject, trace);
    let world = run.world.clone();
    let sound = guarded(&world, || {
        run.plan.start_clients(&run.world);
        run.safety();
        if run.world.violation().is_none() {
            run.liveness();
        }
    });
    run.outcome(seed, sound)
}

struct Run {
    plan: Plan,
    world: Arc<World>,
    host: Host,
    store: Option<Store>,
    nemesis: Nemesis,
}

impl Run {
    fn new(seed: u64, plan: Plan, subject: &dyn Subject, trace: Trace) -> Run {
        let random = Random::new(seed);
        let executor = Executor::new(seed, trace);
        let disk = MemoryDisk::new();
        let store = plan.bucket.then(|| Store::new(executor.process("store"), random.fork("store")));
        let system = subject.system(&plan, &disk, store.as_ref());
        let world = World::new(executor, random.fork("world"));
        world.executor.note(&[seed], || format!("seed {seed}: {plan:#?}"));
        let nemesis = Nemesis::new(&plan, random.fork("nemesis"));
        let mut host = Host::new(world.clone(), system, disk);
        host.boot();
        Run { plan, world, host, store, nemesis }
    }

    /// Everything breaks.
    fn safety(&mut self) {
        self.run_for(self.plan.safety, |_| false);
    }

    /// Nothing breaks any more: all must come right, in bounded time.
    fn liveness(&mut self) {
        self.nemesis.heal(&self.world, &mut self.host, self.store.as_ref());
        let topics = self.plan.topics.len();
        self.converge("every topic to exist", |run| run.world.topics().len() >= topics);
        self.world.be_quiet();
        self.audited("after faults");
        // Once more after a clean stop, which must lose nothing at all and leave settled files.
        self.nemesis.stop_cleanly(&self.world, &mut self.host);
        let before = self.world.stats.of("broker starts");
        self.converge("a clean stop and start", |run| run.world.stats.of("broker starts") > before);
        self.audited("after a clean restart");
    }

    fn audited(&mut self, when: &'static str) {
        if self.world.violation().is_some() {
            return;
        }
        let audit: Arc<Audit> = client::audit(&self.world);
        self.run_for(CONVERGES_WITHIN, |_| audit.is_done());
        if !audit.is_done() && self.world.violation().is_none() {
            self.stuck(format!("{when}, these still wait: {}", audit.missing()));
        }
    }

    fn converge(&mut self, what: &str, done: impl Fn(&Run) -> bool) {
        if self.world.violation().is_some() {
            return;
        }
        self.run_for(CONVERGES_WITHIN, &done);
        if !done(self) && self.world.violation().is_none() {
            self.stuck(format!("waiting for {what}"));
        }
    }

    fn stuck(&self, why: String) {
        let why = format!(
            "{why}; not within {CONVERGES_WITHIN:?} of simulated time; broker: {:?}",
            self.host.failure()
        );
        self.world.violate(Violation { invariant: "liveness", why });
    }

    /// Steps for so long, or until `done`, or until something does not hold.
    fn run_for(&mut self, time: Duration, done: impl Fn(&Run) -> bool) {
        let until = self.world.executor.now() + time.as_nanos() as u64;
        loop {
            self.nemesis.act(&self.world, &mut self.host, self.store.as_ref());
            let now = self.world.executor.now();
            if now >= until || self.world.has_violated() || done(self) {
                return;
            }
            let _ = self.world.executor.step(until.min(self.nemesis.next_due().max(now + 1)));
        }
    }

    fn outcome(self, seed: u64, sound: bool) -> Outcome {
        if let Some(violation) = self.store.as_ref().and_then(Store::wrong_key) {
            self.world.violate(violation);
        }
        let outcome = Outcome::of(&self.world, seed);
        if sound {
            self.world.connect(None);
            self.world.executor.shut_down();
        }
        // What has panicked is left as it lies: its destructors may not bear it.
        outcome
    }
}
