//! Made-up histories of one partition.

use highwater_records::{PartitionIndex, TopicId, TopicIdPartition};

use super::Invariant;
use crate::{
    batch::{Batches, SeenBatch},
    ghost::Ghost,
    history::{Event, LogFiles, OpId, Positions, Promise, SegmentFiles, Stop},
};

pub(super) const TOPIC: TopicId = TopicId::from_bytes([7; 16]);
pub(super) const AT: TopicIdPartition = TopicIdPartition { topic_id: TOPIC, partition: PartitionIndex(0) };

/// Checks that everything but the last event holds, and returns what is said about the last.
pub(super) fn last_of(mut invariant: impl Invariant, events: &[Event]) -> Result<(), String> {
    let mut ghost = Ghost::default();
    ghost.apply(&synced());
    for (index, event) in events.iter().enumerate() {
        let checked = invariant.check(&ghost, event);
        if index + 1 == events.len() {
            return checked;
        }
        assert_eq!(checked, Ok(()), "event {index}: {event:?}");
        ghost.apply(event);
    }
    Ok(())
}

#[track_caller]
pub(super) fn refused(invariant: impl Invariant, events: &[Event], because: &str) {
    let why = last_of(invariant, events).expect_err("the last event breaks the invariant");
    assert!(why.contains(because), "{why}");
}

#[track_caller]
pub(super) fn accepted(invariant: impl Invariant, events: &[Event]) {
    assert_eq!(last_of(invariant, events), Ok(()));
}

pub(super) fn synced() -> Event {
    Event::TopicCreated { topic: TOPIC, promise: Promise::Synced, tiered: false }
}

pub(super) fn replicated() -> Event {
    Event::TopicCreated { topic: TOPIC, promise: Promise::Replicated, tiered: false }
}

pub(super) fn stopped(how: Stop) -> Event {
    Event::Stopped { how }
}

/// A batch of records `[base, last]`, whose content is `content`.
pub(super) fn batch(base: u64, last: u64, content: u64) -> SeenBatch {
    SeenBatch { base, last, epoch: 0, content, first_timestamp: base as i64, size: 100, producer: None }
}

pub(super) fn invoked(op: u64, content: u64) -> Event {
    Event::ProduceInvoked { op: OpId(op), at: AT, content }
}

pub(super) fn acked(op: u64, batch: SeenBatch) -> Event {
    Event::ProduceAcked {
        op: OpId(op),
        at: AT,
        base: batch.base,
        last: batch.last,
        content: batch.content,
        log_start: 0,
    }
}

pub(super) fn reading(op: u64) -> Event {
    Event::ReadInvoked { op: OpId(op), at: AT }
}

pub(super) fn fetched(op: u64, from: u64, watermark: u64, batches: &[SeenBatch]) -> Event {
    Event::Fetched {
        op: OpId(op),
        at: AT,
        from,
        positions: Positions { log_start: 0, last_stable: watermark, watermark },
        by_follower: false,
        batches: Batches { good: batches.to_vec(), bad: None },
    }
}

pub(super) fn out_of_range(op: u64, from: u64, log_start: u64, watermark: u64) -> Event {
    Event::OutOfRange { op: OpId(op), at: AT, from, log_start, watermark }
}

pub(super) fn latest(op: u64, watermark: u64) -> Event {
    Event::ListedLatest { op: OpId(op), at: AT, watermark }
}

pub(super) fn earliest(op: u64, log_start: u64) -> Event {
    Event::ListedEarliest { op: OpId(op), at: AT, log_start }
}

pub(super) fn segment(name: u64, batches: &[SeenBatch]) -> SegmentFiles {
    SegmentFiles {
        name,
        batches: Batches { good: batches.to_vec(), bad: None },
        offsets: Vec::new(),
        times: Vec::new(),
    }
}

pub(super) fn scanned(segments: Vec<SegmentFiles>) -> Event {
    Event::Scanned { at: AT, files: LogFiles { segments }, settled: true }
}
