//! The head of a log: retention, the log start, local copies that are no longer needed.

use std::{io, path::PathBuf, sync::Arc};

use highwater_records::{Offset, TimestampMs};

use super::{ChangeError, Log};
use crate::{
    disk::replace_file,
    epochs,
    name::{DELETED, FileKind},
    recovery::remove_old_cuts,
    segment::Segment,
};

/// A segment that was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Its first offset.
    pub base_offset: Offset,
    /// Where it ended (exclusive).
    pub next_offset: Offset,
    /// Bytes of its batches.
    pub size: u64,
}

/// Why the start of a log advances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartReason {
    /// Somebody asked for records to be deleted.
    RecordsDeleted,
    /// The leader's start is further.
    Leader,
    /// Retention of the bucket's copy.
    TieredRetention,
}

impl Log {
    /// Deletes whole segments, oldest first, that are too old or too many by the configuration, or lie below the log
    /// start; never beyond the high watermark, and of a synced log only what was settled
    /// ([`LogDir::settle`](crate::LogDir::settle)). On a tiered log only the last of the three. The log start moves with
    /// it, and is durable before anything is deleted: waits for a sync if it moves. Files are renamed now and removed by
    /// the next [`LogDir::write_checkpoints`](crate::LogDir::write_checkpoints).
    ///
    /// # Errors
    /// The disk's; what was deleted until then is.
    pub fn retain(&mut self, now: TimestampMs) -> Result<Vec<Deleted>, ChangeError> {
        self.check()?;
        self.expire_producers(now);
        let (disk, directory) = (self.dir.disk.clone(), self.path().to_owned());
        remove_old_cuts(&*disk, &directory, &mut self.cuts, now, self.config.retention_ms)?;

        let settled = self.settled_segments();
        let segments = self.segments.clone();
        let mut excess =
            self.config.retention_bytes.map_or(0, |limit| self.size_bytes().saturating_sub(limit));
        let mut count = 0;
        for (at, segment) in segments.iter().enumerate() {
            let facts = segment.facts();
            let active = at + 1 == segments.len();
            let below_start = !active && facts.next_offset <= self.positions.log_start;
            let too_many = excess >= facts.size && excess > 0 && !active;
            let too_old = self.is_too_old(segment, now)?;
            let by_policy = !self.config.tiered && facts.size > 0 && (too_many || too_old);
            if !(below_start || by_policy)
                || facts.next_offset > self.positions.high_watermark
                || at >= settled
            {
                break;
            }
            excess = excess.saturating_sub(facts.size);
            count += 1;
        }
        if count == segments.len() {
            // The active segment goes too: something must come after it.
            self.roll_active(now)?;
        }
        let first = self.segments[count].base;
        if !self.config.tiered && first > self.positions.log_start {
            self.write_start(first)?;
        }
        let deleted = self.delete_head(count)?;
        self.publish();
        Ok(deleted)
    }

    /// Makes a log start durable before anybody is shown it, and before anything below it is deleted.
    fn write_start(&mut self, start: Offset) -> Result<(), ChangeError> {
        let before = self.entry.state.lock().log_start.replace(start);
        let written = self.dir.write_checkpoint_files();
        if written.is_err() {
            self.entry.state.lock().log_start = before;
        }
        Ok(written?)
    }

    /// Moves the log start up, so that nothing below is shown any more; segments go with the next [`Log::retain`].
    /// A lower offset changes nothing. Durable when it returns, and before anybody sees it: waits for a sync. Returns the
    /// log start.
    ///
    /// # Errors
    /// `OutOfRange` above the high watermark; the disk's, after which the start is where it was.
    pub fn advance_start_to(&mut self, offset: Offset, reason: StartReason) -> Result<Offset, ChangeError> {
        self.check()?;
        let (low, high) = (self.positions.log_start, self.positions.high_watermark);
        if offset > high {
            return Err(ChangeError::OutOfRange { asked: offset, low, high });
        }
        if offset > low {
            self.write_start(offset)?;
            tracing::debug!(log = %self.name(), %offset, ?reason, "the log start advances");
            self.positions.log_start = offset;
            self.positions.local_start = self.positions.local_start.max(offset);
            self.trim_epochs();
            self.publish();
        }
        Ok(self.positions.log_start)
    }

    /// Of a tiered log that has just been opened: the log start as the bucket has it, which is lower than what this
    /// directory knows if its checkpoint was lost. Never above the local start. Changes nothing where the start was
    /// written down ([`Log::written_start`](crate::Log::written_start)).
    pub fn adopt_tiered_start(&mut self, log_start: Offset) -> Offset {
        if self.config.tiered && self.written_start.is_none() && log_start < self.positions.log_start {
            self.positions.log_start = log_start;
            self.publish();
        }
        self.positions.log_start
    }

