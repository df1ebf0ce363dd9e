//! Opening a directory of many.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use highwater_records::{BrokerId, TimestampMs, TopicId};

use super::{
    Claim, DirOptions, Health, LogDir, LogEntry, OPEN_FILES,
    catalog::{self, Catalog},
    checkpoint::{Checkpoint, Checkpoints, Reading},
    meta::{self, BadMeta, Meta, PartitionMetadata},
    remembered::Remembered,
    remove::remove_log_directory,
};
use crate::{
    disk::{Disk, KeepingDisk, read_file, replace_file},
    journal::{Journal, JournalOptions, Replayed, is_extent, replay},
    museum::{Bug, has},
    name::LogName,
    sync::Mutex,
};

/// What [`LogDir::open`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Whether the last stop was clean, so that logs open without recovery.
    pub clean: bool,
    /// The logs, none of them open yet.
    pub logs: Vec<LogName>,
    /// Directories with the name of a log that hold records but no readable `partition.metadata`; left alone.
    pub unidentified: Vec<LogName>,
    /// Checkpoint files that were not as they were written. They bound nothing, so recovery reads more. And what was
    /// missing of the journal.
    pub distrusted: Vec<String>,
    /// Batches that the journal had and that were written to their segments again, and their bytes.
    pub replayed: (u64, u64),
}

/// Why a directory cannot be opened; each needs a person.
#[derive(Debug, thiserror::Error)]
pub enum OpenDirError {
    /// Somebody has it.
    #[error(
        "{directory} is in use: another broker, or another part of this process, holds {directory}/.lock"
    )]
    Locked {
        /// The directory.
        directory: PathBuf,
    },
    /// It belongs to another cluster.
    #[error("{directory} belongs to cluster {found}, not to {expected}")]
    OtherCluster {
        /// The directory.
        directory: PathBuf,
        /// What its `meta.properties` says.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// It belongs to another broker.
    #[error("{directory} belongs to node.id={found}, not to node.id={expected}")]
    OtherBroker {
        /// The directory.
        directory: PathBuf,
        /// What its `meta.properties` says.
        found: BrokerId,
        /// What was asked for.
        expected: BrokerId,
    },
    /// Something newer wrote it. Nothing was changed.
    #[error("{directory}/meta.properties has version {found}; this program reads versions 1 and 2")]
    Version {
        /// The directory.
        directory: PathBuf,
        /// What its `meta.properties` says.
        found: String,
    },
    /// It does not say whose it is.
    #[error("{directory}/meta.properties cannot be used: {reason}")]
    Unidentified {
        /// The directory.
        directory: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Nobody knows whose log that is, and the journal has records of one that is not there. Nothing is lost: the journal
    /// stays as it is.
    #[error(
        "{directory}/{log}/partition.metadata is missing or does not read, and the journal has records of a topic that no \
         log belongs to; if that is its topic, make it `version: 0` and, on the next line, `topic_id: {topic_id}`"
    )]
    LostIdentity {
        /// The directory.
        directory: PathBuf,
        /// Whose identity is lost.
        log: LogName,
        /// Which it may be.
        topic_id: TopicId,
    },
    /// The disk's error.
    #[error("cannot open {directory}: {error}")]
    Disk {
        /// The directory.
        directory: PathBuf,
        /// What the disk said.
        error: io::Error,
    },
}

impl LogDir {
    /// Whose directory it is, by its `meta.properties`: what [`LogDir::open`] wants to be told of it. `None` if it is
    /// new. Takes no lock and changes nothing.
    ///
    /// # Errors
    /// `Version`, `Unidentified`, `Disk`.
    pub fn identity(disk: &dyn Disk, path: &Path) -> Result<Option<DirOptions>, OpenDirError> {
        let directory = path.to_owned();
        let bytes = read_file(disk, &path.join(meta::META_PROPERTIES))
            .map_err(|error| OpenDirError::Disk { directory: directory.clone(), error })?;
        match bytes.map(|bytes| Meta::decode(&bytes)) {
            None => Ok(None),
            Some(Ok(Meta { cluster_id, node_id, directory_id, .. })) => {
                Ok(Some(DirOptions { cluster_id, node_id, new_directory_id: directory_id }))
            }
            Some(Err(BadMeta::Version(found))) => Err(OpenDirError::Version { directory, found }),
            Some(Err(BadMeta::Damaged(reason))) => {
                Err(OpenDirError::Unidentified { directory, reason: reason.to_string() })
            }
        }
    }

