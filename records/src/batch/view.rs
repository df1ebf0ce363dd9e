use std::fmt;

use super::{
    error::BatchError,
    header::{self, Attributes, HEADER_LEN, LENGTH_OVERHEAD, MAGIC, NONE, TimestampType, field},
    record::{RecordIter, RecordWalk},
};
use crate::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs, compression::Codec};

/// One whole v2 batch, borrowed.
///
/// Construction checks lengths, magic and the ranges of the header's numbers, and nothing that needs the records'
/// bytes: cheap enough to walk a file with. [`BatchView::verify_crc`] and
/// [`CheckedBatch`](super::CheckedBatch) do the rest.
#[derive(Clone, Copy)]
pub struct BatchView<'a> {
    bytes: &'a [u8],
}

/// Who wrote a batch, for idempotence and transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    /// The session.
    pub id: ProducerId,
    /// Its incarnation.
    pub epoch: ProducerEpoch,
    /// The first record's sequence; `None` in what coordinators write (control batches, offset commits).
    pub base_sequence: Option<Sequence>,
}

/// The total size of the batch that begins with `first_bytes`, or `None` while its length field (bytes 8 to 12) is
/// not there yet.
///
/// # Errors
/// [`BatchError::Corrupt`] when the length is negative or too short for a header.
pub fn peek_size(first_bytes: &[u8]) -> Result<Option<usize>, BatchError> {
    if first_bytes.len() < LENGTH_OVERHEAD {
        return Ok(None);
    }
    let length = i32::from_be_bytes(field(first_bytes, header::LENGTH));
    let length = usize::try_from(length).map_err(|_| BatchError::Corrupt("its length is negative"))?;
    // At most 2^31 + 11, which fits wherever this can run: a batch lies in memory.
    match length.checked_add(LENGTH_OVERHEAD) {
        Some(size) if size >= HEADER_LEN => Ok(Some(size)),
        _ => Err(BatchError::Corrupt("its length is too short for a header")),
    }
}

impl<'a> BatchView<'a> {
    /// The batch at the start of `bytes`, which may go on after it.
    ///
    /// # Errors
    /// `Truncated`, `UnsupportedMagic`, `UnknownCodec`, or `Corrupt` for header numbers out of their range.
    pub fn parse(bytes: &'a [u8]) -> Result<BatchView<'a>, BatchError> {
        let size =
            peek_size(bytes)?.ok_or(BatchError::Truncated { needed: HEADER_LEN, available: bytes.len() })?;
        // The magic decides how the rest is read, so that an old format is called by its name even when cut.
        if let Some(magic) = bytes.get(header::MAGIC_AT)
            && *magic as i8 != MAGIC
        {
            return Err(BatchError::UnsupportedMagic { magic: *magic as i8 });
        }
        let whole =
            bytes.get(..size).ok_or(BatchError::Truncated { needed: size, available: bytes.len() })?;
        let view = BatchView { bytes: whole };
        view.check_header()?;
        Ok(view)
    }

    /// The view of bytes that [`BatchView::parse`] has accepted before.
    pub(super) fn known(bytes: &'a [u8]) -> BatchView<'a> {
        BatchView { bytes }
    }

    /// Every number that an accessor turns into a type of its own is in that type's range.
    fn check_header(&self) -> Result<(), BatchError> {
        let base = self.raw_base_offset();
        let delta = self.raw_last_offset_delta();
        if base < 0 {
            return Err(BatchError::Corrupt("its base offset is negative"));
        }
        if delta < 0 {
            return Err(BatchError::Corrupt("its last offset delta is negative"));
        }
        // The next offset, one past the last, must be an offset too.
        if base.checked_add(i64::from(delta) + 1).is_none() {
            return Err(BatchError::Corrupt("its last offset is beyond the largest"));
        }
        if self.raw_record_count() < 0 {
            return Err(BatchError::Corrupt("its record count is negative"));
        }
        if i64::from(self.raw_record_count()) > i64::from(delta) + 1 {
            return Err(BatchError::Corrupt("it counts more records than offsets"));
        }
        if self.raw_leader_epoch() < -1 {
            return Err(BatchError::Corrupt("its leader epoch is below -1"));
        }
        if self.raw_producer_id() < -1 {
            return Err(BatchError::Corrupt("its producer id is below -1"));
        }
        if self.raw_producer_id() >= 0 && self.raw_producer_epoch() < 0 {
            return Err(BatchError::Corrupt("it has a producer id without a producer epoch"));
        }
        if self.raw_base_sequence() < -1 {
            return Err(BatchError::Corrupt("its base sequence is below -1"));
        }
        let id = self.attributes().codec_id();
        Codec::from_id(id).ok_or(BatchError::UnknownCodec { id })?;
        Ok(())
    }

    /// Bytes of the whole batch.
    pub const fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The whole batch.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Offset of the first record (inclusive).
    pub fn base_offset(&self) -> Offset {
        offset(self.raw_base_offset())
    }

    /// Offset of the last record (inclusive), which compaction may have removed.
    pub fn last_offset(&self) -> Offset {
        offset(self.raw_base_offset() + i64::from(self.raw_last_offset_delta()))
    }

    /// One past the last offset: where the next batch begins.
    pub fn next_offset(&self) -> Offset {
        offset(self.raw_base_offset() + i64::from(self.raw_last_offset_delta()) + 1)
    }

    /// Last offset minus base offset.
    pub fn last_offset_delta(&self) -> u32 {
        self.raw_last_offset_delta() as u32
    }

    /// Epoch of the leader that appended it, `None` before that.
    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        u32::try_from(self.raw_leader_epoch()).ok().map(LeaderEpoch)
    }

    /// Number of records, as the header says; at most the number of offsets.
    pub fn record_count(&self) -> u32 {
        self.raw_record_count() as u32
    }

    /// The attribute bits.
    pub fn attributes(&self) -> Attributes {
        Attributes(u16::from_be_bytes(field(self.bytes, header::ATTRIBUTES)))
    }

    /// How the records are compressed.
    pub fn codec(&self) -> Codec {
        // Checked when the view was made.
        Codec::from_id(self.attributes().codec_id()).unwrap_or(Codec::None)
    }

    /// Whether it is part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes().is_transactional()
    }

