//! Opening a segment by walking it: what its batches say is what it is.

use std::{
    io::{self, IoSlice},
    ops::Range,
    path::Path,
    sync::Arc,
};

use highwater_records::{Offset, batch::HEADER_LEN};

use super::{
    Cut, RecoveryReport, Situation,
    cut::cut_tail,
    decision::{Action, Found, Side, decide},
    note,
    trusted::first_append,
};
use crate::{
    disk::{DiskFile, KeepingDisk, read_exact_at},
    index::{AbortedTransaction, Index, OffsetEntry, TimeEntry},
    museum::{Bug, has},
    name::FileKind,
    points::{Chain, Entries},
    quarantine::Quarantined,
    segment::{BatchHeader, Depth, Facts, LARGE_WINDOW, Segment, Step, Walk, offset_entry, slot},
};

/// A segment that was walked.
pub(super) struct Walked {
    pub(super) segment: Segment,
    /// Set when the log ends in this segment: what was cut off.
    pub(super) cut: Option<Cut>,
    /// Set when the rest of the segment could not be read though it was promised: nothing may be added to it.
    pub(super) lost_tail: bool,
    /// Whether it holds batches that nobody has synced.
    pub(super) unsynced: bool,
    /// Whether it has control batches.
    pub(super) has_markers: bool,
    /// Whether the walk began at the segment's last point.
    pub(super) from_point: bool,
}

/// How a segment is walked.
pub(super) struct Way<'a> {
    /// Where the walk begins, if not at the segment's beginning.
    pub(super) start: Option<(&'a Chain, Entries)>,
    /// Whether every byte from there on is looked at, not only those above the bound.
    pub(super) all_checksums: bool,
}

/// Walks a segment.
pub(super) fn open_walked(
    situation: &Situation<'_>,
    base: Offset,
    file: &dyn DiskFile,
    next_base: Option<Offset>,
    way: Way<'_>,
    quarantined: &mut Vec<Quarantined>,
    report: &mut RecoveryReport,
) -> io::Result<Walked> {
    let len = file.len()?;
    let mut walk = Walk::new(file, len, LARGE_WINDOW);
    let Way { start, mut all_checksums } = way;
    let mut from_point = start.is_some();
    let mut growth = match start {
        Some((chain, entries)) => Growth::resumed(situation, base, chain, entries),
        None => Growth::new(situation, base),
    };
    let mut cut = None;
    let mut lost_tail = false;
    let mut unsynced_from = None;
    // The last batch, if only its header was looked at.
    let mut unverified: Option<u64> = None;
    loop {
        let (position, expected) = (growth.facts.size, growth.facts.next_offset);
        if let Some(known) = known_damage(quarantined, base, position) {
            growth.skip(&known);
            lost_tail = growth.facts.size >= len;
            continue;
        }
        let below = situation.side(expected) == Side::Below;
        let trusting = below && !all_checksums || has(Bug::TornBatchBelieved);
        let depth = if trusting { Depth::Headers } else { Depth::Checksums };
        let reason = match walk.at(position, depth)? {
            Step::End => break,
            Step::Batch(header) if in_turn(situation, base, expected, &header) && growth.fits(&header) => {
                if depth == Depth::Checksums {
                    report.bytes_verified += header.size;
                }
                let action = decide(situation.side(expected), Found::Valid, situation.last_stop());
                if action == Action::KeepAndSync {
                    unsynced_from.get_or_insert(position);
                }
                growth.add(&header);
                if depth == Depth::Checksums {
                    not_missing(quarantined, header.base_offset..growth.facts.next_offset);
                }
                unverified = (depth == Depth::Headers).then_some(position);
                lost_tail = false;
                continue;
            }
            Step::Batch(header) => {
                format!("a batch says it begins at offset {} where {expected} is due", header.base_offset)
            }
            Step::Bad(error) => error.to_string(),
        };
        if let Some(before) = unverified.take()
            && matches!(walk.at(before, Depth::Checksums)?, Step::Bad(_))
        {
            // Of two headers that did not fit together the first is the damaged one, wherever it said it ended.
            growth = Growth::new(situation, base);
            (all_checksums, lost_tail, unsynced_from, from_point) = (true, false, None, false);
            continue;
        }
        match decide(situation.side(expected), Found::Bad, situation.last_stop()) {
            Action::Quarantine => {
                let range = damaged_range(situation, &mut walk, &growth, next_base)?;
                let text = format!("offsets {:?} of segment {base} cannot be read: {reason}", range.offsets);
                note(report, situation.directory, text);
                lost_tail = range.positions.end >= len;
                growth.skip(&range);
                quarantined.push(range);
            }
            _ => {
                let text = format!(
                    "segment {base} ends at offset {expected}, {} bytes cut: {reason}",
                    len - position
                );
                note(report, situation.directory, text);
                cut = Some(cut_tail(situation, base, file, position, expected, reason)?);
                break;
            }
        }
    }
    if growth.facts.size > 0 {
        growth.facts.first_append = Some(first_append(growth.facts.first_timestamp, file.modified_ms()?));
    }
    if let Some(from) = unsynced_from {
        write_again(file, from, growth.facts.size)?;
    }
    let unsynced = unsynced_from.is_some();
    let has_markers = growth.has_markers;
    let segment = growth.finish(situation.disk, situation.directory);
    Ok(Walked { segment, cut, lost_tail, unsynced, has_markers, from_point })
}

