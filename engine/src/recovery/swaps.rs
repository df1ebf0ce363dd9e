//! Compactions that a crash interrupted: what does not count yet is removed, what counts is completed.

use std::{io, path::Path};

use highwater_records::Offset;

use super::{RecoveryReport, not_found_is_none, note};
use crate::{
    compact::complete,
    disk::{Disk, DiskFile, Open, read_file},
    name::{FileKind, FileName, SWAP},
    quarantine,
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
    logs.sort();
    let mut given_up = Vec::new();
    for base in &committed {
        let swap = directory.join(format!("{}{SWAP}", FileKind::Log.at(*base)));
        // It ends where another one begins: compaction leaves the active segment alone.
        let end = end_of(disk, &swap, *base)?.filter(|end| end > base && logs.contains(end));
        let end = match end {
            Some(end) => end,
            // The media broke a promise. What it was made from goes newest first, so that what is missing of it says how
            // far it reached; where nothing is, that is what counts.
            None => match first_missing(disk, directory, *base, &logs)? {
                Some(end) => end,
                None => {
                    note(
                        report,
                        directory,
                        format!("the compaction from offset {base} on is damaged: undone"),
                    );
                    disk.remove_file(&swap)?;
                    given_up.push(*base);
                    continue;
                }
            },
        };
        let replaced: Vec<Offset> = logs.iter().copied().filter(|log| log > base && *log < end).collect();
        note(report, directory, format!("finished the compaction of offsets {base} to {end}"));
        complete(disk, directory, *base, &replaced)?;
    }
    for (kind, base, name) in swaps.iter().filter(|(_, base, _)| !committed.contains(base)) {
        let begun =
            |(kind, cleaned, _): &(FileKind, Offset, String)| *kind == FileKind::Log && cleaned == base;
        let path = directory.join(name);
        // Without a log's file that is on its way: that one has arrived, and its index has not.
        if logs.contains(base) && !given_up.contains(base) && !cleaned.iter().any(begun) {
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

/// Where the compacted segment that begins at `base` ends: `None` where not all of it reads.
fn end_of(disk: &dyn Disk, path: &Path, base: Offset) -> io::Result<Option<Offset>> {
    let file = disk.open(path, Open::Read)?;
    walk(&*file, base, Depth::Checksums)
}

/// Where what is missing first of the log from its segment at `base` on ends, up to what nobody can read anyhow: compaction
/// stays below that. `None` if nothing is missing.
fn first_missing(
    disk: &dyn Disk,
    directory: &Path,
    base: Offset,
    logs: &[Offset],
) -> io::Result<Option<Offset>> {
    let known = read_file(disk, &directory.join(quarantine::FILE_NAME))?;
    let known = known.and_then(|bytes| quarantine::decode(&bytes).ok()).unwrap_or_default();
    let bound = known.iter().map(|range| range.segment).min().unwrap_or(Offset::MAX);
    let mut logs = logs.iter().copied().skip_while(|log| *log < base).take_while(|log| *log <= bound);
    let Some(mut at) = logs.next() else { return Ok(None) };
    for next in logs {
        let file = disk.open(&directory.join(FileKind::Log.at(at)), Open::Read)?;
        match walk(&*file, at, Depth::Headers)? {
            Some(end) if end < next => return Ok(Some(next)),
            _ => at = next,
        }
    }
    Ok(None)
}

/// Where the batches of a segment end, of which each begins where the one before it ended; `None` if something else is
/// there.
fn walk(file: &dyn DiskFile, base: Offset, depth: Depth) -> io::Result<Option<Offset>> {
    let mut walk = Walk::new(file, file.len()?, LARGE_WINDOW);
    let (mut position, mut end) = (0, base);
    loop {
        match walk.at(position, depth)? {
            Step::Batch(header) if header.base_offset == end => {
                position += header.size;
                end = header.next_offset;
            }
            Step::End => return Ok(Some(end)),
            Step::Batch(_) | Step::Bad(_) => return Ok(None),
        }
    }
}
