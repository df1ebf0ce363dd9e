//! Leader epochs of a log that is being opened: the file if the batches agree with it, else the batches.

use std::{io, ops::Range, path::Path, sync::Arc};

use highwater_records::{LeaderEpoch, Offset};

use crate::{
    disk::{Disk, read_file},
    epochs::{self, EpochStart, LeaderEpochs},
    points::Point,
    quarantine::Quarantined,
    recovery::RecoveryReport,
    segment::{BatchHeader, Depth, LARGE_WINDOW, SMALL_WINDOW, Segment, Step, Walk},
};

/// The epochs of a log that holds these offsets, and whether their file is behind.
pub(super) fn load_epochs(
    disk: &dyn Disk,
    directory: &Path,
    segments: &[Arc<Segment>],
    quarantined: &[Quarantined],
    held: Range<Offset>,
    point: Option<&Point>,
    report: &mut RecoveryReport,
) -> io::Result<(LeaderEpochs, bool)> {
    let Range { start: log_start, end: log_end } = held;
    let bytes = read_file(disk, &directory.join(epochs::FILE_NAME))?;
    let batches = Batches { segments, quarantined };
    if let Some(mut loaded) = bytes.and_then(|bytes| LeaderEpochs::decode(&bytes).ok()) {
        let trimmed = loaded.truncate_to(log_end) | loaded.advance_start_to(log_start);
        if batches.agree_with(&loaded, log_start, log_end)? {
            return Ok((loaded, trimmed));
        }
        report.notes.push(format!("{} does not fit the batches; rebuilt", epochs::FILE_NAME));
        let below = segments.first().map_or(log_end, |first| first.base);
        // What lies below the first local batch only the file can tell, or a point.
        loaded.truncate_to(below);
        return Ok((batches.rebuild(loaded, point, log_start)?, true));
    }
    let rebuilt = batches.rebuild(LeaderEpochs::default(), point, log_start)?;
    let dirty = !rebuilt.entries().is_empty();
    Ok((rebuilt, dirty))
}

struct Batches<'a> {
    segments: &'a [Arc<Segment>],
    quarantined: &'a [Quarantined],
}

impl Batches<'_> {
    /// Whether the batches on both sides of each entry, the first and the last, have the epochs that the table says.
    fn agree_with(&self, table: &LeaderEpochs, log_start: Offset, log_end: Offset) -> io::Result<bool> {
        let first = self.segments.first().map_or(log_end, |first| first.base.max(log_start));
        let mut witnesses = vec![first];
        for entry in table.entries().iter().filter(|entry| entry.start > first) {
            witnesses.push(entry.start);
            witnesses.extend(Offset::new(entry.start.get() - 1));
        }
        witnesses.extend(log_end.get().checked_sub(1).and_then(Offset::new));
        witnesses.retain(|witness| *witness >= first);
        for offset in witnesses {
            let Some(batch) = self.holding(offset)? else { continue };
            let begins =
                |entry: &EpochStart| entry.start != offset || batch.base_offset == offset || offset == first;
            if batch.leader_epoch != table.epoch_of(offset) || !table.entries().iter().all(begins) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn holding(&self, offset: Offset) -> io::Result<Option<BatchHeader>> {
        let at = self.segments.partition_point(|segment| segment.base <= offset);
        let Some(segment) = at.checked_sub(1).map(|at| &self.segments[at]) else { return Ok(None) };
        let file = segment.log.get()?;
        let mut walk = Walk::new(&*file, segment.facts().size, SMALL_WINDOW);
        let relative = offset.since(segment.base);
        let entry = segment.offset_index.last_where(|entry| u64::from(entry.relative) <= relative)?;
        let mut position = entry.map_or(0, |entry| u64::from(entry.position));
        while let Step::Batch(header) = walk.at(position, Depth::Headers)? {
            if header.last_offset >= offset {
                return Ok((header.base_offset <= offset).then_some(header));
            }
            position += header.size;
        }
        Ok(None)
    }

    /// From the batches, from the point on where there is one.
    fn rebuild(
        &self,
        older: LeaderEpochs,
        point: Option<&Point>,
        log_start: Offset,
    ) -> io::Result<LeaderEpochs> {
        let (older, from) = match point {
            Some(point) => (point.epochs.clone(), point.offset),
            None => (older, Offset::ZERO),
        };
        // (epoch, where it began, how many batches it has had)
        let mut found: Vec<(LeaderEpoch, Offset, u64)> =
            older.entries().iter().map(|entry| (entry.epoch, entry.start, u64::MAX)).collect();
        for segment in self.segments.iter().filter(|segment| segment.facts().next_offset > from) {
            self.walk(segment, from, |header| {
                let Some(epoch) = header.leader_epoch else { return };
                match found.last_mut() {
                    Some((last, _, batches)) if *last == epoch => *batches = batches.saturating_add(1),
                    // Epochs never go back. Of two that do not fit, one lone batch is the damaged one.
                    Some((last, _, 1)) if *last > epoch => {
                        found.pop();
                        if found.last().is_none_or(|(last, ..)| *last < epoch) {
                            found.push((epoch, header.base_offset, 1));
                        }
                    }
                    Some((last, ..)) if *last > epoch => {}
                    _ => found.push((epoch, header.base_offset, 1)),
                }
            })?;
        }
        let mut table = LeaderEpochs::default();
        for (epoch, start, _) in found {
            table.assign(epoch, start);
        }
        table.advance_start_to(log_start);
        Ok(table)
    }

    /// Visits the batches that begin at or above `from`.
    fn walk(&self, segment: &Segment, from: Offset, mut visit: impl FnMut(&BatchHeader)) -> io::Result<()> {
        let file = segment.log.get()?;
        let mut walk = Walk::new(&*file, segment.facts().size, LARGE_WINDOW);
        let mut position = segment.position_before(&mut walk, from)?;
        loop {
            let damage = |q: &&Quarantined| q.segment == segment.base && q.positions.start == position;
            match self.quarantined.iter().find(damage) {
                // Its header may read all the same, and name an epoch that never was.
                Some(range) if range.positions.end > position => {
                    position = range.positions.end;
                    continue;
                }
                _ => {}
            }
            match walk.at(position, Depth::Headers)? {
                Step::Batch(header) => {
                    if header.base_offset >= from {
                        visit(&header);
                    }
                    position += header.size;
                }
                Step::End | Step::Bad(_) => return Ok(()),
            }
        }
    }
}
