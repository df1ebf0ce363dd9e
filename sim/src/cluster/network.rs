//! The network between brokers: it delays, loses, doubles and reorders, and may be cut in one direction only.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use highwater_env::{BoxFuture, Env, EnvExt, Lane};
use highwater_node::{
    Changes, Node,
    peers::{
        ControlError, ControlReply, ControlRequest, MarkerRefusal, MetadataNews, MetadataTail,
        MetadataTailError, MetadataTailed, PeerError, Peers, ReplicaAnswer, ReplicaFetch, ReplicaFetchError,
        ReplicaFetched, ReplicaRead, ReplicaReadError, TransactionAnswer, TransactionCall,
        TransactionCallError,
    },
};
use highwater_records::{BrokerId, ProducerEpoch, ProducerId, TopicIdPartition};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::invariant::q1_no_spin::NoSpin;
use crate::{
    executor::{ProcessId, SimEnv},
    random::Random,
};

/// Where the metadata log's voters are, as far as the network is concerned.
pub(super) const QUORUM: BrokerId = BrokerId(1_000_000);
/// Where the clients are.
pub(super) const CLIENTS: BrokerId = BrokerId(1_000_001);

/// Who can reach whom.
pub(super) struct Network {
    state: Mutex<State>,
    /// Counts how often somebody began or ended to run.
    generation: AtomicU64,
    /// Where what is on its way waits: it arrives though its sender may have died.
    wires: Arc<SimEnv>,
}

struct State {
    random: Random,
    up: BTreeMap<BrokerId, Up>,
    /// Older processes of brokers that have a newer one: messages reach one or the other.
    older: BTreeMap<BrokerId, Up>,
    /// Directions in which nothing gets through.
    cut: BTreeSet<(BrokerId, BrokerId)>,
    /// Of a thousand messages this many are lost, and as many doubled.
    lost: u64,
    doubled: u64,
    slow: bool,
    /// Of a thousand calls that ask for markers this many are copied, whatever the network is like otherwise.
    copied_markers: u64,
    /// What was said that is rare, since somebody asked.
    marks: BTreeMap<&'static str, u64>,
    /// Markers that were asked for and not known to be there.
    unsettled: BTreeSet<Marker>,
    /// The first follower that asked the same too often.
    spins: Option<String>,
}

/// A marker, as far as it can be told from others: whose, and where.
type Marker = (ProducerId, ProducerEpoch, TopicIdPartition);

/// A node that runs, and its process.
#[derive(Clone)]
pub(super) struct Up {
    pub(super) env: Arc<SimEnv>,
    pub(super) node: Arc<Node>,
    /// Where the node says which of its replicas may have changed.
    pub(super) changes: Arc<Changes>,
}

impl Up {
    pub(super) fn new(env: Arc<SimEnv>, node: Arc<Node>) -> Up {
        let changes = Arc::new(Changes::default());
        node.tell_changes(changes.clone());
        Up { env, node, changes }
    }
}

/// How long a message that gets lost keeps its sender waiting, before it notices.
const LOST_AFTER: Duration = Duration::from_millis(1500);

impl Network {
    pub(super) fn new(random: Random, wires: Arc<SimEnv>) -> Arc<Network> {
        let (up, cut) = (BTreeMap::new(), BTreeSet::new());
        Arc::new(Network {
            state: Mutex::new(State {
                random,
                up,
                older: BTreeMap::new(),
                cut,
                lost: 0,
                doubled: 0,
                slow: false,
                copied_markers: 0,
                marks: BTreeMap::new(),
                unsettled: BTreeSet::new(),
                spins: None,
            }),
            generation: AtomicU64::new(0),
            wires,
        })
    }

    pub(super) fn peers(self: &Arc<Self>, from: BrokerId, env: Arc<SimEnv>) -> Arc<dyn Peers> {
        Arc::new(Line { network: self.clone(), from, env, asked: Arc::default() })
    }

