//! A new head of a log: on stable storage before anybody is shown it, and before anything below it goes.
//!
//! The disk is waited for without the log's lock: begun under it, run without it, finished under it again.

use std::{
    io,
    sync::{Arc, Weak},
};

use highwater_records::{Offset, TimestampMs};

use super::{ChangeError, Deleted, Log, StartReason};
use crate::{
    directory::{LogDir, LogEntry},
    disk::{Disk, Open},
    museum::{Bug, has},
    name::FileKind,
    recovery::{not_found_is_none, remove_old_cuts},
    segment::Segment,
};

/// A new head of a log that was begun: a start that advances, or old segments that go. Dropping it without
/// [`Log::finish_head`] changes nothing that anybody is shown; after a restart the log may begin where it would have.
#[derive(Debug)]
#[must_use = "the head stays where it is until this has run"]
pub struct HeadJob {
    dir: Arc<LogDir>,
    entry: Arc<LogEntry>,
    /// The segment in which the log is to begin: its producers are made durable.
    begins_in: Option<Arc<Segment>>,
    /// Whether its batches are too: the start lies beyond what was promised.
    with_batches: bool,
    plan: Plan,
}

/// A new head that is on stable storage; its log must hear of it.
#[derive(Debug)]
#[must_use = "the head stays where it is until the log hears of it"]
pub struct HeadDone {
    plan: Plan,
    result: Result<(), ChangeError>,
}

#[derive(Clone, Debug)]
struct Plan {
    /// Where the log is to start, if that changes.
    start: Option<Offset>,
    /// Segments below go.
    delete_below: Option<Offset>,
    /// While this lives the start counts as asked for.
    token: Arc<()>,
}

/// New heads on their way to the disk. A truncation forgets them.
#[derive(Debug, Default)]
pub(super) struct Heads(Vec<(Option<Offset>, Weak<()>)>);

impl Heads {
    /// The highest start that somebody is writing down.
    pub(super) fn start(&self) -> Option<Offset> {
        self.0.iter().filter(|(_, token)| token.strong_count() > 0).filter_map(|(start, _)| *start).max()
    }

    /// The log is not what they were begun for.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    fn begin(&mut self, start: Option<Offset>) -> Arc<()> {
        let token = Arc::new(());
        self.0.retain(|(_, other)| other.strong_count() > 0);
        self.0.push((start, Arc::downgrade(&token)));
        token
    }

    /// Whether it was not forgotten.
    fn end(&mut self, token: &Arc<()>) -> bool {
        let before = self.0.len();
        self.0.retain(|(_, other)| !Weak::ptr_eq(other, &Arc::downgrade(token)));
        self.0.len() < before
    }
}

impl HeadJob {
    /// Makes it durable: what the log needs in order to begin there, and the start itself. Blocks for as long as the
    /// disk takes; hold no lock. A sync that fails takes the whole directory offline.
    pub fn run(self) -> HeadDone {
        let result = self.write();
        HeadDone { plan: self.plan, result }
    }

    fn write(&self) -> Result<(), ChangeError> {
        self.dir.check()?;
        if let Some(segment) = &self.begins_in {
            self.sync(segment).map_err(|error| match self.entry.is_gone(&error) {
                true => ChangeError::Disk(error),
                false => self.dir.health().fail("a sync failed", &error).into(),
            })?;
        }
        if self.plan.start.is_some() && !has(Bug::DeletedBeforeStartIsWritten) {
            self.dir.write_checkpoint_files()?;
        }
        Ok(())
    }

    /// What is below the new head may go now, or be lost: what that tells of producers and their transactions must not.
    fn sync(&self, segment: &Segment) -> io::Result<()> {
        if self.with_batches {
            segment.sync()?;
        }
        for kind in FileKind::PRODUCER_STATE {
            let path = self.entry.path.join(kind.at(segment.base));
            if let Some(file) = not_found_is_none(self.dir.disk.open(&path, Open::Write))? {
                file.sync_data()?;
            }
        }
        // The names of those, and of the segment itself.
        self.dir.disk.sync_dir(&self.entry.path)
    }
}

impl Log {
    /// Begins to move the log start up to `offset`. `None` where it is there already.
    ///
    /// # Errors
    /// `OutOfRange` above the high watermark; `Offline`, `Broken`.
    pub fn begin_advance(
        &mut self,
        offset: Offset,
        reason: StartReason,
    ) -> Result<Option<HeadJob>, ChangeError> {
        self.check()?;
        let (low, high) = (self.positions.log_start, self.positions.high_watermark);
        if offset > high {
            return Err(ChangeError::OutOfRange { asked: offset, low, high });
        }
        if offset <= low {
            return Ok(None);
        }
        tracing::debug!(log = %self.name(), %offset, ?reason, "the log start advances");
        let at = self.segments.partition_point(|segment| segment.base <= offset).checked_sub(1);
        let begins_in = at.map(|at| self.segments[at].clone());
        Ok(Some(self.begin_head(Some(offset), begins_in, None)))
    }

