//! Errors of the simple interface, sorted by what the caller does next.

use std::io;

use highwater_records::{Offset, TimestampMs};

use crate::{
    AppendError, ChangeError, CheckpointError, CommitError, CreateLogError, InvalidLogName, Offline,
    OpenDirError, OpenLogError, ReadError,
};

/// Why [`Logs::open`](super::Logs::open) or [`Logs::log`](super::Logs::log) failed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Fix the call: no log can have this name.
    #[error(transparent)]
    Name(#[from] InvalidLogName),
    /// A person is needed: the directory is in use, somebody else's or unreadable.
    #[error(transparent)]
    Directory(#[from] OpenDirError),
    /// Try again: the disk refused, and going on continues where it broke off.
    #[error("cannot open the log {name:?}: {error}")]
    Disk {
        /// The log.
        name: String,
        /// What the disk said.
        error: io::Error,
    },
    /// Open the directory again, once the disk is sound.
    #[error(transparent)]
    Offline(#[from] Offline),
    /// The logs have been closed.
    #[error("the logs have been closed")]
    Closed,
}

impl OpenError {
    pub(super) fn of_log(name: &str, error: OpenLogError) -> OpenError {
        match error {
            OpenLogError::Offline(offline) => OpenError::Offline(offline),
            OpenLogError::Disk(error) => OpenError::Disk { name: name.to_owned(), error },
            other => OpenError::Disk { name: name.to_owned(), error: io::Error::other(other) },
        }
    }

    pub(super) fn of_new_log(name: &str, error: CreateLogError) -> OpenError {
        match error {
            CreateLogError::Offline(offline) => OpenError::Offline(offline),
            CreateLogError::Disk(error) => OpenError::Disk { name: name.to_owned(), error },
            other => OpenError::Disk { name: name.to_owned(), error: io::Error::other(other) },
        }
    }
}

/// Why something was not written. Unless it says otherwise, the log is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Look again and decide anew: somebody else wrote first. Only from
    /// [`SharedLog::append_if`](super::SharedLog::append_if).
    #[error("the log goes on at offset {next}, not where it was expected to")]
    Moved {
        /// What the next record gets.
        next: Offset,
    },
    /// Fix the call: this can never be written.
    #[error("cannot be written: {reason}")]
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
    /// Fence or repair the producer of a batch that has one: it is not that producer's next.
    #[error(transparent)]
    Producer(AppendError),
    /// Free some space, or wait, and try again: the disk refused.
    #[error("cannot write: {0}")]
    Disk(io::Error),
    /// It was written and is not durable yet, because the disk refused for now. Do not write it again:
    /// [`SharedLog::sync`](super::SharedLog::sync).
    #[error("written at offset {offset} and not durable yet: {reason}")]
    Unsynced {
        /// Where it is.
        offset: Offset,
        /// What the disk said.
        reason: String,
    },
    /// Open the directory again once the disk is sound. What was not acknowledged may be there then, or not.
    #[error(transparent)]
    Offline(#[from] Offline),
    /// Open the directory again: this log broke off in the middle of a change.
    #[error("the log must be opened again: {0}")]
    Broken(String),
    /// The log has been closed.
    #[error("the log has been closed")]
    Closed,
}

/// Why an append to several logs failed. Unless it is `Offline` or `Unshown`, no log has any of it.
#[derive(Debug, thiserror::Error)]
pub enum WriteAllError {
    /// Look again and decide anew: somebody else wrote first to this log.
    #[error("the log {log:?} goes on at offset {next}, not where it was expected to")]
    Moved {
        /// Which.
        log: String,
        /// What its next record gets.
        next: Offset,
    },
    /// As the error of an append to this log alone says.
    #[error("the log {log:?}: {error}")]
    Refused {
        /// Which.
        log: String,
        /// Why.
        error: WriteError,
    },
    /// Fix the call: this can never be written at once, for example because it is too large.
    #[error("cannot be written at once: {reason}")]
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
    /// Free some space, or wait, and try again: the disk refused.
    #[error("cannot write: {0}")]
    Disk(String),
    /// It is durable in all logs, and one of them cannot show it yet since the disk refused: do not write it again. The
    /// next append to that log shows it, or the next opening of the directory.
    #[error("written durably; the log {log:?} does not show it yet: {reason}")]
    Unshown {
        /// The first log that does not show it.
        log: String,
        /// The first offset in each log, in the order in which they were added.
        offsets: Vec<Offset>,
        /// What the disk said.
        reason: String,
    },
    /// Open the directory again once the disk is sound. All of it is there then, or nothing.
    #[error(transparent)]
    Offline(#[from] Offline),
    /// One of the logs has been closed.
    #[error("one of the logs has been closed")]
    Closed,
}

impl WriteAllError {
    pub(super) fn of_log(log: String, error: WriteError) -> WriteAllError {
        match error {
            WriteError::Offline(offline) => WriteAllError::Offline(offline),
            WriteError::Closed => WriteAllError::Closed,
            error => WriteAllError::Refused { log, error },
        }
    }
}

impl WriteError {
    pub(super) fn invalid(reason: impl std::fmt::Display) -> WriteError {
        WriteError::Invalid { reason: reason.to_string() }
    }

    pub(super) fn too_old(timestamp: TimestampMs) -> WriteError {
        WriteError::invalid(format_args!("the time {timestamp} lies too far from now"))
    }
}

impl From<AppendError> for WriteError {
    fn from(error: AppendError) -> WriteError {
        match error {
            AppendError::OutOfOrderSequence { .. }
            | AppendError::InvalidProducerEpoch { .. }
            | AppendError::DuplicateBeyondWindow => WriteError::Producer(error),
            AppendError::InvalidTimestamp { timestamp, .. } => WriteError::too_old(timestamp),
            AppendError::Disk(error) => WriteError::Disk(error),
            AppendError::Offline(offline) => WriteError::Offline(offline),
            AppendError::Broken(reason) => WriteError::Broken(reason),
            AppendError::Busy => WriteError::Disk(io::Error::new(io::ErrorKind::WouldBlock, error)),
            other => WriteError::invalid(other),
        }
    }
}

/// Why a change other than a write failed: closing, deleting, tidying up.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// Fix the call.
    #[error("offset {asked} is outside {low} to {high}")]
    OutOfRange {
        /// What was asked for.
        asked: Offset,
        /// The lowest that is possible (inclusive).
        low: Offset,
        /// The highest that is possible (inclusive).
        high: Offset,
    },
    /// There is no log of this name.
    #[error("there is no log {0:?}")]
    NotFound(String),
    /// Try again: the disk refused. What was done so far is consistent.
    #[error("cannot change the logs: {0}")]
    Disk(io::Error),
    /// Open the directory again once the disk is sound.
    #[error(transparent)]
    Offline(#[from] Offline),
    /// Open the directory again: this log broke off in the middle of a change.
    #[error("the log must be opened again: {0}")]
    Broken(String),
    /// The log has been closed.
    #[error("the log has been closed")]
    Closed,
}

impl From<ChangeError> for UpkeepError {
    fn from(error: ChangeError) -> UpkeepError {
        match error {
            ChangeError::Disk(error) => UpkeepError::Disk(error),
            ChangeError::OutOfRange { asked, low, high } => UpkeepError::OutOfRange { asked, low, high },
            ChangeError::Offline(offline) => UpkeepError::Offline(offline),
            ChangeError::Broken(reason) => UpkeepError::Broken(reason),
            ChangeError::Busy => UpkeepError::Disk(io::Error::new(io::ErrorKind::WouldBlock, error)),
        }
    }
}

impl From<CheckpointError> for UpkeepError {
    fn from(error: CheckpointError) -> UpkeepError {
        match error {
            CheckpointError::Offline(offline) => UpkeepError::Offline(offline),
            CheckpointError::Disk(error) => UpkeepError::Disk(error),
            other => UpkeepError::Disk(io::Error::other(other)),
        }
    }
}

impl From<CommitError> for UpkeepError {
    fn from(error: CommitError) -> UpkeepError {
        match error {
            CommitError::Offline(offline) => UpkeepError::Offline(offline),
            CommitError::Disk(reason) => UpkeepError::Disk(io::Error::other(reason)),
        }
    }
}

impl From<WriteError> for UpkeepError {
    fn from(error: WriteError) -> UpkeepError {
        match error {
            WriteError::Disk(error) => UpkeepError::Disk(error),
            WriteError::Offline(offline) => UpkeepError::Offline(offline),
            WriteError::Broken(reason) => UpkeepError::Broken(reason),
            WriteError::Closed => UpkeepError::Closed,
            other => UpkeepError::Disk(io::Error::other(other)),
        }
    }
}

/// What an error of a range's bytes was made from.
pub(super) fn read_error(error: io::Error) -> ReadError {
    match error.downcast::<ReadError>() {
        Ok(inner) => inner,
        Err(error) => ReadError::from(error),
    }
}