    /// A node runs.
    pub(super) fn set_up(&self, broker: BrokerId, up: Up) {
        let old = self.state.lock().up.insert(broker, up);
        self.generation.fetch_add(1, Ordering::Relaxed);
        drop(old);
    }

    /// The process of a broker runs no more.
    pub(super) fn set_down(&self, broker: BrokerId, process: ProcessId) {
        let mut state = self.state.lock();
        let is_it = |up: Option<&Up>| up.is_some_and(|up| up.env.id() == process);
        let newer = if is_it(state.up.get(&broker)) { state.up.remove(&broker) } else { None };
        let older = if is_it(state.older.get(&broker)) { state.older.remove(&broker) } else { None };
        drop(state);
        self.generation.fetch_add(1, Ordering::Relaxed);
        drop((newer, older));
    }

    /// Another process takes a broker's number: the one that runs is the older one from now on.
    pub(super) fn displace(&self, broker: BrokerId) {
        let mut state = self.state.lock();
        if let Some(up) = state.up.remove(&broker) {
            state.older.insert(broker, up);
        }
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Nobody runs any more.
    pub(super) fn clear(&self) {
        let mut state = self.state.lock();
        let old = (std::mem::take(&mut state.up), std::mem::take(&mut state.older));
        drop(state);
        self.generation.fetch_add(1, Ordering::Relaxed);
        drop(old);
    }

    /// Another number whenever [`Network::nodes`] may have another answer.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// A broker's node: the only one, or the newer one of two.
    pub(super) fn node(&self, broker: BrokerId) -> Option<Up> {
        self.state.lock().up.get(&broker).cloned()
    }

    /// The node that a message to a broker reaches.
    pub(super) fn reached(&self, broker: BrokerId) -> Option<Up> {
        let mut state = self.state.lock();
        let older = state.older.get(&broker).cloned();
        match older.filter(|_| state.random.chance(1, 2)) {
            Some(older) => Some(older),
            None => state.up.get(&broker).cloned(),
        }
    }

    /// Whether this is the broker's node, and not the older one of two.
    pub(super) fn is_newest(&self, node: &Arc<Node>) -> bool {
        self.node(node.broker_id()).is_some_and(|up| Arc::ptr_eq(&up.node, node))
    }

    pub(super) fn nodes(&self) -> BTreeMap<BrokerId, Up> {
        self.state.lock().up.clone()
    }

    /// The older processes of brokers that have a newer one.
    pub(super) fn older_nodes(&self) -> BTreeMap<BrokerId, Up> {
        self.state.lock().older.clone()
    }

    /// One of the nodes that messages of `from` reach.
    pub(super) fn some_node_for(&self, from: BrokerId) -> Option<Up> {
        let mut state = self.state.lock();
        let State { random, up, cut, .. } = &mut *state;
        let mut reached = up.iter().filter(|(broker, _)| !cut.contains(&(from, **broker)));
        let index = random.below(reached.clone().count() as u64) as usize;
        reached.nth(index).map(|(_, up)| up.clone())
    }

    /// Cuts one direction.
    pub(super) fn cut(&self, from: BrokerId, to: BrokerId) {
        self.state.lock().cut.insert((from, to));
    }

    /// Whether messages get from one to the other, apart from those that are lost.
    pub(super) fn reaches(&self, from: BrokerId, to: BrokerId) -> bool {
        !self.state.lock().cut.contains(&(from, to))
    }

    /// Mends every cut.
    pub(super) fn mend(&self) {
        self.state.lock().cut.clear();
    }

    /// From now on so many of a thousand messages are lost, and so many doubled.
    pub(super) fn set_rates(&self, lost: u64, doubled: u64, slow: bool) {
        let mut state = self.state.lock();
        (state.lost, state.doubled, state.slow) = (lost, doubled, slow);
    }

    /// From now on so many of a thousand calls that ask for markers are copied.
    pub(super) fn copy_markers(&self, copied: u64) {
        self.state.lock().copied_markers = copied;
    }

    /// What was said that is rare since this was last asked, and how often.
    pub(super) fn take_marks(&self) -> BTreeMap<&'static str, u64> {
        std::mem::take(&mut self.state.lock().marks)
    }

