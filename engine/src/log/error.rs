//! Errors of a log, sorted by what the caller does next.

use std::io;

use highwater_records::{
    LeaderEpoch, Offset, ProducerEpoch, Sequence, TimestampMs,
    batch::{EndTxnMarker, Producer},
};

use crate::{
    directory::{CheckpointError, Offline},
    journal::JournalError,
    name::LogName,
    producer::TransactionError,
};

/// Why a batch was not appended. The log is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Fence or repair the producer: its batch is not the next one.
    #[error("sequence {found} is out of order; {expected} is next", found = .found.as_i32(), expected = .expected.as_i32())]
    OutOfOrderSequence {
        /// The batch's first sequence.
        found: Sequence,
        /// What would have been accepted.
        expected: Sequence,
    },
    /// Fence the producer: a newer incarnation has written.
    #[error("producer epoch {found} is older than {current}", found = .found.0, current = .current.0)]
    InvalidProducerEpoch {
        /// The batch's.
        found: ProducerEpoch,
        /// The newest known.
        current: ProducerEpoch,
    },
    /// The batch was appended long ago; its offset is not remembered. The producer need not repeat it.
    #[error("the batch is a duplicate of one older than the last five")]
    DuplicateBeyondWindow,
    /// Fix the call: the producer has a transaction open in this log, and these records belong to none.
    #[error("the producer's transaction that began at offset {first_offset} is still open")]
    TransactionOpen {
        /// Where it began.
        first_offset: Offset,
    },
    /// Fence the transaction coordinator: another one has written a marker for this producer since.
    #[error("coordinator epoch {found} is older than {current}")]
    CoordinatorFenced {
        /// The marker's.
        found: u32,
        /// The newest known.
        current: u32,
    },
    /// Fix the call: the batch is larger than `max.message.bytes` or a whole segment.
    #[error("batch of {size} bytes is larger than {max}")]
    TooLarge {
        /// Bytes of the batch.
        size: u64,
        /// The limit, inclusive.
        max: u64,
    },
    /// Fix the call: the batch is too old or too far in the future.
    #[error("timestamp {timestamp} is too far from the broker's time {now}")]
    InvalidTimestamp {
        /// The batch's largest.
        timestamp: TimestampMs,
        /// The broker's.
        now: TimestampMs,
    },
    /// Re-route: there is a newer leader than the caller thinks.
    #[error("leader epoch {found} is older than {latest}")]
    StaleLeaderEpoch {
        /// The caller's, or the batch's.
        found: LeaderEpoch,
        /// The newest in the log.
        latest: LeaderEpoch,
    },
    /// A follower's batch does not begin where the log ends.
    #[error("batch begins at offset {found}, the log ends at {expected}")]
    OutOfPlace {
        /// The batch's base offset.
        found: Offset,
        /// The log end.
        expected: Offset,
    },
    /// A follower's batch has no leader epoch.
    #[error("batch has no leader epoch")]
    NoLeaderEpoch,
    /// There are no more offsets.
    #[error("the log has reached the largest offset")]
    OffsetsExhausted,
    /// Retry later: the disk refused, for example because it is full.
    #[error("cannot append: {0}")]
    Disk(#[from] io::Error),
    /// Report, and send the producer elsewhere: a restart is needed.
    #[error(transparent)]
    Offline(#[from] Offline),
    /// As `Offline`, for this log alone.
    #[error("the log must be opened again: {0}")]
    Broken(String),
    /// Wait, and try again: the log has its part in an append to several logs that has not ended ([`Log::prepare`]).
    ///
    /// [`Log::prepare`]: crate::Log::prepare
    #[error("the log is busy with an append to several logs")]
    Busy,
}

/// Why a batch was not appended where it was to be. The log is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum AppendIfError {
    /// Look again and decide anew: the log does not end where the caller thought.
    #[error("the log ends at offset {next_offset}")]
    Moved {
        /// The log end (exclusive): what the next record gets.
        next_offset: Offset,
    },
    /// As for any append.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl AppendError {
    pub(super) fn of_transaction(
        error: TransactionError,
        producer: Producer,
        marker: Option<EndTxnMarker>,
    ) -> AppendError {
        match error {
            TransactionError::OldEpoch { current } => {
                AppendError::InvalidProducerEpoch { found: producer.epoch, current }
            }
            TransactionError::OldCoordinator { current } => AppendError::CoordinatorFenced {
                found: marker.map_or(current, |marker| marker.coordinator_epoch),
                current,
            },
            TransactionError::NotTransactional { first_offset } => {
                AppendError::TransactionOpen { first_offset }
            }
        }
    }
}

