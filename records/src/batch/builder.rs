use bytes::Bytes;

use super::{
    header::{self, Attributes, HEADER_LEN, LENGTH_OVERHEAD, MAGIC, NONE},
    view::{Producer, crc_of},
};
use crate::{
    LeaderEpoch, Offset, Sequence, TimestampMs,
    compression::{Codec, CompressionError, compress},
    primitive::{varint_len, varlong_len, write},
};

/// Builds one batch, record by record.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    codec: Codec,
    attributes: u16,
    producer: Option<Producer>,
    append_time: Option<TimestampMs>,
    /// Room for the header, then the records: what is not compressed is copied once. Empty before the first record.
    bytes: Vec<u8>,
    count: u32,
    base_timestamp: i64,
    max_timestamp: i64,
}

/// A record to be written.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its timestamp; `-1` for none.
    pub timestamp: TimestampMs,
    /// Its key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` is null.
    pub value: Option<&'a [u8]>,
    /// Its headers, in their order.
    pub headers: &'a [Header<'a>],
}

/// A record header to be written.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// Its key; need not be unique.
    pub key: &'a str,
    /// Its value; `None` is null.
    pub value: Option<&'a [u8]>,
}

/// A batch that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A batch has at least one record.
    #[error("a batch has at least one record")]
    Empty,
    /// A record, their number or the batch is larger than the format can express; or timestamps lie too far apart.
    #[error("larger than the format can express")]
    TooLarge,
    /// Base offset plus records goes beyond the largest offset.
    #[error("offsets beyond the largest")]
    OffsetOverflow,
    /// The records could not be compressed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

impl BatchBuilder {
    /// A batch with create time, no producer and no records yet.
    pub const fn new(codec: Codec) -> BatchBuilder {
        BatchBuilder {
            codec,
            attributes: codec.id() as u16,
            producer: None,
            append_time: None,
            bytes: Vec::new(),
            count: 0,
            base_timestamp: NONE,
            max_timestamp: NONE,
        }
    }

    /// As [`BatchBuilder::new`], with memory for `bytes` bytes before compression, header included. It grows as needed.
    pub fn with_capacity(codec: Codec, bytes: usize) -> BatchBuilder {
        BatchBuilder { bytes: Vec::with_capacity(bytes), ..BatchBuilder::new(codec) }
    }

    /// With an idempotent or transactional producer.
    pub const fn producer(mut self, producer: Producer) -> BatchBuilder {
        self.producer = Some(producer);
        self
    }

    /// As part of a transaction.
    pub const fn transactional(mut self) -> BatchBuilder {
        self.attributes |= Attributes::TRANSACTIONAL;
        self
    }

    /// As a control batch.
    pub const fn control(mut self) -> BatchBuilder {
        self.attributes |= Attributes::CONTROL;
        self
    }

    /// Stamped by the broker: the time of all its records is `now`.
    pub const fn log_append_time(mut self, now: TimestampMs) -> BatchBuilder {
        self.attributes |= Attributes::LOG_APPEND_TIME;
        self.append_time = Some(now);
        self
    }

    /// Adds a record.
    ///
    /// # Errors
    /// [`BuildError::TooLarge`]; the batch is then as it was before.
    pub fn push(&mut self, record: Record<'_>) -> Result<(), BuildError> {
        let base = if self.count == 0 { record.timestamp.0 } else { self.base_timestamp };
        let timestamp_delta = record.timestamp.0.checked_sub(base).ok_or(BuildError::TooLarge)?;
        let offset_delta = i32::try_from(self.count).map_err(|_| BuildError::TooLarge)?;
        // The count itself must fit as well.
        offset_delta.checked_add(1).ok_or(BuildError::TooLarge)?;
        let headers = i32::try_from(record.headers.len()).map_err(|_| BuildError::TooLarge)?;
        let mut length = 1 + varlong_len(timestamp_delta) + varint_len(offset_delta) + varint_len(headers);
        for part in parts(&record) {
            length = length.checked_add(part_len(part)?).ok_or(BuildError::TooLarge)?;
        }
        let size = length;
        let length = i32::try_from(length).map_err(|_| BuildError::TooLarge)?;

        // At once: growing step by step would copy a large record again and again.
        self.bytes.reserve(HEADER_LEN + varint_len(length) + size);
        if self.bytes.is_empty() {
            self.bytes.resize(HEADER_LEN, 0);
        }
        write::varint(&mut self.bytes, length);
        self.bytes.push(0);
        write::varlong(&mut self.bytes, timestamp_delta);
        write::varint(&mut self.bytes, offset_delta);
        for (index, part) in parts(&record).enumerate() {
            if index == 2 {
                write::varint(&mut self.bytes, headers);
            }
            put_part(&mut self.bytes, part);
        }
        if record.headers.is_empty() {
            write::varint(&mut self.bytes, 0);
        }
        self.base_timestamp = base;
        self.max_timestamp =
            if self.count == 0 { record.timestamp.0 } else { self.max_timestamp.max(record.timestamp.0) };
        self.count += 1;
        Ok(())
    }

