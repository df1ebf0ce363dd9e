use std::fmt;

use bytes::Bytes;

use super::{
    error::BatchError,
    header::{self, Attributes, HEADER_LEN, LENGTH_OVERHEAD, TimestampType},
    view::{BatchView, crc_of},
};
use crate::{
    LeaderEpoch, Offset, TimestampMs,
    compression::{Codec, Compression, compress, decompress},
};

/// What a batch must be to become a [`CheckedBatch`].
#[derive(Clone, Copy, Debug)]
pub struct CheckPolicy {
    /// Largest batch in bytes, inclusive (`max.message.bytes`).
    pub size_max: usize,
    /// Who wrote it.
    pub origin: Origin,
    /// Whether to walk the records, decompressing them if need be. Without it a checksum that is right vouches for
    /// them, which an honest client's does.
    pub deep: bool,
    /// Whether every record needs a key (compacted topics). Has an effect with `deep` only.
    pub keys_required: bool,
    /// With `deep`: most bytes that may come out of the decompressor, all records together.
    pub decompressed_max: usize,
}

/// Who wrote a batch, which decides what it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client: every offset taken, counted from zero, no control records, its own timestamps.
    Client,
    /// This broker itself (coordinators, markers): every offset taken.
    Internal,
    /// A replica, the bucket or a file: has been accepted before, and compaction may have thinned it.
    Replica,
}

impl CheckPolicy {
    /// For what clients send: deep, at most `size_max` bytes, and at most the larger of 64 MiB and 128 times that
    /// decompressed.
    pub const fn client(size_max: usize) -> CheckPolicy {
        let most = size_max.saturating_mul(128);
        CheckPolicy {
            size_max,
            origin: Origin::Client,
            deep: true,
            keys_required: false,
            decompressed_max: if most > 64 << 20 { most } else { 64 << 20 },
        }
    }

    /// For what has been accepted before: header and checksum only, any size.
    pub const fn replica() -> CheckPolicy {
        CheckPolicy {
            size_max: usize::MAX,
            origin: Origin::Replica,
            deep: false,
            keys_required: false,
            decompressed_max: usize::MAX,
        }
    }

    /// For what this broker writes itself: any size, not walked.
    pub const fn internal() -> CheckPolicy {
        CheckPolicy { origin: Origin::Internal, ..CheckPolicy::replica() }
    }
}

/// One whole batch that has been checked: what a log accepts. Cloning shares the bytes.
#[derive(Clone)]
pub struct CheckedBatch {
    bytes: Bytes,
}

impl CheckedBatch {
    /// Checks that `bytes` are exactly one batch that `policy` allows.
    ///
    /// A client's max timestamp that is not the maximum of its records is put right by a deep check, as Kafka does;
    /// nothing else is changed.
    ///
    /// # Errors
    /// Any [`BatchError`].
    pub fn check(bytes: Bytes, policy: &CheckPolicy) -> Result<CheckedBatch, BatchError> {
        let view = BatchView::parse(&bytes)?;
        if view.size() != bytes.len() {
            return Err(BatchError::Invalid("there are bytes after it"));
        }
        if view.size() > policy.size_max {
            return Err(BatchError::TooLarge { size: view.size(), max: policy.size_max });
        }
        view.verify_crc()?;
        check_header(&view, policy.origin)?;
        if !policy.deep {
            return Ok(CheckedBatch { bytes });
        }
        let max = walk(&view, policy)?;
        if view.timestamp_type() == TimestampType::LogAppendTime || max == view.raw_max_timestamp() {
            return Ok(CheckedBatch { bytes });
        }
        if policy.origin != Origin::Client {
            return Err(BatchError::InvalidTimestamp("the max timestamp is not the largest of its records"));
        }
        Ok(CheckedBatch { bytes: patch(bytes, TimestampType::CreateTime, max) })
    }

