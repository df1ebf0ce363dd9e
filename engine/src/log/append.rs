//! Appending a batch: into the page cache, never further.

use std::{
    io::{self, IoSlice},
    sync::Arc,
};

use highwater_records::{
    LeaderEpoch, Offset, TimestampMs,
    batch::{CheckedBatch, EndTxnMarker, Producer, TimestampType},
};

use super::{AppendError, AppendIfError, Log};
use crate::{
    journal::JournaledBatch,
    producer::{MarkerEpoch, SequenceError, Verdict, marker_of},
    segment::BatchHeader,
};

/// Where a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset of its last record (inclusive).
    pub last_offset: Offset,
    /// The broker's time it was stamped with, on a topic with log-append time.
    pub append_time: Option<TimestampMs>,
    /// Whether it was there already: nothing was appended, and the offsets are the original ones.
    pub duplicate: bool,
}

/// What is to become of a batch.
pub(super) enum Judged {
    Duplicate(Appended),
    New(Accepted),
}

/// A batch that the log takes, and its place.
pub(super) struct Accepted {
    pub(super) batch: CheckedBatch,
    pub(super) placed: BatchHeader,
    pub(super) marker: Option<EndTxnMarker>,
    pub(super) epoch: LeaderEpoch,
    pub(super) now: TimestampMs,
}

impl Accepted {
    pub(super) fn appended(&self) -> Appended {
        Appended {
            base_offset: self.placed.base_offset,
            last_offset: self.placed.last_offset,
            append_time: self.placed.log_append_time.then_some(self.now),
            duplicate: false,
        }
    }
}

impl Log {
    /// As [`Log::append`], but only if the batch would get `next_offset` as its first offset: if nobody has appended
    /// since the caller looked. A duplicate of a batch that is there already is answered as such wherever the log ends.
    ///
    /// # Errors
    /// `Moved` with where the log ends now, or any of [`Log::append`]; the log is as it was before.
    pub fn append_if(
        &mut self,
        next_offset: Offset,
        batch: CheckedBatch,
        epoch: LeaderEpoch,
        now: TimestampMs,
    ) -> Result<Appended, AppendIfError> {
        self.check_free().map_err(AppendError::from)?;
        match self.duplicate_elsewhere(next_offset, &batch)? {
            Some(duplicate) => Ok(duplicate),
            None => Ok(self.append(batch, epoch, now)?),
        }
    }

    /// Of a batch that is to go where `next_offset` is: whether it is there already, if that is not the log end.
    pub(super) fn duplicate_elsewhere(
        &self,
        next_offset: Offset,
        batch: &CheckedBatch,
    ) -> Result<Option<Appended>, AppendIfError> {
        let log_end = self.positions.log_end;
        if log_end == next_offset {
            return Ok(None);
        }
        let header = BatchHeader::of(&batch.view());
        match header.producer.map(|producer| self.check_sequence(producer, header.last_offset_delta)) {
            Some(Ok(Some(duplicate))) => Ok(Some(duplicate)),
            _ => Err(AppendIfError::Moved { next_offset: log_end }),
        }
    }

    /// Appends a batch at the log end, as the leader of `epoch`. It lies in the page cache when this returns, and
    /// readers taken from now on have it; it is durable after the next commit.
    ///
    /// The first transactional batch of a producer begins its transaction in this log, which the next marker of that
    /// producer ends ([`Log::end_transaction`], or a control batch given to this). Until then, and until the watermark
    /// has passed the marker, [`Positions::last_stable`](crate::Positions::last_stable) stays at or below the batch.
    ///
    /// # Errors
    /// Any; the log is as it was before.
    pub fn append(
        &mut self,
        batch: CheckedBatch,
        epoch: LeaderEpoch,
        now: TimestampMs,
    ) -> Result<Appended, AppendError> {
        self.append_as_leader(batch, MarkerEpoch::SameOrNewer, epoch, now)
    }

