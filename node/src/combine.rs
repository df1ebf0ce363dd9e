//! A lock that an async task never waits for.

use std::{collections::VecDeque, fmt};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

/// State behind a lock. Whoever finds the lock taken leaves the operation for its holder, who runs it before it
/// goes on, so that no async task sleeps in a mutex while another one appends to the page cache (flat combining).
///
/// Operations that are left run in the order in which they were left. One that finds the lock free may overtake
/// them: callers that need an order await one operation before they start the next.
pub(crate) struct Combined<S> {
    state: Mutex<S>,
    left: Mutex<VecDeque<Operation<S>>>,
}

type Operation<S> = Box<dyn FnOnce(&mut S) + Send>;

impl<S: Send + 'static> Combined<S> {
    pub(crate) fn new(state: S) -> Combined<S> {
        Combined { state: Mutex::new(state), left: Mutex::new(VecDeque::new()) }
    }

    /// Runs `operation` under the lock, here or in the task that holds it.
    pub(crate) async fn with<R: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut S) -> R + Send + 'static,
    ) -> R {
        let answer = match self.state.try_lock() {
            Some(mut state) => {
                let value = operation(&mut state);
                self.finish(state);
                return value;
            }
            None => {
                let (reply, answer) = oneshot::channel();
                self.left.lock().push_back(Box::new(move |state| {
                    let _ = reply.send(operation(state));
                }));
                answer
            }
        };
        // The holder may have looked for left operations just before this one was left.
        self.run_left();
        answer
            .await
            .expect("an operation that was left is run by the holder of the lock, unless it panicked there")
    }

    /// Runs `operation` under the lock, waiting for it. For code that may block.
    pub(crate) fn with_blocking<R>(&self, operation: impl FnOnce(&mut S) -> R) -> R {
        let mut state = self.state.lock();
        let value = operation(&mut state);
        self.finish(state);
        value
    }

    fn finish(&self, state: MutexGuard<'_, S>) {
        drop(state);
        self.run_left();
    }

    fn drain(&self, state: &mut S) {
        loop {
            let Some(operation) = self.left.lock().pop_front() else { return };
            operation(state);
        }
    }

    fn run_left(&self) {
        // Looked at with the lock free: whoever leaves an operation after that finds it free, too, and runs it.
        while !self.left.lock().is_empty() {
            let Some(mut state) = self.state.try_lock() else { return };
            self.drain(&mut state);
        }
    }
}

impl<S> fmt::Debug for Combined<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Combined").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        sync::Arc,
        task::{Context, Poll, Waker},
    };

    use super::*;

    #[test]
    fn an_operation_left_behind_is_run_by_the_holder() {
        let shared = Arc::new(Combined::new(Vec::new()));
        let second = shared.clone();
        let mut left = pin!(async move {
            second
                .with(|state| {
                    state.push(2);
                    state.len()
                })
                .await
        });
        let mut context = Context::from_waker(Waker::noop());
        shared.with_blocking(|state| {
            assert!(left.as_mut().poll(&mut context).is_pending());
            state.push(1);
        });
        assert_eq!(left.as_mut().poll(&mut context), Poll::Ready(2));
        assert_eq!(shared.with_blocking(|state| state.clone()), [1, 2]);
    }

    #[test]
    fn many_threads_lose_nothing() {
        let shared = Arc::new(Combined::new(0u64));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut context = Context::from_waker(Waker::noop());
                    for _ in 0..5_000 {
                        let mut step = pin!(shared.with(|count| *count += 1));
                        while step.as_mut().poll(&mut context).is_pending() {
                            std::hint::spin_loop();
                        }
                    }
                });
            }
        });
        assert_eq!(shared.with_blocking(|count| *count), 20_000);
    }
}