    /// Begins to delete whole segments, oldest first, that are too old or too many by the configuration, or lie below
    /// the log start; never beyond the high watermark, and of a synced log only what was settled
    /// ([`LogDir::settle`](crate::LogDir::settle)). On a tiered log only the last of the three. The log start moves with
    /// them. `None` if there is nothing to delete. Forgets producers that were silent for too long.
    ///
    /// # Errors
    /// The disk's; `Offline`, `Broken`.
    pub fn begin_retain(&mut self, now: TimestampMs) -> Result<Option<HeadJob>, ChangeError> {
        match self.check_free() {
            // What is reserved keeps its segment.
            Err(ChangeError::Busy) => {}
            free => free?,
        }
        self.expire_producers(now);
        let (disk, directory) = (self.dir.disk.clone(), self.path().to_owned());
        remove_old_cuts(&*disk, &directory, &mut self.cuts, now, self.config.retention_ms)?;
        let most = self.segments.len() - usize::from(self.is_busy());
        let count = self.due_segments(now)?.min(most);
        if count == self.segments.len() {
            // The active segment goes too: something must come after it.
            self.roll_active(now)?;
            self.publish();
        }
        if count == 0 {
            return Ok(None);
        }
        let first = self.segments[count].clone();
        let (base, start) = (first.base, self.positions.log_start);
        let start = (!self.config.tiered && base > start).then_some(base);
        Ok(Some(self.begin_head(start, Some(first), Some(base))))
    }

    /// Of a tiered log: begins to drop local copies of whole sealed segments that end at or below `offset`, which the
    /// caller knows to be in the bucket, as far as they are settled ([`LogDir::settle`](crate::LogDir::settle)). The log
    /// start stays, the local start moves. `None` if there is nothing to drop.
    ///
    /// # Errors
    /// `Offline`, `Broken`.
    pub fn begin_drop_local(&mut self, offset: Offset) -> Result<Option<HeadJob>, ChangeError> {
        self.check()?;
        let end = offset.min(self.positions.high_watermark);
        let sealed = self.segments.len() - 1;
        let count = self.segments[..sealed].partition_point(|segment| segment.facts().next_offset <= end);
        let count = count.min(self.settled_segments());
        if count == 0 {
            return Ok(None);
        }
        let first = self.segments[count].clone();
        let base = first.base;
        Ok(Some(self.begin_head(None, Some(first), Some(base))))
    }

    fn begin_head(
        &mut self,
        start: Option<Offset>,
        begins_in: Option<Arc<Segment>>,
        delete_below: Option<Offset>,
    ) -> HeadJob {
        let with_batches = start > Some(self.positions.durable_end) && delete_below.is_none();
        let token = self.heads.begin(start);
        // From here on a checkpoint may say so.
        self.publish();
        HeadJob {
            dir: self.dir.clone(),
            entry: self.entry.clone(),
            begins_in,
            with_batches,
            plan: Plan { start, delete_below, token },
        }
    }

    /// Notes a new head that has run: the start is shown, and old segments go. Their files are renamed now and removed
    /// by the next [`LogDir::write_checkpoints`](crate::LogDir::write_checkpoints). Returns what was deleted; nothing
    /// where the log was truncated since the job was begun.
    ///
    /// # Errors
    /// What the job ran into, and the disk's. The start is where it was unless it was written; what was deleted is.
    pub fn finish_head(&mut self, done: HeadDone) -> Result<Vec<Deleted>, ChangeError> {
        let HeadDone { plan: Plan { start, delete_below, token }, result } = done;
        let valid = self.heads.end(&token);
        drop(token);
        if result.is_err() || !valid {
            self.publish();
            return result.map(|()| Vec::new());
        }
        if let Some(start) = start.filter(|start| *start > self.positions.log_start) {
            self.positions.log_start = start;
            self.positions.local_start = self.positions.local_start.max(start);
            self.trim_epochs();
        }
        let below = |end| self.segments.partition_point(|segment| segment.base < end);
        let deleted = self.delete_head(delete_below.map_or(0, below));
        self.publish();
        Ok(deleted?)
    }

    /// All three steps at once: waits for syncs under the caller's lock. For programs with one thread.
    ///
    /// # Errors
    /// As [`Log::begin_advance`] and [`Log::finish_head`]. Returns the log start.
    pub fn advance_start_to(&mut self, offset: Offset, reason: StartReason) -> Result<Offset, ChangeError> {
        if let Some(job) = self.begin_advance(offset, reason)? {
            self.finish_head(job.run())?;
        }
        Ok(self.positions.log_start)
    }

    /// All three steps at once: waits for syncs under the caller's lock. For programs with one thread.
    ///
    /// # Errors
    /// As [`Log::begin_retain`] and [`Log::finish_head`].
    pub fn retain(&mut self, now: TimestampMs) -> Result<Vec<Deleted>, ChangeError> {
        match self.begin_retain(now)? {
            Some(job) => self.finish_head(job.run()),
            None => Ok(Vec::new()),
        }
    }

    /// All three steps at once: waits for syncs under the caller's lock. For programs with one thread.
    ///
    /// # Errors
    /// As [`Log::begin_drop_local`] and [`Log::finish_head`].
    pub fn drop_local_below(&mut self, offset: Offset) -> Result<Vec<Deleted>, ChangeError> {
        match self.begin_drop_local(offset)? {
            Some(job) => self.finish_head(job.run()),
            None => Ok(Vec::new()),
        }
    }
}