    /// The batch.
    pub fn view(&self) -> BatchView<'_> {
        BatchView::known(&self.bytes)
    }

    /// Its bytes.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its bytes.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The first 16 bytes as they go to disk: base offset, length, leader epoch. The rest goes as it is, since the
    /// checksum covers none of the three.
    pub fn patched_prefix(&self, base: Offset, epoch: LeaderEpoch) -> [u8; 16] {
        let mut prefix = header::field::<16>(&self.bytes, 0);
        prefix[header::BASE_OFFSET..8].copy_from_slice(&base.as_i64().to_be_bytes());
        prefix[header::LEADER_EPOCH..16].copy_from_slice(&epoch.as_i32().to_be_bytes());
        prefix
    }

    /// The batch compressed as wished, unless its codec is that already; the level alone changes nothing. Its records
    /// stay byte for byte. At most `limit` bytes may come out of it on the way.
    ///
    /// # Errors
    /// [`BatchError::Compression`] if it does not decompress, or not within `limit`, or a codec is not compiled in;
    /// [`BatchError::Invalid`] if it would be larger than the format can express.
    pub fn compressed(self, how: Compression, limit: usize) -> Result<CheckedBatch, BatchError> {
        let view = self.view();
        if view.codec() == how.codec || view.is_control() {
            return Ok(self);
        }
        let mut out = Vec::from(&view.bytes()[..HEADER_LEN]);
        match view.codec() {
            Codec::None => compress(how, view.body(), &mut out),
            codec => decompress(codec, view.body(), limit).and_then(|body| compress(how, &body, &mut out)),
        }
        .map_err(BatchError::Compression)?;
        let length = i32::try_from(out.len() - LENGTH_OVERHEAD)
            .map_err(|_| BatchError::Invalid("recompressed it is larger than the format can express"))?;
        let attributes = view.attributes().0 & !Attributes::CODEC | u16::from(how.codec.id());
        out[header::LENGTH..header::LENGTH + 4].copy_from_slice(&length.to_be_bytes());
        out[header::ATTRIBUTES..header::ATTRIBUTES + 2].copy_from_slice(&attributes.to_be_bytes());
        let crc = crc_of(&out);
        out[header::CRC..header::CRC + 4].copy_from_slice(&crc.to_be_bytes());
        Ok(CheckedBatch { bytes: out.into() })
    }

    /// The batch stamped by the broker's clock. Copies the bytes if they are shared, and recomputes the checksum.
    pub fn with_log_append_time(self, now: TimestampMs) -> CheckedBatch {
        CheckedBatch { bytes: patch(self.bytes, TimestampType::LogAppendTime, now.0) }
    }
}

impl fmt::Debug for CheckedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.view(), f)
    }
}

fn check_header(view: &BatchView<'_>, origin: Origin) -> Result<(), BatchError> {
    let invalid = |reason| Err(BatchError::Invalid(reason));
    if view.is_control() && view.codec() != Codec::None {
        return invalid("control records cannot be compressed");
    }
    if view.is_transactional() && view.producer().is_none() {
        return invalid("it is transactional but has no producer id");
    }
    if origin == Origin::Replica {
        return Ok(());
    }
    if view.record_count() == 0 {
        return invalid("it has no records");
    }
    if view.last_offset_delta() != view.record_count() - 1 {
        return invalid("its record count does not match its last offset");
    }
    if origin == Origin::Internal {
        return Ok(());
    }
    if view.base_offset() != Offset::ZERO {
        return invalid("a client's batch must have base offset 0");
    }
    if view.is_control() {
        return invalid("clients do not write control records");
    }
    if view.producer().is_some_and(|producer| producer.base_sequence.is_none()) {
        return invalid("it has a producer id but no sequence");
    }
    if view.timestamp_type() != TimestampType::CreateTime {
        return Err(BatchError::InvalidTimestamp("clients do not set log-append time"));
    }
    if view.attributes().has_delete_horizon() {
        return invalid("clients do not set a delete horizon");
    }
    Ok(())
}

/// Walks the records; answers the largest timestamp among them in the header's form.
fn walk(view: &BatchView<'_>, policy: &CheckPolicy) -> Result<i64, BatchError> {
    let mut max = header::NONE;
    let base = view.base_offset();
    for (index, record) in (0u32..).zip(view.walk(policy.decompressed_max)?) {
        let record = record?;
        if policy.origin != Origin::Replica && record.offset.since(base) != u64::from(index) {
            return Err(BatchError::InvalidRecord { index, reason: "its offset delta leaves a gap" });
        }
        if policy.keys_required && record.key_len.is_none() && !view.is_control() {
            return Err(BatchError::InvalidRecord { index, reason: "a compacted topic needs a key" });
        }
        max = max.max(record.timestamp.map_or(header::NONE, |time| time.0));
    }
    // A thinned batch keeps the max timestamp of what it had.
    let thinned = policy.origin == Origin::Replica && view.record_count() <= view.last_offset_delta();
    Ok(if thinned { view.raw_max_timestamp() } else { max })
}

fn patch(bytes: Bytes, kind: TimestampType, max_timestamp: i64) -> Bytes {
    let mut bytes = Vec::from(bytes);
    debug_assert!(bytes.len() >= HEADER_LEN);
    let mut attributes = u16::from_be_bytes(header::field(&bytes, header::ATTRIBUTES));
    match kind {
        TimestampType::CreateTime => attributes &= !Attributes::LOG_APPEND_TIME,
        TimestampType::LogAppendTime => attributes |= Attributes::LOG_APPEND_TIME,
    }
    bytes[header::ATTRIBUTES..header::ATTRIBUTES + 2].copy_from_slice(&attributes.to_be_bytes());
    bytes[header::MAX_TIMESTAMP..header::MAX_TIMESTAMP + 8].copy_from_slice(&max_timestamp.to_be_bytes());
    let crc = crc_of(&bytes);
    bytes[header::CRC..header::CRC + 4].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}
