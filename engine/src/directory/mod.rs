//! The directory of many: one lock, one set of checkpoints, any number of logs, each opened when it is needed.

pub(crate) mod catalog;
pub(crate) mod checkpoint;
mod entry;
pub(crate) mod meta;
mod open;
mod remembered;
mod remove;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use highwater_records::{BrokerId, TopicId};

use checkpoint::{Checkpoint, Checkpoints, Offsets};
pub(crate) use entry::{EntryState, LogEntry};
pub(crate) use meta::Claim;
#[cfg(test)]
pub(crate) use meta::PartitionMetadata;
pub use open::{OpenDirError, OpenReport};
pub use remove::DeleteLogError;

use crate::{
    config::LogConfig,
    disk::{Disk, DiskLock, KeepingDisk, replace_file},
    journal::{Journal, JournalError},
    log::{CreateLogError, Log, OpenLogError},
    museum::{Bug, has},
    name::LogName,
    recovery::RecoveryReport,
    sync::{Mutex, RwLock},
};
use highwater_records::TimestampMs;

/// A directory of logs, open and locked. Everything takes `&self`; share it in an [`Arc`].
///
/// Order of use: [`LogDir::open`]; any number of [`LogDir::create_log`], [`LogDir::open_log`] and
/// [`LogDir::delete_log`]; [`LogDir::write_checkpoints`] from time to time; [`Log::close`] for each open log, then
/// [`LogDir::close`]. Dropping it instead is as good as a crash: the next opening recovers.
#[derive(Debug)]
pub struct LogDir {
    pub(crate) disk: Arc<KeepingDisk>,
    pub(crate) path: PathBuf,
    health: Arc<Health>,
    pub(crate) journal: Arc<Journal>,
    clean_at_open: bool,
    logs: Mutex<BTreeMap<LogName, Arc<LogEntry>>>,
    /// Taken while the files are written: they have one writer.
    checkpoints: Mutex<Checkpoints>,
    /// Files renamed for deletion, by the directory they lie in.
    doomed: Mutex<BTreeMap<PathBuf, Vec<PathBuf>>>,
    _lock: Box<dyn DiskLock>,
}

/// How many files that are only read a [`LogDir`] keeps open, unless [`LogDir::set_open_files`] says otherwise: half of the
/// descriptors that a process has where nobody has given it more.
pub const OPEN_FILES: usize = 512;

/// What [`LogDir::open`] is told.
#[derive(Clone, Debug)]
pub struct DirOptions {
    /// The cluster this directory must belong to.
    pub cluster_id: String,
    /// The broker this directory must belong to.
    pub node_id: BrokerId,
    /// The directory's identity if it is new. Random: [`TopicId::from_random`].
    pub new_directory_id: TopicId,
}

/// Whether a directory can still be written, shared with whoever writes.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failure: RwLock<Option<Arc<str>>>,
}

impl Health {
    /// # Errors
    /// [`Offline`] once a sync has failed.
    pub(crate) fn check(&self) -> Result<(), Offline> {
        match &*self.failure.read() {
            None => Ok(()),
            Some(reason) => Err(Offline { reason: reason.clone() }),
        }
    }

    /// Takes the directory offline. The first reason stays.
    pub(crate) fn fail(&self, what: &str, error: &io::Error) -> Offline {
        if has(Bug::FailedSyncForgiven) {
            return Offline { reason: format!("{what}: {error}").into() };
        }
        let mut failure = self.failure.write();
        let reason = failure.get_or_insert_with(|| format!("{what}: {error}").into()).clone();
        tracing::error!(%reason, "the data directory is offline");
        Offline { reason }
    }
}

/// A sync failed in this directory. Nobody knows what is on the media, so nothing is written, acknowledged or shown
/// from it any more; a restart reads what is there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the data directory is offline ({reason}); restart the broker once the disk is sound")]
pub struct Offline {
    reason: Arc<str>,
}