    /// Of a tiered log: drops local copies of whole sealed segments that end at or below `offset`, which the caller
    /// knows to be in the bucket, as far as they are settled ([`LogDir::settle`](crate::LogDir::settle)). The log
    /// start stays, the local start moves.
    ///
    /// # Errors
    /// The disk's; what was dropped until then is.
    pub fn drop_local_below(&mut self, offset: Offset) -> Result<Vec<Deleted>, ChangeError> {
        self.check()?;
        let end = offset.min(self.positions.high_watermark);
        let sealed = self.segments.len() - 1;
        let count = self.segments[..sealed].partition_point(|segment| segment.facts().next_offset <= end);
        let count = count.min(self.settled_segments());
        let deleted = self.delete_head(count)?;
        self.publish();
        Ok(deleted)
    }

    /// How many of the oldest segments may be deleted: a replay of the journal would bring back those that it covers.
    fn settled_segments(&self) -> usize {
        let first = self.dir.journal.unsettled(self.entry.id()).first().map(|segment| segment.base);
        first.map_or(self.segments.len(), |first| {
            self.segments.partition_point(|segment| segment.base < first)
        })
    }

    fn is_too_old(&self, segment: &Segment, now: TimestampMs) -> io::Result<bool> {
        let Some(retention_ms) = self.config.retention_ms else { return Ok(false) };
        let facts = segment.facts();
        let newest = match facts.max_timestamp {
            Some((timestamp, _)) => timestamp.0,
            None if facts.size == 0 => return Ok(false),
            None => segment.log.get()?.modified_ms()?,
        };
        Ok(u64::try_from(now.0.saturating_sub(newest)).is_ok_and(|age| age > retention_ms))
    }

    /// Deletes the `count` oldest segments; none of them active.
    fn delete_head(&mut self, count: usize) -> io::Result<Vec<Deleted>> {
        let mut deleted = Vec::new();
        if self.gate.is_closed() {
            // Names of segments are being given to others; the next round deletes.
            return Ok(deleted);
        }
        if count > 0 && self.config.tiered && self.epochs_dirty {
            // Commits through the journal leave this file alone, since the segments show where an epoch began; those that
            // go no longer will, and the lineage below the local start must go on to agree with the bucket's.
            let file = self.epochs.encode();
            replace_file(&*self.dir.disk, self.path(), epochs::FILE_NAME, file.as_bytes())?;
            self.epochs_dirty = false;
        }
        let mut result = Ok(());
        let doomed: Vec<Arc<Segment>> = self.segments[..count].to_vec();
        for segment in &doomed {
            match self.rename_deleted(segment) {
                Ok(files) => self.dir.doom(self.path(), files),
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
            let facts = segment.facts();
            deleted.push(Deleted {
                base_offset: segment.base,
                next_offset: facts.next_offset,
                size: facts.size,
            });
        }
        if !deleted.is_empty() {
            Arc::make_mut(&mut self.segments).drain(..deleted.len());
            let first = self.segments[0].base;
            self.positions.local_start = self.positions.local_start.max(first);
            if !self.config.tiered {
                self.positions.log_start = self.positions.log_start.max(first);
            }
            // Everything that was deleted lay below the watermark, synced or not: there is nothing left to sync.
            self.positions.durable_end = self.positions.durable_end.max(first);
            self.pending.deleted_below(first);
            self.trim_epochs();
            self.drop_quarantine();
        }
        self.publish();
        result.map(|()| deleted)
    }

    fn trim_epochs(&mut self) {
        if Arc::make_mut(&mut self.epochs).advance_start_to(self.positions.log_start) {
            self.epochs_dirty = true;
        }
    }

    /// What was quarantined below the local start is gone with the segments. The file keeps it until the next
    /// recovery; it does no harm there.
    fn drop_quarantine(&mut self) {
        let start = self.positions.local_start;
        if self.quarantine.iter().any(|range| range.offsets.end <= start) {
            Arc::make_mut(&mut self.quarantine).retain(|range| range.offsets.end > start);
        }
    }

    /// Renames a segment's files for deletion. The log's file counts; the others follow it.
    pub(super) fn rename_deleted(&mut self, segment: &Segment) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        let directory = self.path().to_owned();
        let snapshot_goes = segment.base < self.positions.log_end;
        let producers = if snapshot_goes { &FileKind::PRODUCER_STATE[..] } else { &[] };
        for kind in FileKind::SEGMENT.iter().chain(producers) {
            let name = kind.at(segment.base);
            let hidden = directory.join(format!("{name}{DELETED}"));
            match self.dir.disk.rename(&directory.join(name), &hidden) {
                Ok(()) => files.push(hidden),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if *kind == FileKind::Log => return Err(error),
                Err(error) => tracing::warn!(%error, file = %hidden.display(), "left for the next opening"),
            }
        }
        if snapshot_goes {
            self.snapshots.remove(&segment.base);
        }
        Ok(files)
    }
}
