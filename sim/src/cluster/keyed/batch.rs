//! Batches whose records have keys, as clients make them and as a compacted log has them: records may be missing from a
//! batch, and all of them. Written apart from `records` on purpose, like [`crate::batch`].

use bytes::Bytes;

use crate::trace::hash_bytes;

const HEADER_LEN: usize = 61;
const COVERED_FROM: usize = 21;
const CODEC: i16 = 0x07;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// Records to produce: of each its key, and the number that its value carries; `None` deletes the key.
pub(super) fn encode(
    records: &[(u32, Option<u64>)],
    timestamp_ms: i64,
    producer: Option<(u64, u16, i32)>,
    transactional: bool,
) -> Bytes {
    let (id, epoch, sequence) = producer
        .map_or((-1, -1, -1), |(id, epoch, sequence)| (id.cast_signed(), epoch.cast_signed(), sequence));
    let count = i32::try_from(records.len()).expect("clients send a handful of records");
    let mut batch = Vec::with_capacity(HEADER_LEN + records.len() * 40);
    batch.extend_from_slice(&[0; 16]);
    batch.push(2);
    batch.extend_from_slice(&[0; 4]);
    batch.extend_from_slice(&(if transactional { TRANSACTIONAL } else { 0 }).to_be_bytes());
    batch.extend_from_slice(&(count - 1).to_be_bytes());
    batch.extend_from_slice(&timestamp_ms.to_be_bytes());
    batch.extend_from_slice(&timestamp_ms.to_be_bytes());
    batch.extend_from_slice(&id.to_be_bytes());
    batch.extend_from_slice(&epoch.to_be_bytes());
    batch.extend_from_slice(&sequence.to_be_bytes());
    batch.extend_from_slice(&count.to_be_bytes());
    for (index, (key, value)) in (0..).zip(records) {
        let mut record = vec![0];
        varint(&mut record, 0);
        varint(&mut record, index);
        varint(&mut record, 4);
        record.extend_from_slice(&key.to_be_bytes());
        match value {
            None => varint(&mut record, -1),
            Some(value) => {
                varint(&mut record, 8);
                record.extend_from_slice(&value.to_be_bytes());
            }
        }
        varint(&mut record, 0);
        varint(&mut batch, record.len() as i64);
        batch.extend_from_slice(&record);
    }
    let len = (batch.len() - 12) as i32;
    batch[8..12].copy_from_slice(&len.to_be_bytes());
    batch[12..16].fill(0xff);
    let checksum = crc32c::crc32c(&batch[COVERED_FROM..]);
    batch[17..COVERED_FROM].copy_from_slice(&checksum.to_be_bytes());
    Bytes::from(batch)
}

/// A batch of a log that compacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedBatch {
    /// Offset where it begins (inclusive).
    pub base: u64,
    /// Offset where it ends (inclusive).
    pub last: u64,
    /// The leader epoch it was appended in.
    pub epoch: i32,
    /// Its producer and that one's epoch; -1 for none.
    pub producer: (i64, i16),
    /// Whether it belongs to a transaction.
    pub transactional: bool,
    /// Of a marker with its record: whether it commits.
    pub commits: Option<bool>,
    /// What is left of its records; none of a marker's.
    pub records: Vec<KeyedRecord>,
}

/// A record that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyedRecord {
    /// Its offset.
    pub offset: u64,
    /// Hash of its key.
    pub key: Option<u64>,
    /// Hash of its value; `None` for a tombstone.
    pub value: Option<u64>,
    /// Its timestamp.
    pub timestamp: i64,
}

/// Whole batches that lie one after the other.
///
/// # Errors
/// What is no valid batch.
pub(crate) fn parse(mut bytes: &[u8]) -> Result<Vec<KeyedBatch>, String> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let size = bytes.get(8..12).map(|size| i32::from_be_bytes([size[0], size[1], size[2], size[3]]));
        let size = size.and_then(|size| usize::try_from(size).ok()).map_or(usize::MAX, |size| size + 12);
        let batch =
            bytes.get(..size).filter(|batch| batch.len() >= HEADER_LEN).ok_or("a batch is cut short")?;
        found.push(parse_one(batch).map_err(|why| format!("at {}: {why}", number(batch, 0, 8)))?);
        bytes = &bytes[size..];
    }
    Ok(found)
}

