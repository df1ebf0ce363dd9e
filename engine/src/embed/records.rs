//! Forwards through a picture of a log, record by record.

use std::{collections::VecDeque, marker::PhantomData};

use bytes::Bytes;
use highwater_records::{
    Offset,
    batch::{BatchError, BatchView, RecordRef},
    compression::Codec,
};

use super::{FromRecord, Record, error::read_error};
use crate::{LogRange, LogReader, ReadError};

/// Bytes of batches that are read at once.
const READ_BYTES: usize = 256 << 10;
/// Most bytes that one batch may decompress to. A batch of more is an error here; the raw reader has its bytes.
const DECOMPRESSED_MAX: usize = 256 << 20;

/// The records of a [`Snapshot`](super::Snapshot), oldest first; what brokers wrote for themselves (control records)
/// is left out.
///
/// An error is an item, not the end: where bytes are damaged, the next item is the first record behind the damage
/// that can be told apart.
#[derive(Debug)]
pub struct Records {
    reader: LogReader,
    /// Where to go on reading batches.
    next: Offset,
    /// Of the records below this nothing is shown: they lie in the first batch before the first record asked for.
    from: Offset,
    end: Offset,
    batches: VecDeque<Batch>,
    records: VecDeque<Record>,
    /// One batch at a time: there is damage near.
    careful: bool,
}

/// A batch, not looked into yet, and where it lies.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) bytes: Bytes,
    segment: Offset,
    position: u64,
}

impl Records {
    pub(super) fn new(reader: LogReader, from: Offset, end: Offset) -> Records {
        let (batches, records) = (VecDeque::new(), VecDeque::new());
        Records { reader, next: from, from, end, batches, records, careful: false }
    }

    /// Where the next record lies, or would: what to begin another reading with.
    pub fn next_offset(&self) -> Offset {
        let batch = || BatchView::parse(&self.batches.front()?.bytes).ok().map(|view| view.base_offset());
        let at = self.records.front().map(|record| record.offset).or_else(batch);
        at.unwrap_or(self.next).max(self.from)
    }

    /// The same, each record read as a `T`.
    pub fn decoded<T: FromRecord>(self) -> Decoded<Records, T> {
        Decoded::new(self)
    }

    /// Reads on.
    fn read(&mut self) -> Result<bool, ReadError> {
        let max_bytes = if self.careful { 1 } else { READ_BYTES };
        let range = match self.reader.read(self.next, max_bytes, self.end, true).and_then(|range| {
            let batches = batches_of(&range)?;
            Ok((range, batches))
        }) {
            Ok((range, batches)) => {
                self.batches = batches;
                range
            }
            Err(ReadError::Corrupt { .. }) if !self.careful => {
                self.careful = true;
                return Ok(true);
            }
            Err(error) => {
                self.careful = false;
                let behind = match &error {
                    ReadError::Corrupt { .. } => self.reader.behind_damage(self.next),
                    ReadError::OutOfRange { start, .. } if self.next < *start => Some(*start),
                    _ => None,
                };
                // Without a place to go on this is the end.
                self.next = behind.map_or(self.end, |behind| behind.max(self.next));
                return Err(error);
            }
        };
        if !range.is_empty() {
            self.next = range.next_offset();
            return Ok(true);
        }
        let at = std::mem::replace(&mut self.next, self.end);
        // Readers end between batches, so one that goes beyond is not what it says.
        let beyond = self.reader.read(at, 1, Offset::MAX, true)?;
        match beyond.place() {
            Some((segment, position)) if beyond.base_offset() < self.end => {
                let reason = format!("a batch goes on beyond offset {}", self.end);
                Err(ReadError::Corrupt { segment, position, reason })
            }
            _ => Ok(false),
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.records.pop_front() {
                return Some(Ok(record));
            }
            if let Some(batch) = self.batches.pop_front() {
                match batch.records() {
                    Ok(records) => {
                        self.records = records;
                        let from = self.from;
                        self.records.retain(|record| record.offset >= from);
                    }
                    Err(error) => return Some(Err(error)),
                }
            } else if self.next >= self.end {
                return None;
            } else {
                match self.read() {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(error) => return Some(Err(error)),
                }
            }
        }
    }
}

/// The batches of a range, read.
pub(super) fn batches_of(range: &LogRange) -> Result<VecDeque<Batch>, ReadError> {
    let mut found = VecDeque::new();
    let Some((segment, mut position)) = range.place() else { return Ok(found) };
    for bytes in highwater_records::batch::split(range.bytes().map_err(read_error)?) {
        let bytes = bytes.map_err(|error| corrupt(segment, position, &error))?;
        let size = bytes.len() as u64;
        found.push_back(Batch { bytes, segment, position });
        position += size;
    }
    Ok(found)
}

fn corrupt(segment: Offset, position: u64, error: &BatchError) -> ReadError {
    ReadError::Corrupt { segment, position, reason: error.to_string() }
}

impl Batch {
    pub(super) fn base_offset(&self) -> Option<Offset> {
        BatchView::parse(&self.bytes).ok().map(|view| view.base_offset())
    }

    /// Its records, verified; none if they are not meant for programs.
    pub(super) fn records(&self) -> Result<VecDeque<Record>, ReadError> {
        self.try_records().map_err(|error| corrupt(self.segment, self.position, &error))
    }

    fn try_records(&self) -> Result<VecDeque<Record>, BatchError> {
        let view = BatchView::parse(&self.bytes)?;
        view.verify_crc()?;
        let mut found = VecDeque::new();
        if view.is_control() {
            return Ok(found);
        }
        let plain = view.codec() == Codec::None;
        let mut records = view.records(DECOMPRESSED_MAX)?;
        while let Some(record) = records.next_record()? {
            found.push_back(self.own(&record, plain));
        }
        Ok(found)
    }

    /// The record without its batch: a part of the batch's bytes, or a copy of what was decompressed.
    fn own(&self, record: &RecordRef<'_>, plain: bool) -> Record {
        let part =
            |part: &[u8]| if plain { self.bytes.slice_ref(part) } else { Bytes::copy_from_slice(part) };
        Record {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(part),
            value: record.value.map(part),
            headers: record.headers.map(|(name, value)| (part(name), value.map(part))).collect(),
        }
    }
}

/// Records read as a type of the program's. Made by [`Records::decoded`], [`Backwards::decoded`](super::Backwards) and
/// [`Tail::decoded`](super::Tail).
#[derive(Debug)]
pub struct Decoded<I, T> {
    records: I,
    of: PhantomData<fn() -> T>,
}

/// Why a record could not be had as what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum DecodedError<E> {
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is something else.
    #[error("the record at offset {offset} is something else: {error}")]
    Other {
        /// Where it is.
        offset: Offset,
        /// What its type says.
        error: E,
    },
}

impl<I, T> Decoded<I, T> {
    pub(super) fn new(records: I) -> Decoded<I, T> {
        Decoded { records, of: PhantomData }
    }
}

impl<I, T> Iterator for Decoded<I, T>
where
    I: Iterator<Item = Result<Record, ReadError>>,
    T: FromRecord,
{
    type Item = Result<T, DecodedError<T::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.records.next()? {
            Ok(record) => {
                T::from_record(&record).map_err(|error| DecodedError::Other { offset: record.offset, error })
            }
            Err(error) => Err(error.into()),
        })
    }
}
