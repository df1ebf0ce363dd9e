use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::first_of::{First, first_of};

/// The memory that requests may hold, over all connections. Who finds it used up waits, first come first served.
///
/// A frame takes its memory in steps, as its bytes arrive, so connections could each hold a part and all wait for
/// the rest. Therefore one request at a time may go over the limit: it takes the overdraft and needs to ask no
/// more. So at most `limit` bytes plus one whole request are in use.
pub(super) struct RequestMemory {
    free: Arc<Semaphore>,
    overdraft: Arc<Semaphore>,
    limit: usize,
    overdrawn: AtomicU64,
    pub(super) waits: AtomicU64,
}

/// Memory that a request holds; given back when dropped.
pub(super) struct Held {
    memory: Arc<RequestMemory>,
    within: Option<OwnedSemaphorePermit>,
    beyond: Option<Overdraft>,
    size: usize,
}

struct Overdraft {
    memory: Arc<RequestMemory>,
    bytes: u64,
    _only_one: OwnedSemaphorePermit,
}

impl RequestMemory {
    pub(super) fn new(limit: usize) -> Arc<RequestMemory> {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Arc::new(RequestMemory {
            free: Arc::new(Semaphore::new(limit)),
            overdraft: Arc::new(Semaphore::new(1)),
            limit,
            overdrawn: AtomicU64::new(0),
            waits: AtomicU64::new(0),
        })
    }

    /// Bytes in use.
    pub(super) fn used(&self) -> u64 {
        (self.limit - self.free.available_permits().min(self.limit)) as u64
            + self.overdrawn.load(Ordering::Relaxed)
    }

    /// Holds nothing yet.
    pub(super) fn nothing(self: &Arc<Self>) -> Held {
        Held { memory: self.clone(), within: None, beyond: None, size: 0 }
    }
}

impl Held {
    /// Holds `size` bytes in all from now on; waits until they are free. Never shrinks.
    pub(super) async fn grow_to(&mut self, size: usize) {
        let more = size.saturating_sub(self.size);
        if more == 0 {
            return;
        }
        match &mut self.beyond {
            Some(overdraft) => overdraft.add(more),
            None => self.take(more).await,
        }
        self.size = size;
    }

    async fn take(&mut self, more: usize) {
        // A request is at most 2 GiB, because its length is an i32.
        let permits = u32::try_from(more).unwrap_or(u32::MAX);
        let free = self.memory.free.clone();
        let permit = match free.clone().try_acquire_many_owned(permits) {
            Ok(permit) => permit,
            Err(_) => {
                self.memory.waits.fetch_add(1, Ordering::Relaxed);
                let overdraft = self.memory.overdraft.clone();
                match first_of(free.acquire_many_owned(permits), overdraft.acquire_owned()).await {
                    First::Left(permit) => permit.expect("the semaphore is never closed"),
                    First::Right(only_one) => {
                        let only_one = only_one.expect("the semaphore is never closed");
                        let mut overdraft =
                            Overdraft { memory: self.memory.clone(), bytes: 0, _only_one: only_one };
                        overdraft.add(more);
                        self.beyond = Some(overdraft);
                        return;
                    }
                }
            }
        };
        match &mut self.within {
            Some(within) => within.merge(permit),
            None => self.within = Some(permit),
        }
    }
}

impl Overdraft {
    fn add(&mut self, more: usize) {
        self.bytes += more as u64;
        self.memory.overdrawn.fetch_add(more as u64, Ordering::Relaxed);
    }
}

impl Drop for Overdraft {
    fn drop(&mut self) {
        self.memory.overdrawn.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn memory_is_given_back() {
        let memory = RequestMemory::new(100);
        let mut held = memory.nothing();
        now(held.grow_to(40)).unwrap();
        now(held.grow_to(100)).unwrap();
        now(held.grow_to(50)).unwrap();
        assert_eq!(memory.used(), 100);
        drop(held);
        assert_eq!(memory.used(), 0);
        assert_eq!(memory.waits.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_request_may_overdraw_and_the_next_waits() {
        let memory = RequestMemory::new(100);
        let [mut first, mut second, mut third] = [memory.nothing(), memory.nothing(), memory.nothing()];
        now(first.grow_to(50)).unwrap();
        now(second.grow_to(50)).unwrap();
        now(first.grow_to(80)).unwrap();
        now(first.grow_to(1000)).unwrap();
        assert_eq!(memory.used(), 100 + 950);
        let mut context = Context::from_waker(Waker::noop());
        let mut waiting = Box::pin(second.grow_to(60));
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        let mut behind = Box::pin(third.grow_to(1));
        assert!(behind.as_mut().poll(&mut context).is_pending());
        drop(first);
        // The first's fifty bytes are free again: ten go to the second, one to the third.
        assert!(waiting.as_mut().poll(&mut context).is_ready());
        assert!(behind.as_mut().poll(&mut context).is_ready());
        drop((waiting, behind));
        assert_eq!(memory.used(), 61);
        drop((second, third));
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn a_request_larger_than_the_limit_passes_alone() {
        let memory = RequestMemory::new(10);
        let mut large = memory.nothing();
        now(large.grow_to(64)).unwrap();
        let mut other = memory.nothing();
        now(other.grow_to(10)).unwrap();
        assert!(now(memory.nothing().grow_to(1)).is_none());
        drop(large);
        now(memory.nothing().grow_to(1)).unwrap();
        drop(other);
        assert_eq!(memory.used(), 0);
    }
}
