//! Trusted points: from where on a recovery has to look at a segment. The format and the argument:
//! `docs/format/points.md`.

mod record;
#[cfg(test)]
mod tests;

use std::{io, path::Path};

use highwater_records::{Offset, TimestampMs};

use crate::{
    disk::{Disk, Open, read_file, write_file},
    epochs::LeaderEpochs,
    index::{AbortedTransaction, IndexEntry, OffsetEntry, TimeEntry, decode},
    name::{FileKind, TEMPORARY},
    producer::ProducerStates,
    segment::{Depth, Facts, SMALL_WINDOW, Segment, Step, Walk},
};
pub(crate) use record::NewPoint;

/// What is known below an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    /// Everything below was promised.
    pub(crate) offset: Offset,
    /// The last batch below it.
    pub(crate) last: LastBatch,
    pub(crate) high_watermark: Offset,
    /// The segment's, up to the point. When its first batch was appended is not known.
    pub(crate) facts: Facts,
    pub(crate) epochs: LeaderEpochs,
    pub(crate) producers: ProducerStates,
}

/// Where a segment's last batch begins, and the checksum that it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastBatch {
    pub(crate) position: u64,
    pub(crate) crc: u32,
}

/// How many entries of the three indexes, and where in a chain of records they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) offsets: usize,
    pub(crate) times: usize,
    pub(crate) aborted: usize,
}

/// A segment's indexes, or the part of them that came after something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    pub(crate) offsets: Vec<OffsetEntry>,
    pub(crate) times: Vec<TimeEntry>,
    pub(crate) aborted: Vec<AbortedTransaction>,
}

impl Entries {
    fn counts(&self) -> Counts {
        Counts { offsets: self.offsets.len(), times: self.times.len(), aborted: self.aborted.len() }
    }
}

/// Where the next record of a chain goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Bytes of the records so far.
    len: u64,
    /// The checksum of the last one.
    crc: u32,
    /// What they tell of the indexes.
    counts: Counts,
}

impl Tail {
    /// What its records tell of the indexes.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }
}

/// The points of a segment: the last one, and what the records before it tell too.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) point: Point,
    /// Entries of the index files that come before [`Chain::entries`], and their checksums.
    files: Option<record::InFiles>,
    entries: Entries,
    tail: Tail,
    /// Bytes of what its last record says beside index entries.
    state_len: u64,
}

impl Chain {
    /// The chain of the segment that begins at `base`; `None` where there is none that reads. Every producer counts as
    /// heard of at `now`.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn read(
        disk: &dyn Disk,
        directory: &Path,
        base: Offset,
        now: TimestampMs,
    ) -> io::Result<Option<Chain>> {
        match read_file(disk, &directory.join(FileKind::Points.at(base))) {
            Ok(bytes) => Ok(bytes.and_then(|bytes| Chain::of(&bytes, base, now))),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The chain that a file of the segment that begins at `base` has; as [`Chain::read`].
    pub(crate) fn of(bytes: &[u8], base: Offset, now: TimestampMs) -> Option<Chain> {
        record::decode(bytes, base, now)
    }

    /// Bytes of its records.
    pub(crate) fn len(&self) -> u64 {
        self.tail.len
    }

    /// The segment's indexes up to the point; `None` where they begin with files that are not as they were.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn entries(
        &self,
        disk: &dyn Disk,
        directory: &Path,
        base: Offset,
    ) -> io::Result<Option<Entries>> {
        let Some(files) = &self.files else { return Ok(Some(self.entries.clone())) };
        let read = |kind: FileKind| match read_file(disk, &directory.join(kind.at(base))) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            other => other.map(|bytes| bytes.or(Some(Vec::new()))),
        };
        let offsets = prefix(read(FileKind::OffsetIndex)?, files.offsets, &self.entries.offsets);
        let times = prefix(read(FileKind::TimeIndex)?, files.times, &self.entries.times);
        let aborted = prefix(read(FileKind::TransactionIndex)?, files.aborted, &self.entries.aborted);
        Ok(match (offsets, times, aborted) {
            (Some(offsets), Some(times), Some(aborted)) => Some(Entries { offsets, times, aborted }),
            _ => None,
        })
    }

    /// Whether the last batch below the point is in the segment's file, as it was.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn fits(&self, walk: &mut Walk<'_>) -> io::Result<bool> {
        let Point { offset, last, facts, .. } = &self.point;
        if walk.end() < facts.size {
            return Ok(false);
        }
        Ok(match walk.at(last.position, Depth::Checksums)? {
            Step::Batch(header) => {
                header.next_offset == *offset
                    && last.position + header.size == facts.size
                    && header.crc == last.crc
            }
            Step::Bad(_) | Step::End => false,
        })
    }

    /// Whether a segment that was opened by its index files ends at the point and has the indexes that it tells of: nobody
    /// else has had it since the point was written, or changed nothing.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn is_of(&self, segment: &Segment) -> io::Result<bool> {
        let facts = segment.facts();
        let Some(files) = &self.files else { return Ok(false) };
        Ok(self.entries == Entries::default()
            && (self.point.offset, self.point.facts.size) == (facts.next_offset, facts.size)
            && *files == record::InFiles::of(segment)?
            && segment.last_batch()? == Some(self.point.last))
    }
}

