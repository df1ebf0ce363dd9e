//! One pass: which keys were written last, then the segments, group by group.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::PathBuf,
    sync::Arc,
};

use highwater_records::{
    Offset, ProducerId, TimestampMs,
    batch::{BatchError, BatchView},
};

use super::{
    CompactError, Compacted,
    filter::{Filter, LastWritten, Left, last_written},
    keys::KeyMap,
    output::{Output, Written, cleaned},
    transactions::Outcomes,
};
use crate::{
    config::{Compaction, LogConfig},
    disk::{Disk, KeepingDisk},
    name::FileKind,
    producer::{ProducerStates, marker_of},
    reader::{LogReader, ReadError},
    recovery::{ProducerSource, not_found_is_none},
    segment::{BatchHeader, Depth, LARGE_WINDOW, Segment, Step, Walk},
};

/// Most bytes that one batch may decompress to.
const DECOMPRESSED_MAX: usize = 1 << 30;

/// What a pass works on: segments that are sealed, durable and decided.
pub(crate) struct Plan {
    pub(crate) disk: Arc<KeepingDisk>,
    pub(crate) directory: PathBuf,
    pub(crate) reader: LogReader,
    /// From the first local one on; compacted ones first.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Everything below was compacted before.
    pub(crate) first_dirty: Offset,
    /// The producers of now.
    pub(crate) producers: ProducerStates,
    /// Offsets of producer snapshots.
    pub(crate) snapshots: BTreeSet<Offset>,
    pub(crate) now: TimestampMs,
}

/// A pass over a log, without its lock. Dropping it leaves what was swapped until then; the next pass does the rest.
#[must_use = "a pass does nothing by itself"]
pub struct CompactionPass {
    plan: Plan,
    config: LogConfig,
    compaction: Compaction,
    filter: Filter,
    /// Of the segments that have keys in the map; `None` before they were looked at.
    groups: Option<Vec<Range<usize>>>,
    next: usize,
    broken_off: bool,
    pub(crate) report: Compacted,
    /// While this lives, no other pass over the log begins.
    _token: Arc<()>,
}

/// Segments that a pass has read, and the one that replaces them, in files that do not count yet.
#[derive(Debug)]
#[must_use = "a compacted segment is used once the log has it"]
pub struct CompactedGroup {
    pub(crate) replaced: Vec<Arc<Segment>>,
    pub(super) written: Written,
}

impl CompactedGroup {
    pub(crate) fn into_parts(self) -> (Vec<Arc<Segment>>, Arc<Segment>, Vec<FileKind>) {
        (self.replaced, self.written.segment, self.written.kinds)
    }
}

impl CompactionPass {
    pub(crate) fn new(
        plan: Plan,
        config: LogConfig,
        compaction: Compaction,
        key_bytes: usize,
        token: Arc<()>,
    ) -> CompactionPass {
        let retention = i64::try_from(compaction.delete_retention_ms).unwrap_or(i64::MAX);
        let filter = Filter {
            keys: KeyMap::with_budget(key_bytes),
            producers: BTreeMap::new(),
            outcomes: Outcomes::default(),
            now: plan.now,
            horizon: TimestampMs(plan.now.0.saturating_add(retention)),
        };
        let report = Compacted { up_to: plan.first_dirty, ..Compacted::default() };
        CompactionPass {
            plan,
            config,
            compaction,
            filter,
            groups: None,
            next: 0,
            broken_off: false,
            report,
            _token: token,
        }
    }

    /// How the log was to be compacted when the pass began.
    pub fn compaction(&self) -> Compaction {
        self.compaction
    }

    /// Reads the next group of segments and writes what is left of it, synced, beside it. Groups that stay as they are
    /// are passed over. `None` after the last. Blocks, unless `go_on`, which is asked at each batch, says no; hold no lock.
    ///
    /// # Errors
    /// `Corrupt`, `Changed`, `Disk`, `Stopped`; the pass is over then.
    pub fn next_group(&mut self, go_on: impl Fn() -> bool) -> Result<Option<CompactedGroup>, CompactError> {
        if self.broken_off {
            return Err(CompactError::Stopped);
        }
        let group = self.find_group(&go_on);
        // What it knows of transactions is that of the middle of a segment now.
        self.broken_off = group.is_err();
        group
    }

