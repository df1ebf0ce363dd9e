//! Sequence checks: each batch of a producer's session lands once and in order.

use std::collections::{BTreeMap, VecDeque};

use highwater_records::{
    Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs,
    batch::{EndTxnMarker, Producer},
};

use super::transactions::Transactions;
use crate::{
    index::AbortedTransaction,
    museum::{Bug, has},
    segment::BatchHeader,
};

/// How many of a producer's batches are remembered: what a client may have in flight.
const WINDOW: usize = 5;

/// All producers of a log, as of one offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProducerStates {
    pub(crate) producers: BTreeMap<ProducerId, ProducerState>,
    pub(crate) transactions: Transactions,
}

/// What is known of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerState {
    /// Its newest incarnation.
    pub epoch: ProducerEpoch,
    /// Epoch of the coordinator that wrote its last marker, if any.
    pub coordinator_epoch: Option<u32>,
    /// First offset of its open transaction, if one is open.
    pub transaction_start: Option<Offset>,
    /// Timestamp of its last batch or marker.
    pub last_timestamp: TimestampMs,
    /// Its last batches, oldest first; at most five.
    pub(crate) batches: VecDeque<AppendedBatch>,
    /// When it was last heard of, by the clock of this broker; expiry counts from here. A producer's own timestamps
    /// may be years old.
    pub(crate) last_seen: TimestampMs,
}

impl ProducerState {
    /// The sequence of its last record, if a batch of this epoch is known.
    pub fn last_sequence(&self) -> Option<Sequence> {
        self.batches.back().map(|batch| batch.last_sequence)
    }

    /// The offset of its last record, if a batch of this epoch is known.
    pub fn last_offset(&self) -> Option<Offset> {
        self.batches.back().map(|batch| batch.last_offset)
    }
}

/// A batch that was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AppendedBatch {
    pub(crate) last_sequence: Sequence,
    pub(crate) last_offset: Offset,
    /// Last offset minus first.
    pub(crate) offset_delta: u32,
    pub(crate) timestamp: TimestampMs,
}

impl AppendedBatch {
    fn base_sequence(&self) -> Sequence {
        minus(self.last_sequence, self.offset_delta)
    }

    fn base_offset(&self) -> Offset {
        Offset::new(self.last_offset.get().saturating_sub(u64::from(self.offset_delta)))
            .unwrap_or(Offset::ZERO)
    }
}

/// What a check says of a batch that may be appended, or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    New,
    Duplicate { base_offset: Offset, last_offset: Offset, timestamp: TimestampMs },
}

/// Why a batch must not be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SequenceError {
    OutOfOrder { expected: Sequence },
    OldEpoch { current: ProducerEpoch },
    DuplicateBeyondWindow,
}

impl ProducerStates {
    pub(crate) fn new(producers: BTreeMap<ProducerId, ProducerState>) -> ProducerStates {
        let mut transactions = Transactions::default();
        for (id, state) in &producers {
            if let Some(first) = state.transaction_start {
                transactions.begin(first, *id);
            }
        }
        ProducerStates { producers, transactions }
    }

    /// Whether a batch of `count` offsets is its producer's next one.
    pub(crate) fn check(&self, producer: Producer, offset_delta: u32) -> Result<Verdict, SequenceError> {
        // What is not known is accepted with any sequence: its state may have expired.
        let Some(known) = self.producers.get(&producer.id) else { return Ok(Verdict::New) };
        if producer.epoch < known.epoch {
            return Err(SequenceError::OldEpoch { current: known.epoch });
        }
        let Some(base) = producer.base_sequence else { return Ok(Verdict::New) };
        if producer.epoch > known.epoch && !has(Bug::DuplicateOfOlderEpoch) {
            return in_order(base, Sequence::ZERO);
        }
        let last = base.plus(offset_delta);
        let same = |batch: &&AppendedBatch| batch.base_sequence() == base && batch.last_sequence == last;
        // The newest: what was deleted may have come again, by way of a leader that had not heard of it.
        if let Some(batch) = known.batches.iter().rev().find(same) {
            return Ok(Verdict::Duplicate {
                base_offset: batch.base_offset(),
                last_offset: batch.last_offset,
                timestamp: batch.timestamp,
            });
        }
        let Some(newest) = known.last_sequence() else { return in_order(base, Sequence::ZERO) };
        // Sequences wrap, so "older" is the nearer way round.
        let behind = (i64::from(newest.as_i32()) - i64::from(last.as_i32())).rem_euclid(1 << 31);
        let window_full = known.batches.len() == window();
        if window_full && behind < 1 << 30 && base != newest.plus(1) {
            return Err(SequenceError::DuplicateBeyondWindow);
        }
        in_order(base, newest.plus(1))
    }

