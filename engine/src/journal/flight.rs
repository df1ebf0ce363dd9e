//! A group on its way to the disk: made and written without a lock, beside others.

use std::{
    fmt,
    io::{IoSlice, Result},
    sync::Arc,
};

use super::{
    entry::Entry,
    frame::{BLOCK, ExtentHeader, GROUP_HEAD, GroupFacts, GroupHeader, padded},
};
use crate::disk::DiskFile;

/// How many groups are written at once. Measured: `docs/decisions/journal.md`.
pub(super) const IN_FLIGHT: usize = 4;

/// A group that has its place in the journal: whoever has it writes it, and tells the journal how that went.
pub(crate) struct Flight {
    pub(super) file: Arc<dyn DiskFile>,
    /// Where in the extent, the header included if it has one.
    pub(super) position: u64,
    pub(super) header: Option<ExtentHeader>,
    pub(super) facts: GroupFacts,
    /// By who has submitted them.
    pub(super) entries: Vec<Vec<Entry>>,
    /// Bytes that they take.
    pub(super) bytes: usize,
    /// What the write takes; a part of it begins at a block, in memory too.
    pub(super) buffer: Vec<u8>,
}

impl Flight {
    /// Writes it. It is durable when this returns, if it is `Ok`.
    ///
    /// # Errors
    /// The disk's: nobody knows what of it is on the media.
    pub(crate) fn write(&mut self) -> Result<()> {
        let out = &mut self.buffer;
        out.clear();
        // Enough for everything, so that it does not move once it is aligned.
        out.reserve(BLOCK + BLOCK + padded(GROUP_HEAD + self.bytes));
        let from = out.as_ptr().align_offset(BLOCK);
        out.resize(from, 0);
        if let Some(header) = &self.header {
            header.encode(out);
        }
        let start = out.len();
        out.resize(start + GROUP_HEAD, 0);
        let mut count = 0;
        for entry in self.entries.iter().flatten() {
            entry.encode(out);
            count += 1;
        }
        GroupHeader::seal(out, start, self.facts, count);
        self.file.write_at(&[IoSlice::new(&self.buffer[from..])], self.position)
    }
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight").field("facts", &self.facts).finish_non_exhaustive()
    }
}
