use std::io;

use highwater_records::Offset;

use crate::directory::Offline;

/// Why a read got nothing, sorted by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Tell the client where it may read.
    #[error("the log has offsets {start} to {end}")]
    OutOfRange {
        /// The log start (inclusive).
        start: Offset,
        /// The log end (exclusive).
        end: Offset,
    },
    /// Read it from the bucket.
    #[error("not here any more; the local log begins at {local_start}")]
    BelowLocal {
        /// The first offset that is here (inclusive).
        local_start: Offset,
    },
    /// Take a new reader and ask again: the log was truncated, or the segment deleted.
    #[error("the log changed under its reader")]
    Changed,
    /// Report, and answer with a storage error: these bytes are damaged. What lies around them can be read.
    #[error(
        "{:020}.log is damaged at byte {position}: {reason}; once nobody has it open, `highwater log repair` on its directory \
         tells its range from the rest",
        segment.get()
    )]
    Corrupt {
        /// Base offset of the segment.
        segment: Offset,
        /// Where in its file.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// The disk's error.
    #[error("cannot read: {0}")]
    Disk(io::Error),
    /// The directory is offline and this was never made durable.
    #[error(transparent)]
    Offline(#[from] Offline),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        match error.kind() {
            // Files of a picture vanish when their segment is deleted, and end early when it is truncated.
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => ReadError::Changed,
            _ => ReadError::Disk(error),
        }
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> io::Error {
        match error {
            ReadError::Disk(error) => error,
            ReadError::Corrupt { .. } => io::Error::new(io::ErrorKind::InvalidData, error),
            ReadError::Changed => io::Error::new(io::ErrorKind::Interrupted, error),
            other => io::Error::other(other),
        }
    }
}
