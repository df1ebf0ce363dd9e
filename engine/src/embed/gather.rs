//! Many small records as few large batches.

use highwater_records::batch::BatchBuilder;

use super::{SharedLog, Ticket, ToRecord, WriteError, record::push};

/// Gathers records in memory and writes them as batches: for many small records, each of which would otherwise cost a
/// call of the system. From [`SharedLog::gather`].
///
/// A record that was pushed and not written is nowhere but in memory: it has no offset yet, and dropping this loses it.
/// Call [`Gather::write`] before waiting for anything.
#[derive(Debug)]
pub struct Gather {
    log: SharedLog,
    batch: BatchBuilder,
    bytes: usize,
}

impl SharedLog {
    /// Gathers records into batches of about `bytes` bytes before compression; a larger record is a batch of its own.
    pub fn gather(&self, bytes: usize) -> Gather {
        Gather { log: self.clone(), batch: BatchBuilder::new(self.shared.codec), bytes }
    }
}

impl Gather {
    /// Adds a record, stamped with the time of now where it has none. Writes what has been gathered, this record
    /// included, once that is enough; the [`Ticket`] then is for all of it.
    ///
    /// # Errors
    /// `Invalid`: the record cannot be part of the batch, and what was gathered before is as it was. Any other of
    /// [`SharedLog::write`]: what was gathered is gone, this record included.
    pub fn push<R: ToRecord + ?Sized>(&mut self, record: &R) -> Result<Option<Ticket>, WriteError> {
        push(&mut self.batch, &record.to_record(), self.log.shared.host.now())?;
        if self.batch.uncompressed_size() >= self.bytes { self.write() } else { Ok(None) }
    }

    /// Writes what has been gathered, without waiting for the disk; `None` if that is nothing.
    ///
    /// # Errors
    /// As [`SharedLog::write`]; what was gathered is gone.
    pub fn write(&mut self) -> Result<Option<Ticket>, WriteError> {
        if self.batch.record_count() == 0 {
            return Ok(None);
        }
        // The next one will be about as large.
        let empty = BatchBuilder::with_capacity(self.log.shared.codec, self.batch.uncompressed_size());
        let batch = super::record::checked(std::mem::replace(&mut self.batch, empty))?;
        self.log.write(&batch).map(Some)
    }
}
