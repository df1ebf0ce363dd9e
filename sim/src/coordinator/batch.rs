//! Batches of transactions as clients make and read them. Written apart from `records` on purpose, like
//! [`crate::batch`].

use std::collections::BTreeSet;

use bytes::Bytes;

use super::happening::{Content, LogBatch, Write};
use crate::batch::{NewBatch, SeenBatch};

const HEADER_LEN: usize = 61;
const COVERED_FROM: usize = 21;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// A batch of `count` records of a transaction.
pub(super) fn transactional(write: Write, count: u32, timestamp_ms: i64, producer: (u64, u16, i32)) -> Bytes {
    let plain = NewBatch { tag: write.0, count, value_size: 8, timestamp_ms, producer: Some(producer) };
    let mut bytes = plain.encode().to_vec();
    bytes[21..23].copy_from_slice(&TRANSACTIONAL.to_be_bytes());
    let sum = crc32c::crc32c(&bytes[COVERED_FROM..]);
    bytes[17..21].copy_from_slice(&sum.to_be_bytes());
    Bytes::from(bytes)
}

/// What a partition holds, in order, and the offset after it.
///
/// # Errors
/// What is no valid batch.
pub(super) fn parse(mut bytes: &[u8]) -> Result<Vec<(LogBatch, u64)>, String> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (base, last, size) = extent(bytes)?;
        let attributes = i16::from_be_bytes([bytes[21], bytes[22]]);
        let content = match (attributes & TRANSACTIONAL != 0, attributes & CONTROL != 0) {
            (true, false) => Content::Transactional(Write(tag(&bytes[..size])?)),
            (true, true) => Content::Marker { committed: commits(&bytes[..size])? },
            _ => Content::Other,
        };
        let producer = i64::from_be_bytes(array(bytes, 43));
        let epoch = i16::from_be_bytes(array(bytes, 51));
        found.push((LogBatch { base, producer, epoch, content }, last + 1));
        bytes = &bytes[size..];
    }
    Ok(found)
}

/// What a reader of committed records makes of a fetch: batches of transactions that are on the list of aborted ones,
/// by producer and first offset, are left out until their marker.
pub(super) fn committed(batches: &[(LogBatch, u64)], aborted: &[(i64, u64)]) -> Vec<Write> {
    let mut waiting: Vec<(i64, u64)> = aborted.to_vec();
    waiting.sort_by_key(|(_, first)| *first);
    let (mut waiting, mut skipped) = (waiting.into_iter().peekable(), BTreeSet::new());
    let mut seen = Vec::new();
    for (batch, next) in batches {
        while let Some((producer, _)) = waiting.next_if(|(_, first)| first < next) {
            skipped.insert(producer);
        }
        match batch.content {
            Content::Marker { committed: false } => drop(skipped.remove(&batch.producer)),
            Content::Transactional(write) if !skipped.contains(&batch.producer) => seen.push(write),
            _ => {}
        }
    }
    seen
}

fn extent(bytes: &[u8]) -> Result<(u64, u64, usize), String> {
    // Control records are no records of clients, and are looked at here alone.
    let control = bytes.len() >= HEADER_LEN && i16::from_be_bytes([bytes[21], bytes[22]]) & CONTROL != 0;
    if !control {
        let seen = SeenBatch::parse(bytes)?;
        return Ok((seen.base, seen.last, seen.size));
    }
    let size =
        12 + usize::try_from(i32::from_be_bytes(array(bytes, 8))).map_err(|error| error.to_string())?;
    let whole = bytes.get(..size).ok_or("a control batch is cut short")?;
    if u32::from_be_bytes(array(whole, 17)) != crc32c::crc32c(&whole[COVERED_FROM..]) {
        return Err("the checksum of a control batch does not hold".into());
    }
    let base = u64::from_be_bytes(array(whole, 0));
    Ok((base, base + u64::from(u32::from_be_bytes(array(whole, 23))), size))
}

/// The number that the first record of a batch carries.
fn tag(batch: &[u8]) -> Result<u64, String> {
    let mut record = &batch[HEADER_LEN..];
    let _size = varint(&mut record)?;
    record = record.get(1..).ok_or("a record is cut short")?;
    for _ in 0..2 {
        varint(&mut record)?;
    }
    let key = varint(&mut record)?;
    record = record.get(usize::try_from(key).unwrap_or(0)..).ok_or("a key is cut short")?;
    varint(&mut record)?;
    record.get(..8).map(|tag| u64::from_be_bytes(array(tag, 0))).ok_or_else(|| "a value is too short".into())
}

/// What the key of a control record says: a version, then 0 for an abort and 1 for a commit.
fn commits(batch: &[u8]) -> Result<bool, String> {
    let mut record = &batch[HEADER_LEN..];
    let _size = varint(&mut record)?;
    record = record.get(1..).ok_or("a record is cut short")?;
    for _ in 0..3 {
        varint(&mut record)?;
    }
    match record.get(..4) {
        Some([0, 0, 0, 0]) => Ok(false),
        Some([0, 0, 0, 1]) => Ok(true),
        key => Err(format!("control record {key:?}")),
    }
}

fn varint(bytes: &mut &[u8]) -> Result<i64, String> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first().ok_or("a number is cut short")?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    Err("a number is too long".into())
}

/// `N` bytes from `at` on; whoever calls has looked that they are there.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_read_again() {
        let mut bytes = transactional(Write(77), 3, 1_000, (4, 1, 0)).to_vec();
        bytes.extend_from_slice(
            &NewBatch { tag: 5, count: 1, value_size: 8, timestamp_ms: 0, producer: None }.encode(),
        );
        let batches = parse(&bytes).unwrap();
        let first = LogBatch { base: 0, producer: 4, epoch: 1, content: Content::Transactional(Write(77)) };
        assert_eq!(batches[0], (first, 3));
        assert_eq!(batches[1].0.content, Content::Other);
        assert!(parse(&bytes[..40]).is_err());
    }

    #[test]
    fn what_was_aborted_is_left_out_up_to_its_marker() {
        let of = |base, content| (LogBatch { base, producer: 4, epoch: 0, content }, base + 1);
        let write = |number| Content::Transactional(Write(number));
        let batches = [
            of(0, write(1)),
            of(1, Content::Marker { committed: false }),
            of(2, write(2)),
            of(3, Content::Marker { committed: true }),
        ];
        assert_eq!(committed(&batches, &[(4, 0)]), [Write(2)]);
        assert_eq!(committed(&batches[2..], &[]), [Write(2)]);
    }
}
