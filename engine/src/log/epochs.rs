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
        // In this order: of a log without batches nobody can tell whether the file is as new as they were.
        let trimmed = loaded.advance_start_to(log_start) | loaded.truncate_to(log_end);
        if batches.agree_with(&loaded, log_start, log_end)? {
            return Ok((loaded, trimmed));
        }
        report.notes.push(format!("{} does not fit the batches; rebuilt", epochs::FILE_NAME));
        return Ok((batches.rebuild(&loaded, point, held)?, true));
    }
    let rebuilt = batches.rebuild(&LeaderEpochs::default(), point, held)?;
    let dirty = !rebuilt.entries().is_empty();
    Ok((rebuilt, dirty))
}

/// An epoch on the way to a table.
struct Found {
    epoch: LeaderEpoch,
    start: Offset,
    /// How many batches of it were seen, and where the last one ends.
    batches: u64,
    end: Offset,
}

impl Found {
    fn told(entry: EpochStart) -> Found {
        Found { epoch: entry.epoch, start: entry.start, batches: u64::MAX, end: entry.start }
    }

    fn seen(epoch: LeaderEpoch, header: &BatchHeader) -> Found {
        Found { epoch, start: header.base_offset, batches: 1, end: header.next_offset }
    }
}

/// Adds an epoch that only the file tells of, where its batches would have been: Kafka's compaction took all of them (ours
/// leaves one of each epoch), or they do not read. The same where only the first ones do not.
fn fill(found: &mut Vec<Found>, told: EpochStart, log_end: Offset) {
    let at = found.partition_point(|known| known.epoch < told.epoch);
    let begins_after = at.checked_sub(1).is_none_or(|before| found[before].end <= told.start);
    let ends_before = found.get(at).map_or(log_end, |next| next.start) > told.start;
    if !begins_after || !ends_before {
        return;
    }
    match found.get_mut(at) {
        Some(same) if same.epoch == told.epoch => same.start = told.start,
        _ => found.insert(at, Found::told(told)),
    }
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

    /// From the batches, from the point on where there is one; what they do not tell, from the file.
    fn rebuild(
        &self,
        file: &LeaderEpochs,
        point: Option<&Point>,
        held: Range<Offset>,
    ) -> io::Result<LeaderEpochs> {
        let below = self.segments.first().map_or(held.end, |first| first.base);
        // What lies below the first local batch only the file can tell, or a point.
        let (older, from) = match point {
            Some(point) => (point.epochs.entries().to_vec(), point.offset),
            None => (file.up_to(below), Offset::ZERO),
        };
        let mut found: Vec<Found> = older.into_iter().map(Found::told).collect();
        for segment in self.segments.iter().filter(|segment| segment.facts().next_offset > from) {
            self.walk(segment, from, |header| {
                let Some(epoch) = header.leader_epoch else { return };
                match found.last_mut() {
                    Some(last) if last.epoch == epoch => {
                        last.batches = last.batches.saturating_add(1);
                        last.end = header.next_offset;
                    }
                    // Epochs never go back. Of two that do not fit, one lone batch is the damaged one.
                    Some(last) if last.epoch > epoch && last.batches == 1 => {
                        found.pop();
                        if found.last().is_none_or(|last| last.epoch < epoch) {
                            found.push(Found::seen(epoch, header));
                        }
                    }
                    Some(last) if last.epoch > epoch => {}
                    _ => found.push(Found::seen(epoch, header)),
                }
            })?;
        }
        for told in file.entries().iter().filter(|entry| entry.start >= from.max(below)) {
            fill(&mut found, *told, held.end);
        }
        let mut table = LeaderEpochs::default();
        for Found { epoch, start, .. } in found {
            table.assign(epoch, start);
        }
        table.advance_start_to(held.start);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_tells_of_epochs_without_batches_where_there_is_room_for_them() {
        let offset = |value| Offset::new(value).unwrap();
        let seen = |(epoch, start, end)| Found {
            epoch: LeaderEpoch(epoch),
            start: offset(start),
            batches: 1,
            end: offset(end),
        };
        for (told, fits) in [
            ((4, 10), true),
            ((4, 19), true),
            ((4, 9), false),
            ((4, 20), false),
            ((3, 10), false),
            ((2, 10), false),
            ((6, 10), false),
            ((8, 30), true),
            ((8, 40), false),
            ((1, 0), false),
            ((5, 9), false),
            ((5, 25), false),
        ] {
            let mut found: Vec<Found> = [(3, 0, 10), (5, 20, 30)].map(seen).into();
            let (epoch, start) = told;
            fill(&mut found, EpochStart { epoch: LeaderEpoch(epoch), start: offset(start) }, offset(40));
            assert_eq!(found.len() == 3, fits, "{told:?}");
            assert!(fits || found[1].start == offset(20), "{told:?}");
            assert!(
                found.windows(2).all(|pair| pair[0].epoch < pair[1].epoch && pair[0].start < pair[1].start)
            );
        }
        let mut found: Vec<Found> = [(3, 0, 10), (5, 20, 30)].map(seen).into();
        fill(&mut found, EpochStart { epoch: LeaderEpoch(5), start: offset(14) }, offset(40));
        assert_eq!((found.len(), found[1].start), (2, offset(14)), "its first batches do not read");
    }
}