    /// Notes a batch that was appended, now or before a restart; `marker` is what it says if it is a control batch.
    /// The transaction that it aborted, if it did.
    pub(crate) fn note(
        &mut self,
        batch: &BatchHeader,
        marker: Option<EndTxnMarker>,
        now: TimestampMs,
    ) -> Option<AbortedTransaction> {
        let producer = batch.producer?;
        if batch.is_control && marker.is_none() {
            // Compaction has emptied it, with all of its transaction.
            return None;
        }
        let timestamp = batch.produced_at.unwrap_or_default();
        let state = self.producers.entry(producer.id).or_insert_with(|| ProducerState {
            epoch: producer.epoch,
            coordinator_epoch: None,
            transaction_start: None,
            last_timestamp: timestamp,
            batches: VecDeque::new(),
            last_seen: now,
        });
        if producer.epoch > state.epoch {
            state.epoch = producer.epoch;
            if !has(Bug::DuplicateOfOlderEpoch) {
                state.batches.clear();
            }
        }
        state.last_timestamp = timestamp;
        state.last_seen = now;
        if let Some(marker) = marker {
            return self.note_marker(producer.id, batch, marker);
        }
        if batch.is_transactional && state.transaction_start.is_none() {
            state.transaction_start = Some(batch.base_offset);
            self.transactions.begin(batch.base_offset, producer.id);
        }
        if let Some(base_sequence) = producer.base_sequence {
            if state.batches.len() == window() {
                state.batches.pop_front();
            }
            state.batches.push_back(AppendedBatch {
                last_sequence: last_sequence(base_sequence, batch.last_offset_delta),
                last_offset: batch.last_offset,
                offset_delta: batch.last_offset_delta,
                timestamp,
            });
        }
        None
    }

    /// Forgets producers that were silent for `expiry_ms` and have no open transaction.
    pub(crate) fn expire(&mut self, now: TimestampMs, expiry_ms: u64) {
        self.producers.retain(|_, state| {
            let silent_ms = now.0.saturating_sub(state.last_seen.0);
            state.transaction_start.is_some() || u64::try_from(silent_ms).unwrap_or(0) < expiry_ms
        });
    }
}

fn window() -> usize {
    if has(Bug::ShortWindow) { WINDOW - 1 } else { WINDOW }
}

fn last_sequence(base: Sequence, delta: u32) -> Sequence {
    if has(Bug::SequencesDoNotWrap) {
        let last = i64::from(base.as_i32()) + i64::from(delta);
        return Sequence::from_i32(i32::try_from(last).unwrap_or(i32::MAX)).unwrap_or(base);
    }
    base.plus(delta)
}

fn in_order(base: Sequence, expected: Sequence) -> Result<Verdict, SequenceError> {
    if base == expected { Ok(Verdict::New) } else { Err(SequenceError::OutOfOrder { expected }) }
}

/// The number `count` records earlier, wrapping below 0 to 2^31 - 1.
fn minus(sequence: Sequence, count: u32) -> Sequence {
    // Going on by 2^31 - count is going back by count; count is below 2^31.
    sequence.plus((1 << 31) - (count & 0x7fff_ffff))
}

#[cfg(test)]
mod tests;
