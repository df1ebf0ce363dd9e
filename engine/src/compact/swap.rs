//! How a compacted segment takes the place of those it was made from, on the disk. Recovery goes on where it broke off.

use std::{io, path::Path, sync::Arc};

use highwater_records::Offset;

use super::{CompactError, gate::Closed, output::cleaned};
use crate::{
    directory::{Health, LogEntry},
    disk::{Disk, replace_file},
    name::{FileKind, SWAP},
    quarantine,
    recovery::not_found_is_none,
    segment::Segment,
};

/// The files of a compacted segment that the log has begun to use, to be put in their place. Until it has run, the log
/// refuses to delete segments, and truncation and closing wait for it; so it must not be kept. Dropping it leaves the log
/// to be opened again.
#[derive(Debug)]
#[must_use = "the log's files are not in their place until it has run"]
pub struct SwapJob {
    disk: Arc<dyn Disk>,
    entry: Arc<LogEntry>,
    health: Arc<Health>,
    /// Base of the compacted segment, and of the first of those it replaces.
    base: Offset,
    /// Bases of the other ones that it replaces.
    others: Vec<Offset>,
    kinds: Vec<FileKind>,
    segment: Arc<Segment>,
    /// What is known of damage once it is in place, if that is less than before.
    quarantine: Option<String>,
    gate: Option<Closed>,
}

/// What went wrong, by what it means for the directory.
pub(crate) enum Failed {
    Sync(io::Error),
    Change(io::Error),
}

impl From<Failed> for io::Error {
    fn from(failed: Failed) -> io::Error {
        match failed {
            Failed::Sync(error) | Failed::Change(error) => error,
        }
    }
}

impl SwapJob {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        entry: Arc<LogEntry>,
        health: Arc<Health>,
        others: Vec<Offset>,
        kinds: Vec<FileKind>,
        segment: Arc<Segment>,
        gate: Closed,
    ) -> SwapJob {
        let base = segment.base;
        SwapJob { disk, entry, health, base, others, kinds, segment, quarantine: None, gate: Some(gate) }
    }

    /// Writes down too what is known of damage once that is less than before.
    pub(crate) fn and_known(mut self, quarantine: Option<String>) -> SwapJob {
        self.quarantine = quarantine;
        self
    }

    /// Renames, removes and syncs. Blocks for as long as the disk takes; hold no lock. Durable when it returns.
    ///
    /// # Errors
    /// `Offline` if a sync failed; `Disk` if anything else did: the log must be opened again, which completes it. `Disk` too
    /// where all of it is done but for writing down that a damaged segment is whole again: it counts as damaged, and may be
    /// repaired again.
    pub fn run(mut self) -> Result<(), CompactError> {
        let (disk, directory) = (&*self.disk, self.entry.path.as_path());
        let swapped = commit(disk, directory, self.base, &self.kinds)
            .and_then(|()| complete(disk, directory, self.base, &self.others));
        let Some(gate) = self.gate.take() else { return Ok(()) };
        match swapped {
            Ok(()) => {
                self.segment.release();
                // Still behind the gate: what is known of damage does not change meanwhile.
                if let Some(text) = &self.quarantine {
                    replace_file(disk, directory, quarantine::FILE_NAME, text.as_bytes())?;
                }
                Ok(())
            }
            Err(Failed::Sync(error)) if !self.entry.is_gone(&error) => {
                Err(self.health.fail("a sync failed", &error).into())
            }
            Err(Failed::Sync(error) | Failed::Change(error)) => {
                gate.break_off(format!("compaction broke off: {error}"));
                Err(CompactError::Disk(error))
            }
        }
    }
}

impl Drop for SwapJob {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.break_off("compaction was given up halfway".to_owned());
        }
    }
}

/// Makes the files count. Until the log's file has its new name durably, recovery removes them all; from then on it
/// completes what is left to do.
fn commit(disk: &dyn Disk, directory: &Path, base: Offset, kinds: &[FileKind]) -> Result<(), Failed> {
    let rename = |kind: FileKind| {
        let to = directory.join(format!("{}{SWAP}", kind.at(base)));
        disk.rename(&cleaned(directory, kind, base), &to).map_err(Failed::Change)
    };
    for kind in kinds.iter().filter(|kind| **kind != FileKind::Log) {
        rename(*kind)?;
    }
    disk.sync_dir(directory).map_err(Failed::Sync)?;
    rename(FileKind::Log)?;
    disk.sync_dir(directory).map_err(Failed::Sync)
}

/// Removes what was replaced, then gives the files their names. What was removed stays removed before the new file has
/// its name: no segment may begin within another one.
pub(crate) fn complete(
    disk: &dyn Disk,
    directory: &Path,
    base: Offset,
    others: &[Offset],
) -> Result<(), Failed> {
    let remove = |kind: FileKind, base| {
        not_found_is_none(disk.remove_file(&directory.join(kind.at(base)))).map_err(Failed::Change)
    };
    // Newest first, so that what is left is a prefix.
    for other in others.iter().rev() {
        for kind in FileKind::SEGMENT.iter().chain(&FileKind::PRODUCER_STATE) {
            remove(*kind, *other)?;
        }
    }
    let indexes = FileKind::SEGMENT.iter().filter(|kind| **kind != FileKind::Log);
    for kind in indexes.clone() {
        remove(*kind, base)?;
    }
    disk.sync_dir(directory).map_err(Failed::Sync)?;
    for kind in [&FileKind::Log].into_iter().chain(indexes) {
        let name = kind.at(base);
        let from = directory.join(format!("{name}{SWAP}"));
        not_found_is_none(disk.rename(&from, &directory.join(name))).map_err(Failed::Change)?;
    }
    disk.sync_dir(directory).map_err(Failed::Sync)
}
