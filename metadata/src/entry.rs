//! One entry of the metadata log: layout, encoding, decoding.
//!
//! | Bytes | Meaning |
//! |---|---|
//! | 1 | version, now 0 |
//! | 8 | id, big-endian |
//! | 8 | id of the last effective entry that the proposer knew, big-endian; 0 for none |
//! | varint | number of records |
//! | | per record: varint length, then its bytes (see `record.rs`) |
//!
//! No checksum: whoever stores or sends entries protects whole stored units, and knows better where they end.

use crate::{MetadataRecord, RecordError};
use alloc::vec::Vec;
use core::fmt;
use highwater_records::primitive::{ReadError, Reader, write};

/// Position of an entry in the metadata log. The first is 1; ids grow, and may leave gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(u64);

impl EntryId {
    /// The id of the first entry of a log.
    pub const FIRST: EntryId = EntryId(1);

    /// An id, or `None` for 0, which is before every entry.
    pub const fn new(value: u64) -> Option<EntryId> {
        if value == 0 { None } else { Some(EntryId(value)) }
    }

    /// The plain number, at least 1.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The id after `last`; the first one after none. `None` once the numbers are used up.
    pub const fn after(last: Option<EntryId>) -> Option<EntryId> {
        match last {
            None => Some(EntryId::FIRST),
            Some(EntryId(value)) => match value.checked_add(1) {
                Some(next) => Some(EntryId(next)),
                None => None,
            },
        }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One committed decision: all of its records take effect, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands in the log.
    pub id: EntryId,
    /// The last effective entry of the image on which it was decided; `None` for an empty image. Only applying
    /// reads it.
    pub expects: Option<EntryId>,
    /// What was decided.
    pub records: Vec<MetadataRecord>,
}

/// Why bytes are no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The bytes end early or a length is malformed.
    #[error("malformed metadata entry: {0}")]
    Malformed(#[from] ReadError),
    /// A version from the future.
    #[error("metadata entry of version {0} is unknown to this program")]
    UnknownVersion(u8),
    /// The id is 0.
    #[error("metadata entry without an id")]
    NoId,
    /// One of its records is malformed or unknown.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// There are bytes behind the last record.
    #[error("metadata entry has {0} bytes too many")]
    Trailing(usize),
}

const VERSION: u8 = 0;

impl Entry {
    /// The entry's bytes.
    ///
    /// # Panics
    /// If a record is longer than `u32::MAX`.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.push(VERSION);
        out.extend_from_slice(&self.id.0.to_be_bytes());
        out.extend_from_slice(&self.expects.map_or(0, EntryId::get).to_be_bytes());
        write::uvarint(&mut out, length(self.records.len()));
        let mut bytes = Vec::new();
        for record in &self.records {
            bytes.clear();
            record.encode(&mut bytes);
            write::uvarint(&mut out, length(bytes.len()));
            out.extend_from_slice(&bytes);
        }
        out
    }

    /// The entry that `bytes` are, from the first to the last of them. Total, and allocates a small multiple of
    /// `bytes` at most.
    pub fn decode(bytes: &[u8]) -> Result<Entry, EntryError> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(EntryError::UnknownVersion(version));
        }
        let id = EntryId::new(reader.u64()?).ok_or(EntryError::NoId)?;
        let expects = EntryId::new(reader.u64()?);
        let count = reader.uvarint()?;
        let mut records = Vec::new();
        for _ in 0..count {
            let length = reader.uvarint()? as usize;
            records.push(MetadataRecord::decode(reader.take(length)?)?);
        }
        match reader.remaining() {
            0 => Ok(Entry { id, expects, records }),
            extra => Err(EntryError::Trailing(extra)),
        }
    }
}

fn length(value: usize) -> u32 {
    u32::try_from(value).expect("the records of one decision are far below 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_start_at_one_and_end_at_the_last_number() {
        assert_eq!(EntryId::new(0), None);
        assert_eq!(EntryId::after(None), Some(EntryId::FIRST));
        assert_eq!(EntryId::after(EntryId::new(7)), EntryId::new(8));
        assert_eq!(EntryId::after(EntryId::new(u64::MAX)), None);
    }
}