    /// [`LogDir::open_with`] with the default journal.
    ///
    /// # Errors
    /// As there.
    pub fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
        options: DirOptions,
        now: TimestampMs,
    ) -> Result<(Arc<LogDir>, OpenReport), OpenDirError> {
        LogDir::open_with(disk, path, options, JournalOptions::default(), now)
    }

    /// Opens a directory of logs, creating it if there is none, and takes its lock. Whatever the journal of its last
    /// use holds is written to the logs and synced; apart from that logs are opened later, one by one.
    ///
    /// # Errors
    /// When it is in use, belongs to somebody else or to a newer program, or cannot be read. Nothing is changed then.
    pub fn open_with(
        disk: Arc<dyn Disk>,
        path: &Path,
        options: DirOptions,
        journal: JournalOptions,
        _now: TimestampMs,
    ) -> Result<(Arc<LogDir>, OpenReport), OpenDirError> {
        let failed = |error| OpenDirError::Disk { directory: path.to_owned(), error };
        let disk = Arc::new(KeepingDisk::new(disk, OPEN_FILES));
        disk.create_dir_all(path).map_err(failed)?;
        let lock = disk.lock(&path.join(".lock")).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenDirError::Locked { directory: path.to_owned() },
            _ => failed(error),
        })?;
        let listed = disk.list(path).map_err(failed)?;
        if !listed.iter().any(|entry| entry.name == meta::META_PROPERTIES) {
            sync_ancestors(&*disk, path).map_err(failed)?;
        }
        let journal_id = options.new_directory_id;
        let meta =
            identify(&*disk, path, &options, listed.iter().any(|entry| entry.is_dir && is_log(&entry.name)))?;

        let (mut checkpoints, readings) = Checkpoints::read(&*disk, path).map_err(failed)?;
        let distrusted = distrusted(&readings);
        let mark = take_clean_mark(&*disk, path, distrusted.is_empty()).map_err(failed)?;
        let mut report = OpenReport { clean: mark.is_some(), distrusted, ..OpenReport::default() };
        let catalog = mark.unwrap_or_default();
        let mut found: Vec<(LogName, PathBuf)> = Vec::new();
        for entry in &listed {
            let directory = path.join(&entry.name);
            if entry.is_dir && entry.name.ends_with(super::remove::DELETED_DIRECTORY) {
                remove_log_directory(&*disk, path, &directory).map_err(failed)?;
            } else if entry.is_dir
                && let Ok(name) = entry.name.parse()
            {
                found.push((name, directory));
            } else if !entry.is_dir && entry.name.ends_with(crate::name::TEMPORARY) {
                match disk.remove_file(&directory) {
                    // It was finished just now.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    result => result.map_err(failed)?,
                }
            }
        }
        found.sort_unstable();
        let (mut identities, mut remembered) = (catalog.beside(), Remembered::new(&readings));
        let mut logs = Vec::with_capacity(found.len());
        for (name, directory) in found {
            let identity = match identities.at(&name) {
                Some(topic_id) => Identity::Known(PartitionMetadata { topic_id, vouched: true }),
                None => read_topic_id(&*disk, &directory).map_err(failed)?,
            };
            match identity {
                Identity::Known(metadata) => {
                    let state = remembered.of(&name);
                    let entry = LogEntry::new(name.clone(), metadata, directory, state);
                    logs.push((name, Arc::new(entry)));
                }
                Identity::Unknown if has(Bug::UnreadableIsRemoved) => {
                    remove_log_directory(&*disk, path, &directory).map_err(failed)?;
                }
                Identity::Unknown => report.unidentified.push(name),
                Identity::Empty => {}
            }
        }
        let logs: BTreeMap<LogName, Arc<LogEntry>> = logs.into_iter().collect();
        for name in &report.unidentified {
            tracing::error!(directory = %path.display(), log = %name, "records without a readable partition.metadata");
        }
        report.logs = logs.keys().cloned().collect();
        let names: Vec<String> =
            listed.into_iter().filter(|entry| !entry.is_dir).map(|entry| entry.name).collect();
        let mut replayed = replay_journal(&(disk.clone() as Arc<dyn Disk>), path, &names, &logs, &mut report)
            .map_err(failed)?;
        for lost in &report.unidentified {
            // A topic that was deleted may be nobody's too, but then no log has lost its identity.
            if let Some(id) = replayed.nobodys.iter().find(|id| id.partition == lost.partition) {
                let directory = path.to_owned();
                return Err(OpenDirError::LostIdentity {
                    directory,
                    log: lost.clone(),
                    topic_id: id.topic_id,
                });
            }
        }
        let health = Arc::new(Health::default());
        let claim = Claim { disk: disk.clone(), root: path.to_owned(), meta };
        if replayed.any() {
            // What the logs were promised is known from the journal; it goes once the checkpoint says so.
            write_recovery_points(&*disk, path, &mut checkpoints, &logs).map_err(failed)?;
            replayed.empty(&*disk, path).map_err(failed)?;
        }
        if claim.meta.journal {
            claim.set_journal(false).map_err(failed)?;
        }
        let journal = Journal::new(disk.clone(), path.to_owned(), journal, health.clone(), journal_id, claim);
        let directory = LogDir {
            disk,
            path: path.to_owned(),
            health,
            journal: Arc::new(journal),
            clean_at_open: report.clean,
            logs: Mutex::new(logs),
            checkpoints: Mutex::new(checkpoints),
            doomed: Mutex::default(),
            _lock: lock,
        };
        let directory = Arc::new(directory);
        directory.journal.belongs_to(Arc::downgrade(&directory));
        Ok((directory, report))
    }
}

