//! Opening a segment without walking it: its indexes are believed as far as they can be checked at their ends.

use std::io;

use highwater_records::{Offset, TimestampMs};

use super::Situation;
use crate::{
    disk::{DiskFile, read_file},
    gaps::Gaps,
    index::{Index, IndexEntry, OffsetEntry, TimeEntry, decode},
    name::FileKind,
    segment::{Depth, Facts, SMALL_WINDOW, Segment, Step, Walk, slot},
};

/// Opens a segment by its index files; `None` where they, or the batches behind their last entries, do not fit.
pub(super) fn open_trusted(
    situation: &Situation<'_>,
    base: Offset,
    file: &dyn DiskFile,
    active: bool,
) -> io::Result<Option<Segment>> {
    let Situation { disk, directory, .. } = situation;
    let len = file.len()?;
    let Some(offsets) = read_index::<OffsetEntry>(situation, FileKind::OffsetIndex, base)? else {
        return Ok(None);
    };
    let Some(times) = read_index::<TimeEntry>(situation, FileKind::TimeIndex, base)? else { return Ok(None) };
    let Some(facts) = check(base, file, len, &offsets, &times, situation.gaps)? else { return Ok(None) };

    let log = slot(disk, directory, FileKind::Log, base);
    let (offset_index, time_index) = if active {
        (Index::growing(offsets), Index::growing(times))
    } else {
        let sealed = |kind| slot(disk, directory, kind, base);
        (
            Index::sealed(sealed(FileKind::OffsetIndex), offsets.len() as u64),
            Index::sealed(sealed(FileKind::TimeIndex), times.len() as u64),
        )
    };
    let segment = Segment::open(log, offset_index, time_index, base, facts);
    Ok(Some(segment.sparse(situation.gaps.within(base))))
}

fn read_index<E: IndexEntry>(
    situation: &Situation<'_>,
    kind: FileKind,
    base: Offset,
) -> io::Result<Option<Vec<E>>> {
    match read_file(&**situation.disk, &situation.directory.join(kind.at(base))) {
        Ok(bytes) => Ok(bytes.and_then(|bytes| decode(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the indexes and the batches behind their last entries tell, if they agree.
fn check(
    base: Offset,
    file: &dyn DiskFile,
    len: u64,
    offsets: &[OffsetEntry],
    times: &[TimeEntry],
    gaps: &Gaps,
) -> io::Result<Option<Facts>> {
    let mut facts = Facts::empty(base);
    let mut walk = Walk::new(file, len, SMALL_WINDOW);
    let first = match walk.at(0, Depth::Headers)? {
        Step::End => return Ok((offsets.is_empty() && times.is_empty()).then_some(facts)),
        Step::Bad(_) => return Ok(None),
        Step::Batch(header) => header,
    };
    let in_turn = |due: Offset, found: Offset| found == due || gaps.allow(base, due, found);
    if !in_turn(base, first.base_offset) {
        return Ok(None);
    }

    // The batches behind the last index entry, with their checksums, to the very end.
    let from = match offsets.last() {
        None => 0,
        Some(entry) => u64::from(entry.position),
    };
    let mut position = from;
    let mut next_offset = None;
    loop {
        let header = match walk.at(position, Depth::Checksums)? {
            Step::Batch(header) => header,
            Step::Bad(_) => return Ok(None),
            Step::End => break,
        };
        let fits = match (next_offset, offsets.last()) {
            (Some(expected), _) => in_turn(expected, header.base_offset),
            (None, Some(entry)) => base.checked_add(u64::from(entry.relative)) == Some(header.last_offset),
            (None, None) => in_turn(base, header.base_offset),
        };
        if !fits {
            return Ok(None);
        }
        let largest = facts.max_timestamp.map(|(largest, _)| largest);
        if header.max_timestamp > largest
            && let Some(timestamp) = header.max_timestamp
        {
            facts.max_timestamp = Some((timestamp, header.last_offset));
        }
        next_offset = Some(header.next_offset);
        position += header.size;
    }
    let Some(next_offset) = next_offset else { return Ok(None) };
    facts.size = len;
    facts.next_offset = next_offset;
    facts.first_timestamp = first.max_timestamp;
    facts.bytes_since_entry = len - from;
    facts.first_append = Some(first_append(first.max_timestamp, file.modified_ms()?));

    // The last time entry must tell a largest timestamp that a batch has, and that none behind exceeds.
    match times.last() {
        None if facts.max_timestamp.is_some() => return Ok(None),
        None => {}
        Some(entry) => {
            if facts.max_timestamp.is_some_and(|(largest, _)| largest.0 > entry.timestamp) {
                return Ok(None);
            }
            match batch_at(base, &mut walk, offsets, entry)? {
                Some(offset) => facts.max_timestamp = Some((TimestampMs(entry.timestamp), offset)),
                None => return Ok(None),
            }
        }
    }
    Ok(Some(facts))
}

/// The last offset of the batch that a time entry names, if that batch has its timestamp.
fn batch_at(
    base: Offset,
    walk: &mut Walk<'_>,
    offsets: &[OffsetEntry],
    entry: &TimeEntry,
) -> io::Result<Option<Offset>> {
    let Some(offset) = base.checked_add(u64::from(entry.relative)) else { return Ok(None) };
    let at = offsets.partition_point(|index| index.relative <= entry.relative);
    let mut position = at.checked_sub(1).map_or(0, |at| u64::from(offsets[at].position));
    while let Step::Batch(header) = walk.at(position, Depth::Headers)? {
        if header.last_offset >= offset {
            let fits =
                header.base_offset <= offset && header.max_timestamp == Some(TimestampMs(entry.timestamp));
            return Ok(fits.then_some(header.last_offset));
        }
        position += header.size;
    }
    Ok(None)
}

/// When a segment's first batch was appended, as far as its file tells.
pub(super) fn first_append(first_timestamp: Option<TimestampMs>, modified_ms: i64) -> TimestampMs {
    match first_timestamp {
        Some(timestamp) if timestamp.0 > 0 => TimestampMs(timestamp.0.min(modified_ms)),
        _ => TimestampMs(modified_ms),
    }
}