    /// Records pushed so far.
    pub const fn record_count(&self) -> u32 {
        self.count
    }

    /// Bytes the batch would have without compression.
    pub const fn uncompressed_size(&self) -> usize {
        if self.count == 0 { HEADER_LEN } else { self.bytes.len() }
    }

    /// The batch. Clients leave `base` at zero and `leader_epoch` at `None`: the log assigns both.
    ///
    /// # Errors
    /// Any [`BuildError`].
    pub fn build(self, base: Offset, leader_epoch: Option<LeaderEpoch>) -> Result<Bytes, BuildError> {
        let last_delta = self.count.checked_sub(1).ok_or(BuildError::Empty)?;
        base.checked_add(u64::from(self.count)).ok_or(BuildError::OffsetOverflow)?;
        let mut out = match self.codec {
            Codec::None => self.bytes,
            codec => {
                let mut out = vec![0; HEADER_LEN];
                compress(codec, &self.bytes[HEADER_LEN..], &mut out)?;
                out
            }
        };
        let length = i32::try_from(out.len() - LENGTH_OVERHEAD).map_err(|_| BuildError::TooLarge)?;
        let producer = self.producer;
        put(&mut out, header::BASE_OFFSET, base.as_i64().to_be_bytes());
        put(&mut out, header::LENGTH, length.to_be_bytes());
        put(&mut out, header::LEADER_EPOCH, leader_epoch.map_or(-1, LeaderEpoch::as_i32).to_be_bytes());
        put(&mut out, header::MAGIC_AT, MAGIC.to_be_bytes());
        put(&mut out, header::ATTRIBUTES, self.attributes.to_be_bytes());
        put(&mut out, header::LAST_OFFSET_DELTA, last_delta.to_be_bytes());
        put(&mut out, header::BASE_TIMESTAMP, self.base_timestamp.to_be_bytes());
        let max = self.append_time.map_or(self.max_timestamp, |time| time.0);
        put(&mut out, header::MAX_TIMESTAMP, max.to_be_bytes());
        put(&mut out, header::PRODUCER_ID, producer.map_or(NONE, |p| p.id.0 as i64).to_be_bytes());
        put(&mut out, header::PRODUCER_EPOCH, producer.map_or(-1, |p| p.epoch.0 as i16).to_be_bytes());
        let sequence = producer.and_then(|p| p.base_sequence).map_or(-1, Sequence::as_i32);
        put(&mut out, header::BASE_SEQUENCE, sequence.to_be_bytes());
        put(&mut out, header::RECORD_COUNT, self.count.to_be_bytes());
        let crc = crc_of(&out);
        put(&mut out, header::CRC, crc.to_be_bytes());
        Ok(out.into())
    }
}

/// Key and value, then each header's key and value.
fn parts<'a>(record: &Record<'a>) -> impl Iterator<Item = Option<&'a [u8]>> {
    let headers = record.headers;
    [record.key, record.value]
        .into_iter()
        .chain(headers.iter().flat_map(|header| [Some(header.key.as_bytes()), header.value]))
}

pub(super) fn part_len(part: Option<&[u8]>) -> Result<usize, BuildError> {
    match part {
        None => Ok(varint_len(-1)),
        Some(bytes) => {
            let length = i32::try_from(bytes.len()).map_err(|_| BuildError::TooLarge)?;
            Ok(varint_len(length) + bytes.len())
        }
    }
}

pub(super) fn put_part(out: &mut Vec<u8>, part: Option<&[u8]>) {
    match part {
        None => write::varint(out, -1),
        Some(bytes) => {
            // Fits: its size was computed before the first byte was written.
            write::varint(out, bytes.len() as i32);
            out.extend_from_slice(bytes);
        }
    }
}

pub(super) fn put<const N: usize>(out: &mut [u8], at: usize, bytes: [u8; N]) {
    out[at..at + N].copy_from_slice(&bytes);
}
