//! The seam to everything a program cannot repeat: time, randomness, the order in which tasks run, and threads
//! that block. Passed in as `Arc<dyn Env>`; [`TokioEnv`] is the real form, the simulation has a seeded one.
//!
//! The trait is object-safe and must not grow: what can be built from it stands in [`EnvExt`].

mod blocking;
mod lane;
mod time;
mod tokio_env;

pub use blocking::{BlockingFailed, EnvExt};
pub use lane::Lane;
pub use time::Instant;
pub use tokio_env::TokioEnv;

use std::{future::Future, pin::Pin};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Time, randomness, spawning and blocking work.
pub trait Env: Send + Sync + 'static {
    /// Monotonic time since some fixed instant of this environment. Never goes backwards.
    fn now(&self) -> Instant;

    /// Wall-clock time in milliseconds since the Unix epoch. May jump in both directions.
    fn wall_ms(&self) -> i64;

    /// Completes once [`Env::now`] has reached `at`; at once when it already has.
    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()>;

    /// Sixty-four random bits. Not for secrets.
    fn random(&self) -> u64;

    /// Starts a task and lets it run by itself. The task must not block.
    fn spawn(&self, lane: Lane, task: BoxFuture<'static, ()>);

    /// Runs `work`, which may block, on one of the lane's threads. The future completes after `work` has returned
    /// or panicked; `work` runs even if the future is dropped. Use [`EnvExt::run_blocking`] to get a value back.
    fn run_blocking_boxed(&self, lane: Lane, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()>;
}