    fn find_group(&mut self, go_on: &dyn Fn() -> bool) -> Result<Option<CompactedGroup>, CompactError> {
        let groups = match &self.groups {
            Some(groups) => groups.clone(),
            None => {
                self.filter.producers = self.plan.last_written()?;
                self.look_at_keys(go_on)?;
                self.groups.insert(self.group()).clone()
            }
        };
        while let Some(group) = groups.get(self.next) {
            self.next += 1;
            if let Some(done) = self.compact(group.clone(), go_on)? {
                return Ok(Some(done));
            }
        }
        Ok(None)
    }

    /// Notes the last offset of each key in what is dirty, as far as the map has room.
    fn look_at_keys(&mut self, go_on: &dyn Fn() -> bool) -> Result<(), CompactError> {
        let mut outcomes = Outcomes::default();
        let (keys, first_dirty) = (&mut self.filter.keys, self.plan.first_dirty);
        for segment in self.plan.segments.iter().filter(|s| s.facts().next_offset > first_dirty) {
            outcomes.expect(self.plan.aborted(segment)?);
            let mut full = false;
            self.plan.each_batch(segment, go_on, |view, header| {
                if header.is_control {
                    outcomes.on_marker(header, marker_of(view));
                } else if !outcomes.on_records(header) && header.last_offset >= first_dirty {
                    let mut records = view.records(DECOMPRESSED_MAX)?;
                    while let Some(record) = records.next_record()? {
                        let Some(key) = record.key.filter(|_| record.offset >= first_dirty) else { continue };
                        if !keys.put(key, record.offset) {
                            full = true;
                            return Ok(false);
                        }
                    }
                }
                if header.last_offset >= first_dirty {
                    keys.reached(header.last_offset);
                }
                Ok(true)
            })?;
            if full {
                break;
            }
        }
        if let Some(latest) = self.filter.keys.latest() {
            self.report.up_to = latest.checked_add(1).unwrap_or(latest);
        }
        Ok(())
    }

    /// Neighbours that fit into one segment together, up to the one in which the map ends.
    fn group(&self) -> Vec<Range<usize>> {
        let within = |segment: &&Arc<Segment>| segment.base < self.report.up_to;
        let count = self.plan.segments.iter().take_while(within).count();
        let segments = &self.plan.segments[..count];
        let mut groups = Vec::new();
        let mut from = 0;
        while from < count {
            let mut to = from + 1;
            while to < count && self.fit(&segments[from..=to]) {
                to += 1;
            }
            groups.push(from..to);
            from = to;
        }
        groups
    }

    fn fit(&self, segments: &[Arc<Segment>]) -> bool {
        let sum = |size: fn(&Segment) -> u64| segments.iter().map(|segment| size(segment)).sum::<u64>();
        let index_max = u64::from(self.config.segment_index_bytes);
        let span = segments[segments.len() - 1].facts().next_offset.since(segments[0].base);
        sum(|segment| segment.facts().size) <= u64::from(self.config.segment_bytes)
            && sum(|segment| segment.offset_index.len() * 8) <= index_max
            && sum(|segment| segment.time_index.len() * 12) <= index_max
            && span <= i32::MAX as u64
    }

    fn compact(
        &mut self,
        group: Range<usize>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<CompactedGroup>, CompactError> {
        let Plan { disk, directory, .. } = &self.plan;
        let segments = self.plan.segments[group].to_vec();
        let (first, base) = (&segments[0], segments[0].base);
        let epochs = self.plan.reader.epochs().clone();
        let end = segments[segments.len() - 1].facts().next_offset;
        if end.since(base) > i32::MAX as u64 {
            // Kafka's cleaner took the end of a segment that was full of offsets: what spans that does not fit in.
            return Ok(None);
        }
        let mut output = Output::create(disk, directory, base, self.config.index_interval_bytes, epochs)?;
        let mut changed = segments.len() > 1;
        for segment in &segments {
            let filter = &mut self.filter;
            filter.outcomes.expect(self.plan.aborted(segment)?);
            self.plan.each_batch(segment, go_on, |view, header| {
                let verdict = filter.judge(view, header)?;
                changed |= verdict.left != Left::Whole;
                let done = match verdict.left {
                    Left::Whole => output.keep(header, view.bytes()),
                    Left::Rewritten(bytes) => output.keep(header, &bytes),
                    Left::Nothing => output.remove(header),
                };
                if let Some(aborted) = verdict.aborted {
                    output.note_aborted(aborted);
                }
                done.map_err(Stop::Disk)?;
                Ok(true)
            })?;
        }
        if !changed {
            drop(output);
            not_found_is_none(disk.remove_file(&cleaned(directory, FileKind::Log, base)))?;
            return Ok(None);
        }
        let written = output.finish(directory, first.facts().first_append, end)?;
        disk.sync_dir(directory)?;
        self.report.bytes_before += segments.iter().map(|segment| segment.facts().size).sum::<u64>();
        self.report.bytes_after += written.segment.facts().size;
        self.report.segments_before += segments.len();
        self.report.segments_after += 1;
        Ok(Some(CompactedGroup { replaced: segments, written }))
    }
}

/// A file that is not there any more went with its segment.
fn gone(error: std::io::Error) -> CompactError {
    match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::UnexpectedEof => CompactError::Changed,
        _ => CompactError::Disk(error),
    }
}

