use std::{
    collections::BTreeSet,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use highwater_env::{BoxFuture, Env, EnvExt, Lane};
use highwater_records::TopicIdPartition;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{
    broker::{Broker, System},
    executor::{Executor, SimEnv},
    history::{Event, OpId, Said},
    observer::{Observer, Violation},
    random::Random,
    stats::Stats,
    topic::Topic,
    trace::hash_of,
};

/// What the driver and the clients share: the clock they live in, the line to the broker, and what was seen.
pub struct World {
    /// Time and order.
    pub executor: Executor,
    /// The process that clients run in. Never killed.
    pub clients: Arc<SimEnv>,
    /// What is counted.
    pub stats: Stats,
    observer: Mutex<Observer>,
    violation: Mutex<Option<Violation>>,
    violated: AtomicBool,
    /// Partitions of which nothing is promised any more, because their loss was reported.
    given_up: Mutex<BTreeSet<TopicIdPartition>>,
    line: Mutex<Option<Line>>,
    topics: Mutex<Vec<Arc<Topic>>>,
    random: Mutex<Random>,
    next_op: AtomicU64,
    next_tag: AtomicU64,
    quiet: AtomicBool,
    /// Until when clients that let time pass go on doing so.
    lull_until: AtomicU64,
    replicas: AtomicBool,
    rotten: Mutex<BTreeSet<TopicIdPartition>>,
    system: Mutex<Option<Arc<dyn System>>>,
}

/// Of so many answers one is followed by a look at what a power cut would leave: a look copies the disk.
const POWER_PROBE_EVERY: u64 = 30;

/// A broker that answers, and the process it lives in.
#[derive(Clone)]
struct Line {
    env: Arc<SimEnv>,
    broker: Arc<dyn Broker>,
}

/// After this long a client gives up on an answer. Its outcome is then unknown.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

impl World {
    /// A world without a broker.
    pub fn new(executor: Executor, random: Random) -> Arc<World> {
        let clients = executor.process("clients");
        Arc::new(World {
            executor,
            clients,
            stats: Stats::default(),
            observer: Mutex::default(),
            violation: Mutex::new(None),
            violated: AtomicBool::new(false),
            given_up: Mutex::default(),
            line: Mutex::new(None),
            topics: Mutex::default(),
            random: Mutex::new(random),
            next_op: AtomicU64::new(1),
            next_tag: AtomicU64::new(1),
            quiet: AtomicBool::new(false),
            lull_until: AtomicU64::new(0),
            replicas: AtomicBool::new(false),
            rotten: Mutex::default(),
            system: Mutex::new(None),
        })
    }

    /// From now on partitions have several replicas.
    pub fn expect_replicas(&self) {
        self.replicas.store(true, Ordering::Relaxed);
        self.observer.lock().expect_replicas();
    }

    /// Whether they have.
    pub fn has_replicas(&self) -> bool {
        self.replicas.load(Ordering::Relaxed)
    }

    /// Something of a partition has rotted on a disk, until [`World::all_is_mended`]: who reads it may be given what its
    /// checksum shows to be damaged.
    pub fn has_rotted(&self, at: TopicIdPartition) {
        self.rotten.lock().insert(at);
    }

    /// Nothing that has rotted is left.
    pub fn all_is_mended(&self) {
        self.rotten.lock().clear();
    }

    /// Whether something of a partition may be rotten.
    pub fn may_be_rotten(&self, at: TopicIdPartition) -> bool {
        self.rotten.lock().contains(&at)
    }

    /// A seeded generator for a part of the run; each call gives another one.
    pub fn fork_random(&self) -> Random {
        Random::new(self.random.lock().draw())
    }

    /// A number for an operation.
    pub fn op(&self) -> OpId {
        OpId(self.next_op.fetch_add(1, Ordering::Relaxed))
    }

    /// A tag for a batch that was never used before.
    pub fn tag(&self) -> u64 {
        self.next_tag.fetch_add(1, Ordering::Relaxed)
    }

    /// Writes an event into the trace and shows it to the observer. The first violation is kept.
    pub fn event(&self, event: &Event) {
        self.executor.note(&[hash_of(event)], || event.to_string());
        if event.partition().is_some_and(|at| self.gave_up(at)) {
            return;
        }
        let seen = self.observer.lock().observe(event);
        if let Err(violation) = seen {
            self.violate(violation);
        }
    }

    /// Records that something does not hold; the first such thing is kept.
    pub fn violate(&self, violation: Violation) {
        self.executor.note(&[13], || format!("VIOLATION {violation}"));
        self.violation.lock().get_or_insert(violation);
        self.violated.store(true, Ordering::Relaxed);
    }

    /// A loss was reported: of this partition nothing is promised from now on.
    pub fn give_up(&self, at: TopicIdPartition) {
        if self.given_up.lock().insert(at) {
            self.stats.count("loss reported: unclean election");
            self.executor
                .note(&[40], || format!("{at}: an unclean election reports that records may be lost"));
        }
    }

    /// Whether a loss was reported here.
    pub fn gave_up(&self, at: TopicIdPartition) -> bool {
        self.given_up.lock().contains(&at)
    }

    /// Whether something did not hold.
    pub fn has_violated(&self) -> bool {
        self.violated.load(Ordering::Relaxed)
    }

    /// What did not hold first.
    pub fn violation(&self) -> Option<Violation> {
        self.violation.lock().clone()
    }

    /// From now on requests go to this broker; `None` while there is none.
    pub fn connect(&self, broker: Option<(Arc<SimEnv>, Arc<dyn Broker>)>) {
        let old = std::mem::replace(&mut *self.line.lock(), broker.map(|(env, broker)| Line { env, broker }));
        drop(old);
    }

    /// The broker that requests go to, and its process.
    pub(crate) fn line(&self) -> Option<(Arc<SimEnv>, Arc<dyn Broker>)> {
        self.line.lock().clone().map(|line| (line.env, line.broker))
    }

    /// The identity of a topic by name, as the broker knows it now.
    pub fn topic_named(&self, name: &str) -> Option<highwater_records::TopicId> {
        let line = self.line.lock().clone()?;
        line.broker.topic_named(name)
    }

    /// What [`World::probe_power`] looks into.
    pub fn look_into(&self, system: Arc<dyn System>) {
        *self.system.lock() = Some(system);
    }

    /// Looks, now and then, at what a power cut at this instant would leave of what the broker says just now.
    pub fn probe_power(&self, at: TopicIdPartition, said: Said, end: u64) {
        if !self.random.lock().chance(1, POWER_PROBE_EVERY) {
            return;
        }
        let system = self.system.lock().clone();
        if let Some(survives) = system.and_then(|system| system.survives_power_cut(at)) {
            self.event(&Event::PowerProbed { at, said, end, survives });
        }
    }

    /// The topics that exist as far as the clients know, oldest first.
    pub fn topics(&self) -> Vec<Arc<Topic>> {
        self.topics.lock().clone()
    }

    /// A topic exists.
    pub fn add_topic(&self, topic: Arc<Topic>) {
        self.event(&Event::TopicCreated { topic: topic.id, promise: topic.promise, tiered: topic.tiered });
        self.topics.lock().push(topic);
    }

    /// A topic is about to be deleted.
    pub fn remove_topic(&self, topic: &Topic) {
        self.event(&Event::TopicDeleting { topic: topic.id });
        self.topics.lock().retain(|other| other.id != topic.id);
    }

    /// Tells the clients to finish what they have begun and to begin nothing new.
    pub fn be_quiet(&self) {
        self.quiet.store(true, Ordering::Relaxed);
    }

    /// Whether clients begin nothing new.
    pub fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    /// For so long clients ask nothing: each stands still where it would wait before its next step.
    pub fn lull(&self, lasts: Duration) {
        self.stats.count("mark: a lull");
        self.lull_until.store(self.executor.now() + lasts.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Starts a client.
    pub fn start(self: &Arc<Self>, client: impl Future<Output = ()> + Send + 'static) {
        self.clients.spawn(Lane::Connections, Box::pin(client));
    }

    /// The wall clock of clients, in milliseconds.
    pub fn clients_wall_ms(&self) -> i64 {
        self.clients.wall_ms()
    }

    /// Lets time pass for a client; in a [`World::lull`] the rest of it besides.
    pub async fn pause(&self, min: Duration, max: Duration) {
        let nanos = self.random.lock().between(min.as_nanos() as u64, max.as_nanos() as u64);
        let rest = self.lull_until.load(Ordering::Relaxed).saturating_sub(self.executor.now());
        self.clients.sleep(Duration::from_nanos(rest + nanos)).await;
    }

    /// Sends a request and waits for its answer. `None` if there is no broker, it died on the way, or it took too
    /// long: whether the request had an effect is then unknown.
    ///
    /// The request runs as a task of the broker's process, and its answer travels for a while: a crash takes both.
    pub async fn call<T: Send + 'static>(
        &self,
        request: impl FnOnce(Arc<dyn Broker>) -> BoxFuture<'static, T> + Send + 'static,
    ) -> Option<T> {
        let Some(Line { env, broker }) = self.line.lock().clone() else {
            self.pause(Duration::from_millis(1), Duration::from_millis(100)).await;
            return None;
        };
        let (there, back) = {
            let mut random = self.random.lock();
            (latency(&mut random), latency(&mut random))
        };
        let process = env.id();
        let (reply, answer) = oneshot::channel();
        let (inside, asked) = (env.clone(), env.clone());
        let task = async move {
            let value = request(broker).await;
            inside.later(back, || drop(reply.send(value)));
        };
        env.later(there, move || asked.spawn(Lane::Connections, Box::pin(task)));
        drop(env);
        let answer = before(answer, self.clients.sleep(CLIENT_TIMEOUT)).await?.ok()?;
        // What had arrived and was not looked at yet goes with the process, too: it would be heard after the loss that the
        // crash has caused, and contradict it.
        let alive = self.line.lock().as_ref().is_some_and(|line| line.env.id() == process);
        alive.then_some(answer)
    }
}

fn latency(random: &mut Random) -> Duration {
    let most = if random.chance(1, 50) { 50_000_000 } else { 500_000 };
    Duration::from_nanos(random.between(10_000, most))
}

/// What `work` gives, unless `deadline` comes first.
async fn before<T>(
    work: impl Future<Output = T> + Send,
    deadline: impl Future<Output = ()> + Send,
) -> Option<T> {
    let (mut work, mut deadline) = (std::pin::pin!(work), std::pin::pin!(deadline));
    std::future::poll_fn(|context| {
        if let Poll::Ready(value) = work.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        deadline.as_mut().poll(context).map(|()| None)
    })
    .await
}
