//! Record batches as the simulated clients make and check them. Written apart from `records` on purpose: the
//! code under test does not get to judge itself.

use std::fmt;

use bytes::Bytes;

use crate::trace::hash_bytes;

const HEADER_LEN: usize = 61;
/// Where the checksum's cover begins; base offset and leader epoch, which a broker writes, lie before it.
const COVERED_FROM: usize = 21;

/// A batch to produce. Its records carry `tag`, so that two batches with different tags have different bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewBatch {
    /// What makes it unlike any other batch of the run.
    pub tag: u64,
    /// How many records; at least one.
    pub count: u32,
    /// Bytes of each record's value; at least eight are written.
    pub value_size: usize,
    /// Timestamp of the first record; each next one is a millisecond later.
    pub timestamp_ms: i64,
    /// Producer id, epoch and base sequence.
    pub producer: Option<(u64, u16, i32)>,
}

impl NewBatch {
    /// The batch's bytes, with base offset zero, as a client sends it.
    pub fn encode(&self) -> Bytes {
        let value_len = self.value_size.max(8);
        let (id, epoch, sequence) =
            self.producer.map_or((-1, -1, -1), |(id, epoch, sequence)| (id as i64, epoch as i16, sequence));
        // Lengths and the checksum are put in where they belong once they are known.
        let mut batch = Vec::with_capacity(HEADER_LEN + self.count as usize * (value_len + 24));
        batch.extend_from_slice(&0i64.to_be_bytes());
        batch.extend_from_slice(&0i32.to_be_bytes());
        batch.extend_from_slice(&(-1i32).to_be_bytes());
        batch.push(2);
        batch.extend_from_slice(&0u32.to_be_bytes());
        batch.extend_from_slice(&0i16.to_be_bytes());
        batch.extend_from_slice(&(self.count as i32 - 1).to_be_bytes());
        batch.extend_from_slice(&self.timestamp_ms.to_be_bytes());
        batch.extend_from_slice(&(self.timestamp_ms + i64::from(self.count) - 1).to_be_bytes());
        batch.extend_from_slice(&id.to_be_bytes());
        batch.extend_from_slice(&epoch.to_be_bytes());
        batch.extend_from_slice(&sequence.to_be_bytes());
        batch.extend_from_slice(&(self.count as i32).to_be_bytes());
        let mut head = Vec::with_capacity(24);
        for index in 0..i64::from(self.count) {
            head.clear();
            head.push(0);
            varint(&mut head, index);
            varint(&mut head, index);
            varint(&mut head, -1);
            varint(&mut head, value_len as i64);
            varint(&mut batch, (head.len() + value_len + 1) as i64);
            batch.extend_from_slice(&head);
            let value_at = batch.len();
            batch.extend_from_slice(&self.tag.to_be_bytes());
            batch.resize(value_at + value_len, index as u8);
            varint(&mut batch, 0);
        }
        let len = (batch.len() - 12) as i32;
        batch[8..12].copy_from_slice(&len.to_be_bytes());
        let checksum = crc32c::crc32c(&batch[COVERED_FROM..]);
        batch[17..COVERED_FROM].copy_from_slice(&checksum.to_be_bytes());
        Bytes::from(batch)
    }

    /// What [`SeenBatch::content`] will be once it comes back.
    pub fn content(&self) -> u64 {
        content_of(&self.encode())
    }
}

/// What [`SeenBatch::content`] is of a whole batch.
pub fn content_of(batch: &[u8]) -> u64 {
    hash_bytes(&batch[COVERED_FROM..])
}

/// A whole, valid batch that came back, or lies in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeenBatch {
    /// Offset of its first record.
    pub base: u64,
    /// Offset of its last record.
    pub last: u64,
    /// The leader epoch it was appended in.
    pub epoch: i32,
    /// Hash of everything the producer wrote.
    pub content: u64,
    /// Timestamp of the first record, each next one a millisecond later.
    pub first_timestamp: i64,
    /// Bytes, all of it.
    pub size: usize,
    /// Producer, its epoch and the sequence of the first record, of a producer that has an id.
    pub producer: Option<(i64, i16, i32)>,
}

impl SeenBatch {
    /// Checks the batch that `bytes` begin with.
    ///
    /// # Errors
    /// What rule of the format it breaks.
    pub fn parse(bytes: &[u8]) -> Result<SeenBatch, String> {
        if bytes.len() < HEADER_LEN {
            return Err(format!("{} bytes are no batch header", bytes.len()));
        }
        let length = i32_at(bytes, 8);
        let size = usize::try_from(length).ok().and_then(|length| length.checked_add(12));
        let size = size.filter(|size| (HEADER_LEN..=bytes.len()).contains(size));
        let Some(size) = size else {
            return Err(format!("batch length {length} with {} bytes left", bytes.len()));
        };
        let bytes = &bytes[..size];
        if bytes[16] != 2 {
            return Err(format!("magic {}", bytes[16]));
        }
        if i32_at(bytes, 17) as u32 != crc32c::crc32c(&bytes[COVERED_FROM..]) {
            return Err("checksum does not hold".into());
        }
        let (base, delta, count) = (i64_at(bytes, 0), i32_at(bytes, 23), i32_at(bytes, 57));
        if base < 0 || delta < 0 || i64::from(count) != i64::from(delta) + 1 {
            return Err(format!("base {base}, last offset delta {delta}, {count} records"));
        }
        let producer = (i64_at(bytes, 43), i16::from_be_bytes([bytes[51], bytes[52]]), i32_at(bytes, 53));
        let (id, epoch, sequence) = producer;
        if (id < 0) != (epoch < 0) || (id < 0) != (sequence < 0) {
            return Err(format!("producer {id}, epoch {epoch}, sequence {sequence}"));
        }
        walk_records(&bytes[HEADER_LEN..], count)?;
        let (first, max) = (i64_at(bytes, 27), i64_at(bytes, 35));
        if max != first + i64::from(delta) {
            return Err(format!("timestamps {first} to {max} over {count} records"));
        }
        Ok(SeenBatch {
            base: base as u64,
            last: base as u64 + delta as u64,
            epoch: i32_at(bytes, 12),
            content: content_of(bytes),
            first_timestamp: first,
            size,
            producer: (id >= 0).then_some(producer),
        })
    }
}