/// Why [`LogDir::write_checkpoints`] or [`LogDir::close`] failed.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The directory is offline.
    #[error(transparent)]
    Offline(#[from] Offline),
    /// The files could not be written; the ones from before still hold. Try again.
    #[error("cannot write the checkpoints: {0}")]
    Disk(#[from] io::Error),
    /// [`LogDir::close`] only: close these first.
    #[error("still open: {}", names(.0))]
    StillOpen(Vec<LogName>),
}

impl From<JournalError> for CheckpointError {
    fn from(error: JournalError) -> CheckpointError {
        match error {
            JournalError::Offline(offline) => CheckpointError::Offline(offline),
            JournalError::Disk(error) => CheckpointError::Disk(error),
        }
    }
}

fn names(names: &[LogName]) -> String {
    names.iter().map(LogName::to_string).collect::<Vec<_>>().join(", ")
}

/// How [`LogDir::close`] left the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseReport {
    /// Whether the next opening can trust what it finds. Not so if logs were left unrecovered since an unclean stop:
    /// they are recovered when they are opened.
    pub clean: bool,
}

impl LogDir {
    /// The logs there are, open or not, by name.
    pub fn logs(&self) -> Vec<(LogName, TopicId)> {
        self.logs.lock().values().map(|entry| (entry.name.clone(), entry.topic_id)).collect()
    }

    /// The topic to which the log of this name belongs, open or not; `None` if there is none.
    pub fn topic_id_of(&self, name: &LogName) -> Option<TopicId> {
        self.logs.lock().get(name).map(|entry| entry.topic_id)
    }

    /// Whether the topic id of this log is what was written: our checksum says so, or somebody did by
    /// [`LogDir::vouch`]. Kafka writes none, so of its logs a flipped bit may have made another topic's: nobody should
    /// delete one for belonging to nobody. `false` if there is no such log.
    pub fn is_vouched(&self, name: &LogName) -> bool {
        self.logs.lock().get(name).is_some_and(|entry| entry.vouched.load(Ordering::Acquire))
    }

