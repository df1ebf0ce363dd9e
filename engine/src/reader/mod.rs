//! The readers' side of a log: an immutable picture.

mod error;
mod locate;
mod range;
mod time;
mod transactions;

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering},
};

use highwater_records::{LeaderEpoch, Offset};

pub use error::ReadError;
pub use range::LogRange;

use crate::{
    directory::Health,
    epochs::LeaderEpochs,
    positions::Positions,
    quarantine::Quarantined,
    segment::{Facts, Segment},
    sync::AtomicU64,
};

/// An immutable picture of a log. Clones are the same picture; a newer one comes from
/// [`Log::reader`](crate::Log::reader).
///
/// It sees what was appended before it was taken. A segment that is deleted, or replaced by compaction, meanwhile is read
/// on as long as its file is open, by whoever holds a [`LogRange`] of it or because it was read lately; after that, and where
/// a truncation changed the bytes it shows, it says [`ReadError::Changed`] instead of showing others.
#[derive(Clone, Debug)]
pub struct LogReader {
    picture: Arc<Picture>,
}

#[derive(Debug)]
pub(crate) struct Picture {
    /// Oldest first; the last one was active.
    pub(crate) segments: Arc<Vec<Arc<Segment>>>,
    /// Of the active segment: it grows behind the picture's back.
    pub(crate) active: Facts,
    pub(crate) positions: Positions,
    pub(crate) epochs: Arc<LeaderEpochs>,
    pub(crate) quarantine: Arc<Vec<Quarantined>>,
    pub(crate) health: Arc<Health>,
    pub(crate) generation: Arc<AtomicU64>,
    pub(crate) taken_at: u64,
}

impl LogReader {
    pub(crate) fn new(picture: Picture) -> LogReader {
        LogReader { picture: Arc::new(picture) }
    }

    /// Whether no byte that the picture shows was changed since it was taken.
    pub(crate) fn is_current(&self) -> bool {
        self.picture.check_unchanged().is_ok()
    }

    /// Where everything was when the picture was taken.
    pub fn positions(&self) -> Positions {
        self.picture.positions
    }

    /// The leader epoch of the record at `offset`; `None` before the first known epoch.
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.picture.epochs.epoch_of(offset)
    }

    /// Whether offsets may have no batch, since Kafka has compacted the log: then a read that finds nothing below `end` has
    /// reached it.
    pub fn has_gaps(&self) -> bool {
        self.picture.segments.iter().any(|segment| segment.sparse)
    }

    pub(crate) fn epochs(&self) -> &Arc<LeaderEpochs> {
        &self.picture.epochs
    }

    /// The range of offsets around `offset` that is known to be unreadable, if it is.
    pub(crate) fn damage(&self, offset: Offset) -> Option<Range<Offset>> {
        let known = self.picture.quarantine.iter().find(|range| range.offsets.contains(&offset));
        known.map(|range| range.offsets.clone())
    }

    /// The first offset above `offset` that may be readable again where `offset` is not: behind the known damage, else
    /// where the next segment begins.
    pub(crate) fn behind_damage(&self, offset: Offset) -> Option<Offset> {
        let next_segment = || {
            let segments = &self.picture.segments;
            let at = segments.partition_point(|segment| segment.base <= offset);
            segments.get(at).map(|segment| segment.base)
        };
        self.damage(offset).map(|range| range.end).or_else(next_segment)
    }

    /// Whole batches from the one that holds `from` on, of one segment; in a log that Kafka has compacted, from the first
    /// one above it where no batch holds it.
    ///
    /// At most `max_bytes`, unless `at_least_one` asks for the first batch whatever its size. No batch whose last
    /// offset is at or above `end` (exclusive) is part of it: pass the high watermark for consumers. The range is
    /// empty where nothing fits or `from` is the log end.
    ///
    /// # Errors
    /// `OutOfRange` below the log start or above the log end; `BelowLocal` for what only the bucket has; `Corrupt`;
    /// the disk's.
    pub fn read(
        &self,
        from: Offset,
        max_bytes: usize,
        end: Offset,
        at_least_one: bool,
    ) -> Result<LogRange, ReadError> {
        let picture = &*self.picture;
        let Positions { log_start, local_start, durable_end, log_end, .. } = picture.positions;
        if from < log_start || from > log_end {
            return Err(ReadError::OutOfRange { start: log_start, end: log_end });
        }
        picture.check_quarantine(from)?;
        if from < local_start {
            return Err(ReadError::BelowLocal { local_start });
        }
        // Once a sync has failed, what lies above the durable end may be memory only.
        let offline = picture.health.check().err();
        let end = if offline.is_some() { end.min(durable_end) } else { end };
        match offline {
            Some(offline) if from >= durable_end && from < log_end => {
                return Err(ReadError::Offline(offline));
            }
            _ => {}
        }
        if from >= end || from == log_end {
            return Ok(LogRange::empty(self.clone(), from));
        }
        let Some((segment, facts, first)) = picture.first_from(from, end)? else {
            return Ok(LogRange::empty(self.clone(), from));
        };
        let (stop, next_offset) =
            picture.locate_end(segment, &facts, &first, max_bytes as u64, end, at_least_one)?;
        picture.check_unchanged()?;
        if stop == first.begins.position {
            return Ok(LogRange::empty(self.clone(), from));
        }
        let file = picture.open(segment)?;
        Ok(LogRange::new(
            self.clone(),
            (segment.base, segment.sparse),
            file,
            first.begins.position..stop,
            first.begins.offset,
            next_offset,
        ))
    }
}

impl Picture {
    fn segment_of(&self, offset: Offset) -> Result<(&Segment, Facts), ReadError> {
        let at = self.segments.partition_point(|segment| segment.base <= offset);
        let Some(at) = at.checked_sub(1) else {
            return Err(ReadError::BelowLocal { local_start: self.positions.local_start });
        };
        Ok((&self.segments[at], self.facts(at)))
    }

    /// The first batch at or above `offset` that begins below `end`, and the segment that has it.
    fn first_from(
        &self,
        offset: Offset,
        end: Offset,
    ) -> Result<Option<(&Segment, Facts, locate::Place)>, ReadError> {
        let mut from = offset;
        loop {
            let (segment, facts) = self.segment_of(from)?;
            match self.find(segment, &facts, from)? {
                Some(first) if first.begins.offset < end => return Ok(Some((segment, facts, first))),
                Some(_) => return Ok(None),
                // The cleaner took the rest of the segment.
                None if facts.next_offset > from && facts.next_offset < end => from = facts.next_offset,
                None => return Ok(None),
            }
            self.check_quarantine(from)?;
        }
    }

    fn facts(&self, at: usize) -> Facts {
        if at + 1 == self.segments.len() { self.active } else { self.segments[at].facts() }
    }

    fn check_quarantine(&self, offset: Offset) -> Result<(), ReadError> {
        match self.quarantine.iter().find(|range| range.offsets.contains(&offset)) {
            None => Ok(()),
            Some(range) => Err(ReadError::Corrupt {
                segment: range.segment,
                position: range.positions.start,
                reason: format!("offsets {} to {} cannot be read", range.offsets.start, range.offsets.end),
            }),
        }
    }

    /// Whether no byte that the picture shows was changed since it was taken.
    fn check_unchanged(&self) -> Result<(), ReadError> {
        if self.generation.load(Ordering::Acquire) == self.taken_at {
            Ok(())
        } else {
            Err(ReadError::Changed)
        }
    }
}
