use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use highwater_coordinator::{Ask, Caller as MemberCaller, GroupError};
use highwater_env::BoxFuture;
use highwater_node::{CoordinatorKey, Node, request::Caller};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{
    happening::{GroupNumber, Happening},
    invariant::{self, Invariant},
    plan::GroupPlan,
};
use crate::{
    broker::{Errand, Whom},
    observer::Violation,
    random::Random,
    trace::hash_of,
    world::World,
};

/// The topic that groups read.
pub(super) const INPUT: &str = "input";
/// The topic that transactions write.
pub(super) const OUTPUT: &str = "output";

/// What the clients of a run share: the world, the invariants that look on, and how badly they may behave.
pub(crate) struct Hall {
    pub(crate) world: Arc<World>,
    pub(super) groups: Vec<GroupPlan>,
    pub(super) input: u32,
    pub(super) output: u32,
    /// How long a transaction goes on at least, in nanoseconds; nothing where the clock that decides jumps.
    pub(super) txn_lasts: u64,
    /// Whether offsets of groups without members may expire: clocks jump beyond the time that they are kept for.
    pub(super) expires: bool,
    mischief: u64,
    /// Producers without a group have one transaction after the other, of the older protocol, and share their ids with
    /// nobody: their epochs stay, so that only order tells one transaction from the next.
    pub(super) in_haste: bool,
    invariants: Mutex<Vec<Box<dyn Invariant>>>,
    next: AtomicU64,
    /// From now on everybody behaves.
    good: AtomicBool,
    /// Clients that end once everybody behaves, and have not.
    ending: AtomicU64,
}

/// Somebody is in the hall who ends once everybody behaves; dropped at that end.
pub(super) struct Ending<'a>(&'a AtomicU64);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Sessions of members of the classic protocol, in milliseconds.
pub(super) const SESSION_MS: u64 = 4_000;
/// How long they may take to come back in a rebalance: longer than a session, so that silence is what ends a member.
pub(super) const REBALANCE_MS: u64 = 9_000;
/// Sessions of members of the newer protocol, in milliseconds; set for the broker too.
pub(crate) const CONSUMER_SESSION_MS: u64 = 5_000;
/// Partitions of `__transaction_state`, and of `__consumer_offsets`.
pub(crate) const TXN_SHARDS: u32 = 2;
/// How long a transaction may take, in milliseconds.
pub(super) const TXN_TIMEOUT_MS: u64 = 8_000;

impl Hall {
    pub(crate) fn new(
        world: Arc<World>,
        groups: Vec<GroupPlan>,
        parts: (u32, u32),
        (mischief, in_haste): (u64, bool),
        clock_jumps: bool,
    ) -> Arc<Hall> {
        Arc::new(Hall {
            world,
            groups,
            input: parts.0,
            output: parts.1,
            txn_lasts: if clock_jumps { 0 } else { at_least(TXN_TIMEOUT_MS) },
            expires: clock_jumps,
            mischief,
            in_haste,
            invariants: Mutex::new(invariant::all(clock_jumps)),
            next: AtomicU64::new(1),
            good: AtomicBool::new(false),
            ending: AtomicU64::new(0),
        })
    }

