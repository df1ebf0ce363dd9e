//! What goes at the head of a log, and how.

use std::{io, path::PathBuf, sync::Arc};

use highwater_records::{Offset, TimestampMs};

use super::Log;
use crate::{
    disk::{Disk, replace_file},
    epochs,
    museum::{Bug, has},
    name::{DELETED, FileKind},
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
    /// How many of the oldest segments retention lets go.
    pub(super) fn due_segments(&self, now: TimestampMs) -> io::Result<usize> {
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
                || facts.next_offset > self.positions.high_watermark && !has(Bug::RetentionAboveWatermark)
                || at >= settled
            {
                break;
            }
            excess = excess.saturating_sub(facts.size);
            count += 1;
        }
        Ok(count)
    }

    /// Gives up what only makes reading faster: the descriptors of sealed segments, which whoever reads them next opens again,
    /// and the places of the newest batches where none was appended since this was last called. What nobody has synced yet
    /// keeps its descriptor: a sync that fails must be heard of.
    pub fn release_sealed(&self) {
        self.releasable().for_each(|segment| segment.release());
        self.active().rest();
    }

    fn releasable(&self) -> impl Iterator<Item = &Arc<Segment>> {
        let unsettled = self.unsettled();
        let sealed = self.segments[..self.segments.len() - 1].iter().filter(|segment| segment.is_sealed());
        sealed.filter(move |segment| !unsettled.iter().any(|other| Arc::ptr_eq(other, segment)))
    }

    /// Whether [`Log::release_sealed`] and [`Log::begin_retain`] have anything to do that may wait for the disk, or fail.
    /// Where they have not, this does what they do.
    pub fn owes_retention(&mut self, now: TimestampMs) -> bool {
        self.expire_producers(now);
        let deletes = || self.due_segments(now).map_or(true, |count| count > 0);
        let owes = self.reserved.is_some()
            || !self.cuts.is_empty()
            || self.releasable().any(|segment| segment.is_held())
            || deletes();
        if !owes {
            self.active().rest();
        }
        owes
    }

    /// When something is owed to the log by the configuration even if nobody appends: its last segment is to be sealed,
    /// its oldest one, or what a recovery cut off, is too old. `None` if that is never the case; at the earliest one
    /// millisecond after `now`.
    pub fn next_due(&self, now: TimestampMs) -> Option<TimestampMs> {
        let after =
            |from: i64, ms: u64| from.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)).saturating_add(1);
        let retention_ms = self.config.retention_ms.filter(|_| !self.config.tiered);
        let facts = self.segments[0].facts();
        let newest = facts.max_timestamp.map_or(now.0, |(newest, _)| newest.0);
        let oldest = retention_ms.filter(|_| facts.size > 0).map(|ms| after(newest, ms));
        let cut = self.cuts.iter().map(|(_, time)| *time).min();
        let cut = cut.and_then(|time| Some(after(time, self.config.retention_ms?)));
        let roll = self.roll_due().map(|due| due.0);
        let due = [oldest, cut, roll].into_iter().flatten().min()?;
        Some(TimestampMs(due.max(now.0.saturating_add(1))))
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

    /// Whether every sealed segment lies in its own files, so that it may be deleted: a replay of the journal would bring
    /// others back.
    pub fn is_sealed_settled(&self) -> bool {
        self.settled_segments() >= self.segments.len() - 1
    }

    /// How many of the oldest segments may be deleted: a replay of the journal would bring back those that it covers.
    pub(super) fn settled_segments(&self) -> usize {
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
    pub(super) fn delete_head(&mut self, count: usize) -> io::Result<Vec<Deleted>> {
        let mut deleted = Vec::new();
        if self.gate.is_closed() {
            // Names of segments are being given to others; the next round deletes.
            return Ok(deleted);
        }
        if count > 0 && self.config.tiered {
            // The lineage below the local start must go on to agree with the bucket's.
            self.write_epochs()?;
        }
        self.as_opened = false;
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

    /// Writes where epochs began, if that file is behind: commits through the journal leave it alone, since the batches show
    /// it. Called before batches go that will not. Durable on return; it waits for a sync, once for each new epoch.
    pub(super) fn write_epochs(&mut self) -> io::Result<()> {
        if self.epochs_dirty {
            let file = self.epochs.encode();
            replace_file(&*self.dir.disk, self.path(), epochs::FILE_NAME, file.as_bytes())?;
            self.epochs_dirty = false;
        }
        Ok(())
    }

    pub(super) fn trim_epochs(&mut self) {
        if Arc::make_mut(&mut self.epochs).advance_start_to(self.positions.log_start) {
            self.epochs_dirty = true;
        }
    }

    /// What was quarantined in segments that are gone is gone with them. The file keeps it until the next recovery; it
    /// does no harm there.
    fn drop_quarantine(&mut self) {
        let first = self.segments[0].base;
        if self.quarantine.iter().any(|range| range.offsets.end <= first) {
            Arc::make_mut(&mut self.quarantine).retain(|range| range.offsets.end > first);
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
