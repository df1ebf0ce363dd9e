//! One log's directory.

use std::{collections::BTreeMap, path::Path};

use highwater_records::{LeaderEpoch, Offset};

use super::{
    Finding, InspectError, Looker, Severity,
    place::segments,
    scan::{Expectations, Scanned},
};
use crate::{
    epochs::{self, LeaderEpochs},
    gaps::{self, Gaps},
    index::{OffsetEntry, TimeEntry},
    name::{DELETED, FileKind, FileName},
    quarantine,
};

/// What is known of a log from outside its directory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// Everything below was promised.
    pub(super) bound: Option<Offset>,
    /// The first offset that may be read.
    pub(super) log_start: Option<Offset>,
    /// Whether the stop before was clean.
    pub(super) clean: bool,
    /// Whether its offsets may have gaps. `None` if nobody says.
    pub(super) compacted: Option<bool>,
}

/// Suffixes of files that Kafka leaves behind when it is interrupted.
const UNFINISHED: [&str; 2] = [".cleaned", ".swap"];

impl Looker<'_> {
    /// A log of which nothing is known but its directory, unless that lies in a directory of many.
    pub(super) fn log_alone(&mut self, path: &Path) -> Result<(), InspectError> {
        let known = match path.parent() {
            Some(parent) => self.known_of(parent, path)?,
            None => Known::default(),
        };
        self.log(path, known)
    }

    pub(super) fn log(&mut self, path: &Path, known: Known) -> Result<(), InspectError> {
        self.found.logs += 1;
        let bases = segments(self.disk, path)?;
        let listed = self.disk.list(path).map_err(InspectError::disk(path))?;
        for entry in listed.iter().filter(|entry| !entry.is_dir) {
            let file = path.join(&entry.name);
            match FileName::parse(&entry.name) {
                FileName::Of(FileKind::Log, _) => {}
                FileName::Of(FileKind::Snapshot | FileKind::Producers, _) => self.producer_snapshot(&file)?,
                FileName::Of(FileKind::Points, base) if bases.contains(&base) => self.points(&file, base)?,
                FileName::Of(_, base) if bases.contains(&base) => {}
                FileName::Of(..) => {
                    self.say(Finding::new(Severity::Unsettled, &file, "an index without its segment"));
                }
                FileName::Deleted(..) | FileName::Temporary => {
                    // Kafka stops cleanly without waiting for its deletions.
                    let severity = if known.clean { Severity::Note } else { Severity::Unsettled };
                    self.say(Finding::new(severity, &file, "its removal was interrupted"));
                }
                FileName::Cleaned(..) | FileName::Swap(..) => {
                    self.say(Finding::new(Severity::Unsettled, &file, "a compaction was interrupted"));
                }
                FileName::Cut(_) => {
                    let what = "bytes that a recovery cut off the end of the log";
                    self.say(Finding::new(Severity::Note, &file, what));
                }
                FileName::Other => self.other(&file, &entry.name)?,
            }
        }
        if !listed.iter().any(|entry| entry.name == super::small::PARTITION_METADATA) {
            let file = path.join(super::small::PARTITION_METADATA);
            let severity = if bases.is_empty() { Severity::Unsettled } else { Severity::Damage };
            self.say(Finding::new(severity, &file, "it is missing: nobody knows whose log this is"));
        }
        self.segments(path, &bases, known)
    }

    fn other(&mut self, file: &Path, name: &str) -> Result<(), InspectError> {
        match name {
            super::small::PARTITION_METADATA => self.partition_metadata(file)?,
            quarantine::FILE_NAME => self.quarantined(file)?,
            gaps::FILE_NAME => self.sealed(file, Severity::Damage)?,
            epochs::FILE_NAME => {}
            _ if UNFINISHED.iter().any(|suffix| name.ends_with(suffix)) || name.contains(DELETED) => {
                self.say(Finding::new(Severity::Unsettled, file, "a compaction was interrupted"));
            }
            // Of Kafka's metadata log.
            "quorum-state" => {}
            _ if name.ends_with(".checkpoint") => {}
            _ => self.say(Finding::new(Severity::Note, file, "not a file of a log")),
        }
        Ok(())
    }

    fn segments(&mut self, path: &Path, bases: &[Offset], known: Known) -> Result<(), InspectError> {
        let mut seen: Vec<(LeaderEpoch, Offset)> = Vec::new();
        let mut before: Option<Scanned> = None;
        let mut whole = true;
        let (gaps, _) = Gaps::read(self.disk, path).map_err(InspectError::disk(path))?;
        for (at, base) in bases.iter().enumerate() {
            let file = path.join(FileKind::Log.at(*base));
            if let Some(before) = &before {
                if !gaps.between(before.next, *base) {
                    self.border(&file, before, *base, known);
                }
            } else {
                self.head(&file, *base, known);
            }
            let offsets = self.index::<OffsetEntry>(&path.join(FileKind::OffsetIndex.at(*base)))?;
            let times = self.index::<TimeEntry>(&path.join(FileKind::TimeIndex.at(*base)))?;
            self.transaction_index(&path.join(FileKind::TransactionIndex.at(*base)))?;
            let last = at + 1 == bases.len();
            let expect = Expectations {
                base: *base,
                bound: known.bound,
                next_base: bases.get(at + 1).copied(),
                gaps: known.compacted != Some(false) || gaps.within(*base),
                last,
                clean: known.clean,
                offsets: offsets.as_deref(),
                times: times.as_deref(),
            };
            let scanned = self.scan(&file, &expect)?;
            if scanned.gaps > 0 && known.compacted != Some(true) && !gaps.within(*base) {
                let severity = if known.compacted.is_none() { Severity::Note } else { Severity::Damage };
                let what = format!(
                    "{} offsets between its batches have none, as compaction leaves them",
                    scanned.gaps
                );
                self.say(Finding::new(severity, &file, what));
            }
            whole &= scanned.gaps == 0 && scanned.damaged == 0;
            for (epoch, start) in &scanned.epochs {
                match seen.last() {
                    Some((last, _)) if last > epoch => {
                        let what = format!("leader epoch {epoch} follows {last}: one of the two is wrong");
                        let after = start.checked_add(1).unwrap_or(*start);
                        self.say(Finding::new(Severity::Damage, &file, what).of(*start..after));
                    }
                    Some((last, _)) if last == epoch => {}
                    _ => seen.push((*epoch, *start)),
                }
            }
            before = Some(scanned);
        }
        let end = before.as_ref().map(|scanned| scanned.next);
        self.ends.extend(end.map(|end| (path.to_owned(), end)));
        if let (Some(end), Some(bound)) = (end, known.bound)
            && end < bound
            && !before.is_some_and(|scanned| scanned.torn)
        {
            let what = format!("the log ends at offset {end}; up to {bound} was durable");
            let file = bases.last().map_or(path.to_owned(), |base| path.join(FileKind::Log.at(*base)));
            self.say(Finding::new(Severity::Damage, &file, what).of(end..bound));
        }
        self.epochs(&path.join(epochs::FILE_NAME), &seen, end.unwrap_or(Offset::ZERO), whole, known.clean)
    }

    /// Between two segments.
    fn border(&mut self, file: &Path, before: &Scanned, base: Offset, known: Known) {
        let due = before.next;
        if base < due {
            let what = format!("it begins below offset {due}, where the segment before it ends");
            self.say(Finding::new(Severity::Damage, file, what).of(base..due));
        } else if base > due && !before.torn {
            let (severity, what) = match known.compacted {
                Some(true) => return,
                Some(false) => {
                    (Severity::Damage, "are missing before it: a segment, or the end of one, is gone")
                }
                None => (Severity::Note, "have no batch before it: compacted away, or lost"),
            };
            self.say(Finding::new(severity, file, format!("offsets {due} to {base} {what}")).of(due..base));
        }
    }

    /// Before the first segment.
    fn head(&mut self, file: &Path, base: Offset, known: Known) {
        if let Some(start) = known.log_start
            && start < base
            && known.compacted != Some(true)
        {
            let what =
                format!("the log starts at offset {start}: what is missing here is in a bucket, or lost");
            self.say(Finding::new(Severity::Note, file, what).of(start..base));
        }
    }

    /// The epochs' table against the batches; `whole` if none of those are missing.
    fn epochs(
        &mut self,
        file: &Path,
        seen: &[(LeaderEpoch, Offset)],
        end: Offset,
        whole: bool,
        clean: bool,
    ) -> Result<(), InspectError> {
        // It is written behind the batches, some time after.
        let behind = if clean { Severity::Rebuildable } else { Severity::Unsettled };
        let table = match self.small(file)? {
            None if seen.is_empty() => return Ok(()),
            None => {
                self.say(Finding::new(behind, file, "it is missing"));
                return Ok(());
            }
            Some(bytes) => {
                LeaderEpochs::decode(&bytes).map_err(|damaged| format!("it does not read: {damaged}"))
            }
        };
        let table = match table {
            Ok(table) => table,
            Err(what) => {
                self.say(Finding::new(Severity::Rebuildable, file, what));
                return Ok(());
            }
        };
        let by_epoch: BTreeMap<LeaderEpoch, Offset> =
            table.entries().iter().map(|entry| (entry.epoch, entry.start)).collect();
        let first = seen.first().map_or(end, |(_, start)| *start);
        for (epoch, start) in seen {
            let said = table.epoch_of(*start);
            if said != Some(*epoch) {
                let said = said.map_or("none".to_owned(), |said| said.to_string());
                let what =
                    format!("the batch at offset {start} has leader epoch {epoch}, the table says {said}");
                self.say(Finding::new(behind, file, what));
            } else if let Some(from) =
                by_epoch.get(epoch).filter(|from| **from != *start && whole && **from >= first)
            {
                let what = format!("leader epoch {epoch} begins at offset {start}, the table says {from}");
                self.say(Finding::new(behind, file, what));
            }
        }
        if let Some(beyond) = table.entries().iter().find(|entry| entry.start > end) {
            let what = format!(
                "leader epoch {} begins at offset {}, behind the log end {end}",
                beyond.epoch, beyond.start
            );
            self.say(Finding::new(behind, file, what));
        }
        Ok(())
    }
}