/// Why a walk ended early.
enum Stop {
    Disk(std::io::Error),
    Batch(BatchError),
}

impl From<BatchError> for Stop {
    fn from(error: BatchError) -> Stop {
        Stop::Batch(error)
    }
}

impl Plan {
    /// What was aborted by a marker in `segment` or further on, and has records in it.
    fn aborted(&self, segment: &Segment) -> Result<Vec<crate::index::AbortedTransaction>, CompactError> {
        let aborted = self.reader.aborted(segment.base, segment.facts().next_offset);
        aborted.map_err(|error| match error {
            ReadError::Disk(error) => CompactError::Disk(error),
            _ => CompactError::Changed,
        })
    }

    fn last_written(&self) -> Result<BTreeMap<ProducerId, LastWritten>, CompactError> {
        let end = self.segments.last().map_or(self.first_dirty, |last| last.facts().next_offset);
        let source = ProducerSource {
            disk: &*self.disk,
            directory: &self.directory,
            segments: &self.segments,
            // What is damaged is not looked at.
            quarantined: &[],
            snapshots: &self.snapshots,
            now: self.now,
        };
        let durably = source.at(end, end).map_err(gone)?;
        Ok(last_written(&self.producers, &durably))
    }

    /// Visits the batches of a segment, every byte of them verified, until told to stop.
    fn each_batch(
        &self,
        segment: &Segment,
        go_on: &dyn Fn() -> bool,
        mut visit: impl FnMut(&BatchView<'_>, &BatchHeader) -> Result<bool, Stop>,
    ) -> Result<(), CompactError> {
        let file = segment.log.get().map_err(gone)?;
        let facts = segment.facts();
        let mut walk = Walk::new(&*file, facts.size, LARGE_WINDOW);
        let (mut position, mut expected) = (0, segment.base);
        loop {
            if !go_on() {
                return Err(CompactError::Stopped);
            }
            let corrupt = |reason: String| CompactError::Corrupt { segment: segment.base, position, reason };
            let header = match walk.at(position, Depth::Checksums).map_err(gone)? {
                Step::Batch(header) if segment.in_turn(expected, header.base_offset) => header,
                Step::Batch(header) => {
                    let reason = format!("a batch begins at offset {}, not {expected}", header.base_offset);
                    return Err(self.unless_changed(corrupt(reason)));
                }
                Step::Bad(error) => return Err(self.unless_changed(corrupt(error.to_string()))),
                Step::End => return Ok(()),
            };
            let bytes = walk.bytes(position, header.size as usize).map_err(gone)?;
            let view = BatchView::parse(bytes).map_err(|error| corrupt(error.to_string()))?;
            match visit(&view, &header) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(Stop::Disk(error)) => return Err(error.into()),
                Err(Stop::Batch(error)) => return Err(self.unless_changed(corrupt(error.to_string()))),
            }
            position += header.size;
            expected = header.next_offset;
        }
    }

    fn unless_changed(&self, error: CompactError) -> CompactError {
        if self.reader.is_current() { error } else { CompactError::Changed }
    }
}

impl std::fmt::Debug for CompactionPass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompactionPass")
            .field("directory", &self.plan.directory)
            .field("first_dirty", &self.plan.first_dirty)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}
