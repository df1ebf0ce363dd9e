//! Backwards through a picture of a log, record by record.

use std::collections::VecDeque;

use highwater_records::Offset;

use super::{
    Record,
    records::{Batch, Decoded, batches_of},
};
use crate::{LogRange, LogReader, ReadError};

/// Bytes of batches that are read at once.
const READ_BYTES: usize = 256 << 10;
/// Most offsets that are stepped back at once.
const SPAN_MAX: u64 = 1 << 20;

/// The records of a [`Snapshot`](super::Snapshot), newest first. Otherwise as [`Records`](super::Records).
#[derive(Debug)]
pub struct Backwards {
    reader: LogReader,
    start: Offset,
    /// Everything at or above was shown, or was not asked for.
    before: Offset,
    end: Offset,
    /// Oldest first: taken from the back.
    batches: VecDeque<Batch>,
    records: VecDeque<Record>,
    /// How many offsets to step back next: enough for one reading, by how it was last.
    span: u64,
}

impl Backwards {
    pub(super) fn new(reader: LogReader, start: Offset, before: Offset, end: Offset) -> Backwards {
        let (batches, records) = (VecDeque::new(), VecDeque::new());
        Backwards { reader, start, before, end, batches, records, span: 16 }
    }

    /// The same, each record read as a `T`.
    pub fn decoded<T: super::FromRecord>(self) -> Decoded<Backwards, T> {
        Decoded::new(self)
    }

    /// Reads the batches right before `before`.
    fn read(&mut self) -> Result<(), ReadError> {
        let stepped = self.before.get().saturating_sub(self.span);
        let mut from = self.start.max(Offset::new(stepped).unwrap_or(self.start));
        loop {
            if let Some(damage) = self.reader.damage(from) {
                if damage.end >= self.before {
                    self.before = damage.start.max(self.start);
                    // The reader's own words.
                    return self.reader.read(from, 1, self.end, true).map(drop);
                }
                from = damage.end;
                continue;
            }
            let range = self.reader.read(from, READ_BYTES, self.end, true)?;
            if range.is_empty() {
                self.before = from;
                return Ok(());
            }
            if range.next_offset() < self.before {
                // A segment ends here, or there is more than is read at once.
                from = range.next_offset();
                self.span = self.before.since(from).max(1);
                continue;
            }
            return self.take(&range, from);
        }
    }

    fn take(&mut self, range: &LogRange, from: Offset) -> Result<(), ReadError> {
        let batches = batches_of(range)?;
        if range.len() < READ_BYTES / 4 {
            self.span = (self.span * 2).min(SPAN_MAX);
        }
        let before = self.before;
        self.batches = batches;
        self.batches.retain(|batch| batch.base_offset().is_some_and(|base| base < before));
        self.records.clear();
        if self.batches.is_empty() {
            // Kafka's cleaner left nothing in between.
            self.before = from;
        }
        Ok(())
    }

    fn next_batch(&mut self) -> Option<Result<(), ReadError>> {
        let batch = self.batches.pop_back()?;
        let (start, before) = (self.start, self.before);
        self.before = batch.base_offset().unwrap_or(self.start).max(self.start);
        Some(batch.records().map(|records| {
            self.records = records;
            self.records.retain(|record| record.offset >= start && record.offset < before);
        }))
    }
}

impl Iterator for Backwards {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.records.pop_back() {
                return Some(Ok(record));
            }
            match self.next_batch() {
                Some(Ok(())) => continue,
                Some(Err(error)) => return Some(Err(error)),
                None if self.before <= self.start => return None,
                None => {}
            }
            let before = self.before;
            match self.read() {
                Ok(()) => {}
                Err(ReadError::Corrupt { .. }) if self.before == before && self.span > 1 => {
                    // One batch at a time, to get as near to the damage as can be.
                    self.span = 1;
                }
                Err(error) => {
                    if self.before == before {
                        // Nothing tells where the batch before begins, so the segment's rest is for those who read
                        // forwards.
                        self.before = match &error {
                            ReadError::Corrupt { segment, .. } if *segment < before => {
                                self.start.max(*segment)
                            }
                            _ => self.start,
                        };
                    }
                    return Some(Err(error));
                }
            }
        }
    }
}
