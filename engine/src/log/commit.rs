//! Making appends durable: taken under the caller's lock, written without it, noted under it again.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use highwater_records::Offset;

use super::Log;
use crate::{
    directory::{Health, LogEntry, Offline},
    disk::{Disk, DiskFile, Open, write_file},
    epochs::{self, LeaderEpochs},
    journal::{self, Journal, JournalError, JournaledBatch, Place},
    museum::{Bug, has},
    name::{FileKind, TEMPORARY},
    points::NewPoint,
    recovery::not_found_is_none,
    segment::Segment,
};

/// A commit that was begun: makes everything durable that was appended before it was taken. Dropping it without
/// [`Log::finish_commit`] loses nothing: the next one takes it all again.
#[derive(Debug)]
#[must_use = "nothing is durable until it has run"]
pub struct CommitJob {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    health: Arc<Health>,
    journal: Arc<Journal>,
    entry: Arc<LogEntry>,
    /// How often the log had been truncated.
    truncations: u64,
    segments: Vec<Arc<Segment>>,
    snapshots: Vec<Arc<dyn DiskFile>>,
    names: u64,
    /// The trusted points, if they are to be synced too.
    points: Option<PathBuf>,
    way: Way,
    plan: Plan,
}

/// How it becomes durable.
#[derive(Debug)]
enum Way {
    /// These batches, all of the commit, go into the journal.
    Journal(Vec<JournaledBatch>),
    /// These too if others go there at the same time; else the files are synced.
    Either(Vec<JournaledBatch>, FilesToo),
    /// The files are synced.
    Files(FilesToo),
}

/// What is synced beside the segments that were appended to.
#[derive(Debug)]
struct FilesToo {
    epochs: Option<Arc<LeaderEpochs>>,
    /// Segments that earlier commits left to the journal.
    unsettled: Vec<Arc<Segment>>,
}

impl Way {
    /// What goes into the journal, or what is synced.
    fn chosen(self, alone: bool) -> Result<Vec<JournaledBatch>, FilesToo> {
        match self {
            Way::Either(_, files) if alone => Err(files),
            Way::Files(files) => Err(files),
            Way::Journal(batches) | Way::Either(batches, _) => Ok(batches),
        }
    }
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
    in_files: bool,
    /// The log was truncated before it was written: nothing was done.
    void: bool,
    result: Result<(), CommitError>,
}

#[derive(Debug)]
struct Plan {
    /// Everything below is durable once the job has run.
    target: Offset,
    /// Everything below was decided when the job was taken, by markers below the target.
    last_stable: Offset,
    /// The active segment's base and size when the job was taken.
    active: (Offset, u64),
    /// What is written once everything below it is durable.
    point: Option<NewPoint>,
    /// Up to where the active segment's points are synced by the job.
    points_synced: Option<u64>,
    /// While this lives, no other commit of the log begins.
    _token: Arc<()>,
}

/// A commit that did not happen. Whatever waits for it must not be acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Report: a sync failed, so nobody knows what is on the media. A restart is needed.
    #[error(transparent)]
    Offline(#[from] Offline),
    /// Commit again later: the disk refused a small file that belongs to the commit, or the journal's next file, for
    /// example because it is full. No sync failed.
    #[error("cannot commit: {0}")]
    Disk(String),
}

impl From<JournalError> for CommitError {
    fn from(error: JournalError) -> CommitError {
        match error {
            JournalError::Offline(offline) => CommitError::Offline(offline),
            JournalError::Disk(error) => CommitError::Disk(error.to_string()),
        }
    }
}

/// What went wrong, by what it means for the directory.
enum Failed {
    Sync(io::Error),
    Change(io::Error),
}

impl CommitJob {
    /// Makes it durable. Blocks for as long as the disk takes; hold no lock. A sync that fails takes the whole directory
    /// offline.
    pub fn run(self) -> CommitDone {
        self.start(true).finish()
    }

    /// Runs several, of any logs, in the order given: what goes through a directory's journal shares its writes, and more
    /// of each log goes there than of one that commits alone.
    pub fn run_all(jobs: Vec<CommitJob>) -> Vec<CommitDone> {
        let started: Vec<Started> = {
            let alone = jobs.len() == 1;
            jobs.into_iter().map(|job| job.start(alone)).collect()
        };
        started.into_iter().map(Started::finish).collect()
    }

    /// Whether it goes through the journal, so that it is best run together with others.
    pub fn is_journaled(&self) -> bool {
        matches!(self.way, Way::Journal(_) | Way::Either(..))
    }

