//! One segment, byte by byte.

use std::path::Path;

use highwater_records::{
    LeaderEpoch, Offset, TimestampMs,
    batch::{BatchError, BatchView, HEADER_LEN},
};

use super::{Finding, InspectError, Looker, Severity};
use crate::{
    disk::Open,
    index::{OffsetEntry, TimeEntry},
    name::FileKind,
    segment::{BatchHeader, Depth, LARGE_WINDOW, Step, Walk},
};

/// Most bytes that one batch may decompress to when its records are walked.
const DECOMPRESSED_MAX: usize = 1 << 30;

/// What a scan is told of the segment.
pub(super) struct Expectations<'a> {
    pub(super) base: Offset,
    /// Everything below was promised; `None` if nobody says.
    pub(super) bound: Option<Offset>,
    /// Where the next segment begins.
    pub(super) next_base: Option<Offset>,
    /// Whether offsets may be missing between batches.
    pub(super) gaps: bool,
    /// Whether it is the log's last: it may end torn after a crash.
    pub(super) last: bool,
    /// Whether the stop before was clean.
    pub(super) clean: bool,
    /// Entries of its indexes, where those could be read.
    pub(super) offsets: Option<&'a [OffsetEntry]>,
    pub(super) times: Option<&'a [TimeEntry]>,
}

/// What a segment turned out to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Scanned {
    /// Where the first batch begins, if there is one.
    pub(super) first: Option<Offset>,
    /// Behind its last batch.
    pub(super) next: Offset,
    /// Whether it ends in bytes that could not be read.
    pub(super) torn: bool,
    /// Where each leader epoch's batches begin, in their order.
    pub(super) epochs: Vec<(LeaderEpoch, Offset)>,
    /// Offsets that no batch has, as compaction leaves them.
    pub(super) gaps: u64,
    /// Offsets of batches that cannot be read.
    pub(super) damaged: u64,
}

