//! The bytes of a point.

use std::io;

use highwater_records::{LeaderEpoch, Offset, TimestampMs};

use super::{Chain, Counts, Entries, LastBatch, Point, Tail};
use crate::{
    epochs::{EpochStart, LeaderEpochs},
    index::{
        AbortedTransaction, Index, IndexEntry, OffsetEntry, TimeEntry, decode as decode_entries,
        encode as encode_entries,
    },
    little_endian::Reader,
    producer::{decode_window, encode_window},
    segment::{Facts, Segment},
};

/// Length and checksum.
const HEAD: usize = 8;
const NONE: i64 = -1;

/// Entries at the beginning of an index file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(super) count: usize,
    pub(super) crc: u32,
}

/// What a chain takes from the index files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InFiles {
    pub(super) offsets: Counted,
    pub(super) times: Counted,
    pub(super) aborted: Counted,
}

impl InFiles {
    /// All of a segment's indexes.
    pub(super) fn of(segment: &Segment) -> io::Result<InFiles> {
        fn counted<E: IndexEntry>(index: &Index<E>) -> io::Result<Counted> {
            let bytes = index.bytes()?;
            Ok(Counted { count: bytes.len() / E::SIZE, crc: crc32c::crc32c(&bytes) })
        }
        Ok(InFiles {
            offsets: counted(&segment.offset_index)?,
            times: counted(&segment.time_index)?,
            aborted: counted(&segment.transaction_index)?,
        })
    }

    fn counts(&self) -> Counts {
        Counts { offsets: self.offsets.count, times: self.times.count, aborted: self.aborted.count }
    }
}

/// A point that is ready to be written.
#[derive(Debug)]
pub(crate) struct NewPoint {
    pub(super) bytes: Vec<u8>,
    /// The base of its segment, and where in it the point is.
    pub(crate) base: Offset,
    pub(crate) position: u64,
    /// What it goes on from.
    pub(crate) after: Option<Tail>,
    /// Bytes of what it says beside index entries.
    pub(super) state_len: u64,
    /// What goes on from it.
    pub(super) tail: Tail,
}

impl NewPoint {
    /// A point of the segment that begins at `base`, which goes on from `after`, with the index entries since.
    pub(crate) fn following(base: Offset, after: Option<Tail>, point: &Point, entries: &Entries) -> NewPoint {
        NewPoint::make(base, after, None, point, entries)
    }

    /// A point at the end of a segment whose indexes lie in their files.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn at_rest(segment: &Segment, point: &Point) -> io::Result<NewPoint> {
        let files = InFiles::of(segment)?;
        Ok(NewPoint::make(segment.base, None, Some(files), point, &Entries::default()))
    }

    /// The bytes of a chain of its own.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn make(
        base: Offset,
        after: Option<Tail>,
        files: Option<InFiles>,
        point: &Point,
        entries: &Entries,
    ) -> NewPoint {
        let mut out = vec![0; HEAD];
        let Point { offset, last, high_watermark, facts, epochs, producers } = point;
        out.extend_from_slice(&offset.get().to_le_bytes());
        out.extend_from_slice(&facts.size.to_le_bytes());
        out.extend_from_slice(&last.position.to_le_bytes());
        out.extend_from_slice(&last.crc.to_le_bytes());
        out.extend_from_slice(&high_watermark.get().to_le_bytes());
        let (largest, of) = facts.max_timestamp.map_or((NONE, NONE), |(time, of)| (time.0, of.as_i64()));
        out.extend_from_slice(&largest.to_le_bytes());
        out.extend_from_slice(&of.to_le_bytes());
        out.push(u8::from(facts.first_timestamp.is_some()));
        out.extend_from_slice(&facts.first_timestamp.unwrap_or_default().0.to_le_bytes());
        out.extend_from_slice(&facts.bytes_since_entry.to_le_bytes());
        out.push(u8::from(files.is_some()));
        for counted in files.iter().flat_map(|files| [files.offsets, files.times, files.aborted]) {
            out.extend_from_slice(&(counted.count as u32).to_le_bytes());
            out.extend_from_slice(&counted.crc.to_le_bytes());
        }
        let before_entries = out.len();
        put_entries(&mut out, &entries.offsets);
        put_entries(&mut out, &entries.times);
        put_entries(&mut out, &entries.aborted);
        let of_entries = out.len() - before_entries;
        out.extend_from_slice(&(epochs.entries().len() as u32).to_le_bytes());
        for entry in epochs.entries() {
            out.extend_from_slice(&entry.epoch.0.to_le_bytes());
            out.extend_from_slice(&entry.start.get().to_le_bytes());
        }
        let ended: Vec<(Offset, Offset)> = producers.transactions.ended().collect();
        out.extend_from_slice(&(ended.len() as u32).to_le_bytes());
        for (first, marker) in ended {
            out.extend_from_slice(&first.get().to_le_bytes());
            out.extend_from_slice(&marker.get().to_le_bytes());
        }
        let producers = encode_window(producers);
        out.extend_from_slice(&(producers.len() as u32).to_le_bytes());
        out.extend_from_slice(&producers);

        let len = ((out.len() - HEAD) as u32).to_le_bytes();
        let crc = sum(after.map_or(0, |tail| tail.crc), base, len, &out[HEAD..]);
        out[..4].copy_from_slice(&len);
        out[4..HEAD].copy_from_slice(&crc.to_le_bytes());
        let before = after.map_or_else(Counts::default, |tail| tail.counts);
        let (before, new) = (files.map_or(before, |files| files.counts()), entries.counts());
        let counts = Counts {
            offsets: before.offsets + new.offsets,
            times: before.times + new.times,
            aborted: before.aborted + new.aborted,
        };
        let len = after.map_or(0, |tail| tail.len) + out.len() as u64;
        let state_len = (out.len() - of_entries) as u64;
        NewPoint { bytes: out, base, position: facts.size, after, state_len, tail: Tail { len, crc, counts } }
    }
}

