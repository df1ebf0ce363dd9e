//! From batch to batch through a segment's file.

use std::io;

use highwater_records::batch::{BatchError, BatchView, HEADER_LEN};

use super::header::BatchHeader;
use crate::disk::{DiskFile, read_exact_at};

/// How closely a walk looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// At the headers: they hang together, nothing more.
    Headers,
    /// At every byte: the checksums too.
    Checksums,
}

/// What lies at a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Batch(BatchHeader),
    /// No batch, or a damaged one.
    Bad(BatchError),
    /// The end of what is walked.
    End,
}

/// A window into a file, for reading small things one after the other.
pub(crate) struct Walk<'a> {
    file: &'a dyn DiskFile,
    /// Exclusive: what lies at or beyond is not looked at.
    end: u64,
    window: Vec<u8>,
    window_start: u64,
    window_size: usize,
}

/// Holds some headers of small batches; one read where batches are large.
pub(crate) const SMALL_WINDOW: usize = 1024;
/// Holds what lies between two index entries, where batches are small and the index is as dense as it is by default:
/// one call instead of one for each header.
pub(crate) const INDEXED_WINDOW: usize = 5 * 1024;
/// For reading on and on.
pub(crate) const LARGE_WINDOW: usize = 256 * 1024;

impl<'a> Walk<'a> {
    pub(crate) fn new(file: &'a dyn DiskFile, end: u64, window_size: usize) -> Walk<'a> {
        Walk { file, end, window: Vec::new(), window_start: 0, window_size }
    }

    /// Where the walk ends (exclusive).
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The batch at `position`.
    ///
    /// # Errors
    /// The disk's. Damage is no error but a [`Step::Bad`].
    pub(crate) fn at(&mut self, position: u64, depth: Depth) -> io::Result<Step> {
        if position >= self.end {
            return Ok(Step::End);
        }
        let left = self.end - position;
        if left < HEADER_LEN as u64 {
            return Ok(Step::Bad(BatchError::Truncated { needed: HEADER_LEN, available: left as usize }));
        }
        let mut bytes = [0; HEADER_LEN];
        bytes.copy_from_slice(self.bytes(position, HEADER_LEN)?);
        let header = match BatchHeader::parse(&bytes) {
            Ok(header) => header,
            Err(error) => return Ok(Step::Bad(error)),
        };
        if header.size > left {
            let (needed, available) = (header.size as usize, left as usize);
            return Ok(Step::Bad(BatchError::Truncated { needed, available }));
        }
        if depth == Depth::Checksums {
            let whole = self.bytes(position, header.size as usize)?;
            if let Err(error) = BatchView::parse(whole).and_then(|view| view.verify_crc()) {
                return Ok(Step::Bad(error));
            }
        }
        Ok(Step::Batch(header))
    }

    /// `len` bytes at `position`, all of them before the end.
    pub(crate) fn bytes(&mut self, position: u64, len: usize) -> io::Result<&[u8]> {
        let inside = position >= self.window_start
            && position + len as u64 <= self.window_start + self.window.len() as u64;
        if !inside {
            let size = (self.end - position).min(len.max(self.window_size) as u64) as usize;
            self.window.resize(size, 0);
            self.window_start = position;
            let read = read_exact_at(self.file, &mut self.window, position);
            if read.is_err() {
                self.window.clear();
            }
            read?;
        }
        let from = (position - self.window_start) as usize;
        Ok(&self.window[from..from + len])
    }
}