/// Writes what is there to the page cache once more. A sync that failed before a restart may have left pages that are
/// clean in memory and not on the media: another sync would pass over them and say that all is well.
fn write_again(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let mut position = from;
    let mut buffer = vec![0; usize::try_from((to - from).min(WRITE_AGAIN_BYTES)).unwrap_or(0)];
    while position < to {
        let size = usize::try_from((to - position).min(buffer.len() as u64)).unwrap_or(buffer.len());
        read_exact_at(file, &mut buffer[..size], position)?;
        file.write_at(&[IoSlice::new(&buffer[..size])], position)?;
        position += size as u64;
    }
    Ok(())
}

/// Memory that [`write_again`] needs, at most.
const WRITE_AGAIN_BYTES: u64 = 1 << 20;

fn known_damage(quarantined: &[Quarantined], base: Offset, position: u64) -> Option<Quarantined> {
    quarantined
        .iter()
        .find(|range| {
            range.segment == base && range.positions.start == position && !range.positions.is_empty()
        })
        .cloned()
}

/// Takes what a batch has that was found in its turn out of what is missing. A damaged header can have told of so many bytes
/// that the batches behind it seemed not to be there.
fn not_missing(quarantined: &mut Vec<Quarantined>, found: Range<Offset>) {
    for range in quarantined.iter_mut().filter(|range| range.positions.is_empty()) {
        if found.contains(&range.offsets.start) {
            range.offsets.start = found.end.min(range.offsets.end);
        }
    }
    quarantined.retain(|range| !range.offsets.is_empty());
}

/// Whether a batch is the next one of its segment.
fn in_turn(situation: &Situation<'_>, base: Offset, expected: Offset, header: &BatchHeader) -> bool {
    header.base_offset == expected || situation.gaps.allow(base, expected, header.base_offset)
}

/// From a batch that does not read to the next that does.
fn damaged_range(
    situation: &Situation<'_>,
    walk: &mut Walk<'_>,
    growth: &Growth,
    next_base: Option<Offset>,
) -> io::Result<Quarantined> {
    let (base, from, expected) = (growth.base, growth.facts.size, growth.facts.next_offset);
    if let Some((position, header)) = resynchronize(situation, base, walk, from, expected, next_base)? {
        return Ok(Quarantined {
            segment: base,
            positions: from..position,
            offsets: expected..header.base_offset,
        });
    }
    // Nothing more of this segment reads: the range ends where the next segment begins, or at the bound.
    let above = expected.checked_add(1).unwrap_or(Offset::MAX);
    let end = next_base.or(situation.bound).unwrap_or(above).max(above);
    Ok(Quarantined { segment: base, positions: from..walk.end(), offsets: expected..end })
}