    /// Somebody who knows says that the topic id of this log is right: from now on a checksum does. Durable when it
    /// returns; nothing to do if there is no such log, or one already.
    ///
    /// # Errors
    /// The disk's.
    pub fn vouch(&self, name: &LogName) -> io::Result<()> {
        let Some(entry) = self.logs.lock().get(name).cloned() else { return Ok(()) };
        if entry.vouched.load(Ordering::Acquire) {
            return Ok(());
        }
        let metadata = meta::encode_partition_metadata(entry.topic_id);
        replace_file(&*self.disk, &entry.path, meta::PARTITION_METADATA, metadata.as_bytes())?;
        entry.vouched.store(true, Ordering::Release);
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates a log that starts at offset 0 and opens it. Its name is durable when this returns.
    ///
    /// # Errors
    /// `Exists` if there is one, whatever its topic id.
    pub fn create_log(
        self: &Arc<Self>,
        name: LogName,
        topic_id: TopicId,
        config: LogConfig,
        now: TimestampMs,
    ) -> Result<Log, CreateLogError> {
        self.check()?;
        if self.logs.lock().contains_key(&name) {
            return Err(CreateLogError::Exists(name));
        }
        if self.checkpoints.lock().know(&name) {
            // Of a deleted log that had this name: its recovery point must not bind this one.
            self.write_checkpoint_files()?;
        }
        let path = self.path.join(name.to_string());
        let disk = &*self.disk;
        disk.create_dir_all(&path)?;
        let metadata = meta::encode_partition_metadata(topic_id);
        replace_file(disk, &path, meta::PARTITION_METADATA, metadata.as_bytes())?;
        disk.sync_dir(&self.path)?;
        let zero = Some(highwater_records::Offset::ZERO);
        // A rest of an unfinished creation holds no records, so nothing below its start can be missing.
        let state = EntryState { log_start: zero, high_watermark: zero, ..EntryState::default() };
        let metadata = meta::PartitionMetadata { topic_id, vouched: true };
        let entry = Arc::new(LogEntry::new(name.clone(), metadata, path, state));
        match self.logs.lock().entry(name) {
            std::collections::btree_map::Entry::Occupied(taken) => {
                return Err(CreateLogError::Exists(taken.key().clone()));
            }
            std::collections::btree_map::Entry::Vacant(free) => free.insert(entry.clone()),
        };
        let (log, _) = Log::open(self.clone(), entry, config, now)?;
        Ok(log)
    }

    /// Opens a log, recovering it first if the last stop was not clean.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyOpen`, or what reading it ran into. Damage is no error: see [`RecoveryReport`].
    pub fn open_log(
        self: &Arc<Self>,
        name: &LogName,
        config: LogConfig,
        now: TimestampMs,
    ) -> Result<(Log, RecoveryReport), OpenLogError> {
        self.check()?;
        let entry =
            self.logs.lock().get(name).cloned().ok_or_else(|| OpenLogError::NotFound(name.clone()))?;
        Log::open(self.clone(), entry, config, now)
    }

    /// Has a log's every batch read when it is opened next, and everything below `end` (exclusive) count as promised,
    /// whatever the checkpoints say.
    pub(crate) fn reread(&self, name: &LogName, end: highwater_records::Offset) {
        if let Some(entry) = self.logs.lock().get(name) {
            entry.state.lock().reread = Some(end);
        }
    }

    /// Settles every log ([`LogDir::settle`]), writes the checkpoint files if anything changed since they were
    /// last written, and removes files whose deletion has become final by that. Durable when it returns; takes no log's
    /// lock.
    ///
    /// # Errors
    /// When offline, or the disk's.
    pub fn write_checkpoints(&self) -> Result<(), CheckpointError> {
        self.settle()?;
        self.write_checkpoint_files()
    }

    /// Syncs the files of every synced log that has something in the journal and maybe nowhere else, so that the
    /// journal's room is free for others and retention may delete what it covered. Blocks, and takes no log's lock.
    ///
    /// # Errors
    /// When offline, or the disk's.
    pub fn settle(&self) -> Result<(), CheckpointError> {
        Ok(self.journal.settle_all()?)
    }

    /// Whether somebody should call [`LogDir::relieve`]: half of the journal is in use, or half of its current file, and
    /// the next one is not there yet. Where nobody does, one of the commits does it later, and takes that much longer:
    /// 16 MiB of zeros and their sync for a file of the default size, a sync of each log that has to be settled.
    pub fn wants_relief(&self) -> bool {
        self.journal.wants_relief()
    }

    /// Makes the journal's next file, and does as [`LogDir::settle_older`] does, where it is time for either. Blocks, and
    /// takes no log's lock; commits go on meanwhile.
    ///
    /// # Errors
    /// When offline, or the disk's.
    pub fn relieve(&self) -> Result<(), CheckpointError> {
        Ok(self.journal.relieve()?)
    }

    /// Like [`LogDir::settle`], for the logs that keep the older half of the journal in use.
    ///
    /// # Errors
    /// When offline, or the disk's.
    pub fn settle_older(&self) -> Result<(), CheckpointError> {
        self.journal.settle_older()?;
        Ok(())
    }

    pub(crate) fn write_checkpoint_files(&self) -> Result<(), CheckpointError> {
        self.check()?;
        let mut checkpoints = self.checkpoints.lock();
        let doomed = std::mem::take(&mut *self.doomed.lock());
        let states: Vec<(Arc<LogEntry>, EntryState)> = {
            let logs = self.logs.lock();
            logs.values().map(|entry| (entry.clone(), *entry.state.lock())).collect()
        };
        let result = self.write_and_remove(&mut checkpoints, &states, &doomed);
        if result.is_err() {
            let mut kept = self.doomed.lock();
            doomed
                .into_iter()
                .for_each(|(directory, files)| kept.entry(directory).or_default().extend(files));
        }
        Ok(result?)
    }

    fn write_and_remove(
        &self,
        checkpoints: &mut Checkpoints,
        states: &[(Arc<LogEntry>, EntryState)],
        doomed: &BTreeMap<PathBuf, Vec<PathBuf>>,
    ) -> io::Result<()> {
        type Field = fn(&EntryState) -> Option<highwater_records::Offset>;
        let files: [(Checkpoint, Field); 4] = [
            (Checkpoint::LogStart, |state| state.log_start),
            (Checkpoint::RecoveryPoint, |state| state.durable_end),
            (Checkpoint::HighWatermark, |state| state.high_watermark),
            (Checkpoint::Compacted, |state| state.compacted_to),
        ];
        for (checkpoint, field) in files {
            let offsets: Offsets = states
                .iter()
                .filter(|(_, state)| !state.deleted)
                .filter_map(|(entry, state)| Some((entry.name.clone(), field(state)?)))
                .collect();
            checkpoints.write(&*self.disk, &self.path, checkpoint, &offsets)?;
        }
        for (entry, written) in states {
            let mut state = entry.state.lock();
            state.recovery_point = written.durable_end;
            state.decided_at_point = written.decided;
        }
        let promised = |(entry, state): &(Arc<LogEntry>, EntryState)| Some((entry.id(), state.durable_end?));
        self.journal.written_down(states.iter().filter_map(promised));
        for (directory, files) in doomed {
            remove::remove_deleted(&*self.disk, directory, files)?;
        }
        Ok(())
    }

    /// Ends the use of the directory in order: checkpoints, an empty journal, then the mark of a clean stop. The lock is
    /// released when the last handle is dropped.
    ///
    /// # Errors
    /// `StillOpen` while a log was not closed; the disk's, after which the stop was not a clean one.
    pub fn close(&self, _now: TimestampMs) -> Result<CloseReport, CheckpointError> {
        let states: Vec<(LogName, EntryState)> = {
            let logs = self.logs.lock();
            logs.values().map(|entry| (entry.name.clone(), *entry.state.lock())).collect()
        };
        let open: Vec<LogName> =
            states.iter().filter(|(_, state)| state.open).map(|(name, _)| name.clone()).collect();
        if !open.is_empty() {
            return Err(CheckpointError::StillOpen(open));
        }
        self.write_checkpoints()?;
        let retired = self.journal.retire()?;
        let settled = |state: &EntryState| !state.dirty && (self.clean_at_open || state.settled);
        let clean = retired && states.iter().all(|(_, state)| settled(state));
        if clean {
            // The others say themselves whose they are: a catalog would vouch for them.
            let known: Vec<(LogName, TopicId)> =
                self.logs().into_iter().filter(|(name, _)| self.is_vouched(name)).collect();
            catalog::Catalog::write(&*self.disk, &self.path, known.into_iter())?;
            replace_file(
                &*self.disk,
                &self.path,
                meta::CLEAN_SHUTDOWN,
                meta::CLEAN_SHUTDOWN_TEXT.as_bytes(),
            )?;
        }
        Ok(CloseReport { clean })
    }

    /// How many files that are only read stay open at most, from now on: those of sealed segments, which the next reader
    /// finds open then; [`OPEN_FILES`] until somebody says otherwise. Beside them each log has the one open that it writes,
    /// and every reader what it is reading.
    pub fn set_open_files(&self, most: usize) {
        self.disk.keep_at_most(most);
    }

    /// Why nothing is written any more, if so.
    pub fn failed(&self) -> Option<Offline> {
        self.check().err()
    }

    /// Whether the last stop was clean.
    pub fn clean_at_open(&self) -> bool {
        self.clean_at_open
    }

    pub(crate) fn check(&self) -> Result<(), Offline> {
        self.health.check()
    }

    pub(crate) fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Takes files that were renamed for deletion; they go once the checkpoints are written.
    pub(crate) fn doom(&self, directory: &Path, files: Vec<PathBuf>) {
        if !files.is_empty() {
            self.doomed.lock().entry(directory.to_owned()).or_default().extend(files);
        }
    }

    /// Forgets a log's doomed files: its directory is gone, or they are.
    pub(crate) fn spare(&self, directory: &Path) {
        self.doomed.lock().remove(directory);
    }
}

impl fmt::Display for LogDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

#[cfg(test)]
mod tests;