impl SeenBatch {
    fn skim(bytes: &[u8]) -> Option<SeenBatch> {
        if bytes.len() < HEADER_LEN {
            return None;
        }
        let size = usize::try_from(i32_at(bytes, 8)).ok()?.checked_add(12)?;
        let bytes = bytes.get(..size).filter(|_| size >= HEADER_LEN)?;
        if i32_at(bytes, 17) as u32 != crc32c::crc32c(&bytes[COVERED_FROM..]) {
            return None;
        }
        let (base, delta) = (i64_at(bytes, 0), i32_at(bytes, 23));
        let producer = (i64_at(bytes, 43), i16::from_be_bytes([bytes[51], bytes[52]]), i32_at(bytes, 53));
        Some(SeenBatch {
            base: base.cast_unsigned(),
            last: base.cast_unsigned() + u64::from(delta.cast_unsigned()),
            epoch: i32_at(bytes, 12),
            content: content_of(bytes),
            first_timestamp: i64_at(bytes, 27),
            size,
            producer: (producer.0 >= 0 && producer.2 >= 0).then_some(producer),
        })
    }

    /// The offset of its first record with this timestamp or a later one.
    pub fn first_at_or_after(&self, timestamp_ms: i64) -> Option<u64> {
        let steps = u64::try_from(timestamp_ms - self.first_timestamp).unwrap_or(0);
        (self.base + steps <= self.last).then_some(self.base + steps)
    }
}

/// Batches that lie one after the other: the valid ones before the first bad one, and what is wrong with that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Batches {
    /// Valid batches, in order.
    pub good: Vec<SeenBatch>,
    /// What is wrong with what follows them; `None` if nothing follows.
    pub bad: Option<String>,
}

impl Batches {
    /// Checks `bytes`.
    pub fn parse(bytes: &[u8]) -> Batches {
        let mut batches = Batches::default();
        let mut position = 0;
        while position < bytes.len() {
            match SeenBatch::parse(&bytes[position..]) {
                Ok(batch) => {
                    position += batch.size;
                    batches.good.push(batch);
                }
                Err(why) => {
                    batches.bad = Some(format!("at byte {position}: {why}"));
                    break;
                }
            }
        }
        batches
    }
}

impl Batches {
    /// Batches of anybody, markers and those of coordinators too, up to the first one whose checksum does not hold: of
    /// their records nothing is looked at. Sequences of batches that have none are left out.
    pub fn skim(bytes: &[u8]) -> Vec<SeenBatch> {
        let (mut batches, mut position) = (Vec::new(), 0);
        while let Some(batch) = SeenBatch::skim(&bytes[position..]) {
            position += batch.size;
            batches.push(batch);
        }
        batches
    }
}

impl fmt::Display for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for batch in &self.good {
            write!(f, " {}..={}@{}", batch.base, batch.last, batch.epoch)?;
        }
        match &self.bad {
            Some(why) => write!(f, " BAD {why}"),
            None => Ok(()),
        }
    }
}

fn walk_records(mut bytes: &[u8], count: i32) -> Result<(), String> {
    for index in 0..i64::from(count) {
        let size = take_varint(&mut bytes).and_then(|size| usize::try_from(size).ok());
        let Some(mut record) = size.and_then(|size| bytes.split_off(..size)) else {
            return Err(format!("record {index} of {count} does not fit"));
        };
        let attributes = record.split_off(..1);
        let deltas = (take_varint(&mut record), take_varint(&mut record));
        if attributes != Some(&[0]) || deltas != (Some(index), Some(index)) {
            return Err(format!("record {index} has attributes {attributes:?} and deltas {deltas:?}"));
        }
    }
    if bytes.is_empty() { Ok(()) } else { Err(format!("{} bytes after the last record", bytes.len())) }
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: NewBatch =
        NewBatch { tag: 5, count: 3, value_size: 200, timestamp_ms: 1000, producer: Some((4, 0, 7)) };

    #[test]
    fn what_is_made_is_valid_and_recognized_whatever_the_broker_stamps() {
        let mut bytes = NEW.encode().to_vec();
        bytes[7] = 9;
        bytes[15] = 3;
        bytes[12..15].fill(0);
        let seen = SeenBatch::parse(&bytes).unwrap();
        assert_eq!((seen.base, seen.last, seen.epoch), (9, 11, 3));
        assert_eq!(seen.content, NEW.content());
        assert_ne!(seen.content, NewBatch { tag: 6, ..NEW }.content());
    }

    #[test]
    fn any_flipped_bit_that_the_checksum_covers_is_seen() {
        let bytes = NEW.encode().to_vec();
        for bit in COVERED_FROM * 8..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(SeenBatch::parse(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_torn_end_is_seen_and_what_lies_before_it_is_kept() {
        let mut bytes = NEW.encode().to_vec();
        let whole = bytes.len();
        bytes.extend_from_slice(&NEW.encode()[..whole - 1]);
        let batches = Batches::parse(&bytes);
        assert_eq!(batches.good.len(), 1);
        let why = batches.bad.unwrap();
        assert!(why.starts_with(&format!("at byte {whole}")), "{why}");
    }
}
