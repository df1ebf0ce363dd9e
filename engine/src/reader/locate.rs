//! From offsets to positions.

use std::sync::Arc;

use highwater_records::Offset;

use super::{Picture, ReadError};
use crate::{
    disk::DiskFile,
    quarantine::Quarantined,
    segment::{BatchHeader, Boundary, Depth, Facts, INDEXED_WINDOW, Segment, Step, Walk},
};

/// A batch and where it lies.
pub(super) struct Located {
    pub(super) position: u64,
    pub(super) header: BatchHeader,
}

/// Where a batch lies, without a look at it.
pub(super) struct Place {
    pub(super) begins: Boundary,
    pub(super) ends: Boundary,
}

impl Place {
    fn of(located: &Located) -> Place {
        let Located { position, header } = located;
        Place {
            begins: Boundary { position: *position, offset: header.base_offset },
            ends: Boundary { position: position + header.size, offset: header.next_offset },
        }
    }
}

impl Picture {
    pub(super) fn open(&self, segment: &Segment) -> Result<Arc<dyn DiskFile>, ReadError> {
        Ok(segment.log.get()?)
    }

    /// As [`Picture::locate`], without a read where the batch is one of the newest: what those are is known.
    pub(super) fn find(
        &self,
        segment: &Segment,
        facts: &Facts,
        offset: Offset,
    ) -> Result<Option<Place>, ReadError> {
        if !self.is_damaged(segment)
            && let Some((begins, ends)) = segment.recent_holding(offset)
            && ends.position <= facts.size
        {
            return Ok(Some(Place { begins, ends }));
        }
        Ok(self.locate(segment, facts, offset)?.as_ref().map(Place::of))
    }

    /// The batch of a segment that holds `offset`, which is neither quarantined nor beyond the segment; where the cleaner
    /// has been, else the first batch above it. `None` if it took that and all that followed in this segment.
    pub(super) fn locate(
        &self,
        segment: &Segment,
        facts: &Facts,
        offset: Offset,
    ) -> Result<Option<Located>, ReadError> {
        let file = self.open(segment)?;
        let mut walk = Walk::new(&*file, facts.size, INDEXED_WINDOW);
        let (mut position, mut expected) = self.start_of_search(segment, facts, &mut walk, offset)?;
        loop {
            if let Some(damage) = self.damage_at(segment, position) {
                // Its header may read all the same, and lead astray.
                (position, expected) = (damage.positions.end, Some(damage.offsets.end));
                continue;
            }
            let header = match walk.at(position, Depth::Headers)? {
                Step::Batch(header) => header,
                Step::Bad(error) => {
                    return Err(self.corrupt(segment, position, error.to_string()));
                }
                Step::End if segment.sparse => return Ok(None),
                Step::End => {
                    return Err(self.corrupt(segment, position, format!("offset {offset} is not there")));
                }
            };
            let in_turn = expected.is_none_or(|expected| segment.in_turn(expected, header.base_offset));
            if !in_turn || (header.base_offset > offset && !segment.sparse) {
                let reason = format!("a batch begins at offset {}, out of its turn", header.base_offset);
                return Err(self.corrupt(segment, position, reason));
            }
            if header.next_offset > facts.next_offset {
                // The header is all that was looked at: its length of offsets may be damaged.
                let (next, end) = (header.next_offset, facts.next_offset);
                let reason = format!("a batch ends at offset {next}, its segment at {end}");
                return Err(self.corrupt(segment, position, reason));
            }
            if header.last_offset >= offset {
                return Ok(Some(Located { position, header }));
            }
            position += header.size;
            expected = Some(header.next_offset);
        }
    }

    /// Where to begin looking for `offset`: at an index entry that proves right, else at the segment's start.
    fn start_of_search(
        &self,
        segment: &Segment,
        facts: &Facts,
        walk: &mut Walk<'_>,
        offset: Offset,
    ) -> Result<(u64, Option<Offset>), ReadError> {
        let relative = offset.since(segment.base);
        let entry = segment.offset_index.last_where(|entry| u64::from(entry.relative) <= relative);
        // An index that cannot be read is as good as none.
        if let Ok(Some(entry)) = entry
            && u64::from(entry.position) < facts.size
            && let Ok(Step::Batch(header)) = walk.at(u64::from(entry.position), Depth::Headers)
            && segment.base.checked_add(u64::from(entry.relative)) == Some(header.last_offset)
        {
            return Ok((u64::from(entry.position), None));
        }
        Ok((0, Some(segment.base)))
    }

    /// Where a range that begins with `first` stops: the position (exclusive) and the offset that comes next.
    pub(super) fn locate_end(
        &self,
        segment: &Segment,
        facts: &Facts,
        first: &Place,
        max_bytes: u64,
        end: Offset,
        at_least_one: bool,
    ) -> Result<(u64, Offset), ReadError> {
        let Place { begins, ends } = first;
        if ends.offset > end || (ends.position - begins.position > max_bytes && !at_least_one) {
            return Ok((begins.position, begins.offset));
        }
        let limit = begins.position.saturating_add(max_bytes).min(facts.size);
        if limit <= ends.position {
            return Ok((ends.position, ends.offset));
        }
        if !self.is_damaged(segment)
            && let Some(last) = segment.recent_within(limit, end)
        {
            let last = if last.position > ends.position { &last } else { ends };
            return Ok((last.position, last.offset));
        }
        let file = self.open(segment)?;
        let mut walk = Walk::new(&*file, facts.size, INDEXED_WINDOW);
        let (mut position, mut next) = (ends.position, ends.offset);
        // The last indexed batch that surely belongs to the range; from there on, batch by batch.
        let known = segment.offset_index.last_where(|entry| {
            u64::from(entry.position) < limit
                && segment.base.checked_add(u64::from(entry.relative)).is_some_and(|last| last < end)
        });
        if let Ok(Some(entry)) = known
            && u64::from(entry.position) > position
            && !self.damage_between(segment, position, u64::from(entry.position))
            && let Step::Batch(header) = walk.at(u64::from(entry.position), Depth::Headers)?
            && segment.base.checked_add(u64::from(entry.relative)) == Some(header.last_offset)
        {
            (position, next) = (u64::from(entry.position), header.base_offset);
        }
        while position < limit {
            let Step::Batch(header) = walk.at(position, Depth::Headers)? else { break };
            let beyond = header.last_offset >= end || header.next_offset > facts.next_offset;
            if !segment.in_turn(next, header.base_offset) || position + header.size > limit || beyond {
                break;
            }
            position += header.size;
            next = header.next_offset;
        }
        Ok((position, next))
    }

    pub(super) fn damage_at(&self, segment: &Segment, position: u64) -> Option<&Quarantined> {
        self.quarantine.iter().find(|range| {
            range.segment == segment.base && range.positions.start == position && !range.positions.is_empty()
        })
    }

    fn is_damaged(&self, segment: &Segment) -> bool {
        self.quarantine.iter().any(|range| range.segment == segment.base)
    }

    fn damage_between(&self, segment: &Segment, from: u64, to: u64) -> bool {
        self.quarantine.iter().any(|range| {
            range.segment == segment.base && range.positions.start < to && range.positions.end > from
        })
    }

    /// What a walk ran into: damage, unless the bytes were changed on purpose.
    pub(super) fn corrupt(&self, segment: &Segment, position: u64, reason: String) -> ReadError {
        match self.check_unchanged() {
            Ok(()) => ReadError::Corrupt { segment: segment.base, position, reason },
            Err(changed) => changed,
        }
    }
}
