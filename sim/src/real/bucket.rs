//! Looks into the bucket behind the broker's back: what is stored, not what was answered.

use std::{
    future::Future,
    path::Path,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use highwater_engine::disk::memory::MemoryDisk;
use highwater_env::{BoxFuture, Env, Instant, Lane};
use highwater_records::{Offset, TopicIdPartition};
use highwater_tiering::{Owner, PartitionTier, Tier, TierOptions};

use super::{LOG_DIR, surviving::cluster_id};
use crate::{
    history::{Event, LogFiles},
    store::Store,
    topic::Topic,
    world::World,
};

/// Where a tiered partition's records are.
pub(super) fn placed(
    world: &World,
    store: Option<&Store>,
    disk: &MemoryDisk,
    topic: &Topic,
    at: TopicIdPartition,
    files: Option<&LogFiles>,
) -> Option<Event> {
    let local_start = files.and_then(|files| files.segments.first()).map(|segment| segment.name);
    let tier = partition(world, store, disk, topic, at)?;
    let mut tiered = None;
    let mut objects_there = true;
    match at_once(tier.load()) {
        Some(Ok(Some(summary))) => {
            tiered = Some((summary.start.get(), summary.end.get()));
            objects_there = readable(&tier, summary.start.max(summary.log_start), summary.end);
        }
        Some(Ok(None)) => {}
        other => {
            world.executor.note(&[20], || format!("{at}: the head cannot be read: {other:?}"));
            objects_there = false;
        }
    }
    Some(Event::Placed { at, local_start, tiered, objects_there })
}

/// The end of what the bucket has.
pub(super) fn tiered_end(
    world: &World,
    store: Option<&Store>,
    disk: &MemoryDisk,
    topic: &Topic,
    at: TopicIdPartition,
) -> Option<u64> {
    let tier = partition(world, store, disk, topic, at)?;
    Some(at_once(tier.load())?.ok()??.end.get())
}

fn partition(
    world: &World,
    store: Option<&Store>,
    disk: &MemoryDisk,
    topic: &Topic,
    at: TopicIdPartition,
) -> Option<Arc<PartitionTier>> {
    if !topic.tiered {
        return None;
    }
    let cluster_id = cluster_id(disk, Path::new(LOG_DIR))?;
    let memory = Arc::new(store?.memory().clone());
    let env = Arc::new(AtOnce::of(world));
    let tier = Tier::new(env, memory, Owner { cluster_id }, TierOptions::default());
    Some(tier.partition(at, &topic.name, 0))
}

/// Whether everything in `[start, end)` can be read, and follows.
fn readable(tier: &PartitionTier, start: Offset, end: Offset) -> bool {
    let mut next = start;
    while next < end {
        match at_once(tier.read(next, 1 << 20, true)) {
            Some(Ok(read)) if read.next_offset > next => next = read.next_offset,
            _ => return false,
        }
    }
    true
}

/// An environment in which time stands still and blocking work is done in place.
pub(crate) struct AtOnce {
    now: Instant,
    wall_ms: i64,
}

impl AtOnce {
    pub(crate) fn of(world: &World) -> AtOnce {
        AtOnce { now: world.clients.now(), wall_ms: world.clients.wall_ms() }
    }
}

impl Env for AtOnce {
    fn now(&self) -> Instant {
        self.now
    }

    fn wall_ms(&self) -> i64 {
        self.wall_ms
    }

    fn sleep_until(&self, _: Instant) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn random(&self) -> u64 {
        // Only reading happens here, and nothing that is read is named by it.
        0
    }

    fn spawn(&self, _: Lane, _: BoxFuture<'static, ()>) {}

    fn run_blocking_boxed(&self, _: Lane, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        work();
        Box::pin(std::future::ready(()))
    }
}

/// The value of a future over a store in memory, which never waits.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    for _ in 0..1000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(value);
        }
    }
    None
}
