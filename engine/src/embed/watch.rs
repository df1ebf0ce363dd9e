//! Waiting for a change without polling: from a thread, or from a task of any runtime.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::sync::{Condvar, Mutex};

/// Tells when something has changed. Whoever waits takes the number of changes first, then looks at what may have
/// changed, then waits for another number: a change in between is never missed.
#[derive(Debug, Default)]
pub(super) struct Watch {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    changes: u64,
    next_waiter: u64,
    /// Of the tasks that wait, by their number.
    wakers: BTreeMap<u64, Waker>,
}

impl Watch {
    /// Changes so far.
    pub(super) fn changes(&self) -> u64 {
        self.state.lock().changes
    }

    /// Says that something has changed, after it has.
    pub(super) fn change(&self) {
        let wakers = {
            let mut state = self.state.lock();
            state.changes += 1;
            std::mem::take(&mut state.wakers)
        };
        self.changed.notify_all();
        // Without the lock: a waker may do anything.
        wakers.into_values().for_each(Waker::wake);
    }

    /// Waits in this thread until there were other than `seen` changes.
    pub(super) fn wait(&self, seen: u64) {
        let mut state = self.state.lock();
        while state.changes == seen {
            self.changed.wait(&mut state);
        }
    }

    /// As [`Watch::wait`], but no longer than about `most`. Whether there was a change.
    pub(super) fn wait_for(&self, seen: u64, most: Duration) -> bool {
        let mut state = self.state.lock();
        // Once is enough: a wake-up without a change counts as the time having passed, which is never too late.
        if state.changes == seen {
            self.changed.wait_for(&mut state, most);
        }
        state.changes != seen
    }

    /// Resolves once there were other than `seen` changes.
    pub(super) fn changed(self: &Arc<Watch>, seen: u64) -> Changed {
        Changed { watch: self.clone(), seen, waiter: None }
    }

    #[cfg(test)]
    pub(super) fn waiting_tasks(&self) -> usize {
        self.state.lock().wakers.len()
    }
}

/// A future of a change. Forgotten by its watch when it is dropped.
#[derive(Debug)]
pub(super) struct Changed {
    watch: Arc<Watch>,
    seen: u64,
    waiter: Option<u64>,
}

impl Future for Changed {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.watch.state.lock();
        if state.changes != this.seen {
            return Poll::Ready(());
        }
        let waiter = *this.waiter.get_or_insert_with(|| {
            state.next_waiter += 1;
            state.next_waiter
        });
        state.wakers.insert(waiter, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            self.watch.state.lock().wakers.remove(&waiter);
        }
    }
}
