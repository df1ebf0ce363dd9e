//! An environment for code that only needs one: time stands still, blocking work is done in place.

use highwater_env::{BoxFuture, Env, Instant, Lane};
use std::{
    future::Future,
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, Waker},
};

#[derive(Default)]
pub(crate) struct StillEnv {
    draws: AtomicU64,
}

impl Env for StillEnv {
    fn now(&self) -> Instant {
        Instant::ZERO
    }

    fn wall_ms(&self) -> i64 {
        1_700_000_000_000
    }

    fn sleep_until(&self, _at: Instant) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    fn random(&self) -> u64 {
        self.draws.fetch_add(1, Ordering::Relaxed).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn spawn(&self, _lane: Lane, _task: BoxFuture<'static, ()>) {
        unreachable!("what runs here starts no tasks");
    }

    fn run_blocking_boxed(&self, _lane: Lane, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        work();
        Box::pin(std::future::ready(()))
    }
}

/// Runs a future in which nothing ever waits for another.
///
/// # Panics
/// If it waits for ever.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
    panic!("it waits for something that never comes");
}