    /// Who asked the same too often, if somebody did since this was last asked.
    pub(super) fn take_spin(&self) -> Option<String> {
        self.state.lock().spins.take()
    }

    fn mark(&self, what: &'static str) {
        *self.state.lock().marks.entry(what).or_default() += 1;
    }

    fn ask_for_markers(&self, asked: &[Marker]) {
        let mut state = self.state.lock();
        for marker in asked {
            if !state.unsettled.insert(*marker) {
                *state.marks.entry("mark: a marker is tried again").or_default() += 1;
            }
        }
    }

    fn settle_markers(&self, asked: &[Marker], answers: &[Result<(), MarkerRefusal>]) {
        let mut state = self.state.lock();
        for (marker, answer) in asked.iter().zip(answers) {
            if matches!(answer, Ok(()) | Err(MarkerRefusal::Ended)) {
                state.unsettled.remove(marker);
            }
        }
    }

    pub(super) fn draw<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut self.state.lock().random)
    }

    /// How long a message is on its way; `None` if it does not arrive.
    fn passage(&self, from: BrokerId, to: BrokerId) -> Option<Duration> {
        let mut state = self.state.lock();
        let (lost, slow) = (state.lost, state.slow);
        if state.random.chance(lost, 1000) || state.cut.contains(&(from, to)) {
            return None;
        }
        let rarely = if slow { 3 } else { 60 };
        let most = if state.random.chance(1, rarely) { 400_000_000 } else { 1_000_000 };
        Some(Duration::from_nanos(state.random.between(20_000, most)))
    }

    /// Calls a node from a process; see [`Peers`] for what may become of it. At least `copied` of a thousand such calls
    /// arrive twice.
    pub(super) async fn call<T: Send + 'static>(
        self: Arc<Self>,
        (from, env): (BrokerId, Arc<SimEnv>),
        to: BrokerId,
        copied: u64,
        request: impl Fn(Arc<Node>) -> BoxFuture<'static, T> + Send + Sync + 'static,
    ) -> Result<T, PeerError> {
        let failed = |why: &str| PeerError { to, why: why.to_owned() };
        let Some(there) = self.passage(from, to) else {
            env.sleep(LOST_AFTER).await;
            return Err(failed("lost on the way"));
        };
        let (reply, answer) = oneshot::channel();
        let wires = self.wires.clone();
        wires.later(there, move || self.arrive((from, to, copied), request, reply));
        let answered = answer.await.unwrap_or(Err("it died"));
        answered.map_err(failed)
    }

    /// A message arrives, and its answer will.
    fn arrive<T: Send + 'static>(
        self: Arc<Self>,
        (from, to, copied): (BrokerId, BrokerId, u64),
        request: impl Fn(Arc<Node>) -> BoxFuture<'static, T> + Send + Sync + 'static,
        reply: oneshot::Sender<Result<T, &'static str>>,
    ) {
        let Some(Up { env: inside, node, .. }) = self.reached(to) else {
            let _ = reply.send(Err("nobody listens"));
            return;
        };
        let request = Arc::new(request);
        let doubled = self.state.lock().doubled.max(copied);
        if self.draw(|random| random.chance(doubled, 1000)) {
            let (request, node, later) = (request.clone(), node.clone(), inside.clone());
            let after = self.draw(|random| random.between(100_000, 3_000_000_000));
            let copy = async move { drop(request(node).await) };
            inside.later(Duration::from_nanos(after), move || later.spawn(Lane::Control, Box::pin(copy)));
        }
        let task = async move {
            let value = request(node).await;
            let (back, told) = match self.passage(to, from) {
                Some(back) => (back, Ok(value)),
                None => (LOST_AFTER, Err("lost on the way back")),
            };
            self.wires.later(back, || drop(reply.send(told)));
        };
        inside.spawn(Lane::Control, Box::pin(task));
    }
}

