//! Making appends durable: taken under the caller's lock, synced without it, noted under it again.

use std::{io, path::PathBuf, sync::Arc};

use highwater_records::Offset;

use super::Log;
use crate::{
    directory::{Health, Offline},
    disk::{Disk, DiskFile, write_file},
    epochs::{self, LeaderEpochs},
    name::TEMPORARY,
    segment::Segment,
};

/// What is not durable yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Segments that have bytes since they were last synced, oldest first.
    segments: Vec<Arc<Segment>>,
    /// Producer snapshots that were written.
    snapshots: Vec<Arc<dyn DiskFile>>,
    /// Names created since the directory was last synced.
    names: u64,
    /// The lowest point that the log was truncated to while a commit was under way.
    truncated_to: Option<Offset>,
}

impl Pending {
    pub(super) fn touch(&mut self, segment: &Arc<Segment>) {
        if self.segments.last().is_none_or(|last| !Arc::ptr_eq(last, segment)) {
            self.segments.push(segment.clone());
        }
    }

    /// A new segment, and the snapshot that belongs to it.
    pub(super) fn created(&mut self, snapshot: Vec<Arc<dyn DiskFile>>) {
        self.snapshots.extend(snapshot);
        self.names += 1;
    }

    pub(super) fn truncated(&mut self, to: Offset) {
        self.truncated_to = Some(self.truncated_to.map_or(to, |before| before.min(to)));
        self.segments.retain(|segment| segment.base < to);
    }

    /// Forgets deleted segments.
    pub(super) fn deleted_below(&mut self, first: Offset) {
        self.segments.retain(|segment| segment.base >= first);
    }

    pub(super) fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    pub(super) fn clear(&mut self) {
        self.segments.clear();
        self.snapshots.clear();
        self.names = 0;
    }
}

/// A commit that was begun: syncs everything appended before it was taken. Dropping it without
/// [`Log::finish_commit`] loses nothing: the next one takes it all again.
#[derive(Debug)]
#[must_use = "nothing is durable until it has run"]
pub struct CommitJob {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    health: Arc<Health>,
    segments: Vec<Arc<Segment>>,
    snapshots: Vec<Arc<dyn DiskFile>>,
    names: u64,
    epochs: Option<Arc<LeaderEpochs>>,
    plan: Plan,
}

/// A commit that has run; its log must hear of it.
#[derive(Debug)]
#[must_use = "the log's durable end moves only when the log hears of it"]
pub struct CommitDone {
    plan: Plan,
    segments: Vec<Arc<Segment>>,
    snapshots: usize,
    names: u64,
    epochs: Option<Arc<LeaderEpochs>>,
    result: Result<(), CommitError>,
}

#[derive(Debug)]
struct Plan {
    /// Everything below is durable once the job has run.
    target: Offset,
    /// The active segment's base and size when the job was taken.
    active: (Offset, u64),
    /// While this lives, no other commit of the log begins.
    _token: Arc<()>,
}

/// A commit that did not happen. Whatever waits for it must not be acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Report: a sync failed, so nobody knows what is on the media. A restart is needed.
    #[error(transparent)]
    Offline(#[from] Offline),
    /// Commit again later: the disk refused a small file that belongs to the commit, for example because it is full. No
    /// sync failed.
    #[error("cannot commit: {0}")]
    Disk(String),
}

/// What went wrong, by what it means for the directory.
enum Failed {
    Sync(io::Error),
    Change(io::Error),
}

