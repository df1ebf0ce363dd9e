//! `<base>.txnindex`: which transactions were aborted by a marker in this segment; Kafka's format. And
//! `<base>.hwtxn`, ours: what vouches for it.

use highwater_records::{Offset, ProducerId};

use super::IndexEntry;

/// A transaction that was aborted: no reader of committed records may see its producer's transactional records in
/// this range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AbortedTransaction {
    /// Whose it was.
    pub producer_id: ProducerId,
    /// Its first record in this partition (inclusive).
    pub first_offset: Offset,
    /// The marker that ended it (inclusive).
    pub last_offset: Offset,
    /// What was decided when the marker was appended: no transaction that ended later begins below (exclusive).
    pub last_stable: Offset,
}

const VERSION: i16 = 0;

impl IndexEntry for AbortedTransaction {
    const SIZE: usize = 34;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&self.producer_id.0.to_be_bytes());
        out.extend_from_slice(&self.first_offset.get().to_be_bytes());
        out.extend_from_slice(&self.last_offset.get().to_be_bytes());
        out.extend_from_slice(&self.last_stable.get().to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> AbortedTransaction {
        let number = |at: usize| {
            let mut field = [0; 8];
            field.copy_from_slice(&bytes[at..at + 8]);
            u64::from_be_bytes(field)
        };
        // What is no offset becomes the largest one, which no file that vouches for itself has.
        let offset = |at| Offset::new(number(at)).unwrap_or(Offset::MAX);
        AbortedTransaction {
            producer_id: ProducerId(number(2)),
            first_offset: offset(10),
            last_offset: offset(18),
            last_stable: offset(26),
        }
    }

    fn follows(&self, previous: &AbortedTransaction) -> bool {
        self.last_offset > previous.last_offset
    }
}

/// What `.hwtxn` has for an index file of these bytes: their length and their checksum.
pub(crate) fn sum_of(index: &[u8]) -> [u8; 8] {
    let mut sum = [0; 8];
    sum[..4].copy_from_slice(&(index.len() as u32).to_be_bytes());
    sum[4..].copy_from_slice(&crc32c::crc32c(index).to_be_bytes());
    sum
}

/// The aborted transactions that a file of Kafka's format has.
///
/// # Errors
/// What is wrong with it.
pub fn decode_transaction_index(bytes: &[u8]) -> Result<Vec<AbortedTransaction>, &'static str> {
    if bytes.chunks(AbortedTransaction::SIZE).any(|entry| entry.first_chunk() != Some(&VERSION.to_be_bytes()))
    {
        return Err("a transaction index has an entry of an unknown version");
    }
    let entries = super::decode::<AbortedTransaction>(bytes)
        .ok_or("a transaction index is cut short, or its entries do not grow")?;
    if entries.iter().any(|entry| entry.first_offset >= entry.last_offset || entry.last_offset == Offset::MAX)
    {
        return Err("a transaction index has a transaction that ends before it begins");
    }
    Ok(entries)
}

/// Adds to `found` what of a transaction index of Kafka's format, which [`decode_transaction_index`] has accepted, has
/// records in `[from, to)`. Markers at or above `end` do not count. Whether nothing that ends later has.
pub fn find_aborted(
    index: &[u8],
    (from, to): (Offset, Offset),
    end: Offset,
    found: &mut Vec<AbortedTransaction>,
) -> bool {
    let (entries, _) = index.as_chunks::<{ AbortedTransaction::SIZE }>();
    let first = entries.partition_point(|entry| AbortedTransaction::decode(entry).last_offset < from);
    for entry in &entries[first..] {
        let aborted = AbortedTransaction::decode(entry);
        if aborted.last_offset >= end {
            return false;
        }
        if aborted.first_offset < to {
            found.push(aborted);
        }
        if aborted.last_stable >= to {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::encode;

    fn offset(value: u64) -> Offset {
        Offset::new(value).unwrap()
    }

    fn entry(first: u64, last: u64) -> AbortedTransaction {
        AbortedTransaction {
            producer_id: ProducerId(0x0102),
            first_offset: offset(first),
            last_offset: offset(last),
            last_stable: offset(last + 1),
        }
    }

    #[test]
    fn kafkas_bytes() {
        let bytes = encode(&[entry(5, 9)]);
        let mut expected = vec![0, 0, 0, 0, 0, 0, 0, 0, 1, 2];
        for value in [5, 9, 10] {
            expected.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, value]);
        }
        assert_eq!(bytes, expected);
        assert_eq!(decode_transaction_index(&bytes), Ok(vec![entry(5, 9)]));
        assert_eq!(decode_transaction_index(&[]), Ok(vec![]));
    }

    #[test]
    fn what_a_range_needs_is_found() {
        let mut early = entry(1, 12);
        early.last_stable = offset(2);
        let bytes = encode(&[entry(5, 9), early, entry(20, 25)]);
        let find = |from, to| {
            let mut found = Vec::new();
            let complete = find_aborted(&bytes, (offset(from), offset(to)), offset(26), &mut found);
            (found.iter().map(|t| t.first_offset.get()).collect::<Vec<_>>(), complete)
        };
        assert_eq!(find(0, 10), (vec![5], true));
        assert_eq!(find(0, 11), (vec![5, 1], true));
        assert_eq!(find(10, 11), (vec![1], true));
        assert_eq!(find(13, 22), (vec![20], true));
        assert_eq!(find(13, 27), (vec![20], false));
        assert_eq!(find(26, 27), (vec![], false));
        let mut found = Vec::new();
        assert!(!find_aborted(&bytes, (offset(0), offset(10)), offset(9), &mut found));
        assert_eq!(found, []);
    }

    #[test]
    fn wrong_shapes_are_errors() {
        let bytes = encode(&[entry(5, 9), entry(1, 12)]);
        for len in (1..bytes.len()).filter(|len| *len != AbortedTransaction::SIZE) {
            assert!(decode_transaction_index(&bytes[..len]).is_err(), "{len}");
        }
        assert!(decode_transaction_index(&encode(&[entry(5, 9), entry(6, 9)])).is_err());
        assert!(decode_transaction_index(&encode(&[entry(9, 9)])).is_err());
        let mut newer = bytes;
        newer[1] = 1;
        assert!(decode_transaction_index(&newer).is_err());
    }
}
