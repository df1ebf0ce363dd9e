//! Kafka's offset and time index, over logical positions.

use bytes::{BufMut, Bytes, BytesMut};

use crate::encoding::{FormatError, Reader};

const OFFSET_ENTRY: usize = 8;
const TIME_ENTRY: usize = 12;

/// Entries of (last offset of a batch, less the base; position of the batch), ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OffsetIndex {
    entries: Bytes,
}

/// Entries of (largest timestamp so far; last offset of the batch that has it, less the base), ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TimeIndex {
    entries: Bytes,
}

impl OffsetIndex {
    /// From entries in order.
    pub(crate) fn from_entries(entries: &[(u32, u32)]) -> OffsetIndex {
        let mut out = BytesMut::with_capacity(entries.len() * OFFSET_ENTRY);
        for (offset, position) in entries {
            out.put_u32(*offset);
            out.put_u32(*position);
        }
        OffsetIndex { entries: out.freeze() }
    }

    pub(crate) fn decode(entries: Bytes) -> Result<OffsetIndex, FormatError> {
        let index = OffsetIndex { entries };
        let whole = index.entries.len().is_multiple_of(OFFSET_ENTRY);
        let ascending = (1..index.len()).all(|at| {
            let (one, other) = (index.entry(at - 1), index.entry(at));
            one.0 < other.0 && one.1 < other.1
        });
        if whole && ascending { Ok(index) } else { Err(FormatError::Bad("an offset index out of order")) }
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.entries
    }

    fn len(&self) -> usize {
        self.entries.len() / OFFSET_ENTRY
    }

    fn entry(&self, at: usize) -> (u32, u32) {
        let mut reader = Reader::new(&self.entries[at * OFFSET_ENTRY..]);
        (reader.u32().unwrap_or(0), reader.u32().unwrap_or(0))
    }

    /// Where to start looking for an offset: no batch before this position has it or a later one.
    pub(crate) fn position_of(&self, relative: u32) -> u32 {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            if self.entry(middle).0 <= relative {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if low == 0 { 0 } else { self.entry(low - 1).1 }
    }

    #[cfg(test)]
    pub(crate) fn push(&mut self, offset: u32, position: u32) {
        let mut entries: Vec<_> = (0..self.len()).map(|at| self.entry(at)).collect();
        entries.push((offset, position));
        *self = OffsetIndex::from_entries(&entries);
    }
}

impl TimeIndex {
    /// From entries in order.
    pub(crate) fn from_entries(entries: &[(i64, u32)]) -> TimeIndex {
        let mut out = BytesMut::with_capacity(entries.len() * TIME_ENTRY);
        for (timestamp, offset) in entries {
            out.put_i64(*timestamp);
            out.put_u32(*offset);
        }
        TimeIndex { entries: out.freeze() }
    }

    pub(crate) fn decode(entries: Bytes) -> Result<TimeIndex, FormatError> {
        let index = TimeIndex { entries };
        let whole = index.entries.len().is_multiple_of(TIME_ENTRY);
        let ascending = (1..index.len()).all(|at| {
            let (one, other) = (index.entry(at - 1), index.entry(at));
            one.0 < other.0 && one.1 <= other.1
        });
        if whole && ascending { Ok(index) } else { Err(FormatError::Bad("a time index out of order")) }
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.entries
    }

    fn len(&self) -> usize {
        self.entries.len() / TIME_ENTRY
    }

    fn entry(&self, at: usize) -> (i64, u32) {
        let mut reader = Reader::new(&self.entries[at * TIME_ENTRY..]);
        (reader.i64().unwrap_or(0), reader.u32().unwrap_or(0))
    }

    /// The relative offset before which no record is as late as `timestamp`: look from there on.
    pub(crate) fn offset_before(&self, timestamp: i64) -> u32 {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            if self.entry(middle).0 < timestamp {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if low == 0 { 0 } else { self.entry(low - 1).1 }
    }

    #[cfg(test)]
    pub(crate) fn push(&mut self, timestamp: i64, offset: u32) {
        let mut entries: Vec<_> = (0..self.len()).map(|at| self.entry(at)).collect();
        entries.push((timestamp, offset));
        *self = TimeIndex::from_entries(&entries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_entry_at_or_below_is_found() {
        let index = OffsetIndex::from_entries(&[(3, 0), (9, 4096), (20, 9000)]);
        let found: Vec<u32> = [0, 2, 3, 8, 9, 19, 20, 99].map(|offset| index.position_of(offset)).into();
        assert_eq!(found, [0, 0, 0, 0, 4096, 4096, 9000, 9000]);
        assert_eq!(OffsetIndex::default().position_of(5), 0);
        let times = TimeIndex::from_entries(&[(-5, 3), (100, 9), (200, 20)]);
        let found: Vec<u32> = [-9, -5, -4, 100, 101, 200, 201].map(|time| times.offset_before(time)).into();
        assert_eq!(found, [0, 0, 3, 3, 9, 9, 20]);
    }

    #[test]
    fn what_does_not_ascend_is_refused() {
        let twice = OffsetIndex::from_entries(&[(3, 0), (3, 5)]).bytes().clone();
        assert!(OffsetIndex::decode(twice).is_err());
        let back = TimeIndex::from_entries(&[(3, 7), (4, 5)]).bytes().clone();
        assert!(TimeIndex::decode(back).is_err());
        assert!(TimeIndex::decode(Bytes::from_static(b"short")).is_err());
    }
}
