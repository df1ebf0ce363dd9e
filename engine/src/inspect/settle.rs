//! Putting a directory right: what a crash left, and what cannot be read.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use highwater_records::{Offset, TimestampMs};

use super::{Finding, InspectError, Place, Progress, Severity, Verified, look};
use crate::{
    ChangeError, CheckpointError, LogConfig, LogDir, LogName, OpenDirError, OpenLogError, RecoveryReport,
    disk::Disk,
};

/// What [`settle`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// What opening each log found and did.
    pub logs: Vec<(LogName, RecoveryReport)>,
    /// Directories with the name of a log that hold records and do not say whose; left alone.
    pub unidentified: Vec<LogName>,
    /// Whether the directory is now as after a clean stop. Not so if only some of an unclean one's logs were settled.
    pub clean: bool,
}

/// What [`repair`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// What was wrong.
    pub found: Verified,
    /// Files that could not be used, and where they lie now. Nothing was deleted.
    pub moved: Vec<(PathBuf, PathBuf)>,
    /// The rest.
    pub settled: Settled,
}

/// Why a directory could not be put right. What was done until then is consistent; doing it again goes on.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// Fix the call.
    #[error(transparent)]
    Place(#[from] InspectError),
    /// Fix the call: one file or a directory on its own says too little.
    #[error("{path} can only be put right as part of its data directory")]
    Alone {
        /// What was asked for.
        path: PathBuf,
    },
    /// A person is needed: it is in use, or does not say whose it is.
    #[error(transparent)]
    Open(#[from] OpenDirError),
    /// The disk failed on a log.
    #[error("{name}: {error}")]
    Log {
        /// The log.
        name: LogName,
        /// What happened.
        error: io::Error,
    },
    /// The disk failed on a file.
    #[error("cannot move {path}: {error}")]
    Move {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        error: io::Error,
    },
    /// The disk failed at the end.
    #[error(transparent)]
    Close(#[from] CheckpointError),
}

/// Brings the data directory at `path` to the state of a clean stop: every log is recovered as it would be when it is
/// opened, the checkpoints and the mark of a clean stop are written. Kafka, or an older program, takes it then. Waits for
/// syncs; takes the directory's lock.
///
/// # Errors
/// Any.
pub fn settle(
    disk: &Arc<dyn Disk>,
    path: &Path,
    now: TimestampMs,
    each: &mut dyn FnMut(&LogName, usize, usize),
) -> Result<Settled, SettleError> {
    match Place::of(&**disk, path)? {
        Place::Directory(path) => open_all(disk, &path, None, &[], now, each),
        place => Err(SettleError::Alone { path: place.path().to_owned() }),
    }
}

/// Puts the data directory, or the log within one, at `path` right: reads everything as [`verify`](super::verify)
/// does, moves small files that are wrong aside to `<name>.bad-<ms>`, then has each log recovered with every batch read.
/// Batches that cannot be read stay where they are, and their offsets are written down as unreadable; bytes behind the
/// last batch go to `<base>.log.cut-<ms>`. Nothing is deleted. Waits for syncs; takes the directory's lock.
///
/// # Errors
/// Any.
pub fn repair(
    disk: &Arc<dyn Disk>,
    path: &Path,
    now: TimestampMs,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Repaired, SettleError> {
    let (root, only) = match Place::of(&**disk, path)? {
        Place::Directory(path) => (path, None),
        Place::Log { path, name } => {
            let of_many =
                path.parent().filter(|parent| matches!(LogDir::identity(&**disk, parent), Ok(Some(_))));
            match (of_many, name) {
                (Some(parent), Some(name)) => (parent.to_owned(), Some(name)),
                _ => return Err(SettleError::Alone { path }),
            }
        }
        Place::File { path, .. } => return Err(SettleError::Alone { path }),
    };
    let (found, ends) = look(&**disk, path, false, progress)?;
    if found.in_use {
        return Err(OpenDirError::Locked { directory: root }.into());
    }
    let mut moved = Vec::new();
    for file in to_move(&found.findings) {
        let aside = aside(&file, now);
        let result =
            disk.rename(&file, &aside).and_then(|()| disk.sync_dir(file.parent().unwrap_or(Path::new("."))));
        match result {
            Ok(()) => moved.push((file, aside)),
            // It was missing, which was what is wrong with it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(SettleError::Move { path: file, error }),
        }
    }
    let settled = open_all(disk, &root, only.as_ref(), &ends, now, &mut |_, _, _| {})?;
    Ok(Repaired { found, moved, settled })
}

/// The files that are worth less than nothing, each once.
fn to_move(findings: &[Finding]) -> Vec<PathBuf> {
    let wrong = |finding: &&Finding| finding.severity == Severity::Rebuildable;
    let mut files: Vec<PathBuf> = findings.iter().filter(wrong).map(|finding| finding.file.clone()).collect();
    files.sort();
    files.dedup();
    files
}

fn aside(file: &Path, now: TimestampMs) -> PathBuf {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    file.with_file_name(format!("{name}.bad-{now}"))
}

/// Opens and closes the logs, all or one. `ends` says where the readable batches of a log end: everything below is to be
/// read with its checksum, and kept.
fn open_all(
    disk: &Arc<dyn Disk>,
    root: &Path,
    only: Option<&LogName>,
    ends: &[(PathBuf, Offset)],
    now: TimestampMs,
    each: &mut dyn FnMut(&LogName, usize, usize),
) -> Result<Settled, SettleError> {
    let options = LogDir::identity(&**disk, root)?.ok_or_else(|| OpenDirError::Unidentified {
        directory: root.to_owned(),
        reason: "it is missing".to_owned(),
    })?;
    let (dir, opened) = LogDir::open(disk.clone(), root, options, now)?;
    let mut settled = Settled { unidentified: opened.unidentified, ..Settled::default() };
    // Of a tiered log nothing is missed at its head: nobody can say here whether a bucket has it.
    let config = LogConfig { tiered: true, ..LogConfig::default() };
    let names: Vec<LogName> =
        opened.logs.into_iter().filter(|name| only.is_none_or(|only| only == name)).collect();
    for (at, name) in names.iter().enumerate() {
        each(name, at, names.len());
        if let Some((_, end)) = ends.iter().find(|(path, _)| *path == root.join(name.to_string())) {
            dir.reread(name, *end);
        }
        let failed = |error: io::Error| SettleError::Log { name: name.clone(), error };
        let (log, report) = dir.open_log(name, config.clone(), now).map_err(|error| match error {
            OpenLogError::Disk(error) => failed(error),
            other => failed(io::Error::other(other)),
        })?;
        log.close(now).map_err(|error| match error {
            ChangeError::Disk(error) => failed(error),
            other => failed(io::Error::other(other)),
        })?;
        settled.logs.push((name.clone(), report));
    }
    settled.clean = dir.close(now)?.clean;
    Ok(settled)
}