fn replay_journal(
    disk: &Arc<dyn Disk>,
    path: &Path,
    names: &[String],
    logs: &BTreeMap<LogName, Arc<LogEntry>>,
    report: &mut OpenReport,
) -> io::Result<Replayed> {
    if !names.iter().any(|name| is_extent(name)) {
        return Ok(Replayed::default());
    }
    let by_id: BTreeMap<_, _> = logs.values().map(|entry| (entry.id(), entry)).collect();
    let replayed = replay(disk, path, names, |log| Some(by_id.get(&log)?.path.clone()))?;
    for (log, end) in &replayed.ends {
        if let (Some(entry), Some(end)) = (by_id.get(log), end) {
            let mut state = entry.state.lock();
            // Both were promised: a checkpoint is lowered before a log is truncated.
            state.recovery_point = state.recovery_point.max(Some(*end));
            state.durable_end = state.recovery_point;
        }
    }
    for note in &replayed.notes {
        tracing::error!(directory = %path.display(), "{note}");
    }
    report.distrusted.extend(replayed.notes.iter().cloned());
    report.replayed = (replayed.batches, replayed.bytes);
    // Somebody else put the mark there, or took the checkpoints from another time.
    report.clean &= !replayed.any();
    Ok(replayed)
}

fn write_recovery_points(
    disk: &dyn Disk,
    path: &Path,
    checkpoints: &mut Checkpoints,
    logs: &BTreeMap<LogName, Arc<LogEntry>>,
) -> io::Result<()> {
    let offsets = logs
        .values()
        .filter_map(|entry| Some((entry.name.clone(), entry.state.lock().recovery_point?)))
        .collect();
    checkpoints.write(disk, path, Checkpoint::RecoveryPoint, &offsets)
}

/// Makes the path of a new directory durable, as far up as this program may look.
fn sync_ancestors(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    for ancestor in path.ancestors().skip(1) {
        let ancestor = if ancestor.as_os_str().is_empty() { Path::new(".") } else { ancestor };
        match disk.sync_dir(ancestor) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
            result => result?,
        }
    }
    Ok(())
}

fn is_log(name: &str) -> bool {
    name.parse::<LogName>().is_ok()
}