fn put_entries<E: IndexEntry>(out: &mut Vec<u8>, entries: &[E]) {
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    out.extend_from_slice(&encode_entries(entries));
}

fn sum(before: u32, base: Offset, len: [u8; 4], body: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&before.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &base.get().to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &len), body)
}

/// The records of a file, up to the last one that checks; `None` if there is none, or if one that checks says what cannot
/// be. Every producer counts as heard of at `now`.
pub(super) fn decode(bytes: &[u8], base: Offset, now: TimestampMs) -> Option<Chain> {
    let (mut at, mut crc) = (0, 0);
    let mut files = None;
    let mut entries = Entries::default();
    let (mut last, mut state_len) = (None, 0);
    while let Some((head, rest)) = bytes[at..].split_first_chunk::<HEAD>() {
        let len = [head[0], head[1], head[2], head[3]];
        let expected = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let Some(body) = rest.get(..u32::from_le_bytes(len) as usize) else { break };
        if sum(crc, base, len, body) != expected {
            break;
        }
        let mut input = Reader::new(body);
        let facts = Head::take(&mut input)?;
        if flag(&mut input)? {
            if at > 0 {
                return None;
            }
            files = Some(InFiles {
                offsets: counted(&mut input)?,
                times: counted(&mut input)?,
                aborted: counted(&mut input)?,
            });
        }
        let before_entries = input.len();
        entries.offsets.extend(take_entries::<OffsetEntry>(&mut input)?);
        entries.times.extend(take_entries::<TimeEntry>(&mut input)?);
        entries.aborted.extend(take_entries::<AbortedTransaction>(&mut input)?);
        state_len = (HEAD + body.len() + input.len() - before_entries) as u64;
        last = Some((facts, input));
        (at, crc) = (at + HEAD + body.len(), expected);
    }
    let (head, input) = last?;
    let grow = entries.offsets.windows(2).all(|pair| pair[1].follows(&pair[0]))
        && entries.times.windows(2).all(|pair| pair[1].follows(&pair[0]))
        && entries.aborted.windows(2).all(|pair| pair[1].follows(&pair[0]));
    let point = head.finish(input, base, now).filter(|_| grow)?;
    let before = files.map_or_else(Counts::default, |files: InFiles| files.counts());
    let new = entries.counts();
    let counts = Counts {
        offsets: before.offsets.checked_add(new.offsets)?,
        times: before.times.checked_add(new.times)?,
        aborted: before.aborted.checked_add(new.aborted)?,
    };
    Some(Chain { point, files, entries, tail: Tail { len: at as u64, crc, counts }, state_len })
}

/// What a record has before its index entries.
struct Head {
    offset: Offset,
    last: LastBatch,
    high_watermark: Offset,
    facts: Facts,
}

impl Head {
    fn take(input: &mut Reader<'_>) -> Option<Head> {
        let (offset, size) = (input.offset()?, input.u64()?);
        let last = LastBatch { position: input.u64()?, crc: input.u32()? };
        let high_watermark = input.offset()?;
        let (largest, of) = (TimestampMs(input.i64()?), input.i64()?);
        let max_timestamp = if of == NONE { None } else { Some((largest, Offset::from_i64(of).ok()?)) };
        let has_first = flag(input)?;
        let first_timestamp = Some(TimestampMs(input.i64()?)).filter(|_| has_first);
        let bytes_since_entry = input.u64()?;
        let facts = Facts {
            size,
            next_offset: offset,
            max_timestamp,
            first_timestamp,
            bytes_since_entry,
            first_append: None,
        };
        Some(Head { offset, last, high_watermark, facts })
    }

    fn finish(self, mut input: Reader<'_>, base: Offset, now: TimestampMs) -> Option<Point> {
        let Head { offset, last, high_watermark, facts } = self;
        let count = input.u32()?;
        let mut epochs = Vec::new();
        for _ in 0..count {
            epochs.push(EpochStart { epoch: LeaderEpoch(input.u32()?), start: input.offset()? });
        }
        let epochs = LeaderEpochs::from_entries(&epochs, offset)?;
        let count = input.u32()?;
        let mut ended = Vec::new();
        for _ in 0..count {
            ended.push((input.offset()?, input.offset()?));
        }
        let len = input.u32()? as usize;
        let mut producers = decode_window(input.bytes(len)?, now).ok()?;
        producers.transactions.have_ended(ended);
        let sound = input.is_empty()
            && offset > base
            && last.position < facts.size
            && facts.bytes_since_entry <= facts.size;
        sound.then_some(Point { offset, last, high_watermark, facts, epochs, producers })
    }
}

fn flag(input: &mut Reader<'_>) -> Option<bool> {
    match input.u8()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn counted(input: &mut Reader<'_>) -> Option<Counted> {
    Some(Counted { count: input.u32()? as usize, crc: input.u32()? })
}

fn take_entries<E: IndexEntry>(input: &mut Reader<'_>) -> Option<Vec<E>> {
    let count = input.u32()? as usize;
    decode_entries(input.bytes(count.checked_mul(E::SIZE)?)?)
}
