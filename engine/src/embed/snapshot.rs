//! A picture of a log, and the ways into it.

use highwater_records::{Offset, TimestampMs};

use super::{Backwards, Records};
use crate::{LogReader, ReadError};

/// How far readers see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Up to the high watermark: everything that will not go away, transactions that are still open included.
    #[default]
    ReadUncommitted,
    /// Up to the last stable offset: nothing of a transaction that is still open.
    ReadCommitted,
}

/// What could be read of a log at one moment. It never changes; clones are the same picture.
#[derive(Clone, Debug)]
pub struct Snapshot {
    reader: LogReader,
    start: Offset,
    end: Offset,
}

impl Snapshot {
    pub(super) fn new(reader: LogReader, isolation: Isolation) -> Snapshot {
        let positions = reader.positions();
        let end = match isolation {
            Isolation::ReadUncommitted => positions.high_watermark,
            Isolation::ReadCommitted => positions.last_stable,
        };
        Snapshot { reader, start: positions.local_start, end }
    }

    /// The first offset in it (inclusive).
    pub fn start(&self) -> Offset {
        self.start
    }

    /// Where it ends (exclusive): pass it to [`SharedLog::append_if`](super::SharedLog::append_if) to append only if
    /// nothing has come since.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// All its records, oldest first.
    pub fn records(&self) -> Records {
        self.records_from(self.start)
    }

    /// Its records from `from` on (inclusive), oldest first. Below [`Snapshot::start`] the first item is
    /// [`ReadError::OutOfRange`].
    pub fn records_from(&self, from: Offset) -> Records {
        Records::new(self.reader.clone(), from, self.end)
    }

    /// Its records from the first one with a timestamp at or after `timestamp` on, in the order of their offsets:
    /// later ones may be older if their writers said so.
    ///
    /// # Errors
    /// Damage on the way to it; the disk's.
    pub fn records_since(&self, timestamp: TimestampMs) -> Result<Records, ReadError> {
        let from = self.reader.offset_for_timestamp(timestamp)?.map_or(self.end, |(_, offset)| offset);
        Ok(self.records_from(from.max(self.start)))
    }

    /// All its records, newest first.
    pub fn backwards(&self) -> Backwards {
        self.backwards_from(self.end)
    }

    /// Its records below `before` (exclusive), newest first.
    pub fn backwards_from(&self, before: Offset) -> Backwards {
        Backwards::new(self.reader.clone(), self.start, before.min(self.end), self.end)
    }

    /// The raw side: whole batches, positions, epochs.
    pub fn reader(&self) -> &LogReader {
        &self.reader
    }
}