/// The next batch whose checksum is right and whose offsets are possible, at any byte behind `from`.
///
/// Offsets lie outside the checksum: bytes that were inserted or lost before them leave a batch that is right in
/// all but its place. So a batch counts only if what was promised explains where it begins, and what comes behind
/// it goes on from there; better a longer range that cannot be read than records under another's offsets.
fn resynchronize(
    situation: &Situation<'_>,
    base: Offset,
    walk: &mut Walk<'_>,
    from: u64,
    expected: Offset,
    next_base: Option<Offset>,
) -> io::Result<Option<(u64, BatchHeader)>> {
    let promised = |offset| situation.bound.is_none_or(|bound| offset <= bound);
    let mut position = from + 1;
    while position + (HEADER_LEN as u64) <= walk.end() {
        if let Step::Batch(header) = walk.at(position, Depth::Headers)?
            && header.base_offset > expected
            && header.base_offset.since(expected) <= i32::MAX as u64
            && promised(header.base_offset)
            && next_base.is_none_or(|next_base| header.next_offset <= next_base)
            && let Step::Batch(header) = walk.at(position, Depth::Checksums)?
            && goes_on(situation, base, walk, position, &header, next_base)?
        {
            return Ok(Some((position, header)));
        }
        position += 1;
    }
    Ok(None)
}

/// Whether what lies behind a batch continues its offsets.
fn goes_on(
    situation: &Situation<'_>,
    base: Offset,
    walk: &mut Walk<'_>,
    position: u64,
    header: &BatchHeader,
    next_base: Option<Offset>,
) -> io::Result<bool> {
    let reaches_bound = situation.side(header.next_offset) == Side::Above;
    Ok(match walk.at(position + header.size, Depth::Headers)? {
        Step::Batch(next) => in_turn(situation, base, header.next_offset, &next),
        Step::End => next_base.map_or(reaches_bound, |next_base| {
            next_base == header.next_offset || situation.gaps.between(header.next_offset, next_base)
        }),
        // More damage, unless it is the end of what was promised.
        Step::Bad(_) => reaches_bound,
    })
}

/// A segment as it grows under the walk.
struct Growth {
    base: Offset,
    interval_bytes: u32,
    facts: Facts,
    offsets: Vec<OffsetEntry>,
    times: Vec<TimeEntry>,
    /// The next batch gets an index entry whatever the interval: a lookup must not have to cross the damage.
    after_damage: bool,
    has_markers: bool,
    sparse: bool,
    /// Of the batches that the walk did not begin with.
    aborted: Vec<AbortedTransaction>,
}

impl Growth {
    fn new(situation: &Situation<'_>, base: Offset) -> Growth {
        Growth {
            base,
            interval_bytes: situation.index_interval_bytes,
            facts: Facts::empty(base),
            offsets: Vec::new(),
            times: Vec::new(),
            after_damage: false,
            has_markers: false,
            sparse: situation.gaps.within(base),
            aborted: Vec::new(),
        }
    }

    /// A segment as it was at its last point.
    fn resumed(situation: &Situation<'_>, base: Offset, chain: &Chain, entries: Entries) -> Growth {
        Growth {
            facts: chain.point.facts,
            offsets: entries.offsets,
            times: entries.times,
            aborted: entries.aborted,
            ..Growth::new(situation, base)
        }
    }

    /// Whether the batch's offsets can be told from the segment's base.
    fn fits(&self, header: &BatchHeader) -> bool {
        header.last_offset.since(self.base) <= i32::MAX as u64
    }

    fn add(&mut self, header: &BatchHeader) {
        let position = self.facts.size;
        self.has_markers |= header.is_control;
        let mut entries = self.facts.add(self.base, header, self.interval_bytes);
        if std::mem::take(&mut self.after_damage) {
            entries.offset = offset_entry(self.base, header.last_offset, position);
            self.facts.bytes_since_entry = header.size;
        }
        self.offsets.extend(entries.offset);
        let grows = |entry: &TimeEntry| self.times.last().is_none_or(|last| last.timestamp < entry.timestamp);
        self.times.extend(entries.time.filter(grows));
    }

    fn skip(&mut self, range: &Quarantined) {
        self.facts.size = range.positions.end;
        self.facts.next_offset = range.offsets.end;
        self.after_damage = true;
    }

    fn finish(self, disk: &Arc<KeepingDisk>, directory: &Path) -> Segment {
        let log = slot(disk, directory, FileKind::Log, self.base);
        let (offsets, times) = (Index::growing(self.offsets), Index::growing(self.times));
        let segment = Segment::open(log, offsets, times, self.base, self.facts).sparse(self.sparse);
        segment.transaction_index.set(Index::growing(self.aborted));
        segment
    }
}