impl CommitJob {
    /// Syncs. Blocks for as long as the disk takes; hold no lock. A sync that fails takes the whole directory offline.
    pub fn run(self) -> CommitDone {
        let CommitJob { disk, directory, health, segments, snapshots, names, epochs, plan } = self;
        let sync = || -> Result<(), Failed> {
            for segment in &segments {
                segment.sync().map_err(Failed::Sync)?;
            }
            for snapshot in &snapshots {
                snapshot.sync_data().map_err(Failed::Sync)?;
            }
            if let Some(epochs) = &epochs {
                let temporary = directory.join(format!("{}{TEMPORARY}", epochs::FILE_NAME));
                let file =
                    write_file(&*disk, &temporary, epochs.encode().as_bytes()).map_err(Failed::Change)?;
                file.sync_data().map_err(Failed::Sync)?;
                disk.rename(&temporary, &directory.join(epochs::FILE_NAME)).map_err(Failed::Change)?;
            }
            if epochs.is_some() || names > 0 {
                disk.sync_dir(&directory).map_err(Failed::Sync)?;
            }
            Ok(())
        };
        let result = health.check().map_err(CommitError::Offline).and_then(|()| {
            sync().map_err(|failed| match failed {
                Failed::Sync(error) => CommitError::Offline(health.fail("a sync failed", &error)),
                Failed::Change(error) => CommitError::Disk(error.to_string()),
            })
        });
        CommitDone { plan, segments, snapshots: snapshots.len(), names, epochs, result }
    }
}

impl Log {
    /// Takes everything that is not durable yet, or `None` if there is nothing, a commit is under way already, or the
    /// directory is offline.
    pub fn begin_commit(&mut self) -> Option<CommitJob> {
        self.check().ok()?;
        let nothing = self.pending.segments.is_empty() && self.pending.names == 0 && !self.epochs_dirty;
        if nothing || self.committing.strong_count() > 0 {
            return None;
        }
        let token = Arc::new(());
        self.committing = Arc::downgrade(&token);
        self.pending.truncated_to = None;
        let active = self.active();
        Some(CommitJob {
            disk: self.dir.disk.clone(),
            directory: self.path().to_owned(),
            health: self.dir.health().clone(),
            segments: self.pending.segments.clone(),
            snapshots: self.pending.snapshots.clone(),
            names: self.pending.names,
            epochs: self.epochs_dirty.then(|| self.epochs.clone()),
            plan: Plan {
                target: self.positions.log_end,
                active: (active.base, active.facts().size),
                _token: token,
            },
        })
    }

    /// Whether a commit was begun that is not finished, or dropped, yet.
    pub(crate) fn is_committing(&self) -> bool {
        self.committing.strong_count() > 0
    }

    /// Notes a commit that has run. Returns the durable end: everything below it survives a power cut.
    ///
    /// # Errors
    /// [`CommitError::Offline`] if a sync failed: the durable end has not moved and never will.
    /// [`CommitError::Disk`] if the disk refused for now: everything is still pending.
    pub fn finish_commit(&mut self, done: CommitDone) -> Result<Offset, CommitError> {
        let CommitDone { plan, segments, snapshots, names, epochs, result } = done;
        result?;
        let active = self.active().clone();
        let untouched = (active.base, active.facts().size) == plan.active;
        self.pending.segments.retain(|segment| {
            let synced = segments.iter().any(|synced| Arc::ptr_eq(synced, segment));
            // What was active when the job was taken may have grown, or been sealed, since.
            let complete = segment.base != plan.active.0 || untouched;
            if synced && complete && segment.base != active.base {
                segment.release();
            }
            !(synced && complete)
        });
        self.pending.names -= names.min(self.pending.names);
        self.pending.snapshots.drain(..snapshots.min(self.pending.snapshots.len()));
        if epochs.is_some_and(|written| Arc::ptr_eq(&written, &self.epochs)) {
            self.epochs_dirty = false;
        }
        let reached = self.pending.truncated_to.map_or(plan.target, |to| to.min(plan.target));
        self.positions.durable_end = reached.max(self.positions.durable_end).min(self.positions.log_end);
        self.follow_own_watermark();
        self.publish();
        Ok(self.positions.durable_end)
    }

    /// All three steps at once: syncs under the caller's lock. For programs with one thread.
    ///
    /// # Errors
    /// As [`Log::finish_commit`].
    pub fn commit(&mut self) -> Result<Offset, CommitError> {
        match self.begin_commit() {
            Some(job) => {
                let done = job.run();
                self.finish_commit(done)
            }
            None => {
                self.dir.check()?;
                Ok(self.positions.durable_end)
            }
        }
    }
}