impl Looker<'_> {
    /// Reads a segment, and compares its indexes with it.
    pub(super) fn scan(&mut self, path: &Path, expect: &Expectations<'_>) -> Result<Scanned, InspectError> {
        let failed = InspectError::disk;
        let file = self.disk.open(path, Open::Read).map_err(failed(path))?;
        let len = file.len().map_err(failed(path))?;
        let mut walk = Walk::new(&*file, len, LARGE_WINDOW);
        let mut scanned = Scanned { next: expect.base, ..Scanned::default() };
        let mut indexes = IndexCheck::new(expect);
        let mut position = 0;
        self.found.segments += 1;
        loop {
            let problem = match walk.at(position, Depth::Checksums).map_err(failed(path))? {
                Step::End => break,
                Step::Batch(header) if !possible(expect, scanned.next, &header) => {
                    let (found, due) = (header.base_offset, scanned.next);
                    Some(format!("a batch says it begins at offset {found} where {due} is due"))
                }
                Step::Batch(header) => {
                    let bytes = walk.bytes(position, header.size as usize).map_err(failed(path))?;
                    match self.records(bytes, &header) {
                        Ok(records) => {
                            self.found.batches += 1;
                            self.found.records += records;
                            self.good(&mut scanned, &header);
                            indexes.batch(position, &header);
                            position += header.size;
                            self.read_bytes(path, header.size);
                            None
                        }
                        Err(error) => Some(error.to_string()),
                    }
                }
                Step::Bad(error) => Some(error.to_string()),
            };
            let Some(problem) = problem else { continue };
            let from = position;
            position = self.bad(path, expect, &mut scanned, &mut walk, from, &problem)?;
            indexes.skip(from, position);
            self.read_bytes(path, position - from);
        }
        let scanned_all = !scanned.torn && scanned.damaged == 0;
        for Wrong { kind, severity, what, at } in indexes.finish(scanned_all) {
            let index = path.with_file_name(kind.at(expect.base));
            self.say(Finding::new(severity, &index, what).at(at));
        }
        Ok(scanned)
    }

    /// How many records a batch has, all of them looked at if that is wanted.
    fn records(&self, bytes: &[u8], header: &BatchHeader) -> Result<u64, BatchError> {
        let view = BatchView::parse(bytes)?;
        if self.deep {
            let mut last = None;
            for record in view.walk(DECOMPRESSED_MAX)? {
                let record = record?;
                if last.is_some_and(|last| record.offset <= last) || record.offset > header.last_offset {
                    return Err(BatchError::Corrupt("its records' offsets do not grow"));
                }
                last = Some(record.offset);
            }
        }
        Ok(u64::from(view.record_count()))
    }

    fn good(&mut self, scanned: &mut Scanned, header: &BatchHeader) {
        scanned.gaps += header.base_offset.since(scanned.next);
        scanned.first.get_or_insert(header.base_offset);
        scanned.next = header.next_offset;
        scanned.torn = false;
        if let Some(epoch) = header.leader_epoch
            && scanned.epochs.last().is_none_or(|(last, _)| *last != epoch)
        {
            scanned.epochs.push((epoch, header.base_offset));
        }
    }

    /// Says what is wrong at `from` and returns where to go on.
    fn bad(
        &mut self,
        path: &Path,
        expect: &Expectations<'_>,
        scanned: &mut Scanned,
        walk: &mut Walk<'_>,
        from: u64,
        problem: &str,
    ) -> Result<u64, InspectError> {
        let due = scanned.next;
        let (to, next) = match next_good(expect, walk, from, due).map_err(InspectError::disk(path))? {
            Some((position, header)) => (position, Some(header.base_offset)),
            None => (walk.end(), None),
        };
        // Behind the last readable batch of the last segment lies what a crash left, unless it was promised.
        let promised = expect.bound.is_some_and(|bound| due < bound);
        let tail = next.is_none() && expect.last && !promised;
        let end = next.or(expect.bound.filter(|bound| *bound > due)).or(due.checked_add(1)).unwrap_or(due);
        let bytes = to - from;
        let finding = if tail && all_zero(walk, from, to).map_err(InspectError::disk(path))? {
            let what = format!("{bytes} bytes of zeros behind the last batch");
            Finding::new(Severity::Unsettled, path, what).at(from)
        } else if tail {
            let severity = if expect.clean { Severity::Damage } else { Severity::Unsettled };
            let what = format!("{bytes} bytes behind the last whole batch: {problem}");
            Finding::new(severity, path, what).at(from)
        } else {
            let what =
                format!("{bytes} bytes cannot be read, a batch from offset {due} on was expected: {problem}");
            Finding::new(Severity::Damage, path, what).at(from).of(due..end)
        };
        if !tail {
            scanned.damaged += end.since(due);
        }
        scanned.torn = next.is_none();
        if let Some(next) = next {
            scanned.next = next.max(due);
        }
        self.say(finding);
        Ok(to)
    }
}

/// Whether a batch may stand where `due` is due: offsets lie outside its checksum.
fn possible(expect: &Expectations<'_>, due: Offset, header: &BatchHeader) -> bool {
    let in_turn = if expect.gaps { header.base_offset >= due } else { header.base_offset == due };
    let below_next = expect.next_base.is_none_or(|next| header.next_offset <= next);
    in_turn && below_next && header.last_offset.since(expect.base) <= i32::MAX as u64
}

/// The next batch behind `from` whose checksum is right and whose offsets are possible.
fn next_good(
    expect: &Expectations<'_>,
    walk: &mut Walk<'_>,
    from: u64,
    due: Offset,
) -> std::io::Result<Option<(u64, BatchHeader)>> {
    let mut position = from + 1;
    while position + (HEADER_LEN as u64) <= walk.end() {
        if let Step::Batch(header) = walk.at(position, Depth::Headers)?
            && header.base_offset >= due
            && header.base_offset.since(expect.base) <= i32::MAX as u64
            && expect.next_base.is_none_or(|next| header.next_offset <= next)
            && let Step::Batch(header) = walk.at(position, Depth::Checksums)?
        {
            return Ok(Some((position, header)));
        }
        position += 1;
    }
    Ok(None)
}

fn all_zero(walk: &mut Walk<'_>, from: u64, to: u64) -> std::io::Result<bool> {
    let mut position = from;
    while position < to {
        let size = (to - position).min(LARGE_WINDOW as u64) as usize;
        if walk.bytes(position, size)?.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        position += size as u64;
    }
    Ok(true)
}

