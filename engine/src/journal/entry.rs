//! What the journal says of a log.

use bytes::Bytes;
use highwater_records::{Offset, PartitionIndex, TopicId, TopicIdPartition};

use crate::little_endian::Reader;

/// A batch on its way into the journal.
#[derive(Clone, Debug)]
pub(crate) struct JournaledBatch {
    /// First offset of the segment it lies in.
    pub(crate) segment: Offset,
    /// Where in the segment's file.
    pub(crate) position: u64,
    pub(crate) base: Offset,
    pub(crate) next: Offset,
    /// Its first bytes as they are on the disk; the log writes base offset and leader epoch.
    pub(crate) prefix: [u8; 16],
    /// The whole batch; the first bytes are not looked at.
    pub(crate) bytes: Bytes,
}

impl JournaledBatch {
    /// Bytes that it takes in the journal.
    pub(crate) fn journaled_len(&self) -> u64 {
        (HEAD + BATCH_HEAD + self.bytes.len()) as u64
    }
}

/// A change of one log.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Batch(JournaledBatch),
    /// The log ends here, whatever it had from here on.
    TruncateTo(Offset),
    /// The log is empty and begins here.
    Restart(Offset),
    /// Everything below is durable in the log's own files.
    Floor(Offset),
    /// The log is gone.
    Delete,
}

/// A change and the log it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) log: TopicIdPartition,
    pub(crate) change: Change,
}

/// An entry as it is read: where the batch's bytes are instead of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) log: TopicIdPartition,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// `at` and `len`: the batch within the bytes that were decoded.
    Batch {
        segment: Offset,
        position: u64,
        base: Offset,
        next: Offset,
        at: usize,
        len: usize,
    },
    TruncateTo(Offset),
    Restart(Offset),
    Floor(Offset),
    Delete,
}

const BATCH: u8 = 1;
const TRUNCATE_TO: u8 = 2;
const RESTART: u8 = 3;
const FLOOR: u8 = 4;
const DELETE: u8 = 5;

/// Kind, topic id, partition.
const HEAD: usize = 1 + 16 + 4;
/// Segment, position, base, next, length.
const BATCH_HEAD: usize = 4 * 8 + 4;

impl Entry {
    /// Bytes it takes.
    pub(super) fn encoded_len(&self) -> usize {
        HEAD + match &self.change {
            Change::Batch(batch) => BATCH_HEAD + batch.bytes.len(),
            Change::TruncateTo(_) | Change::Restart(_) | Change::Floor(_) => 8,
            Change::Delete => 0,
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let (kind, offset) = match &self.change {
            Change::Batch(_) => (BATCH, None),
            Change::TruncateTo(offset) => (TRUNCATE_TO, Some(*offset)),
            Change::Restart(offset) => (RESTART, Some(*offset)),
            Change::Floor(offset) => (FLOOR, Some(*offset)),
            Change::Delete => (DELETE, None),
        };
        out.push(kind);
        out.extend_from_slice(self.log.topic_id.as_bytes());
        out.extend_from_slice(&self.log.partition.0.to_le_bytes());
        if let Some(offset) = offset {
            out.extend_from_slice(&offset.get().to_le_bytes());
        }
        if let Change::Batch(batch) = &self.change {
            for value in [batch.segment.get(), batch.position, batch.base.get(), batch.next.get()] {
                out.extend_from_slice(&value.to_le_bytes());
            }
            out.extend_from_slice(&(batch.bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(&batch.prefix);
            out.extend_from_slice(&batch.bytes[batch.prefix.len()..]);
        }
    }
}

/// The entries in `bytes`; `None` if they are not as they were written, though their checksum fits.
pub(super) fn decode(bytes: &[u8], count: u32) -> Option<Vec<Found>> {
    let mut reader = Reader::new(bytes);
    // Each takes some bytes, so that no count makes this large.
    let mut found = Vec::with_capacity((count as usize).min(bytes.len() / HEAD));
    for _ in 0..count {
        let kind = reader.u8()?;
        let topic_id = TopicId::from_bytes(reader.take()?);
        let partition = PartitionIndex(reader.u32()?);
        let what = match kind {
            BATCH => {
                let segment = reader.offset()?;
                let position = reader.u64()?;
                let (base, next) = (reader.offset()?, reader.offset()?);
                let len = reader.u32()? as usize;
                let at = bytes.len() - reader.len();
                reader.bytes(len)?;
                (segment <= base && base < next).then_some(())?;
                What::Batch { segment, position, base, next, at, len }
            }
            TRUNCATE_TO => What::TruncateTo(reader.offset()?),
            RESTART => What::Restart(reader.offset()?),
            FLOOR => What::Floor(reader.offset()?),
            DELETE => What::Delete,
            _ => return None,
        };
        found.push(Found { log: TopicIdPartition { topic_id, partition }, what });
    }
    reader.is_empty().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> TopicIdPartition {
        TopicIdPartition { topic_id: TopicId::from_random(7, 8), partition: PartitionIndex(3) }
    }

    fn offset(value: u64) -> Offset {
        Offset::new(value).unwrap()
    }

    fn all_kinds() -> Vec<Entry> {
        let batch = JournaledBatch {
            segment: offset(10),
            position: 99,
            base: offset(12),
            next: offset(15),
            prefix: [7; 16],
            bytes: Bytes::from_static(b"0123456789abcdef and the rest"),
        };
        let changes = [
            Change::Batch(batch),
            Change::TruncateTo(offset(5)),
            Change::Restart(offset(6)),
            Change::Floor(offset(7)),
            Change::Delete,
        ];
        changes.into_iter().map(|change| Entry { log: log(), change }).collect()
    }

    #[test]
    fn every_kind_comes_back() {
        let entries = all_kinds();
        let mut bytes = Vec::new();
        entries.iter().for_each(|entry| entry.encode(&mut bytes));
        assert_eq!(bytes.len(), entries.iter().map(Entry::encoded_len).sum::<usize>());
        let found: Vec<What> = decode(&bytes, 5).unwrap().into_iter().map(|found| found.what).collect();
        let What::Batch { segment, position, base, next, at, len } = found[0] else { panic!("{found:?}") };
        assert_eq!((segment, position, base, next), (offset(10), 99, offset(12), offset(15)));
        assert_eq!(
            &bytes[at..at + len],
            b"\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07 and the rest"
        );
        assert_eq!(
            found[1..],
            [What::TruncateTo(offset(5)), What::Restart(offset(6)), What::Floor(offset(7)), What::Delete]
        );
    }

    #[test]
    fn no_length_and_no_count_goes_beyond_the_bytes() {
        let mut bytes = Vec::new();
        all_kinds().iter().for_each(|entry| entry.encode(&mut bytes));
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len], 5), None);
        }
        assert_eq!(decode(&bytes, 4), None);
        assert_eq!(decode(&bytes, u32::MAX), None);
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 0x80;
            // Total: any answer, no panic.
            let _ = decode(&other, 5);
        }
    }
}
