//! What compaction leaves of a batch (KIP-534 for the delete horizon). Offsets and sequences stay: a thinned batch still
//! spans what it spanned, and an empty one too.

use bytes::Bytes;

use super::{
    builder::{part_len, put, put_part},
    error::BatchError,
    header::{self, Attributes, HEADER_LEN, LENGTH_OVERHEAD, MAGIC, NONE, TimestampType},
    record::RecordRef,
    view::{BatchView, crc_of},
};
use crate::{
    LeaderEpoch, Offset, TimestampMs,
    compression::{Codec, compress},
    primitive::{varint_len, varlong_len, write},
};

/// A batch that was looked through for compaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thinned {
    /// It stays as it is.
    Whole,
    /// Some of its records stay, or it got a delete horizon.
    Rewritten(Bytes),
    /// None of its records stays.
    Empty,
}

/// Asks `keep` of each record, in order. A batch that keeps a tombstone (a record with a key and without a value), or
/// that must have a horizon for another reason (`needs_horizon`), gets `horizon` as its delete horizon unless it has one.
///
/// `limit` bounds the decompressed bytes.
///
/// # Errors
/// When the records cannot be read, or what is left cannot be compressed or expressed.
pub fn thin(
    batch: &BatchView<'_>,
    limit: usize,
    horizon: TimestampMs,
    needs_horizon: bool,
    mut keep: impl FnMut(&RecordRef<'_>) -> bool,
) -> Result<Thinned, BatchError> {
    let mut kept = Vec::with_capacity(batch.record_count() as usize);
    let mut tombstones = false;
    let mut records = batch.records(limit)?;
    while let Some(record) = records.next_record()? {
        let keeps = keep(&record);
        kept.push(keeps);
        tombstones |= keeps && record.value.is_none() && !batch.is_control();
    }
    let count = kept.iter().filter(|keeps| **keeps).count();
    if count == 0 {
        return Ok(Thinned::Empty);
    }
    let horizon = (batch.delete_horizon().is_none() && (tombstones || needs_horizon)).then_some(horizon);
    if count == kept.len() && horizon.is_none() {
        return Ok(Thinned::Whole);
    }
    rewrite(batch, limit, horizon, &kept, count as u32).map(Thinned::Rewritten)
}

/// The batch without its records: it keeps its place, its producer's last sequence and its transaction's marks.
pub fn emptied(batch: &BatchView<'_>) -> Bytes {
    let mut out = batch.bytes()[..HEADER_LEN].to_vec();
    let attributes = batch.attributes().0 & !(Attributes::CODEC | Attributes::DELETE_HORIZON);
    put(&mut out, header::ATTRIBUTES, attributes.to_be_bytes());
    put(&mut out, header::BASE_TIMESTAMP, batch.raw_max_timestamp().to_be_bytes());
    put(&mut out, header::RECORD_COUNT, 0u32.to_be_bytes());
    finish(&mut out)
}

/// A batch without records that spans the offsets `[first, last]`, which compaction has emptied. `None` where that are
/// more than 2^31.
pub fn filler(first: Offset, last: Offset, epoch: Option<LeaderEpoch>) -> Option<Bytes> {
    let delta = i32::try_from(last.get().checked_sub(first.get())?).ok()?;
    let mut out = vec![0; HEADER_LEN];
    put(&mut out, header::BASE_OFFSET, first.as_i64().to_be_bytes());
    put(&mut out, header::LEADER_EPOCH, epoch.map_or(-1, LeaderEpoch::as_i32).to_be_bytes());
    put(&mut out, header::MAGIC_AT, MAGIC.to_be_bytes());
    put(&mut out, header::LAST_OFFSET_DELTA, delta.to_be_bytes());
    put(&mut out, header::BASE_TIMESTAMP, NONE.to_be_bytes());
    put(&mut out, header::MAX_TIMESTAMP, NONE.to_be_bytes());
    put(&mut out, header::PRODUCER_ID, NONE.to_be_bytes());
    put(&mut out, header::PRODUCER_EPOCH, (-1i16).to_be_bytes());
    put(&mut out, header::BASE_SEQUENCE, (-1i32).to_be_bytes());
    Some(finish(&mut out))
}

fn rewrite(
    batch: &BatchView<'_>,
    limit: usize,
    horizon: Option<TimestampMs>,
    kept: &[bool],
    count: u32,
) -> Result<Bytes, BatchError> {
    let base = horizon.map_or(batch.raw_base_timestamp(), |horizon| horizon.0);
    let mut max = NONE;
    let mut body = Vec::new();
    let mut records = batch.records(limit)?;
    let mut at = 0;
    while let Some(record) = records.next_record()? {
        if kept.get(at) == Some(&true) {
            max = max.max(record.timestamp.map_or(NONE, |time| time.0));
            put_record(&mut body, batch.base_offset(), base, &record)?;
        }
        at += 1;
    }
    if batch.timestamp_type() == TimestampType::LogAppendTime {
        max = batch.raw_max_timestamp();
    }
    let mut out = batch.bytes()[..HEADER_LEN].to_vec();
    match batch.codec() {
        Codec::None => out.extend_from_slice(&body),
        codec => compress(codec, &body, &mut out).map_err(BatchError::Compression)?,
    }
    if horizon.is_some() {
        let attributes = batch.attributes().0 | Attributes::DELETE_HORIZON;
        put(&mut out, header::ATTRIBUTES, attributes.to_be_bytes());
        put(&mut out, header::BASE_TIMESTAMP, base.to_be_bytes());
    }
    put(&mut out, header::MAX_TIMESTAMP, max.to_be_bytes());
    put(&mut out, header::RECORD_COUNT, count.to_be_bytes());
    if i32::try_from(out.len() - LENGTH_OVERHEAD).is_err() {
        return Err(TOO_LARGE);
    }
    Ok(finish(&mut out))
}

const TOO_LARGE: BatchError = BatchError::Invalid("what is left of it is larger than the format can express");

fn put_record(
    out: &mut Vec<u8>,
    base_offset: Offset,
    base_timestamp: i64,
    record: &RecordRef<'_>,
) -> Result<(), BatchError> {
    let timestamp = record.timestamp.map_or(NONE, |time| time.0);
    let timestamp_delta = timestamp.checked_sub(base_timestamp).ok_or(TOO_LARGE)?;
    let offset_delta = i32::try_from(record.offset.since(base_offset)).map_err(|_| TOO_LARGE)?;
    let headers = i32::try_from(record.headers.len()).map_err(|_| TOO_LARGE)?;
    let len = |part| part_len(part).map_err(|_| TOO_LARGE);
    let mut length = 1 + varlong_len(timestamp_delta) + varint_len(offset_delta) + varint_len(headers);
    length += len(record.key)? + len(record.value)?;
    for (key, value) in record.headers {
        length += len(Some(key))? + len(value)?;
    }
    write::varint(out, i32::try_from(length).map_err(|_| TOO_LARGE)?);
    out.push(0);
    write::varlong(out, timestamp_delta);
    write::varint(out, offset_delta);
    put_part(out, record.key);
    put_part(out, record.value);
    write::varint(out, headers);
    for (key, value) in record.headers {
        put_part(out, Some(key));
        put_part(out, value);
    }
    Ok(())
}

/// Length and checksum, once everything else is in place.
fn finish(out: &mut Vec<u8>) -> Bytes {
    let length = (out.len() - LENGTH_OVERHEAD) as u32;
    put(out, header::LENGTH, length.to_be_bytes());
    let crc = crc_of(out);
    put(out, header::CRC, crc.to_be_bytes());
    Bytes::from(std::mem::take(out))
}
