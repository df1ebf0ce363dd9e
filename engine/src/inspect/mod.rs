//! Looking at a directory that nobody has open: what is in it, whether it is sound, and putting it right.
//!
//! [`verify`] reads every byte that has a meaning and says what does not fit; it changes nothing. [`inspect`] says what
//! is there. [`settle`] brings a data directory to the state of a clean stop; [`repair`] does so after moving aside what
//! cannot be used. All of them work on directories that
//! Kafka wrote, too.

mod directory;
mod finding;
mod journal;
mod listing;
mod log;
mod place;
mod scan;
mod settle;
mod small;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use highwater_records::Offset;

pub use finding::{Finding, InspectError, Severity};
pub use listing::{Contents, DirContents, Field, LogContents, SegmentContents, inspect, list_entries};
pub use place::Place;
pub use settle::{Repaired, SettleError, Settled, repair, settle};

use crate::disk::Disk;

/// How far a long look has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file that is being read.
    pub file: &'a Path,
    /// Bytes of batches read so far, in all files.
    pub bytes_done: u64,
    /// Bytes of batches to be read, in all files.
    pub bytes_total: u64,
}

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// What does not fit, by file and position.
    pub findings: Vec<Finding>,
    /// Logs read.
    pub logs: u64,
    /// Segments read.
    pub segments: u64,
    /// Batches whose checksum is right.
    pub batches: u64,
    /// Records in those.
    pub records: u64,
    /// Bytes of batches read.
    pub bytes: u64,
    /// Small files read: indexes, snapshots, checkpoints.
    pub small_files: u64,
    /// Whether somebody had the directory open meanwhile: what is being written may look damaged.
    pub in_use: bool,
}

impl Verified {
    /// The worst there is, if there is anything.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// Findings of one severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// Reads everything at `path`, a data directory, a log's directory or one file: every batch with its checksum, its
/// offsets and, if `deep`, its records, decompressed; every index entry against the batch it names; leader epochs,
/// producer snapshots, checkpoints. Changes nothing and takes no lock. Needs memory for a batch and for the indexes of a
/// segment.
///
/// # Errors
/// When `path` is none of these or the disk fails; what is damaged is no error but a [`Finding`].
pub fn verify(
    disk: &dyn Disk,
    path: &Path,
    deep: bool,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Verified, InspectError> {
    look(disk, path, deep, progress).map(|(found, _)| found)
}

/// As [`verify`]; also says where the readable batches of each log end (exclusive).
fn look(
    disk: &dyn Disk,
    path: &Path,
    deep: bool,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(Verified, Vec<(PathBuf, Offset)>), InspectError> {
    let place = Place::of(disk, path)?;
    let bytes_total = place.log_bytes(disk)?;
    let mut looker =
        Looker { disk, deep, progress, bytes_total, found: Verified::default(), ends: Vec::new() };
    match place {
        Place::Directory(path) => looker.directory(&path)?,
        Place::Log { path, .. } => looker.log_alone(&path)?,
        Place::File { path, .. } => looker.file(&path)?,
    }
    let mut found = looker.found;
    found.findings.sort_by(|a, b| (&a.file, a.position).cmp(&(&b.file, b.position)));
    Ok((found, looker.ends))
}

/// Looks, and writes down.
struct Looker<'a> {
    disk: &'a dyn Disk,
    deep: bool,
    progress: &'a mut dyn FnMut(Progress<'_>),
    bytes_total: u64,
    found: Verified,
    /// Where the readable batches of each log end.
    ends: Vec<(PathBuf, Offset)>,
}

impl Looker<'_> {
    fn say(&mut self, finding: Finding) {
        self.found.findings.push(finding);
    }

    fn read_bytes(&mut self, file: &Path, bytes: u64) {
        self.found.bytes += bytes;
        let (bytes_done, bytes_total) = (self.found.bytes, self.bytes_total);
        (self.progress)(Progress { file, bytes_done, bytes_total });
    }
}
