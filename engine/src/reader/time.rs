//! From times to offsets.

use highwater_records::{
    Offset, TimestampMs,
    batch::{BatchError, BatchView},
};

use super::{LogReader, Picture, ReadError};
use crate::segment::{BatchHeader, Depth, Facts, LARGE_WINDOW, SMALL_WINDOW, Segment, Step, Walk};

/// Most bytes that one batch may decompress to when its records are asked for their times.
const DECOMPRESSED_MAX: usize = 1 << 30;

impl LogReader {
    /// The first local record with a timestamp at or after `timestamp`: its timestamp and offset, exactly. `None` if
    /// there is none below the log end. Reads, and decompresses one batch.
    ///
    /// # Errors
    /// `Corrupt`, `Changed`, the disk's.
    pub fn offset_for_timestamp(
        &self,
        timestamp: TimestampMs,
    ) -> Result<Option<(TimestampMs, Offset)>, ReadError> {
        let picture = &*self.picture;
        let start = picture.positions.local_start;
        for (at, segment) in picture.segments.iter().enumerate() {
            let facts = picture.facts(at);
            let reaches = facts.max_timestamp.is_some_and(|(largest, _)| largest >= timestamp);
            if !reaches || facts.next_offset <= start {
                continue;
            }
            let found = picture.first_at_or_after(segment, &facts, timestamp, start)?;
            picture.check_unchanged()?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The record with the largest timestamp below `end` (exclusive): its timestamp and offset, exactly; the first of
    /// several. `None` if no record has a timestamp. Reads, and decompresses one batch.
    ///
    /// # Errors
    /// `Corrupt`, `Changed`, the disk's.
    pub fn max_timestamp(&self, end: Offset) -> Result<Option<(TimestampMs, Offset)>, ReadError> {
        let picture = &*self.picture;
        let start = picture.positions.local_start;
        let mut largest: Option<(TimestampMs, usize, Facts)> = None;
        for at in 0..picture.segments.len() {
            let segment = &picture.segments[at];
            let mut facts = picture.facts(at);
            if segment.base >= end {
                break;
            }
            // What the segment as a whole says does not hold for a part of it.
            if facts.next_offset > end || segment.base < start {
                facts = picture.facts_between(segment, &facts, start, end)?;
            }
            if let Some((timestamp, _)) = facts.max_timestamp
                && largest.is_none_or(|(before, ..)| timestamp > before)
            {
                largest = Some((timestamp, at, facts));
            }
        }
        let Some((timestamp, at, facts)) = largest else { return Ok(None) };
        let found = picture.first_at_or_after(&picture.segments[at], &facts, timestamp, start)?;
        picture.check_unchanged()?;
        Ok(found.filter(|(_, offset)| *offset < end))
    }
}

impl Picture {
    /// The first record at or above `start` of a segment with a timestamp at or after `timestamp`.
    fn first_at_or_after(
        &self,
        segment: &Segment,
        facts: &Facts,
        timestamp: TimestampMs,
        start: Offset,
    ) -> Result<Option<(TimestampMs, Offset)>, ReadError> {
        let mut from = start.max(segment.base);
        // Everything before the batch that an entry names is older than the entry.
        let entry = segment.time_index.last_where(|entry| entry.timestamp < timestamp.0);
        if let Ok(Some(entry)) = entry
            && let Some(offset) = segment.base.checked_add(u64::from(entry.relative))
            && offset > from
            && offset < facts.next_offset
            && let Ok(Some(located)) = self.locate(segment, facts, offset)
            && located.header.max_timestamp == Some(TimestampMs(entry.timestamp))
        {
            from = offset;
        }
        let mut found = None;
        self.each_batch(segment, facts, from, |walk, position, header| {
            if header.max_timestamp.is_none_or(|largest| largest < timestamp) {
                return Ok(true);
            }
            let bytes = walk.bytes(position, header.size as usize)?;
            found = first_in(bytes, timestamp, start)
                .map_err(|error| self.corrupt(segment, position, error.to_string()))?;
            Ok(found.is_none())
        })?;
        Ok(found)
    }

    /// The facts of the part of a segment between two offsets, as far as times go.
    fn facts_between(
        &self,
        segment: &Segment,
        facts: &Facts,
        start: Offset,
        end: Offset,
    ) -> Result<Facts, ReadError> {
        let mut part = Facts { max_timestamp: None, ..*facts };
        self.each_batch(segment, facts, start.max(segment.base), |walk, position, header| {
            if header.last_offset >= end {
                return Ok(false);
            }
            let mut largest = header.max_timestamp;
            if header.base_offset < start {
                // Only some of its records count.
                let bytes = walk.bytes(position, header.size as usize)?;
                largest = largest_in(bytes, start)
                    .map_err(|error| self.corrupt(segment, position, error.to_string()))?;
            }
            let before = part.max_timestamp.map(|(largest, _)| largest);
            if largest > before
                && let Some(timestamp) = largest
            {
                part.max_timestamp = Some((timestamp, header.last_offset));
            }
            Ok(true)
        })?;
        Ok(part)
    }

    /// Visits the batches of a segment from the one that holds `from` on, over damage, until told to stop.
    fn each_batch(
        &self,
        segment: &Segment,
        facts: &Facts,
        from: Offset,
        mut visit: impl FnMut(&mut Walk<'_>, u64, &BatchHeader) -> Result<bool, ReadError>,
    ) -> Result<(), ReadError> {
        if from >= facts.next_offset {
            return Ok(());
        }
        let file = self.open(segment)?;
        let (mut position, mut expected) = match self.check_quarantine(from) {
            Ok(()) => {
                let Some(first) = self.locate(segment, facts, from)? else { return Ok(()) };
                (first.position, first.header.base_offset)
            }
            // Damaged bytes have no time; what follows them has.
            Err(_) => (0, segment.base),
        };
        let window = if facts.size - position > LARGE_WINDOW as u64 { LARGE_WINDOW } else { SMALL_WINDOW };
        let mut walk = Walk::new(&*file, facts.size, window);
        loop {
            if let Some(damage) = self.damage_at(segment, position) {
                (position, expected) = (damage.positions.end, damage.offsets.end);
                continue;
            }
            match walk.at(position, Depth::Headers)? {
                Step::Batch(header) => {
                    // Offsets lie outside the checksum: what is out of its turn is damage.
                    if !segment.in_turn(expected, header.base_offset)
                        || header.next_offset > facts.next_offset
                    {
                        let reason =
                            format!("a batch begins at offset {}, not {expected}", header.base_offset);
                        return Err(self.corrupt(segment, position, reason));
                    }
                    expected = header.next_offset;
                    if header.last_offset >= from && !visit(&mut walk, position, &header)? {
                        return Ok(());
                    }
                    position += header.size;
                }
                Step::End => return Ok(()),
                Step::Bad(error) => return Err(self.corrupt(segment, position, error.to_string())),
            }
        }
    }
}

fn largest_in(bytes: &[u8], start: Offset) -> Result<Option<TimestampMs>, BatchError> {
    let view = BatchView::parse(bytes)?;
    view.verify_crc()?;
    let mut largest = None;
    for record in view.walk(DECOMPRESSED_MAX)? {
        let record = record?;
        if record.offset >= start {
            largest = largest.max(record.timestamp);
        }
    }
    Ok(largest)
}

fn first_in(
    bytes: &[u8],
    timestamp: TimestampMs,
    start: Offset,
) -> Result<Option<(TimestampMs, Offset)>, BatchError> {
    let view = BatchView::parse(bytes)?;
    view.verify_crc()?;
    for record in view.walk(DECOMPRESSED_MAX)? {
        let record = record?;
        if record.offset >= start
            && let Some(found) = record.timestamp
            && found >= timestamp
        {
            return Ok(Some((found, record.offset)));
        }
    }
    Ok(None)
}
