//! A range of whole batches in a file.

use std::{io, ops::Range, sync::Arc};

use bytes::Bytes;
use highwater_records::{Offset, batch::BatchView};

use super::{LogReader, ReadError};
use crate::disk::{DiskFile, read_exact_at};

/// Whole batches, back to back, not read yet.
#[derive(Clone, Debug)]
pub struct LogRange {
    reader: LogReader,
    piece: Option<Piece>,
    base_offset: Offset,
    next_offset: Offset,
}

#[derive(Clone, Debug)]
struct Piece {
    segment: Offset,
    /// Whether offsets may have no batch.
    sparse: bool,
    file: Arc<dyn DiskFile>,
    positions: Range<u64>,
}

impl LogRange {
    pub(super) fn new(
        reader: LogReader,
        (segment, sparse): (Offset, bool),
        file: Arc<dyn DiskFile>,
        positions: Range<u64>,
        base_offset: Offset,
        next_offset: Offset,
    ) -> LogRange {
        LogRange { reader, piece: Some(Piece { segment, sparse, file, positions }), base_offset, next_offset }
    }

    pub(super) fn empty(reader: LogReader, at: Offset) -> LogRange {
        LogRange { reader, piece: None, base_offset: at, next_offset: at }
    }

    /// Offset of the first record of its first batch, which may lie below what was asked for.
    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// Where to go on reading: one past the last offset of its last batch.
    pub fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.piece.as_ref().map_or(0, |piece| (piece.positions.end - piece.positions.start) as usize)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.piece.is_none()
    }

    /// The base of the segment that its bytes lie in, and where; `None` if it is empty.
    pub(crate) fn place(&self) -> Option<(Offset, u64)> {
        self.piece.as_ref().map(|piece| (piece.segment, piece.positions.start))
    }

    /// Where the bytes lie: file, position, length. The files stay readable while they are held; a truncation may
    /// change what they show, which [`LogRange::bytes`] notices.
    pub fn pieces(&self) -> Vec<(Arc<dyn DiskFile>, u64, usize)> {
        self.piece.iter().map(|piece| (piece.file.clone(), piece.positions.start, self.len())).collect()
    }

    /// Reads the bytes; waits for the disk. Each batch's offsets and leader epoch are compared with the log's; its
    /// checksum is left to whoever uses the records.
    ///
    /// # Errors
    /// `InvalidData` for damage and `Interrupted` where the log was truncated, both with a [`ReadError`] inside; else
    /// the disk's.
    pub fn bytes(&self) -> io::Result<Bytes> {
        let Some(piece) = &self.piece else { return Ok(Bytes::new()) };
        let mut bytes = vec![0; self.len()];
        read_exact_at(&*piece.file, &mut bytes, piece.positions.start)
            .map_err(|error| io::Error::from(ReadError::from(error)))?;
        self.check(piece, bytes)
    }

    /// Like [`LogRange::bytes`], but `None` where it would have to wait for the disk.
    ///
    /// # Errors
    /// As [`LogRange::bytes`].
    pub fn try_bytes(&self) -> io::Result<Option<Bytes>> {
        let Some(piece) = &self.piece else { return Ok(Some(Bytes::new())) };
        let mut bytes = vec![0; self.len()];
        let mut done = 0;
        while done < bytes.len() {
            match piece.file.try_read_at(&mut bytes[done..], piece.positions.start + done as u64)? {
                None => return Ok(None),
                Some(0) => return Err(ReadError::Changed.into()),
                Some(count) => done += count,
            }
        }
        self.check(piece, bytes).map(Some)
    }

    fn check(&self, piece: &Piece, bytes: Vec<u8>) -> io::Result<Bytes> {
        let picture = &self.reader.picture;
        // First of all: if the bytes changed on purpose, what they look like means nothing.
        picture.check_unchanged()?;
        let corrupt = |at: usize, reason: String| {
            let position = piece.positions.start + at as u64;
            io::Error::from(ReadError::Corrupt { segment: piece.segment, position, reason })
        };
        let mut at = 0;
        let mut expected = self.base_offset;
        while at < bytes.len() {
            let view = BatchView::parse(&bytes[at..]).map_err(|error| corrupt(at, error.to_string()))?;
            let gap = piece.sparse && view.base_offset() > expected;
            if view.base_offset() != expected && !gap {
                return Err(corrupt(
                    at,
                    format!("a batch begins at offset {}, not {expected}", view.base_offset()),
                ));
            }
            // By its last offset: the log may start within the batch.
            if view.leader_epoch() != picture.epochs.epoch_of(view.last_offset()) {
                return Err(corrupt(at, "a batch has another leader epoch than the log".to_owned()));
            }
            expected = view.next_offset();
            at += view.size();
        }
        if expected != self.next_offset {
            return Err(corrupt(
                at,
                format!("the range ends at offset {expected}, not {}", self.next_offset),
            ));
        }
        Ok(bytes.into())
    }
}
