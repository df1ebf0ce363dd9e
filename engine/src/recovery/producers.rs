//! Producer state as of an offset: the newest snapshot that reads, and the batches behind it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
    sync::Arc,
};

use highwater_records::{Offset, TimestampMs, batch::BatchView};

use crate::{
    disk::{Disk, Open, read_file, write_file},
    index::{AbortedTransaction, decode},
    museum::{Bug, has},
    name::FileKind,
    points::Point,
    producer::{ProducerStates, decode_kafka, decode_window, encode_kafka, encode_window, marker_of},
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
    /// The state of all producers below `end`. Transactions that ended above the `watermark` are known, unless the batches
    /// that began them are gone together with the snapshot behind those.
    pub(crate) fn at(&self, end: Offset, watermark: Offset) -> io::Result<ProducerStates> {
        if let Some((mut states, from)) = self.whole(self.unsettled_from(watermark).min(end))? {
            self.replay(from, end, &mut states)?;
            return Ok(states);
        }
        self.replayed_from_newest(end)
    }

    /// Where to begin in order to meet every marker that is here and not below the watermark: of segments that are gone
    /// no marker is.
    fn unsettled_from(&self, watermark: Offset) -> Offset {
        self.segments.first().map_or(watermark, |first| first.base.max(watermark))
    }

    /// Like [`ProducerSource::at`], for a log that is recovered: with what was aborted in the segments that begin at
    /// `wanted`, by segment; and the snapshots of the segments that begin at `walked` are there and synced afterwards,
    /// except for their names. Of the segments that are `resumed` nothing below the point needs to be read.
    pub(crate) fn recover(
        &self,
        end: Offset,
        watermark: Offset,
        wanted: &BTreeSet<Offset>,
        walked: &BTreeSet<Offset>,
        resumed: &BTreeMap<Offset, &Point>,
    ) -> io::Result<RecoveredProducers> {
        let lacking = self.lacking(walked)?;
        let mut recovered = RecoveredProducers::default();
        // Of these the batches below the point have not been looked at: its index already has what they aborted.
        let known = |base: &Offset| self.segment_at(*base).is_some_and(|s| s.transaction_index.len() > 0);
        let wanted: BTreeSet<Offset> =
            wanted.iter().copied().chain(resumed.keys().copied().filter(known)).collect();
        let begins = resumed.iter().rev().find(|(base, _)| {
            wanted.range(..**base).next().is_none() && lacking.range(..=**base).next().is_none()
        });
        if let Some((base, point)) = begins
            && let Some(segment) = self.segment_at(*base)
            // Sealed by now, if the log goes on in another one.
            && let Some(aborted) = decode::<AbortedTransaction>(&segment.transaction_index.bytes()?)
        {
            recovered.aborted.extend(aborted.into_iter().map(|aborted| (*base, aborted)));
            recovered.states = point.producers.clone();
            self.replay_noting(point.offset, end, true, &wanted, &lacking, &mut recovered)?;
            return self.with_snapshot_at_end(end, recovered);
        }
        let first = wanted.first().into_iter().chain(lacking.first()).min();
        let Some(first) = first else {
            recovered.states = self.at(end, watermark)?;
            return self.with_snapshot_at_end(end, recovered);
        };
        let begins = self.whole(self.unsettled_from(watermark).min(end).min(*first))?;
        let knows_all = begins.is_some() || self.snapshots.range(..=end).next().is_none();
        let (states, from) = begins.unwrap_or_default();
        recovered.states = states;
        self.replay_noting(from, end, knows_all, &wanted, &lacking, &mut recovered)?;
        // That may have begun without the producers whose batches are gone; a snapshot further on knows them.
        if !knows_all {
            recovered.states = self.replayed_from_newest(end)?;
        }
        self.with_snapshot_at_end(end, recovered)
    }

    /// Notes the batches from `from` on that begin below `end`, with what was aborted in the segments that are `wanted`, and
    /// writes the snapshots that are `lacking` if the state `knows_all`.
    fn replay_noting(
        &self,
        from: Offset,
        end: Offset,
        knows_all: bool,
        wanted: &BTreeSet<Offset>,
        lacking: &BTreeSet<Offset>,
        recovered: &mut RecoveredProducers,
    ) -> io::Result<()> {
        let RecoveredProducers { states, aborted, snapshots } = recovered;
        for segment in self.segments.iter().filter(|s| s.facts().next_offset > from && s.base < end) {
            if knows_all && lacking.contains(&segment.base) {
                self.write(segment.base, states)?;
                snapshots.insert(segment.base);
            }
            self.replay_segment(segment, from, end, states, |transaction| {
                if wanted.contains(&segment.base) {
                    aborted.push((segment.base, transaction));
                }
            })?;
        }
        Ok(())
    }

    fn segment_at(&self, base: Offset) -> Option<&Arc<Segment>> {
        self.segments.iter().find(|segment| segment.base == base)
    }

    /// A segment that begins at the end may be new; nobody has rolled it.
    fn with_snapshot_at_end(
        &self,
        end: Offset,
        mut recovered: RecoveredProducers,
    ) -> io::Result<RecoveredProducers> {
        let begins_here = self.segments.last().is_some_and(|active| active.base == end);
        if begins_here && end > Offset::ZERO && !self.is_whole(end)? {
            self.write(end, &recovered.states)?;
            recovered.snapshots.insert(end);
        }
        Ok(recovered)
    }

    /// Of the segments that begin at `walked` those without a snapshot that reads; the first one of all has none before
    /// it to make it from. Those that read are synced.
    fn lacking(&self, walked: &BTreeSet<Offset>) -> io::Result<BTreeSet<Offset>> {
        let first = self.segments.first().map(|first| first.base);
        let mut lacking = BTreeSet::new();
        for base in walked {
            if self.is_whole(*base)? {
                for kind in FileKind::PRODUCER_STATE {
                    let path = self.directory.join(kind.at(*base));
                    if let Some(file) = super::not_found_is_none(self.disk.open(&path, Open::Write))? {
                        file.sync_data()?;
                    }
                }
            } else if Some(*base) != first {
                lacking.insert(*base);
            }
        }
        Ok(lacking)
    }

    /// Whether there is a snapshot that reads and knows all windows; a crash may have left a torn one.
    fn is_whole(&self, at: Offset) -> io::Result<bool> {
        Ok(self.snapshots.contains(&at) && matches!(self.load(at)?, Some(Loaded { whole: true, .. })))
    }

    fn write(&self, at: Offset, states: &ProducerStates) -> io::Result<()> {
        let path = |kind: FileKind| self.directory.join(kind.at(at));
        if !states.producers.is_empty() {
            write_file(self.disk, &path(FileKind::Producers), &encode_window(states))?.sync_data()?;
        }
        write_file(self.disk, &path(FileKind::Snapshot), &encode_kafka(states))?.sync_data()
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
                    let mut before = ProducerStates::default();
                    self.replay(Offset::ZERO, *offset, &mut before)?;
                    states.transactions.also_ended(before.transactions);
                    self.replay(*offset, end, &mut states)?;
                    return Ok(states);
                }
                // An older one that knows all windows is better, since the batches behind it fill them again.
                Some(Loaded { states, .. }) => last_only = last_only.or(Some((states, *offset))),
                None => {}
            }
        }
        let Some((mut states, offset)) = last_only else {
            let mut states = ProducerStates::default();
            self.replay(Offset::ZERO, end, &mut states)?;
            return Ok(states);
        };
        // Where only last batches are known, all batches there are fill the windows again.
        let mut windows = ProducerStates::default();
        self.replay(Offset::ZERO, offset, &mut windows)?;
        states.transactions.also_ended(std::mem::take(&mut windows.transactions));
        for (id, state) in &mut states.producers {
            let same = |other: &&crate::producer::ProducerState| {
                other.epoch == state.epoch && other.last_offset() == state.last_offset()
            };
            if let Some(window) = windows.producers.get(id).filter(same) {
                state.batches = window.batches.clone();
            }
        }
        self.replay(offset, end, &mut states)?;
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

    /// Notes the batches from `from` on that begin below `end`.
    fn replay(&self, from: Offset, end: Offset, states: &mut ProducerStates) -> io::Result<()> {
        let touched = |segment: &&Arc<Segment>| segment.facts().next_offset > from && segment.base < end;
        for segment in self.segments.iter().filter(touched) {
            self.replay_segment(segment, from, end, states, |_| {})?;
        }
        Ok(())
    }

    /// The same of one segment; tells of the transactions that its markers aborted.
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
        let mut position = segment.position_before(&mut walk, from)?;
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
/// gone; the caller syncs the directory. Whether there were any.
pub(crate) fn remove_stray_snapshots(
    disk: &dyn Disk,
    directory: &Path,
    segments: &[Arc<Segment>],
    snapshots: &mut BTreeSet<Offset>,
    log_end: Offset,
) -> io::Result<bool> {
    let needed =
        |offset: &Offset| *offset == log_end || segments.iter().any(|segment| segment.base == *offset);
    let stray: Vec<Offset> =
        snapshots.iter().copied().filter(|offset| *offset > log_end || !needed(offset)).collect();
    if has(Bug::SnapshotsOutliveTruncation) {
        return Ok(false);
    }
    for offset in &stray {
        remove_snapshot(disk, directory, *offset)?;
        snapshots.remove(offset);
    }
    Ok(!stray.is_empty())
}

pub(crate) fn remove_snapshot(disk: &dyn Disk, directory: &Path, offset: Offset) -> io::Result<()> {
    for kind in FileKind::PRODUCER_STATE {
        super::not_found_is_none(disk.remove_file(&directory.join(kind.at(offset))))?;
    }
    Ok(())
}

/// What a recovery learns of a log's producers.
#[derive(Default)]
pub(crate) struct RecoveredProducers {
    pub(crate) states: ProducerStates,
    /// Aborted transactions, and the bases of the segments that have their markers.
    pub(crate) aborted: Vec<(Offset, AbortedTransaction)>,
    /// Snapshots that were written.
    pub(crate) snapshots: BTreeSet<Offset>,
}

struct Loaded {
    states: ProducerStates,
    /// Whether it has every producer's whole window.
    whole: bool,
}