/// An entry that does not fit.
struct Wrong {
    kind: FileKind,
    severity: Severity,
    what: String,
    at: u64,
}

/// Both indexes, compared with the batches as they come by.
struct IndexCheck<'a> {
    base: Offset,
    offsets: &'a [OffsetEntry],
    next_offset: usize,
    times: &'a [TimeEntry],
    next_time: usize,
    /// The largest time so far, and the first and the last offset of the batch that has it.
    largest: Option<(TimestampMs, Offset, Offset)>,
    wrong: Vec<Wrong>,
}

impl<'a> IndexCheck<'a> {
    fn new(expect: &Expectations<'a>) -> IndexCheck<'a> {
        IndexCheck {
            base: expect.base,
            offsets: expect.offsets.unwrap_or_default(),
            next_offset: 0,
            times: expect.times.unwrap_or_default(),
            next_time: 0,
            largest: None,
            wrong: Vec::new(),
        }
    }

    fn batch(&mut self, position: u64, header: &BatchHeader) {
        while let Some(entry) = self.offsets.get(self.next_offset)
            && u64::from(entry.position) <= position
        {
            let names = self.base.checked_add(u64::from(entry.relative));
            let fits = u64::from(entry.position) == position && names == Some(header.last_offset);
            if !fits {
                let what = format!(
                    "an entry says that a batch at byte {1} ends at offset {0}; none does",
                    names.map_or("?".to_owned(), |offset| offset.to_string()),
                    entry.position
                );
                self.say(FileKind::OffsetIndex, Severity::Rebuildable, what, self.next_offset as u64 * 8);
            }
            self.next_offset += 1;
        }
        if header.max_timestamp > self.largest.map(|(largest, ..)| largest)
            && let Some(largest) = header.max_timestamp
        {
            self.largest = Some((largest, header.base_offset, header.last_offset));
        }
        while let Some(entry) = self.times.get(self.next_time)
            && let offset = self.base.checked_add(u64::from(entry.relative)).unwrap_or(Offset::MAX)
            && offset <= header.last_offset
        {
            let at = self.next_time as u64 * 12;
            self.next_time += 1;
            // A segment without times has one entry that says so.
            let Some((largest, first, last)) = self.largest else { continue };
            let said = TimestampMs(entry.timestamp);
            if said == largest && offset == last {
                continue;
            }
            let what = format!(
                "an entry says the largest time up to offset {offset} is {said}; it is {largest}, of the batch that ends at {last}"
            );
            // Older Kafka names the record, not its batch's last.
            let older = said == largest && first <= offset && offset < last;
            let severity = if older { Severity::Note } else { Severity::Rebuildable };
            self.say(FileKind::TimeIndex, severity, what, at);
        }
    }

    fn say(&mut self, kind: FileKind, severity: Severity, what: String, at: u64) {
        self.wrong.push(Wrong { kind, severity, what, at });
    }

    /// Entries that lead into damage prove nothing.
    fn skip(&mut self, _from: u64, to: u64) {
        while self.offsets.get(self.next_offset).is_some_and(|entry| u64::from(entry.position) < to) {
            self.next_offset += 1;
        }
    }

    fn finish(mut self, all_read: bool) -> Vec<Wrong> {
        if !all_read {
            // The largest time may have been in what is gone.
            self.wrong.retain(|wrong| wrong.kind != FileKind::TimeIndex);
            return self.wrong;
        }
        if let Some(entry) = self.offsets.get(self.next_offset) {
            let what = format!("an entry names byte {}, behind the segment's end", entry.position);
            self.say(FileKind::OffsetIndex, Severity::Rebuildable, what, self.next_offset as u64 * 8);
        }
        if let Some(entry) = self.times.get(self.next_time) {
            let what =
                format!("an entry names offset {} + {}, behind the segment's end", self.base, entry.relative);
            self.say(FileKind::TimeIndex, Severity::Rebuildable, what, self.next_time as u64 * 12);
        }
        self.wrong
    }
}