/// Compares `meta.properties` with what is expected, and writes it into a new directory.
fn identify(
    disk: &dyn Disk,
    path: &Path,
    options: &DirOptions,
    has_logs: bool,
) -> Result<Meta, OpenDirError> {
    let directory = path.to_owned();
    let failed = |error| OpenDirError::Disk { directory: path.to_owned(), error };
    let Some(bytes) = read_file(disk, &path.join(meta::META_PROPERTIES)).map_err(failed)? else {
        if has_logs {
            let reason = "it is missing, though there are logs".to_owned();
            return Err(OpenDirError::Unidentified { directory, reason });
        }
        let DirOptions { cluster_id, node_id, new_directory_id } = options.clone();
        let meta = Meta { cluster_id, node_id, directory_id: new_directory_id, journal: false };
        replace_file(disk, path, meta::META_PROPERTIES, meta.encode().as_bytes()).map_err(failed)?;
        return Ok(meta);
    };
    match Meta::decode(&bytes) {
        Err(BadMeta::Version(found)) => Err(OpenDirError::Version { directory, found }),
        Err(BadMeta::Damaged(reason)) => {
            Err(OpenDirError::Unidentified { directory, reason: reason.to_string() })
        }
        Ok(meta) if meta.cluster_id != options.cluster_id => Err(OpenDirError::OtherCluster {
            directory,
            found: meta.cluster_id,
            expected: options.cluster_id.clone(),
        }),
        Ok(meta) if meta.node_id != options.node_id => {
            Err(OpenDirError::OtherBroker { directory, found: meta.node_id, expected: options.node_id })
        }
        Ok(meta) => Ok(meta),
    }
}

/// The catalog, if the last stop was clean: empty unless it was one of ours and the checkpoints are as we wrote them. From
/// now on this run is not stopped cleanly: mark and catalog are gone, durably, before anything is written.
fn take_clean_mark(disk: &dyn Disk, path: &Path, unchanged: bool) -> io::Result<Option<Catalog>> {
    let mark = path.join(meta::CLEAN_SHUTDOWN);
    let ours = read_file(disk, &mark)?.is_some_and(|text| text == meta::CLEAN_SHUTDOWN_TEXT.as_bytes());
    let catalog = if ours && unchanged { Catalog::read(disk, path)? } else { Catalog::default() };
    if has(Bug::MarkOutlivesOpening) {
        return Ok(read_file(disk, &mark)?.map(|_| catalog));
    }
    let clean = match disk.remove_file(&mark) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    let listed = match disk.remove_file(&path.join(catalog::FILE_NAME)) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    if clean || listed {
        disk.sync_dir(path)?;
    }
    Ok(clean.then_some(catalog))
}

enum Identity {
    Known(PartitionMetadata),
    /// There is something in it, and nobody knows whose.
    Unknown,
    /// The rest of an unfinished creation.
    Empty,
}

fn read_topic_id(disk: &dyn Disk, directory: &Path) -> io::Result<Identity> {
    let bytes = read_file(disk, &directory.join(meta::PARTITION_METADATA))?;
    let damaged = bytes.is_some();
    if let Some(metadata) = bytes.and_then(|bytes| meta::decode_partition_metadata(&bytes).ok()) {
        return Ok(Identity::Known(metadata));
    }
    // It was durable before the first segment had a name; so even an empty one shows that it is lost.
    let has_segment = disk.list(directory)?.iter().any(|entry| entry.name.contains(".log"));
    Ok(if damaged || has_segment { Identity::Unknown } else { Identity::Empty })
}

fn distrusted(readings: &BTreeMap<Checkpoint, Reading>) -> Vec<String> {
    let bad = |(checkpoint, reading): (&Checkpoint, &Reading)| match reading {
        Reading::Missing | Reading::Trusted(_) => None,
        Reading::Hint(_) => {
            Some(format!("{} has another checksum than when it was written", checkpoint.file_name()))
        }
        Reading::Damaged(damaged) => Some(format!("{} does not read: {damaged}", checkpoint.file_name())),
    };
    readings.iter().filter_map(bad).collect()
}
