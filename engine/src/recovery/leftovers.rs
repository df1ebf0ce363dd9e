//! What a crash left unfinished in a log's directory, and what else lies there.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use highwater_records::Offset;

use super::{RecoveryReport, note, swaps::finish_swaps};
use crate::{
    disk::Disk,
    name::{DELETED, FileKind, FileName},
};

/// The files of a log, once leftovers are gone.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    /// Base offsets of the segments, sorted.
    pub(crate) segments: Vec<Offset>,
    /// Offsets of producer snapshots of either form, sorted.
    pub(crate) snapshots: BTreeSet<Offset>,
    /// Base offsets of segments with a transaction index, or with what vouches for one.
    pub(crate) transactions: BTreeSet<Offset>,
    /// Base offsets of segments with trusted points.
    pub(crate) points: BTreeSet<Offset>,
    /// Names of cut files and when they were cut, in milliseconds since the Unix epoch.
    pub(crate) cuts: Vec<(String, i64)>,
    /// Files of segments whose deletion at the head has begun; they go once the log start is durable.
    pub(crate) deleted: Vec<PathBuf>,
    /// Whether files were removed; their names may come back until the directory is synced.
    pub(crate) removed: bool,
}

/// Finishes compactions and deletions, removes temporary files and indexes without a segment.
pub(crate) fn finish_leftovers(
    disk: &dyn Disk,
    directory: &Path,
    clean: bool,
    report: &mut RecoveryReport,
) -> io::Result<Leftovers> {
    finish_swaps(disk, directory, report)?;
    let mut found = Leftovers::default();
    let mut deleted = Vec::new();
    let mut others = Vec::new();
    for entry in disk.list(directory)?.into_iter().filter(|entry| !entry.is_dir) {
        match FileName::parse(&entry.name) {
            FileName::Of(FileKind::Log, base) => found.segments.push(base),
            FileName::Of(FileKind::Snapshot | FileKind::Producers, offset) => {
                found.snapshots.insert(offset);
            }
            FileName::Of(kind, base) => others.push((kind, base)),
            FileName::Deleted(kind, base) => deleted.push((kind, base, entry.name)),
            FileName::Cut(time) => found.cuts.push((entry.name, time)),
            FileName::Temporary => {
                found.removed = true;
                disk.remove_file(&directory.join(&entry.name))?;
            }
            FileName::Cleaned(..) | FileName::Swap(..) | FileName::Other => {}
        }
    }
    // Only the log's own file tells: of an index the new name may have become durable before its log's has.
    let replaced =
        deleted.iter().any(|(kind, base, _)| *kind == FileKind::Log && found.segments.contains(base));
    let at_head = !clean && !replaced;
    if at_head {
        finish_deletions(disk, directory, &mut found, deleted, report)?;
    } else {
        // After a clean stop nothing is unfinished, and a segment that is there beside its deleted namesake has taken
        // its place: Kafka keeps what compaction replaced for a minute. Neither says anything of the head.
        found.deleted.extend(deleted.into_iter().map(|(_, _, name)| directory.join(name)));
    }
    for (kind, base) in others {
        if !found.segments.contains(&base) {
            found.removed = true;
            disk.remove_file(&directory.join(kind.at(base)))?;
        } else if FileKind::TRANSACTIONS.contains(&kind) {
            found.transactions.insert(base);
        } else if kind == FileKind::Points {
            found.points.insert(base);
        }
    }
    Ok(found)
}

/// Deletion at the head goes from the oldest segment on; names may have become durable in any order. So a deleted
/// segment takes what is older with it, if a younger one shows that the head was what was deleted. Those files stay
/// until the next checkpoints: of a tiered log they alone tell that local copies were dropped.
fn finish_deletions(
    disk: &dyn Disk,
    directory: &Path,
    found: &mut Leftovers,
    deleted: Vec<(FileKind, Offset, String)>,
    report: &mut RecoveryReport,
) -> io::Result<()> {
    let youngest = found.segments.iter().copied().max();
    let newest_deleted = deleted
        .iter()
        .filter(|(kind, base, _)| *kind == FileKind::Log && Some(*base) < youngest)
        .map(|(_, base, _)| *base)
        .max();
    let Some(newest_deleted) = newest_deleted else {
        for (_, _, name) in deleted {
            disk.remove_file(&directory.join(name))?;
        }
        return Ok(());
    };
    let older: Vec<Offset> = found.segments.iter().copied().filter(|base| *base <= newest_deleted).collect();
    for base in older {
        note(report, directory, format!("finished the deletion of segment {base}"));
        let name = FileKind::Log.at(base);
        let hidden = directory.join(format!("{name}{DELETED}"));
        disk.rename(&directory.join(name), &hidden)?;
        found.segments.retain(|segment| *segment != base);
        found.deleted.push(hidden);
    }
    found.deleted.extend(deleted.into_iter().map(|(_, _, name)| directory.join(name)));
    found.deleted.sort();
    found.deleted.dedup();
    Ok(())
}
