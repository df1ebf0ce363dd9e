use std::{fmt, future::Future, sync::Arc};

use parking_lot::Mutex;

use crate::{Env, Lane};

/// Blocking work panicked, or its lane no longer runs anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockingFailed;

impl fmt::Display for BlockingFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("blocking work did not finish: it panicked, or its lane is closed")
    }
}

impl std::error::Error for BlockingFailed {}

/// What is built from an [`Env`].
pub trait EnvExt: Env {
    /// Runs `work`, which may block, on one of the lane's threads and returns its value.
    ///
    /// # Errors
    /// [`BlockingFailed`] if `work` panicked or the environment is shutting down.
    fn run_blocking<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, BlockingFailed>> + Send + 'static {
        let slot = Arc::new(Mutex::new(None));
        let fill = slot.clone();
        let done = self.run_blocking_boxed(lane, Box::new(move || *fill.lock() = Some(work())));
        async move {
            done.await;
            slot.lock().take().ok_or(BlockingFailed)
        }
    }

    /// Completes after `time`.
    fn sleep(&self, time: std::time::Duration) -> crate::BoxFuture<'static, ()> {
        self.sleep_until(self.now().plus(time))
    }
}

impl<E: Env + ?Sized> EnvExt for E {}
