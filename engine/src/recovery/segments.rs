//! The segments of a log, one after the other, checked against each other.

use std::{collections::BTreeSet, io, sync::Arc};

use highwater_records::Offset;

use super::{
    RecoveryReport, Situation,
    cut::cut_segment,
    decision::{Action, Found, decide},
    note,
    points::begin_at,
    trusted::open_trusted,
    walked::{Walked, Way, open_walked},
};
use crate::{
    disk::{Disk, Open},
    name::FileKind,
    quarantine::{self, Quarantined},
    segment::Segment,
};

/// A log's segments, ready for more.
pub(crate) struct Recovered {
    /// Oldest first; the last one is active. Never empty.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Where the next record goes.
    pub(crate) log_end: Offset,
    pub(crate) quarantined: Vec<Quarantined>,
    /// Bases of the segments that were walked.
    pub(crate) walked: BTreeSet<Offset>,
    /// Of those the ones that have control batches, where they were walked.
    pub(crate) with_markers: BTreeSet<Offset>,
    /// Of those the ones that were walked from a point on.
    pub(crate) resumed: BTreeSet<Offset>,
}

/// Opens the segments that begin at `bases`, cutting and quarantining as decided. What it keeps is durable.
pub(crate) fn recover_segments(
    situation: &Situation<'_>,
    bases: &[Offset],
    known: Vec<Quarantined>,
    walk_all: bool,
    report: &mut RecoveryReport,
) -> io::Result<Recovered> {
    let mut chain = Chain { situation, segments: Vec::new(), end: None, quarantined: known, removed: false };
    for (at, base) in bases.iter().copied().enumerate() {
        if chain.is_unfinished_roll(base)? {
            continue;
        }
        if let Some(reason) = chain.gap_before(base, report)? {
            chain.move_aside(&bases[at..], reason, report)?;
            break;
        }
        let next = bases.get(at + 1).copied();
        if let Some(reason) = chain.open(base, next, walk_all, report)? {
            if next.is_some_and(|next| next <= situation.log_start) {
                // Nobody may read what was lost here: the log begins further on, where it was made durable.
                continue;
            }
            chain.move_aside(&bases[at + 1..], reason, report)?;
            break;
        }
    }
    chain.finish(report)
}

struct Chain<'a> {
    situation: &'a Situation<'a>,
    segments: Vec<Opened>,
    /// Where the next segment is due; `None` before the first.
    end: Option<Offset>,
    quarantined: Vec<Quarantined>,
    /// Whether files were.
    removed: bool,
}

struct Opened {
    segment: Segment,
    /// Its indexes are in memory though it may be sealed.
    walked: bool,
    has_markers: bool,
    from_point: bool,
    unsynced: bool,
    lost_tail: bool,
}

impl Opened {
    fn trusted(segment: Segment) -> Opened {
        Opened {
            segment,
            walked: false,
            has_markers: false,
            from_point: false,
            unsynced: false,
            lost_tail: false,
        }
    }
}

