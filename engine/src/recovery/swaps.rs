//! Compactions that a crash interrupted: what does not count yet is removed, what counts is completed.

use std::{io, path::Path};

use highwater_records::Offset;

use super::{RecoveryReport, not_found_is_none, note};
use crate::{
    compact::complete,
    disk::{Disk, Open},
    name::{FileKind, FileName, SWAP},
    segment::{Depth, LARGE_WINDOW, Step, Walk},
};

/// Leaves no `.cleaned` and no `.swap` file behind; durable when it returns.
pub(super) fn finish_swaps(disk: &dyn Disk, directory: &Path, report: &mut RecoveryReport) -> io::Result<()> {
    let (mut logs, mut cleaned, mut swaps) = (Vec::new(), Vec::new(), Vec::new());
    for entry in disk.list(directory)?.into_iter().filter(|entry| !entry.is_dir) {
        match FileName::parse(&entry.name) {
            FileName::Of(FileKind::Log, base) => logs.push(base),
            FileName::Cleaned(kind, base) => cleaned.push((kind, base, entry.name)),
            FileName::Swap(kind, base) => swaps.push((kind, base, entry.name)),
            _ => {}
        }
    }
    if cleaned.is_empty() && swaps.is_empty() {
        return Ok(());
    }
    let committed: Vec<Offset> =
        swaps.iter().filter(|(kind, ..)| *kind == FileKind::Log).map(|(_, base, _)| *base).collect();
    for base in &committed {
        let end = end_of(disk, directory, *base)?;
        let replaced: Vec<Offset> = logs.iter().copied().filter(|log| log > base && *log < end).collect();
        note(report, directory, format!("finished the compaction of offsets {base} to {end}"));
        complete(disk, directory, *base, &replaced)?;
    }
    for (kind, base, name) in swaps.iter().filter(|(_, base, _)| !committed.contains(base)) {
        let begun =
            |(kind, cleaned, _): &(FileKind, Offset, String)| *kind == FileKind::Log && cleaned == base;
        let path = directory.join(name);
        // Without a log's file that is on its way: that one has arrived, and its index has not.
        if logs.contains(base) && !cleaned.iter().any(begun) {
            disk.rename(&path, &directory.join(kind.at(*base)))?;
        } else {
            disk.remove_file(&path)?;
        }
    }
    // A log's file goes last: while it is there, its indexes do not count.
    cleaned.sort_by_key(|(kind, ..)| *kind == FileKind::Log);
    for (kind, _, name) in &cleaned {
        if *kind == FileKind::Log {
            disk.sync_dir(directory)?;
        }
        not_found_is_none(disk.remove_file(&directory.join(name)))?;
    }
    disk.sync_dir(directory)
}

/// Where the compacted segment that begins at `base` ends. All of it was synced before it counted; where it does not read
/// nevertheless, the media broke a promise, and what does read is what is known.
fn end_of(disk: &dyn Disk, directory: &Path, base: Offset) -> io::Result<Offset> {
    let file = disk.open(&directory.join(format!("{}{SWAP}", FileKind::Log.at(base))), Open::Read)?;
    let mut walk = Walk::new(&*file, file.len()?, LARGE_WINDOW);
    let (mut position, mut end) = (0, base);
    while let Step::Batch(header) = walk.at(position, Depth::Headers)? {
        position += header.size;
        end = header.next_offset;
    }
    Ok(end)
}