    /// All but the wait for the journal.
    pub(crate) fn start(self, alone: bool) -> Started {
        let CommitJob {
            disk,
            directory,
            health,
            journal,
            entry,
            truncations,
            segments,
            snapshots,
            names,
            points,
            way,
            plan,
        } = self;
        let mut done = CommitDone {
            plan,
            segments,
            snapshots: snapshots.len(),
            names,
            epochs: None,
            in_files: false,
            void: false,
            result: health.check().map_err(CommitError::Offline),
        };
        let unsynced = |error: &io::Error| match entry.is_gone(error) {
            true => CommitError::Disk(error.to_string()),
            false => CommitError::Offline(health.fail("a sync failed", error)),
        };
        if let (Ok(()), Some(points)) = (&done.result, points) {
            done.result = sync_points(&*disk, &directory, &points).map_err(|error| unsynced(&error));
        }
        let mut place = None;
        let way = way.chosen(alone);
        if done.result.is_ok() {
            match way {
                Ok(batches) => {
                    let segments = done.segments.clone();
                    let appended = journal::Appended { batches, segments, snapshots, names };
                    place = journal.submit_batches(&entry, truncations, appended);
                    done.void = place.is_none();
                }
                Err(FilesToo { epochs, unsettled }) => {
                    done.in_files = true;
                    let files =
                        Files { disk, directory, segments: &done.segments, unsettled, snapshots, names };
                    done.result = files.sync(epochs.as_deref()).map_err(|failed| match failed {
                        Failed::Sync(error) => unsynced(&error),
                        Failed::Change(error) => CommitError::Disk(error.to_string()),
                    });
                    done.epochs = epochs;
                    if done.result.is_ok() {
                        place = journal.submit_floor(&entry, truncations, done.plan.target);
                    }
                }
            }
        }
        Started { done, journal, place }
    }
}

/// A job whose files are synced, and whose place in the journal has to be waited for.
pub(crate) struct Started {
    done: CommitDone,
    journal: Arc<Journal>,
    pub(crate) place: Option<Place>,
}

impl Started {
    pub(crate) fn finish(self) -> CommitDone {
        let Started { mut done, journal, place } = self;
        if let Some(place) = place
            && let Err(error) = journal.wait(place)
        {
            done.result = Err(error.into());
        }
        done
    }
}

/// What is synced where a commit does not go through the journal.
struct Files<'a> {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    segments: &'a [Arc<Segment>],
    unsettled: Vec<Arc<Segment>>,
    snapshots: Vec<Arc<dyn DiskFile>>,
    names: u64,
}

impl Files<'_> {
    fn sync(self, epochs: Option<&LeaderEpochs>) -> Result<(), Failed> {
        if has(Bug::LazySync) {
            return Ok(());
        }
        for segment in self.segments.iter().chain(&self.unsettled) {
            segment.sync().map_err(Failed::Sync)?;
        }
        for snapshot in &self.snapshots {
            snapshot.sync_data().map_err(Failed::Sync)?;
        }
        if let Some(epochs) = epochs {
            // Not the name that others use, under the caller's lock, while this runs.
            let temporary = self.directory.join(format!("{}.commit{TEMPORARY}", epochs::FILE_NAME));
            let file =
                write_file(&*self.disk, &temporary, epochs.encode().as_bytes()).map_err(Failed::Change)?;
            file.sync_data().map_err(Failed::Sync)?;
            self.disk.rename(&temporary, &self.directory.join(epochs::FILE_NAME)).map_err(Failed::Change)?;
        }
        let named = epochs.is_some() || self.names > 0 || !self.unsettled.is_empty();
        if named && !has(Bug::NameNotSynced) {
            self.disk.sync_dir(&self.directory).map_err(Failed::Sync)?;
        }
        Ok(())
    }
}

/// What is there of them, and their name.
fn sync_points(disk: &dyn Disk, directory: &Path, points: &Path) -> io::Result<()> {
    match not_found_is_none(disk.open(points, Open::Write))? {
        Some(file) => file.sync_data()?,
        None => return Ok(()),
    }
    disk.sync_dir(directory)
}

impl Log {
    /// Takes everything that is not durable yet, or `None` if there is nothing, a commit is under way already, or the
    /// directory is offline.
    ///
    /// Of a synced log it goes into the directory's journal, up to a size beyond which a sync of the files is cheaper;
    /// of a replicated log the files are synced.
    pub fn begin_commit(&mut self) -> Option<CommitJob> {
        let nothing = if self.journals() {
            self.positions.durable_end == self.positions.log_end
        } else {
            self.pending.segments.is_empty() && self.pending.names == 0 && !self.epochs_dirty
        };
        if nothing { None } else { self.begin(false) }
    }