/// Why a change other than an append failed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The disk refused. What was done so far is consistent; try again.
    #[error("cannot change the log: {0}")]
    Disk(#[from] io::Error),
    /// The offset lies outside what can be asked for.
    #[error("offset {asked} is outside {low} to {high}")]
    OutOfRange {
        /// What was asked for.
        asked: Offset,
        /// The lowest that is possible (inclusive).
        low: Offset,
        /// The highest that is possible (inclusive).
        high: Offset,
    },
    /// A restart is needed.
    #[error(transparent)]
    Offline(#[from] Offline),
    /// The log must be opened again.
    #[error("the log must be opened again: {0}")]
    Broken(String),
    /// Wait, and try again: the log has its part in an append to several logs that has not ended.
    #[error("the log is busy with an append to several logs")]
    Busy,
}

impl From<ChangeError> for AppendError {
    fn from(error: ChangeError) -> AppendError {
        match error {
            ChangeError::Disk(error) => AppendError::Disk(error),
            ChangeError::Offline(offline) => AppendError::Offline(offline),
            ChangeError::Broken(reason) => AppendError::Broken(reason),
            ChangeError::Busy => AppendError::Busy,
            // Only changes of start and end name an offset.
            ChangeError::OutOfRange { asked, high, .. } => {
                AppendError::OutOfPlace { found: asked, expected: high }
            }
        }
    }
}

/// Why a log was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenLogError {
    /// There is no such log in the directory.
    #[error("there is no log {0}")]
    NotFound(LogName),
    /// There is one writer per log.
    #[error("{0} is open already")]
    AlreadyOpen(LogName),
    /// The directory is offline.
    #[error(transparent)]
    Offline(#[from] Offline),
    /// The disk's error. Opening again goes on where it broke off.
    #[error("cannot open the log: {0}")]
    Disk(#[from] io::Error),
}

/// Why a log was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateLogError {
    /// There is one with this name.
    #[error("there is a log {0} already")]
    Exists(LogName),
    /// The directory is offline.
    #[error(transparent)]
    Offline(#[from] Offline),
    /// The disk's error. Creating again goes on where it broke off.
    #[error("cannot create the log: {0}")]
    Disk(#[from] io::Error),
}

impl From<JournalError> for ChangeError {
    fn from(error: JournalError) -> ChangeError {
        match error {
            JournalError::Offline(offline) => ChangeError::Offline(offline),
            JournalError::Disk(error) => ChangeError::Disk(error),
        }
    }
}

impl From<CheckpointError> for CreateLogError {
    fn from(error: CheckpointError) -> CreateLogError {
        match error {
            CheckpointError::Offline(offline) => CreateLogError::Offline(offline),
            other => CreateLogError::Disk(other.into()),
        }
    }
}

impl From<CheckpointError> for ChangeError {
    fn from(error: CheckpointError) -> ChangeError {
        match error {
            CheckpointError::Offline(offline) => ChangeError::Offline(offline),
            other => ChangeError::Disk(other.into()),
        }
    }
}

impl From<CheckpointError> for io::Error {
    fn from(error: CheckpointError) -> io::Error {
        match error {
            CheckpointError::Disk(error) => error,
            other => io::Error::other(other),
        }
    }
}

impl From<OpenLogError> for CreateLogError {
    fn from(error: OpenLogError) -> CreateLogError {
        match error {
            OpenLogError::NotFound(name) | OpenLogError::AlreadyOpen(name) => CreateLogError::Exists(name),
            OpenLogError::Offline(offline) => CreateLogError::Offline(offline),
            OpenLogError::Disk(error) => CreateLogError::Disk(error),
        }
    }
}