    pub(super) fn append_as_leader(
        &mut self,
        batch: CheckedBatch,
        rule: MarkerEpoch,
        epoch: LeaderEpoch,
        now: TimestampMs,
    ) -> Result<Appended, AppendError> {
        self.check_free()?;
        let accepted = match self.judge(batch, rule, epoch, now)? {
            Judged::Duplicate(duplicate) => return Ok(duplicate),
            Judged::New(accepted) => accepted,
        };
        self.write(&accepted)?;
        Ok(accepted.appended())
    }

    /// Whether a leader takes a batch, and where it goes. Changes nothing.
    pub(super) fn judge(
        &self,
        batch: CheckedBatch,
        rule: MarkerEpoch,
        epoch: LeaderEpoch,
        now: TimestampMs,
    ) -> Result<Judged, AppendError> {
        let header = BatchHeader::of(&batch.view());
        self.check_size(header.size, u64::from(self.config.max_message_bytes))?;
        self.check_epoch(epoch)?;
        let marker = marker_of(&batch.view());
        if let Some(producer) = header.producer {
            match marker {
                Some(marker) => {
                    let checked = self.producers.check_marker(producer, marker, rule);
                    checked.map_err(|error| AppendError::of_transaction(error, producer, Some(marker)))?;
                }
                None => {
                    if let Some(duplicate) = self.check_sequence(producer, header.last_offset_delta)? {
                        return Ok(Judged::Duplicate(duplicate));
                    }
                    let checked = self.producers.check_open(&header);
                    checked.map_err(|error| AppendError::of_transaction(error, producer, None))?;
                }
            }
        }
        let (batch, header) = match self.config.timestamp_type {
            TimestampType::CreateTime => {
                self.check_timestamp(&header, now)?;
                (batch, header)
            }
            TimestampType::LogAppendTime => {
                let stamped = batch.with_log_append_time(now);
                let header = BatchHeader::of(&stamped.view());
                (stamped, header)
            }
        };
        let base = self.positions.log_end;
        let next =
            base.checked_add(u64::from(header.last_offset_delta) + 1).ok_or(AppendError::OffsetsExhausted)?;
        let placed = header.placed(base, next, epoch);
        Ok(Judged::New(Accepted { batch, placed, marker, epoch, now }))
    }

    /// Appends a batch that a leader has placed: offsets, leader epoch and timestamps stay, sequences are noted and
    /// not judged.
    ///
    /// # Errors
    /// `OutOfPlace` unless it begins at the log end, `StaleLeaderEpoch`, `NoLeaderEpoch`, or as [`Log::append`].
    pub fn append_as_follower(
        &mut self,
        batch: CheckedBatch,
        now: TimestampMs,
    ) -> Result<Appended, AppendError> {
        self.check_free()?;
        let header = BatchHeader::of(&batch.view());
        self.check_size(header.size, u64::MAX)?;
        let epoch = header.leader_epoch.ok_or(AppendError::NoLeaderEpoch)?;
        self.check_epoch(epoch)?;
        if header.base_offset != self.positions.log_end {
            return Err(AppendError::OutOfPlace {
                found: header.base_offset,
                expected: self.positions.log_end,
            });
        }
        let marker = marker_of(&batch.view());
        let append_time = header.log_append_time.then_some(header.max_timestamp).flatten();
        let accepted = Accepted { batch, placed: header, marker, epoch, now };
        self.write(&accepted)?;
        Ok(Appended { append_time, ..accepted.appended() })
    }

    fn check_size(&self, size: u64, max: u64) -> Result<(), AppendError> {
        let max = max.min(u64::from(self.config.segment_bytes));
        if size > max { Err(AppendError::TooLarge { size, max }) } else { Ok(()) }
    }

    fn check_epoch(&self, epoch: LeaderEpoch) -> Result<(), AppendError> {
        match self.latest_epoch() {
            Some(latest) if epoch < latest => Err(AppendError::StaleLeaderEpoch { found: epoch, latest }),
            _ => Ok(()),
        }
    }

