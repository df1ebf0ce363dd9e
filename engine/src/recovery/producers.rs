//! Producer state as of an offset: the newest snapshot that reads, and the batches behind it.

use std::{collections::BTreeSet, io, path::Path, sync::Arc};

use highwater_records::{Offset, TimestampMs};

use crate::{
    disk::{Disk, read_file},
    name::FileKind,
    producer::{ProducerStates, decode_kafka, decode_window},
    quarantine::Quarantined,
    segment::{Depth, LARGE_WINDOW, Segment, Step, Walk},
};

/// The state of all producers below `end`.
pub(crate) fn producers_at(
    disk: &dyn Disk,
    directory: &Path,
    segments: &[Arc<Segment>],
    quarantined: &[Quarantined],
    snapshots: &BTreeSet<Offset>,
    end: Offset,
    now: TimestampMs,
) -> io::Result<ProducerStates> {
    let mut best: Option<(Loaded, Offset)> = None;
    for offset in snapshots.range(..=end).rev() {
        match load(disk, directory, *offset, now)? {
            Some(loaded) if loaded.whole => {
                best = Some((loaded, *offset));
                break;
            }
            // An older one that knows all windows is better, since the batches behind it fill them again.
            Some(loaded) => best = best.or(Some((loaded, *offset))),
            None => {}
        }
    }
    // Where only last batches are known, all batches there are fill the windows again.
    let (mut states, from, fallback) = match best {
        Some((Loaded { states, whole: true }, offset)) => (states, offset, None),
        Some((Loaded { states, whole: false }, _)) => (ProducerStates::default(), Offset::ZERO, Some(states)),
        None => (ProducerStates::default(), Offset::ZERO, None),
    };
    for segment in segments.iter().filter(|segment| segment.facts().next_offset > from && segment.base < end)
    {
        replay(segment, quarantined, from, end, now, &mut states)?;
    }
    // And those whose batches are gone are known by their last ones.
    for (id, state) in fallback.into_iter().flat_map(|states| states.producers) {
        states.producers.entry(id).or_insert(state);
    }
    Ok(states)
}

/// Like [`producers_at`], for the end of a log that is being opened. Removes the snapshots above it, which tell of
/// records that are gone; the caller syncs the directory.
pub(crate) fn load_producers(
    disk: &dyn Disk,
    directory: &Path,
    segments: &[Arc<Segment>],
    quarantined: &[Quarantined],
    snapshots: &mut BTreeSet<Offset>,
    log_end: Offset,
    now: TimestampMs,
) -> io::Result<ProducerStates> {
    let needed =
        |offset: &Offset| *offset == log_end || segments.iter().any(|segment| segment.base == *offset);
    let states = producers_at(disk, directory, segments, quarantined, snapshots, log_end, now)?;
    let stray: Vec<Offset> =
        snapshots.iter().copied().filter(|offset| *offset > log_end || !needed(offset)).collect();
    for offset in stray {
        remove_snapshot(disk, directory, offset)?;
        snapshots.remove(&offset);
    }
    Ok(states)
}

pub(crate) fn remove_snapshot(disk: &dyn Disk, directory: &Path, offset: Offset) -> io::Result<()> {
    for kind in FileKind::PRODUCER_STATE {
        super::not_found_is_none(disk.remove_file(&directory.join(kind.at(offset))))?;
    }
    Ok(())
}

struct Loaded {
    states: ProducerStates,
    /// Whether it has every producer's whole window.
    whole: bool,
}

/// Our form if it reads, since it knows more; else Kafka's.
fn load(disk: &dyn Disk, directory: &Path, offset: Offset, now: TimestampMs) -> io::Result<Option<Loaded>> {
    let Some(kafka) = read_file(disk, &directory.join(FileKind::Snapshot.at(offset)))? else {
        return Ok(None);
    };
    let Ok(states) = decode_kafka(&kafka, now) else { return Ok(None) };
    if states.producers.is_empty() {
        return Ok(Some(Loaded { states, whole: true }));
    }
    let window = read_file(disk, &directory.join(FileKind::Producers.at(offset)))?;
    Ok(Some(match window.map(|bytes| decode_window(&bytes, now)) {
        Some(Ok(states)) => Loaded { states, whole: true },
        _ => Loaded { states, whole: false },
    }))
}

fn replay(
    segment: &Segment,
    quarantined: &[Quarantined],
    from: Offset,
    end: Offset,
    now: TimestampMs,
    states: &mut ProducerStates,
) -> io::Result<()> {
    let file = segment.log.get()?;
    let facts = segment.facts();
    let mut walk = Walk::new(&*file, facts.size, LARGE_WINDOW);
    let mut position = 0;
    if from > segment.base {
        let relative = from.since(segment.base);
        let entry = segment.offset_index.last_where(|entry| u64::from(entry.relative) < relative)?;
        if let Some(entry) = entry
            && let Step::Batch(header) = walk.at(u64::from(entry.position), Depth::Headers)?
            && header.last_offset.since(segment.base) == u64::from(entry.relative)
        {
            position = u64::from(entry.position);
        }
    }
    loop {
        match walk.at(position, Depth::Headers)? {
            Step::Batch(header) => {
                if header.base_offset >= end {
                    return Ok(());
                }
                if header.base_offset >= from {
                    states.note(&header, now);
                }
                position += header.size;
            }
            Step::End => return Ok(()),
            // Recovery has been here: what does not read is quarantined, and where it ends is known.
            Step::Bad(_) => {
                let damage =
                    |range: &&Quarantined| range.segment == segment.base && range.positions.start == position;
                match quarantined.iter().find(damage) {
                    Some(range) if range.positions.end > position => position = range.positions.end,
                    _ => return Ok(()),
                }
            }
        }
    }
}