fn parse_one(batch: &[u8]) -> Result<KeyedBatch, String> {
    if number(batch, 17, 4) != i64::from(crc32c::crc32c(&batch[COVERED_FROM..])) {
        return Err("the checksum does not hold".into());
    }
    let base = number(batch, 0, 8).cast_unsigned();
    let attributes = number(batch, 21, 2) as i16;
    if attributes & CODEC != 0 {
        return Err("clients of this topic do not compress".into());
    }
    let first_timestamp = number(batch, 27, 8);
    let count = number(batch, 57, 4);
    let (mut left, mut records, mut commits) = (&batch[HEADER_LEN..], Vec::new(), None);
    for _ in 0..count {
        let size = usize::try_from(take_varint(&mut left)?).map_err(|error| error.to_string())?;
        let mut record = left.split_off(..size).ok_or("a record is cut short")?;
        record.split_off_first().ok_or("a record is empty")?;
        let (timestamp, offset) = (take_varint(&mut record)?, take_varint(&mut record)?);
        let key = field(&mut record)?;
        let value = field(&mut record)?;
        if attributes & CONTROL != 0 {
            commits = key.map(|key| key.ends_with(&[0, 1]));
            continue;
        }
        records.push(KeyedRecord {
            offset: base.wrapping_add_signed(offset),
            key: key.map(hash_bytes),
            value: value.map(hash_bytes),
            timestamp: first_timestamp + timestamp,
        });
    }
    if !left.is_empty() {
        return Err(format!("{} bytes after the last record", left.len()));
    }
    Ok(KeyedBatch {
        base,
        last: base + number(batch, 23, 4).cast_unsigned(),
        epoch: number(batch, 12, 4) as i32,
        producer: (number(batch, 43, 8), number(batch, 51, 2) as i16),
        transactional: attributes & TRANSACTIONAL != 0,
        commits,
        records,
    })
}

fn field<'a>(record: &mut &'a [u8]) -> Result<Option<&'a [u8]>, String> {
    match usize::try_from(take_varint(record)?) {
        Err(_) => Ok(None),
        Ok(size) => Ok(Some(record.split_off(..size).ok_or("a field is cut short")?)),
    }
}

/// `size` bytes as a number without a sign, of which all fit: whoever calls has looked that they are there.
fn number(bytes: &[u8], at: usize, size: usize) -> i64 {
    bytes[at..at + size].iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte)).cast_signed()
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Result<i64, String> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first().ok_or("a number is cut short")?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()));
        }
    }
    Err("a number is too long".into())
}

#[cfg(test)]
mod tests {
    use highwater_records::batch::{BatchView, Thinned, thin};

    use super::*;

    #[test]
    fn what_is_made_is_read_and_so_is_what_compaction_leaves() {
        let bytes = encode(&[(7, Some(1)), (8, None), (7, Some(2))], 1_000, Some((4, 1, 9)), true);
        let [whole] = &parse(&bytes).unwrap()[..] else { panic!("one batch") };
        assert_eq!((whole.base, whole.last, whole.producer, whole.transactional), (0, 2, (4, 1), true));
        assert_eq!(whole.records.iter().map(|one| one.offset).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(whole.records[0].key, whole.records[2].key);
        assert_ne!(whole.records[0].value, whole.records[2].value);
        assert_eq!(whole.records[1].value, None);
        let view = BatchView::parse(&bytes).unwrap();
        let horizon = highwater_records::TimestampMs(5_000);
        let kept = thin(&view, 1 << 20, horizon, false, |record| record.offset.get() > 0).unwrap();
        let Thinned::Rewritten(left) = kept else { panic!("{kept:?}") };
        let [left] = &parse(&left).unwrap()[..] else { panic!("one batch") };
        assert_eq!((left.base, left.last), (0, 2));
        assert_eq!(left.records, whole.records[1..]);
        assert!(parse(&bytes[..bytes.len() - 1]).is_err());
    }
}