    fn check_sequence(&self, producer: Producer, delta: u32) -> Result<Option<Appended>, AppendError> {
        match self.producers.check(producer, delta) {
            Ok(Verdict::New) => Ok(None),
            Ok(Verdict::Duplicate { base_offset, last_offset, timestamp }) => {
                let append_time =
                    (self.config.timestamp_type == TimestampType::LogAppendTime).then_some(timestamp);
                Ok(Some(Appended { base_offset, last_offset, append_time, duplicate: true }))
            }
            Err(SequenceError::OutOfOrder { expected }) => Err(AppendError::OutOfOrderSequence {
                found: producer.base_sequence.unwrap_or(expected),
                expected,
            }),
            Err(SequenceError::OldEpoch { current }) => {
                Err(AppendError::InvalidProducerEpoch { found: producer.epoch, current })
            }
            Err(SequenceError::DuplicateBeyondWindow) => Err(AppendError::DuplicateBeyondWindow),
        }
    }

    /// The batch's largest timestamp; that of single records is the business of whoever checked the batch deeply.
    fn check_timestamp(&self, header: &BatchHeader, now: TimestampMs) -> Result<(), AppendError> {
        let Some(timestamp) = header.max_timestamp else { return Ok(()) };
        let beyond = |limit: Option<u64>, distance: i64| {
            limit.is_some_and(|limit| u64::try_from(distance).is_ok_and(|distance| distance > limit))
        };
        let (before, after) = (now.0.saturating_sub(timestamp.0), timestamp.0.saturating_sub(now.0));
        if beyond(self.config.timestamp_before_max_ms, before)
            || beyond(self.config.timestamp_after_max_ms, after)
        {
            return Err(AppendError::InvalidTimestamp { timestamp, now });
        }
        Ok(())
    }

    fn write(&mut self, accepted: &Accepted) -> Result<(), AppendError> {
        self.make_place(accepted)?;
        let Accepted { batch, placed, epoch, .. } = accepted;
        let (segment, position) = self.next_place();
        self.put(accepted)?;
        if self.journals() {
            let (base, next, bytes) = (placed.base_offset, placed.next_offset, batch.bytes().clone());
            let prefix = batch.patched_prefix(base, *epoch);
            let journaled = JournaledBatch { segment, position, base, next, prefix, bytes };
            self.pending.batches.push(journaled, self.dir.journal.direct_bytes());
        }
        self.follow_own_watermark();
        self.publish();
        Ok(())
    }

    /// Where the next batch goes: the segment that begins at this offset, and the position in it.
    pub(super) fn next_place(&self) -> (Offset, u64) {
        (self.active().base, self.active().facts().size)
    }

    /// Makes the active segment one that takes the batch.
    pub(super) fn make_place(&mut self, accepted: &Accepted) -> io::Result<()> {
        if self.roll_before(&accepted.placed, accepted.now) {
            self.roll_active(accepted.now)
        } else {
            self.remove_rest()
        }
    }

    /// Writes a batch to the active segment and moves the log end. The caller publishes it.
    pub(super) fn put(&mut self, accepted: &Accepted) -> io::Result<()> {
        let Accepted { batch, placed, marker, epoch, now } = accepted;
        let active = self.active().clone();
        let mut facts = active.facts();
        let entries = facts.add(active.base, placed, self.config.index_interval_bytes);
        facts.first_append.get_or_insert(*now);
        let prefix = batch.patched_prefix(placed.base_offset, *epoch);
        let slices = [IoSlice::new(&prefix), IoSlice::new(&batch.bytes()[prefix.len()..])];
        if let Err(error) = active.append(&slices, placed, facts) {
            // Whatever was written lies behind the end. If it cannot be removed now, the next append will.
            self.rest_behind_end = active.cut_back().is_err();
            return Err(error);
        }
        self.as_opened = false;
        active.push(entries);
        self.pending.touch(&active);
        if self.latest_epoch() != Some(*epoch) {
            Arc::make_mut(&mut self.epochs).assign(*epoch, placed.base_offset);
            self.epochs_dirty = true;
        }
        if let Some(aborted) = self.producers.note(placed, *marker, *now) {
            active.transaction_index.push(aborted);
        }
        self.positions.log_end = placed.next_offset;
        Ok(())
    }

    /// Removes what a failed append left behind the end, before anything is written there or the file is sealed.
    pub(super) fn remove_rest(&mut self) -> io::Result<()> {
        if self.rest_behind_end {
            self.active().cut_back()?;
            self.rest_behind_end = false;
        }
        Ok(())
    }
}
