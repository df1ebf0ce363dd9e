//! Producer state as of an offset: the newest snapshot that reads, and the batches behind it.

use std::{collections::BTreeSet, io, path::Path, sync::Arc};

use highwater_records::{Offset, TimestampMs, batch::BatchView};

use crate::{
    disk::{Disk, read_file},
    index::AbortedTransaction,
    name::FileKind,
    producer::{ProducerStates, decode_kafka, decode_window, marker_of},
    quarantine::Quarantined,
    segment::{Depth, LARGE_WINDOW, Segment, Step, Walk},
};

/// What producer state is made from.
pub(crate) struct ProducerSource<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) directory: &'a Path,
    pub(crate) segments: &'a [Arc<Segment>],
    pub(crate) quarantined: &'a [Quarantined],
    /// Offsets of snapshots of either form.
    pub(crate) snapshots: &'a BTreeSet<Offset>,
    /// Every producer counts as heard of now.
    pub(crate) now: TimestampMs,
}

impl ProducerSource<'_> {
    /// The state of all producers below `end`. It begins at or below `watermark` where a snapshot allows that, so that
    /// transactions that ended above the watermark are known.
    pub(crate) fn at(&self, end: Offset, watermark: Offset) -> io::Result<ProducerStates> {
        if let Some((mut states, from)) = self.whole(end.min(watermark))? {
            self.replay(from, end, &mut states, |_, _| {})?;
            return Ok(states);
        }
        self.replayed_from_newest(end)
    }

    /// Like [`ProducerSource::at`], with what was aborted in the segments that begin at `wanted`, by segment.
    pub(crate) fn at_with_aborted(
        &self,
        end: Offset,
        watermark: Offset,
        wanted: &BTreeSet<Offset>,
    ) -> io::Result<(ProducerStates, Vec<(Offset, AbortedTransaction)>)> {
        let Some(first) = wanted.first() else { return Ok((self.at(end, watermark)?, Vec::new())) };
        let mut aborted = Vec::new();
        let mut collect = |base: Offset, transaction| {
            if wanted.contains(&base) {
                aborted.push((base, transaction));
            }
        };
        let begins = self.whole(end.min(watermark).min(*first))?;
        let knows_all = begins.is_some() || self.snapshots.range(..=end).next().is_none();
        let (mut states, from) = begins.unwrap_or_default();
        self.replay(from, end, &mut states, &mut collect)?;
        if !knows_all {
            // That began without the producers whose batches are gone; a snapshot further on knows them.
            states = self.replayed_from_newest(end)?;
        }
        Ok((states, aborted))
    }

    /// The newest snapshot at or below `limit` that knows all windows, if the batches behind it are all here. Before the
    /// first record of all there is nothing to know.
    fn whole(&self, limit: Offset) -> io::Result<Option<(ProducerStates, Offset)>> {
        let first = self.segments.first().map_or(limit, |first| first.base);
        if first > limit {
            return Ok(None);
        }
        for offset in self.snapshots.range(first..=limit).rev() {
            if let Some(Loaded { states, whole: true }) = self.load(*offset)? {
                return Ok(Some((states, *offset)));
            }
        }
        Ok((first == Offset::ZERO).then(|| (ProducerStates::default(), Offset::ZERO)))
    }

    fn replayed_from_newest(&self, end: Offset) -> io::Result<ProducerStates> {
        let mut last_only = None;
        for offset in self.snapshots.range(..=end).rev() {
            match self.load(*offset)? {
                Some(Loaded { mut states, whole: true }) => {
                    self.replay(*offset, end, &mut states, |_, _| {})?;
                    return Ok(states);
                }
                // An older one that knows all windows is better, since the batches behind it fill them again.
                Some(Loaded { states, .. }) => last_only = last_only.or(Some((states, *offset))),
                None => {}
            }
        }
        let Some((mut states, offset)) = last_only else {
            let mut states = ProducerStates::default();
            self.replay(Offset::ZERO, end, &mut states, |_, _| {})?;
            return Ok(states);
        };
        // Where only last batches are known, all batches there are fill the windows again.
        let mut windows = ProducerStates::default();
        self.replay(Offset::ZERO, offset, &mut windows, |_, _| {})?;
        for (id, state) in &mut states.producers {
            let same = |other: &&crate::producer::ProducerState| {
                other.epoch == state.epoch && other.last_offset() == state.last_offset()
            };
            if let Some(window) = windows.producers.get(id).filter(same) {
                state.batches = window.batches.clone();
            }
        }
        self.replay(offset, end, &mut states, |_, _| {})?;
        Ok(states)
    }

    /// Our form if it reads, since it knows more; else Kafka's.
    fn load(&self, offset: Offset) -> io::Result<Option<Loaded>> {
        let read = |kind: FileKind| read_file(self.disk, &self.directory.join(kind.at(offset)));
        let Some(kafka) = read(FileKind::Snapshot)? else { return Ok(None) };
        let Ok(states) = decode_kafka(&kafka, self.now) else { return Ok(None) };
        if states.producers.is_empty() {
            return Ok(Some(Loaded { states, whole: true }));
        }
        Ok(Some(match read(FileKind::Producers)?.map(|bytes| decode_window(&bytes, self.now)) {
            Some(Ok(states)) => Loaded { states, whole: true },
            _ => Loaded { states, whole: false },
        }))
    }

    /// Notes the batches from `from` on that begin below `end`; tells of each aborted transaction and the segment its
    /// marker lies in.
    fn replay(
        &self,
        from: Offset,
        end: Offset,
        states: &mut ProducerStates,
        mut aborted: impl FnMut(Offset, AbortedTransaction),
    ) -> io::Result<()> {
        let touched = |segment: &&Arc<Segment>| segment.facts().next_offset > from && segment.base < end;
        for segment in self.segments.iter().filter(touched) {
            self.replay_segment(segment, from, end, states, |transaction| {
                aborted(segment.base, transaction)
            })?;
        }
        Ok(())
    }

    fn replay_segment(
        &self,
        segment: &Segment,
        from: Offset,
        end: Offset,
        states: &mut ProducerStates,
        mut aborted: impl FnMut(AbortedTransaction),
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
                        let marker = if header.is_control {
                            let bytes = walk.bytes(position, header.size as usize)?;
                            BatchView::parse(bytes).ok().and_then(|view| marker_of(&view))
                        } else {
                            None
                        };
                        if let Some(transaction) = states.note(&header, marker, self.now) {
                            aborted(transaction);
                        }
                    }
                    position += header.size;
                }
                Step::End => return Ok(()),
                // Recovery has been here: what does not read is quarantined, and where it ends is known.
                Step::Bad(_) => {
                    let damage = |range: &&Quarantined| {
                        range.segment == segment.base && range.positions.start == position
                    };
                    match self.quarantined.iter().find(damage) {
                        Some(range) if range.positions.end > position => position = range.positions.end,
                        _ => return Ok(()),
                    }
                }
            }
        }
    }
}

/// Removes the snapshots that belong to no segment and not to the log end, above which they tell of records that are
/// gone; the caller syncs the directory.
pub(crate) fn remove_stray_snapshots(
    disk: &dyn Disk,
    directory: &Path,
    segments: &[Arc<Segment>],
    snapshots: &mut BTreeSet<Offset>,
    log_end: Offset,
) -> io::Result<()> {
    let needed =
        |offset: &Offset| *offset == log_end || segments.iter().any(|segment| segment.base == *offset);
    let stray: Vec<Offset> =
        snapshots.iter().copied().filter(|offset| *offset > log_end || !needed(offset)).collect();
    for offset in stray {
        remove_snapshot(disk, directory, offset)?;
        snapshots.remove(&offset);
    }
    Ok(())
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
