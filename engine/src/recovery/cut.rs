//! Moving the end of a log aside.

use std::{
    io::{self, IoSlice},
    path::Path,
};

use highwater_records::{Offset, TimestampMs};

use super::{Cut, Situation};
use crate::{
    disk::{Disk, DiskFile, Open, read_exact_at},
    name::{FileKind, TEMPORARY},
};

const CHUNK: usize = 1 << 20;

/// Cuts a segment's file at `position`, after a copy of what follows is durable.
pub(super) fn cut_tail(
    situation: &Situation<'_>,
    base: Offset,
    file: &dyn DiskFile,
    position: u64,
    at: Offset,
    reason: String,
) -> io::Result<Cut> {
    let Situation { disk, directory, now, .. } = situation;
    let len = file.len()?;
    let bytes = len - position;
    let name = cut_name(base, *now);
    let temporary = directory.join(format!("{name}{TEMPORARY}"));
    let saved = copy_unless_zero(&***disk, file, position, len, &temporary)?;
    if saved {
        disk.rename(&temporary, &directory.join(&name))?;
        disk.sync_dir(directory)?;
    }
    file.set_len(position)?;
    file.sync_data()?;
    Ok(Cut { at, bytes, file: saved.then_some(name), reason })
}

/// Moves a whole segment aside.
pub(super) fn cut_segment(
    situation: &Situation<'_>,
    base: Offset,
    at: Offset,
    reason: String,
) -> io::Result<Cut> {
    let Situation { disk, directory, now, .. } = situation;
    let path = directory.join(FileKind::Log.at(base));
    let bytes = disk.open(&path, Open::Read)?.len()?;
    let name = cut_name(base, *now);
    // What they vouch for is not to vouch for what may begin here next.
    super::not_found_is_none(disk.remove_file(&directory.join(FileKind::Points.at(base))))?;
    disk.rename(&path, &directory.join(&name))?;
    Ok(Cut { at, bytes, file: Some(name), reason })
}

/// Copies a segment's whole file aside, durably, and answers with the copy's name.
pub(crate) fn set_aside(
    disk: &dyn Disk,
    directory: &Path,
    base: Offset,
    now: TimestampMs,
) -> io::Result<String> {
    let name = cut_name(base, now);
    let file = disk.open(&directory.join(FileKind::Log.at(base)), Open::Read)?;
    let temporary = directory.join(format!("{name}{TEMPORARY}"));
    if copy_unless_zero(disk, &*file, 0, file.len()?, &temporary)? {
        disk.rename(&temporary, &directory.join(&name))?;
        disk.sync_dir(directory)?;
    }
    Ok(name)
}

fn cut_name(base: Offset, now: TimestampMs) -> String {
    format!("{}.cut-{now}", FileKind::Log.at(base))
}

/// A power cut may leave a file longer than what was written into it; zeros are not worth a file.
fn copy_unless_zero(
    disk: &dyn Disk,
    from: &dyn DiskFile,
    start: u64,
    end: u64,
    to: &Path,
) -> io::Result<bool> {
    let copy = disk.open(to, Open::Create)?;
    copy.set_len(0)?;
    let mut all_zero = true;
    let mut position = start;
    while position < end {
        let mut chunk = vec![0; CHUNK.min((end - position) as usize)];
        read_exact_at(from, &mut chunk, position)?;
        all_zero &= chunk.iter().all(|byte| *byte == 0);
        copy.write_at(&[IoSlice::new(&chunk)], position - start)?;
        position += chunk.len() as u64;
    }
    if all_zero {
        disk.remove_file(to)?;
        return Ok(false);
    }
    copy.sync_data()?;
    Ok(true)
}

/// Removes cut files that are older than the log's retention.
pub(crate) fn remove_old_cuts(
    disk: &dyn Disk,
    directory: &Path,
    cuts: &mut Vec<(String, i64)>,
    now: TimestampMs,
    retention_ms: Option<u64>,
) -> io::Result<()> {
    let Some(retention_ms) = retention_ms else { return Ok(()) };
    let mut kept = Vec::new();
    for (name, time) in cuts.drain(..) {
        let age = u64::try_from(now.0.saturating_sub(time)).unwrap_or(0);
        if age < retention_ms {
            kept.push((name, time));
        } else {
            super::not_found_is_none(disk.remove_file(&directory.join(name)))?;
        }
    }
    *cuts = kept;
    Ok(())
}