impl Chain<'_> {
    /// A roll that failed leaves an empty file, and the log went on in the segment before it. Removes such a file.
    fn is_unfinished_roll(&mut self, base: Offset) -> io::Result<bool> {
        let Situation { disk, directory, .. } = self.situation;
        let path = directory.join(FileKind::Log.at(base));
        if self.end.is_none_or(|end| end <= base) || !disk.open(&path, Open::Read)?.is_empty()? {
            return Ok(false);
        }
        disk.remove_file(&path)?;
        self.removed = true;
        Ok(true)
    }

    /// Looks at what lies between the last segment and one that begins at `base`. `Some` if the log ends before it.
    fn gap_before(&mut self, base: Offset, report: &mut RecoveryReport) -> io::Result<Option<String>> {
        let Some(expected) = self.end else {
            let start = self.situation.log_start;
            if self.situation.head_is_here && base > start {
                match decide(self.situation.side(start), Found::Missing, self.situation.last_stop()) {
                    Action::Quarantine => self.quarantine_missing(start, base, report),
                    // Nobody knows what was promised: better a gap than everything behind it moved aside.
                    _ if self.situation.bound.is_none() => self.quarantine_missing(start, base, report),
                    _ => {
                        return Ok(Some(format!(
                            "there is nothing between the log start {start} and segment {base}"
                        )));
                    }
                }
            }
            return Ok(None);
        };
        if base == expected {
            return Ok(None);
        }
        if base < expected {
            // Its name lies, or its predecessor does; the predecessor's batches say which offsets are taken.
            return Ok(Some(format!("segment {base} begins before the end {expected} of the one before")));
        }
        if base <= self.situation.log_start {
            // Nobody may read what lies there: it was deleted, and a power cut brought some of it back.
            self.delete_all()?;
            return Ok(None);
        }
        match decide(self.situation.side(expected), Found::Missing, self.situation.last_stop()) {
            Action::Quarantine => {
                self.quarantine_missing(expected, base, report);
                Ok(None)
            }
            _ => Ok(Some(format!("there is nothing between offset {expected} and segment {base}"))),
        }
    }

    /// Opens a segment. `Some` if the log ends within it.
    fn open(
        &mut self,
        base: Offset,
        next_base: Option<Offset>,
        walk_all: bool,
        report: &mut RecoveryReport,
    ) -> io::Result<Option<String>> {
        let situation = self.situation;
        let file = situation.disk.open(&situation.directory.join(FileKind::Log.at(base)), Open::Write)?;
        // Its indexes were synced with the first commit of the segment after it, not before.
        let promised = next_base.is_some_and(|next| situation.bound.is_some_and(|bound| next < bound));
        let may_trust = !walk_all && (situation.last_stop_clean || promised);
        if may_trust
            && let Some(segment) = open_trusted(situation, base, &*file, next_base.is_none())?
            // The name of the next file is no proof that this one ends there.
            && (situation.last_stop_clean || situation.bound >= Some(segment.facts().next_offset))
        {
            self.end = Some(self.tile(&segment, next_base));
            self.segments.push(Opened::trusted(segment));
            return Ok(None);
        }
        let start = if walk_all { None } else { begin_at(situation, base, &*file, &self.quarantined)? };
        let walked = open_walked(
            situation,
            base,
            &*file,
            next_base,
            Way { start, all_checksums: may_trust || walk_all },
            &mut self.quarantined,
            report,
        )?;
        report.indexes_rebuilt += 1;
        let end = self.tile(&walked.segment, next_base);
        self.end = Some(end);
        let Walked { segment, cut, lost_tail, unsynced, has_markers, from_point } = walked;
        self.segments.push(Opened { segment, walked: true, has_markers, from_point, unsynced, lost_tail });
        Ok(cut.map(|cut| {
            let reason = format!("it lies behind the end of the log at {end}");
            report.cut.push(cut);
            reason
        }))
    }

    /// Where a segment ends: the offsets behind its last batch that the cleaner took are its own.
    fn tile(&self, segment: &Segment, next_base: Option<Offset>) -> Offset {
        let end = segment.facts().next_offset;
        match next_base {
            Some(next) if self.situation.gaps.between(end, next) => {
                segment.end_at(next);
                next
            }
            _ => end,
        }
    }

    fn quarantine_missing(&mut self, from: Offset, to: Offset, report: &mut RecoveryReport) {
        let segment = self.segments.last().map_or(from, |last| last.segment.base);
        let range = Quarantined { segment, positions: 0..0, offsets: from..to };
        if !self.quarantined.contains(&range) {
            note(report, self.situation.directory, format!("offsets {:?} are missing", range.offsets));
            self.quarantined.push(range);
        }
    }

    fn move_aside(
        &mut self,
        bases: &[Offset],
        reason: String,
        report: &mut RecoveryReport,
    ) -> io::Result<()> {
        let at = self.end.unwrap_or(self.situation.log_start);
        for base in bases {
            note(report, self.situation.directory, format!("segment {base} is moved aside: {reason}"));
            report.cut.push(cut_segment(self.situation, *base, at, reason.clone())?);
        }
        if !bases.is_empty() {
            self.situation.disk.sync_dir(self.situation.directory)?;
        }
        Ok(())
    }

    /// Deletes the segments so far, all of which lie below the log start.
    fn delete_all(&mut self) -> io::Result<()> {
        let Situation { disk, directory, .. } = self.situation;
        self.removed = true;
        for opened in self.segments.drain(..) {
            for kind in FileKind::SEGMENT {
                super::not_found_is_none(disk.remove_file(&directory.join(kind.at(opened.segment.base))))?;
            }
        }
        Ok(())
    }

    fn finish(mut self, report: &mut RecoveryReport) -> io::Result<Recovered> {
        let Situation { disk, directory, bound, log_start, .. } = *self.situation;
        // A log whose start lies beyond its batches has none that may be read; it goes on at its start. What is left was
        // deleted before, and would leave a gap.
        let end = self.end.unwrap_or(log_start).max(log_start);
        if self.end.is_some_and(|end| end < log_start) {
            self.delete_all()?;
        }
        let mut log_end = end;
        if let Some(bound) = bound
            && end < bound
            && decide(self.situation.side(end), Found::Missing, self.situation.last_stop())
                == Action::Quarantine
        {
            self.quarantine_missing(end, bound, report);
            log_end = bound;
        }
        // Sorted and without what lies outside the log, so that the same log always has the same file.
        let segments = &self.segments;
        // Below the start nobody reads, but whoever walks the segment must not follow the damaged header.
        let walked_over = |range: &Quarantined| {
            !range.positions.is_empty() && segments.iter().any(|opened| opened.segment.base == range.segment)
        };
        self.quarantined.retain(|range| {
            range.offsets.start < log_end && (range.offsets.end > log_start || walked_over(range))
        });
        self.quarantined.sort_by_key(|range| range.offsets.start);
        // Written down before anything can be appended behind it, so that nobody takes the gap for a torn tail.
        self.write_quarantine()?;

        let last_is_open = self
            .segments
            .last()
            .is_some_and(|last| !last.lost_tail && last.segment.facts().next_offset == log_end);
        let active = if last_is_open { self.segments.len() - 1 } else { self.segments.len() };
        let mut segments = Vec::with_capacity(active + 1);
        let bases = |which: fn(&Opened) -> bool| {
            self.segments.iter().filter(|opened| which(opened)).map(|opened| opened.segment.base).collect()
        };
        let walked: BTreeSet<Offset> = bases(|opened| opened.walked);
        let with_markers = bases(|opened| opened.has_markers);
        let resumed = bases(|opened| opened.from_point);
        for (at, opened) in self.segments.into_iter().enumerate() {
            let Opened { segment, walked, unsynced, .. } = opened;
            // The newest segment was opened to grow, even if nothing may be added to it.
            let to_seal = at < active && (walked || (!last_is_open && at + 1 == active));
            if to_seal {
                segment.seal(disk, directory)?;
            }
            if to_seal || unsynced {
                segment.sync()?;
            }
            if to_seal {
                segment.release();
            }
            segments.push(Arc::new(segment));
        }
        if !last_is_open {
            let segment = Segment::create(disk, directory, log_end)?;
            segment.sync()?;
            segments.push(Arc::new(segment));
        }
        // Of a log that is as a clean stop left it nothing has a new name.
        if !self.situation.last_stop_clean || self.removed || !last_is_open || !walked.is_empty() {
            disk.sync_dir(directory)?;
        }
        Ok(Recovered { segments, log_end, quarantined: self.quarantined, walked, with_markers, resumed })
    }

    fn write_quarantine(&self) -> io::Result<()> {
        let Situation { disk, directory, .. } = self.situation;
        let path = directory.join(quarantine::FILE_NAME);
        let old = crate::disk::read_file(&***disk, &path)?;
        let text = quarantine::encode(&self.quarantined);
        let unchanged = match &old {
            Some(bytes) => bytes == text.as_bytes(),
            None => self.quarantined.is_empty(),
        };
        if unchanged {
            return Ok(());
        }
        crate::disk::replace_file(&***disk, directory, quarantine::FILE_NAME, text.as_bytes())
    }
}
