//! What stays of each batch.

use std::collections::BTreeMap;

use bytes::Bytes;
use highwater_records::{
    Offset, ProducerEpoch, ProducerId, TimestampMs,
    batch::{BatchError, BatchView, RecordRef, Thinned, emptied, thin},
};

use super::{
    keys::KeyMap,
    transactions::{Marker, Outcomes},
};
use crate::{
    index::AbortedTransaction,
    producer::{ProducerStates, marker_of},
    segment::BatchHeader,
};

/// Most bytes that one batch may decompress to.
const DECOMPRESSED_MAX: usize = 1 << 30;

/// What an active producer wrote last, now and below what a power cut can take. These batches stay, if only without
/// records: recovery learns from them which sequence and which epoch come next.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastWritten {
    /// The last offset of its last batch; `None` where only its marker is known.
    now: Option<Offset>,
    durably: Option<Offset>,
    epoch: ProducerEpoch,
}

/// From the producers of now, and those of the end of what is looked at.
pub(super) fn last_written(
    now: &ProducerStates,
    durably: &ProducerStates,
) -> BTreeMap<ProducerId, LastWritten> {
    let last = now.producers.iter().map(|(id, state)| {
        let durably = durably.producers.get(id).and_then(|state| state.last_offset());
        (*id, LastWritten { now: state.last_offset(), durably, epoch: state.epoch })
    });
    last.collect()
}

/// The rules of one pass.
pub(super) struct Filter {
    pub(super) keys: KeyMap,
    pub(super) producers: BTreeMap<ProducerId, LastWritten>,
    pub(super) outcomes: Outcomes,
    pub(super) now: TimestampMs,
    /// The delete horizon of what gets one in this pass.
    pub(super) horizon: TimestampMs,
}

/// What stays of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Left {
    Whole,
    Rewritten(Bytes),
    Nothing,
}

/// A verdict on one batch.
pub(super) struct Verdict {
    pub(super) left: Left,
    /// What the transaction index tells of its marker.
    pub(super) aborted: Option<AbortedTransaction>,
}

impl Filter {
    /// Judges the next batch of the log.
    ///
    /// # Errors
    /// When its records cannot be read.
    pub(super) fn judge(
        &mut self,
        batch: &BatchView<'_>,
        header: &BatchHeader,
    ) -> Result<Verdict, BatchError> {
        if header.is_control {
            return self.judge_marker(batch, header);
        }
        let aborted = self.outcomes.on_records(header);
        let Some(latest) = self.keys.latest() else { return Ok(Verdict::of(Left::Whole)) };
        let left = if aborted {
            Left::Nothing
        } else if header.base_offset > latest {
            // Nobody has looked that far.
            Left::Whole
        } else {
            let gone = batch.delete_horizon().is_some_and(|horizon| horizon <= self.now);
            let keys = &self.keys;
            let keep = |record: &RecordRef<'_>| stays(keys, latest, gone, record);
            match thin(batch, DECOMPRESSED_MAX, self.horizon, false, keep)? {
                Thinned::Whole => Left::Whole,
                Thinned::Rewritten(bytes) => Left::Rewritten(bytes),
                Thinned::Empty => Left::Nothing,
            }
        };
        Ok(Verdict::of(self.or_emptied(left, batch, header)))
    }

    fn judge_marker(&mut self, batch: &BatchView<'_>, header: &BatchHeader) -> Result<Verdict, BatchError> {
        let marker = marker_of(batch);
        let (needed, aborted) = match self.outcomes.on_marker(header, marker) {
            Marker::Needed { aborted } => (true, aborted),
            Marker::Idle => (false, None),
        };
        let gone = !needed && batch.delete_horizon().is_some_and(|horizon| horizon <= self.now);
        let left = if gone {
            Left::Nothing
        } else {
            match thin(batch, DECOMPRESSED_MAX, self.horizon, !needed, |_| true)? {
                Thinned::Whole => Left::Whole,
                Thinned::Rewritten(bytes) => Left::Rewritten(bytes),
                Thinned::Empty => Left::Nothing,
            }
        };
        let left = if left == Left::Nothing && self.is_last_of_producer(header) {
            // A marker without its record says nothing of epochs: it stays as it is.
            if batch.record_count() == 0 { Left::Nothing } else { Left::Whole }
        } else {
            left
        };
        Ok(Verdict { left, aborted })
    }

    /// What an active producer wrote last stays without records where none of them does.
    fn or_emptied(&self, left: Left, batch: &BatchView<'_>, header: &BatchHeader) -> Left {
        if left != Left::Nothing || !self.is_last_of_producer(header) {
            return left;
        }
        if batch.record_count() == 0 { Left::Whole } else { Left::Rewritten(emptied(batch)) }
    }

    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        let Some(producer) = header.producer else { return false };
        let Some(last) = self.producers.get(&producer.id) else { return false };
        match (last.now, last.durably) {
            (None, None) => header.is_control && last.epoch == producer.epoch,
            (now, durably) => [now, durably].contains(&Some(header.last_offset)),
        }
    }
}

impl Verdict {
    fn of(left: Left) -> Verdict {
        Verdict { left, aborted: None }
    }
}

/// Whether a record stays: what was not looked at, and the last one of its key, unless that is a tombstone whose time is
/// over.
fn stays(keys: &KeyMap, latest: Offset, tombstones_go: bool, record: &RecordRef<'_>) -> bool {
    if record.offset > latest {
        return true;
    }
    let Some(key) = record.key else { return false };
    let is_last = keys.last_of(key).is_none_or(|last| record.offset >= last);
    is_last && (record.value.is_some() || !tombstones_go)
}