    /// Like [`Log::begin_commit`], but syncs the files of a synced log too: afterwards the log has nothing in the
    /// journal that is not in its files.
    pub fn begin_sync(&mut self) -> Option<CommitJob> {
        let nothing = self.pending.segments.is_empty()
            && self.pending.names == 0
            && !self.epochs_dirty
            && self.dir.journal.unsettled(self.id()).is_empty();
        if nothing { None } else { self.begin(true) }
    }

    fn begin(&mut self, in_files: bool) -> Option<CommitJob> {
        self.check_free().ok()?;
        if self.committing.strong_count() > 0 {
            return None;
        }
        let token = Arc::new(());
        self.committing = Arc::downgrade(&token);
        self.pending.truncated_to = None;
        let batches = self.pending.batches.take(self.positions.durable_end);
        let batches = batches.filter(|_| self.journals() && !in_files);
        let size = batches.iter().flatten().map(|batch| batch.bytes.len() as u64).sum::<u64>();
        let files = || FilesToo {
            epochs: self.epochs_dirty.then(|| self.epochs.clone()),
            unsettled: self.dir.journal.unsettled(self.id()),
        };
        let way = match batches {
            Some(batches) if size <= self.dir.journal.alone_bytes() => Way::Journal(batches),
            Some(batches) => Way::Either(batches, files()),
            None => Way::Files(files()),
        };
        let point = self.new_point();
        if has(Bug::PointBeforeCommit)
            && let Some(point) = &point
        {
            self.write_point(point);
        }
        let active = self.active();
        let sync_points = self.points.sync_is_due(self.config.point_bytes);
        Some(CommitJob {
            disk: self.dir.disk.clone(),
            directory: self.path().to_owned(),
            health: self.dir.health().clone(),
            journal: self.dir.journal.clone(),
            entry: self.entry.clone(),
            truncations: self.entry.truncations.load(Ordering::Acquire),
            segments: self.pending.segments.clone(),
            snapshots: self.pending.snapshots.clone(),
            names: self.pending.names,
            points: sync_points.then(|| self.path().join(FileKind::Points.at(active.base))),
            way,
            plan: Plan {
                target: self.positions.log_end,
                last_stable: self.positions.last_stable,
                active: (active.base, active.facts().size),
                point,
                points_synced: sync_points.then(|| self.points.at()),
                _token: token,
            },
        })
    }

    /// Whether a commit was begun that is not finished, or dropped, yet.
    pub fn is_committing(&self) -> bool {
        self.committing.strong_count() > 0
    }

    /// Notes a commit that has run. Returns the durable end: everything below it survives a power cut.
    ///
    /// # Errors
    /// [`CommitError::Offline`] if a sync failed: the durable end has not moved and never will.
    /// [`CommitError::Disk`] if the disk refused for now: everything is still pending.
    pub fn finish_commit(&mut self, done: CommitDone) -> Result<Offset, CommitError> {
        let CommitDone { plan, segments, snapshots, names, epochs, in_files, void, result } = done;
        result?;
        if void {
            // The truncation has taken care of what it left; the rest is for the next commit.
            return Ok(self.positions.durable_end);
        }
        let active = self.active().clone();
        let untouched = (active.base, active.facts().size) == plan.active;
        self.pending.segments.retain(|segment| {
            let covered = segments.iter().any(|covered| Arc::ptr_eq(covered, segment));
            // What was active when the job was taken may have grown, or been sealed, since.
            let complete = segment.base != plan.active.0 || untouched;
            // What lies in the journal only stays open: a sync that fails must be heard of.
            if covered && complete && in_files && segment.base != active.base {
                segment.release();
            }
            !(covered && complete)
        });
        self.pending.names -= names.min(self.pending.names);
        self.pending.snapshots.drain(..snapshots.min(self.pending.snapshots.len()));
        if let Some(written) = epochs {
            // It may also have overwritten what was newer.
            self.epochs_dirty = !Arc::ptr_eq(&written, &self.epochs);
        }
        let target = if has(Bug::CommitCoversLaterAppends) { self.positions.log_end } else { plan.target };
        let reached = self.pending.truncated_to.map_or(target, |to| to.min(target));
        self.positions.durable_end = reached.max(self.positions.durable_end).min(self.positions.log_end);
        if reached == plan.target {
            self.decided = plan.last_stable;
            if let (true, Some(synced)) = (active.base == plan.active.0, plan.points_synced) {
                self.points.was_synced(synced);
            }
            if let Some(point) = &plan.point {
                self.write_point(point);
            }
            self.drop_points_behind();
        }
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
