//! Damaged segments that are written again with what another replica has.

use std::{io, sync::Arc};

use highwater_records::{Offset, TimestampMs};

use super::{ChangeError, Log};
use crate::{
    compact::{Learned, Repair, RepairPlan},
    epochs::{EpochStart, LeaderEpochs},
    index::decode_transaction_index,
};

impl Log {
    /// Begins to write the segment again that has `at`, with batches of another replica: those below both replicas' high
    /// watermarks are the same. Seals it first, if it is the active one.
    ///
    /// What lies below the log start is left out: nobody reads it, and others may not have it any more.
    ///
    /// `None` where it cannot be now: something of the segment is at or above the high watermark, not durable, not settled
    /// in the journal, or just sealed and to be synced by the next commit; or a compaction or another repair is under way.
    /// And never where the log was compacted, or has no segment with `at`.
    ///
    /// 1. [`Repair::push`] takes its batches, without a lock, while the log is used;
    /// 2. [`Repair::finish`] syncs them, and sets the damaged file aside;
    /// 3. [`Log::swap_compacted`], under the caller's lock, makes the log use what was written;
    /// 4. [`SwapJob::run`](crate::SwapJob::run) puts the files in their place and writes down that there is no damage, without
    ///    the lock;
    /// 5. [`Log::finish_repair`], under the lock, forgets the damage.
    ///
    /// # Errors
    /// As [`Log::roll`].
    pub fn begin_repair(&mut self, at: Offset, now: TimestampMs) -> Result<Option<Repair>, ChangeError> {
        self.check()?;
        let segment_of = |log: &Log| log.segments.iter().rposition(|segment| segment.base <= at);
        let bound = self.positions.high_watermark.min(self.positions.durable_end);
        let is_last = |index: usize, log: &Log| index + 1 == log.segments.len();
        let Some(mut index) = segment_of(self) else { return Ok(None) };
        if is_last(index, self) {
            // A log that is written all the time is never at rest: what is sealed now is whole a little later.
            if !self.roll(now)? {
                return Ok(None);
            }
            let Some(found) = segment_of(self).filter(|found| !is_last(*found, self)) else {
                return Ok(None);
            };
            index = found;
        }
        let (segment, end) = (self.segments[index].clone(), self.segments[index + 1].base);
        let was_compacted = self.entry.state.lock().compacted_to.is_some_and(|to| to > segment.base);
        // A start that is shown is on stable storage: no restart shows what lies below it again.
        let begins = self.positions.log_start.max(segment.base);
        let is_unsettled = self.unsettled().iter().any(|other| Arc::ptr_eq(other, &segment));
        if end > bound
            || begins >= end
            || was_compacted
            || segment.sparse
            || is_unsettled
            || self.compacting.strong_count() > 0
        {
            return Ok(None);
        }
        let token = Arc::new(());
        self.compacting = Arc::downgrade(&token);
        let aborted = segment.transaction_index.bytes().map_err(ChangeError::Disk)?;
        let aborted = decode_transaction_index(&aborted)
            .map_err(|why| ChangeError::Disk(io::Error::new(io::ErrorKind::InvalidData, why)))?;
        let here = self.quarantine.iter().filter(|range| range.segment == segment.base);
        Ok(Some(Repair::new(RepairPlan {
            disk: self.dir.disk.clone(),
            directory: self.path().to_owned(),
            begins,
            end,
            interval_bytes: self.config.index_interval_bytes,
            epochs: self.epochs.clone(),
            aborted,
            unread: here.map(|range| range.offsets.clone()).collect(),
            now,
            damaged: segment,
            token,
        })))
    }

    /// The segment at `base` was written again, and its file is in its place: nothing of it is refused any more, and the
    /// epochs and producers that were `learned` from it are known. `aside` is the name of the file with what was damaged.
    pub fn finish_repair(&mut self, base: Offset, aside: String, learned: Learned, now: TimestampMs) {
        self.cuts.push((aside, now.0));
        self.producers.complete_batches(&learned.producers, self.positions.log_end);
        self.learn_epochs(learned.epochs);
        if self.quarantine.iter().any(|range| range.segment == base) {
            Arc::make_mut(&mut self.quarantine).retain(|range| range.segment != base);
            self.publish();
        }
    }

    /// Takes over leader epochs from before those that are known; the next commit writes them down.
    fn learn_epochs(&mut self, mut learned: Vec<EpochStart>) {
        let Some(last) = learned.last().map(|last| last.epoch) else { return };
        learned.extend(self.epochs.entries().iter().filter(|known| known.epoch > last));
        // Truncated meanwhile, or the start has moved: what is known is right, and nothing more is needed.
        let Some(mut table) = LeaderEpochs::from_entries(&learned, self.positions.log_end) else { return };
        table.advance_start_to(self.positions.log_start);
        self.epochs = Arc::new(table);
        self.epochs_dirty = true;
        self.publish();
    }
}