    /// A number that was never given before.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn now(&self) -> u64 {
        self.world.executor.now()
    }

    /// Writes an event into the trace and shows it to every invariant. The first violation is kept.
    pub(super) fn tell(&self, event: Happening) {
        self.world.executor.note(&[hash_of(&event)], || format!("{event:?}"));
        for invariant in self.invariants.lock().iter_mut() {
            if let Err(why) = invariant.check(self.now(), &event) {
                self.world.violate(Violation { invariant: invariant.name(), why });
            }
        }
    }

    /// From now on everybody behaves.
    pub(crate) fn behave(&self) {
        self.good.store(true, Ordering::Relaxed);
    }

    /// Whether everybody behaves.
    pub(super) fn is_good(&self) -> bool {
        self.good.load(Ordering::Relaxed)
    }

    /// Counts a client that ends once everybody behaves: what it has begun it goes through with.
    pub(super) fn ends_when_good(&self) -> Ending<'_> {
        self.ending.fetch_add(1, Ordering::Relaxed);
        Ending(&self.ending)
    }

    /// How many of those have not ended.
    pub(super) fn ending(&self) -> u64 {
        self.ending.load(Ordering::Relaxed)
    }

    /// Whether it is time to misbehave.
    pub(super) fn tempted(&self, random: &mut Random) -> bool {
        self.mischief > 0 && !self.is_good() && random.chance(1, self.mischief)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.world.is_quiet() || self.world.violation().is_some()
    }

    /// Starts a client.
    pub(crate) fn start(self: &Arc<Self>, client: impl Future<Output = ()> + Send + 'static) {
        self.world.start(client);
    }

    pub(crate) async fn pause(&self, min_ms: u64, max_ms: u64) {
        self.world.pause(Duration::from_millis(min_ms), Duration::from_millis(max_ms)).await;
    }

    /// Shows every event to one more.
    pub(crate) fn watch(&self, invariant: Box<dyn Invariant>) {
        self.invariants.lock().push(invariant);
    }

    /// Puts a question before a node; see [`World::call`].
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        whom: Whom,
        ask: impl FnOnce(Arc<Node>) -> BoxFuture<'static, T> + Send + 'static,
    ) -> Option<T> {
        self.world
            .call(move |broker| -> BoxFuture<'static, Option<T>> {
                Box::pin(async move {
                    let (reply, mut answer) = oneshot::channel();
                    let errand: Errand = Box::new(move |node| {
                        Box::pin(async move {
                            let _ = reply.send(ask(node).await);
                        })
                    });
                    let arrived = broker.on_node(whom, errand).await;
                    answer.try_recv().ok().filter(|_| arrived)
                })
            })
            .await
            .flatten()
    }

    /// Puts a request before the coordinator of a group. An answer that is [`is_elsewhere`] says nothing of what became
    /// of it.
    pub(super) async fn ask<R>(&self, group: GroupNumber, request: R) -> Option<Result<R::Answer, GroupError>>
    where
        R: Ask + Send + 'static,
        R::Answer: Send + 'static,
    {
        let name = group_name(group);
        let answer = self
            .call(Whom::Group(name.clone()), move |node| -> BoxFuture<'static, _> {
                Box::pin(async move { node.ask_group(&caller(), &name, request).wait().await })
            })
            .await;
        if let Some(Err(GroupError::NotAvailable)) = answer {
            self.find(CoordinatorKey::Group(group_name(group))).await;
        }
        answer
    }

    /// Looks for a coordinator: the first question creates its topic.
    pub(crate) async fn find(&self, key: CoordinatorKey) {
        let _ = self
            .call(Whom::Anybody, move |node| -> BoxFuture<'static, _> {
                Box::pin(async move { node.find_coordinators(&caller(), &[key]).await.len() })
            })
            .await;
    }
}

/// Whether an error says that the coordinator is to be looked for again: it may have done what it was asked.
pub(super) fn is_elsewhere(error: GroupError) -> bool {
    matches!(error, GroupError::NotCoordinator | GroupError::NotAvailable | GroupError::Loading)
}

/// A time-out of so many milliseconds in nanoseconds, as short as a coordinator that counts milliseconds may take it.
pub(super) const fn at_least(timeout_ms: u64) -> u64 {
    (timeout_ms - 2) * 1_000_000
}

pub(crate) fn group_name(group: GroupNumber) -> String {
    format!("group-{group}")
}

/// The transactional id of this number.
pub(crate) fn producer_name(id: u64) -> String {
    format!("producer-{id}")
}

pub(crate) fn caller() -> Caller {
    Caller { client_id: "simulated".into(), address: "simulated".into() }
}

pub(super) fn member_caller() -> MemberCaller {
    MemberCaller { client_id: "simulated".into(), host: "simulated".into() }
}
