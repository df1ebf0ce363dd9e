//! An environment that repeats: a seeded generator, a clock that only sleeping moves, blocking work done in place.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    task::Poll,
};

use highwater_env::{BoxFuture, Env, Instant, Lane};

pub(crate) struct TestEnv {
    nanos: Arc<AtomicU64>,
    wall_skew_ms: AtomicI64,
    draws: AtomicU64,
}

impl TestEnv {
    pub(crate) fn new(seed: u64) -> Arc<TestEnv> {
        Arc::new(TestEnv {
            nanos: Arc::new(AtomicU64::new(0)),
            wall_skew_ms: AtomicI64::new(1_700_000_000_000),
            draws: AtomicU64::new(seed << 32),
        })
    }

    /// Moves the wall clock on, and says what it shows then.
    pub(crate) fn pass_ms(&self, ms: i64) -> i64 {
        self.wall_skew_ms.fetch_add(ms, Ordering::Relaxed);
        self.wall_ms()
    }
}

impl Env for TestEnv {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    fn wall_ms(&self) -> i64 {
        self.wall_skew_ms.load(Ordering::Relaxed) + (self.nanos.load(Ordering::Relaxed) / 1_000_000) as i64
    }

    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        let nanos = self.nanos.clone();
        Box::pin(async move {
            // Lets the others run once, so that races have an order that the delays decide.
            yield_once().await;
            nanos.fetch_max(at.as_nanos(), Ordering::Relaxed);
        })
    }

    fn random(&self) -> u64 {
        let mut value = self.draws.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        value = (value ^ (value >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value ^ (value >> 29)
    }

    fn spawn(&self, _lane: Lane, _task: BoxFuture<'static, ()>) {
        unreachable!("this room starts no tasks");
    }

    fn run_blocking_boxed(&self, _lane: Lane, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        work();
        Box::pin(std::future::ready(()))
    }
}

fn yield_once() -> impl Future<Output = ()> {
    let mut yielded = false;
    std::future::poll_fn(move |context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Polls all of them in turn until each is done, in the order given.
pub(crate) async fn all<T>(futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Some(future), None)).collect();
    std::future::poll_fn(move |context| {
        for (future, value) in &mut futures {
            if let Some(running) = future
                && let Poll::Ready(done) = running.as_mut().poll(context)
            {
                (*future, *value) = (None, Some(done));
            }
        }
        if futures.iter().any(|(future, _)| future.is_some()) {
            return Poll::Pending;
        }
        Poll::Ready(futures.drain(..).filter_map(|(_, value)| value).collect())
    })
    .await
}