/// The network as one broker's process uses it.
struct Line {
    network: Arc<Network>,
    from: BrokerId,
    env: Arc<SimEnv>,
    /// What it asked leaders for.
    asked: Arc<Mutex<NoSpin>>,
}

impl Peers for Line {
    fn replica_fetch(
        &self,
        to: BrokerId,
        request: ReplicaFetch,
    ) -> BoxFuture<'static, Result<Result<ReplicaFetched, ReplicaFetchError>, PeerError>> {
        let (network, inside) = (self.network.clone(), self.network.clone());
        let (told, asked, env) = (request.changed.clone(), self.asked.clone(), self.env.clone());
        let answer = self.network.clone().call((self.from, self.env.clone()), to, 0, move |node| {
            let (request, network) = (request.clone(), inside.clone());
            Box::pin(async move {
                let fetched = node.serve_replica_fetch(request).await;
                let moved = |answer: &ReplicaAnswer| matches!(answer, ReplicaAnswer::MovedToTier { .. });
                if fetched.as_ref().is_ok_and(|it| it.partitions.iter().any(|(_, answer)| moved(answer))) {
                    network.mark("mark: a replica begins at the end of the tier");
                }
                fetched
            })
        });
        Box::pin(async move {
            let answer = answer.await;
            if let Ok(Ok(fetched)) = &answer
                && let Err(why) = asked.lock().answered(env.now().as_nanos(), to, &told, fetched)
            {
                network.state.lock().spins.get_or_insert(why);
            }
            answer
        })
    }

    fn replica_read(
        &self,
        to: BrokerId,
        read: ReplicaRead,
    ) -> BoxFuture<'static, Result<Result<Bytes, ReplicaReadError>, PeerError>> {
        Box::pin(self.network.clone().call((self.from, self.env.clone()), to, 0, move |node| {
            Box::pin(async move { node.serve_replica_read(read).await })
        }))
    }

    fn control(
        &self,
        to: BrokerId,
        request: ControlRequest,
    ) -> BoxFuture<'static, Result<Result<ControlReply, ControlError>, PeerError>> {
        Box::pin(self.network.clone().call((self.from, self.env.clone()), to, 0, move |node| {
            let request = request.clone();
            Box::pin(async move { node.serve_control(request).await })
        }))
    }

    fn metadata_tail(
        &self,
        to: BrokerId,
        request: MetadataTail,
    ) -> BoxFuture<'static, Result<Result<MetadataTailed, MetadataTailError>, PeerError>> {
        let network = self.network.clone();
        Box::pin(self.network.clone().call((self.from, self.env.clone()), to, 0, move |node| {
            let (request, network) = (request.clone(), network.clone());
            Box::pin(async move {
                let told = node.serve_metadata_tail(request).await;
                if told.as_ref().is_ok_and(|told| matches!(told.news, MetadataNews::Snapshot(_))) {
                    network.mark("mark: a broker is told an image");
                }
                told
            })
        }))
    }

    fn transaction(
        &self,
        to: BrokerId,
        call: TransactionCall,
    ) -> BoxFuture<'static, Result<Result<TransactionAnswer, TransactionCallError>, PeerError>> {
        let asked: Vec<Marker> = match &call {
            TransactionCall::Markers(markers) => {
                let of = |at| (markers.producer_id, markers.producer_epoch, at);
                markers.partitions.iter().map(|(at, _)| of(*at)).collect()
            }
            TransactionCall::Join(_) => Vec::new(),
        };
        let network = self.network.clone();
        let copied = if asked.is_empty() { 0 } else { network.state.lock().copied_markers };
        network.ask_for_markers(&asked);
        let answer = network.clone().call((self.from, self.env.clone()), to, copied, move |node| {
            let call = call.clone();
            Box::pin(async move { node.serve_transaction(call).await })
        });
        Box::pin(async move {
            let answer = answer.await;
            if let Ok(Ok(TransactionAnswer::Markers(answers))) = &answer {
                network.settle_markers(&asked, answers);
            }
            answer
        })
    }
}