    /// Whether its records are for brokers and clients rather than for applications.
    pub fn is_control(&self) -> bool {
        self.attributes().is_control()
    }

    /// Which clock stamped the records.
    pub fn timestamp_type(&self) -> TimestampType {
        self.attributes().timestamp_type()
    }

    /// The first record's timestamp as the header has it; `None` if there is none, or compaction has put the
    /// [delete horizon](BatchView::delete_horizon) in its place.
    pub fn first_timestamp(&self) -> Option<TimestampMs> {
        if self.attributes().has_delete_horizon() { None } else { timestamp(self.raw_base_timestamp()) }
    }

    /// The largest timestamp of its records, as the header has it; `None` if there is none.
    pub fn max_timestamp(&self) -> Option<TimestampMs> {
        timestamp(self.raw_max_timestamp())
    }

    /// When compaction may drop the tombstones and markers of this batch, once compaction has said so.
    pub fn delete_horizon(&self) -> Option<TimestampMs> {
        self.attributes().has_delete_horizon().then(|| TimestampMs(self.raw_base_timestamp()))
    }

    /// Who wrote it, if idempotent or transactional.
    pub fn producer(&self) -> Option<Producer> {
        // Some clients leave rubbish in epoch and sequence when there is no producer id; Kafka does not look either.
        let id = u64::try_from(self.raw_producer_id()).ok()?;
        let epoch = u16::try_from(self.raw_producer_epoch()).ok()?;
        Some(Producer {
            id: ProducerId(id),
            epoch: ProducerEpoch(epoch),
            base_sequence: Sequence::from_i32(self.raw_base_sequence()),
        })
    }

    /// The checksum in the header.
    pub fn stored_crc(&self) -> u32 {
        u32::from_be_bytes(field(self.bytes, header::CRC))
    }

    /// Compares the checksum with the bytes. It covers everything but base offset, length, leader epoch and magic.
    ///
    /// # Errors
    /// [`BatchError::Checksum`].
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let (stored, computed) = (self.stored_crc(), crc_of(self.bytes));
        if stored == computed { Ok(()) } else { Err(BatchError::Checksum { stored, computed }) }
    }

    /// The records' bytes, compressed as [`BatchView::codec`] says.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[HEADER_LEN..]
    }

    /// The records one by one, decompressed as they are asked for: never more than one of them in memory, and an
    /// error instead of more than `limit` decompressed bytes in all.
    ///
    /// # Errors
    /// When the codec is not compiled in, or the body does not even begin as it should.
    pub fn records(&self, limit: usize) -> Result<RecordIter<'a>, BatchError> {
        RecordIter::new(*self, limit)
    }

    /// Like [`BatchView::records`], but only their outlines: constant memory whatever the records' sizes.
    ///
    /// # Errors
    /// As [`BatchView::records`].
    pub fn walk(&self, limit: usize) -> Result<RecordWalk<'a>, BatchError> {
        RecordWalk::new(*self, limit)
    }

    pub(super) fn raw_base_offset(&self) -> i64 {
        i64::from_be_bytes(field(self.bytes, header::BASE_OFFSET))
    }

    fn raw_leader_epoch(&self) -> i32 {
        i32::from_be_bytes(field(self.bytes, header::LEADER_EPOCH))
    }

    fn raw_last_offset_delta(&self) -> i32 {
        i32::from_be_bytes(field(self.bytes, header::LAST_OFFSET_DELTA))
    }

    pub(super) fn raw_base_timestamp(&self) -> i64 {
        i64::from_be_bytes(field(self.bytes, header::BASE_TIMESTAMP))
    }

    pub(super) fn raw_max_timestamp(&self) -> i64 {
        i64::from_be_bytes(field(self.bytes, header::MAX_TIMESTAMP))
    }

    pub(super) fn raw_producer_id(&self) -> i64 {
        i64::from_be_bytes(field(self.bytes, header::PRODUCER_ID))
    }

    fn raw_producer_epoch(&self) -> i16 {
        i16::from_be_bytes(field(self.bytes, header::PRODUCER_EPOCH))
    }

    fn raw_base_sequence(&self) -> i32 {
        i32::from_be_bytes(field(self.bytes, header::BASE_SEQUENCE))
    }

    fn raw_record_count(&self) -> i32 {
        i32::from_be_bytes(field(self.bytes, header::RECORD_COUNT))
    }
}

/// The checksum of a whole batch's bytes.
pub(super) fn crc_of(bytes: &[u8]) -> u32 {
    crc32c::crc32c(&bytes[header::ATTRIBUTES..])
}

fn offset(value: i64) -> Offset {
    // Ranges were checked when the view was made.
    Offset::from_i64(value).unwrap_or(Offset::MAX)
}

pub(super) fn timestamp(value: i64) -> Option<TimestampMs> {
    (value != NONE).then_some(TimestampMs(value))
}

impl fmt::Debug for BatchView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("base_offset", &self.base_offset())
            .field("last_offset", &self.last_offset())
            .field("records", &self.record_count())
            .field("size", &self.size())
            .field("codec", &self.codec())
            .field("producer", &self.producer())
            .finish_non_exhaustive()
    }
}
