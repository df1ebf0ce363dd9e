mod check;
mod control;
mod round_trip;
mod thin;
mod vectors;

use bytes::Bytes;

use super::*;
use crate::{Offset, TimestampMs, compression::Codec};

/// The codecs this build has.
fn codecs() -> impl Iterator<Item = Codec> {
    Codec::ALL.into_iter().filter(|codec| codec.is_compiled_in())
}

fn record<'a>(timestamp: i64, key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Record<'a> {
    Record { timestamp: TimestampMs(timestamp), key, value, headers: &[] }
}

fn three(codec: Codec) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    builder.push(record(1_000, Some(b"a"), Some(b"one"))).unwrap();
    builder.push(record(3_000, Some(b"b"), None)).unwrap();
    builder.push(record(2_000, None, Some(b""))).unwrap();
    builder.build(Offset::ZERO, None).unwrap()
}

/// Changes bytes and makes the checksum right again: what a client that means it could send.
fn altered(batch: &[u8], at: usize, bytes: &[u8]) -> Bytes {
    let mut copy = batch.to_vec();
    copy[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = view::crc_of(&copy);
    copy[header::CRC..header::CRC + 4].copy_from_slice(&crc.to_be_bytes());
    copy.into()
}