/// The first entries of an index file, if they have the checksum, and those that follow.
fn prefix<E: IndexEntry>(file: Option<Vec<u8>>, counted: record::Counted, more: &[E]) -> Option<Vec<E>> {
    let file = file?;
    let bytes = file.get(..counted.count.checked_mul(E::SIZE)?)?;
    if crc32c::crc32c(bytes) != counted.crc {
        return None;
    }
    let mut entries: Vec<E> = decode(bytes)?;
    entries.extend(more);
    entries.windows(2).all(|pair| pair[1].follows(&pair[0])).then_some(entries)
}

impl Segment {
    /// Its last batch; `None` if it is empty, or does not read from its last index entry on.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn last_batch(&self) -> io::Result<Option<LastBatch>> {
        let file = self.log.get()?;
        let mut walk = Walk::new(&*file, self.facts().size, SMALL_WINDOW);
        let mut position =
            self.offset_index.last_where(|_| true)?.map_or(0, |entry| u64::from(entry.position));
        let mut last = None;
        loop {
            match walk.at(position, Depth::Headers)? {
                Step::Batch(header) => {
                    last = Some(LastBatch { position, crc: header.crc });
                    position += header.size;
                }
                Step::Bad(_) => return Ok(None),
                Step::End => return Ok(last),
            }
        }
    }
}

/// The points of a log's segments, as far as they are written.
#[derive(Debug, Default)]
pub(crate) struct Points {
    /// The chain of the active segment, if it has one that can go on.
    chain: Option<Tail>,
    /// Where in the active segment the last point is, and where the last one that was synced is.
    at: u64,
    synced: u64,
    /// Bytes of what the last record says beside index entries.
    state_len: u64,
    /// Other points that may be there: the base of the segment, and where the recovery point must be before they may go.
    pub(crate) behind: Vec<(Offset, Offset)>,
}

/// How much log a record must stand for, against the size of what it says of producers and epochs.
const RECORD_SHARE: u64 = 16;
/// How many intervals may pass before a commit syncs the points too.
const SYNC_INTERVALS: u64 = 32;
/// A chain that has grown beyond this begins anew.
const CHAIN_MAX: u64 = 32 << 20;

impl Points {
    /// Of a segment whose chain was read and goes on.
    pub(crate) fn going_on(chain: &Chain) -> Points {
        Points {
            chain: Some(chain.tail),
            at: chain.point.facts.size,
            synced: chain.point.facts.size,
            state_len: chain.state_len,
            behind: Vec::new(),
        }
    }

    /// Whether a segment of `size` bytes should have a new point, where `interval` bytes lie between two.
    pub(crate) fn is_due(&self, size: u64, interval: u32) -> bool {
        let least = match self.chain {
            Some(_) => u64::from(interval).max(self.state_len * RECORD_SHARE),
            None => u64::from(interval),
        };
        size >= self.at + least
    }

    /// Whether so much log has passed since points were synced that a commit should do it.
    pub(crate) fn sync_is_due(&self, interval: u32) -> bool {
        self.chain.is_some() && self.at - self.synced >= u64::from(interval) * SYNC_INTERVALS
    }

    pub(crate) fn was_synced(&mut self, up_to: u64) {
        self.synced = self.synced.max(up_to).min(self.at);
    }

    /// Whether the active segment has points.
    pub(crate) fn any(&self) -> bool {
        self.chain.is_some()
    }

    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// What the next record goes on from; `None` for a new chain.
    pub(crate) fn goes_on(&self) -> Option<Tail> {
        self.chain.filter(|tail| tail.len < CHAIN_MAX)
    }

    /// Writes a record that was made for the active segment. Page cache only.
    ///
    /// # Errors
    /// The disk's: the chain has ended, and the next point begins another one.
    pub(crate) fn write(&mut self, disk: &dyn Disk, directory: &Path, new: &NewPoint) -> io::Result<()> {
        let name = FileKind::Points.at(new.base);
        let path = directory.join(&name);
        let written = match new.after {
            Some(tail) => disk
                .open(&path, Open::Write)
                .and_then(|file| file.write_at(&[io::IoSlice::new(&new.bytes)], tail.len)),
            None => {
                let temporary = directory.join(format!("{name}{TEMPORARY}"));
                write_file(disk, &temporary, &new.bytes).and_then(|_| disk.rename(&temporary, &path))
            }
        };
        self.at = new.position;
        self.state_len = new.state_len;
        self.chain = written.is_ok().then_some(new.tail);
        written
    }

    /// The active segment was sealed, and another one begins at `next`.
    pub(crate) fn rolled(&mut self, base: Offset, next: Offset) {
        let mut behind = std::mem::take(&mut self.behind);
        if self.chain.is_some() {
            // Its indexes count once something in the next segment is promised.
            behind.push((base, next.checked_add(1).unwrap_or(Offset::MAX)));
        }
        *self = Points { behind, ..Points::default() };
    }
}
