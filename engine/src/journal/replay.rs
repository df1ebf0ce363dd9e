//! What a crash took from the segments is written to them again.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::Arc,
};

use highwater_records::{Offset, TopicIdPartition};

use super::{
    entry::What,
    frame::{BLOCK, GROUP_HEAD, GroupFacts, GroupHeader},
    read::ReadJournal,
};
use crate::{
    disk::{Disk, DiskFile, Open, read_exact_at},
    museum::{Bug, has},
    name::{FileKind, FileName},
};

/// What a replay found and did.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// Up to where each log was promised; `None` where only its checkpoint tells.
    pub(crate) ends: BTreeMap<TopicIdPartition, Option<Offset>>,
    /// Batches that were written to their segments.
    pub(crate) batches: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Logs that it has batches of and the directory does not have.
    pub(crate) nobodys: Vec<TopicIdPartition>,
    /// Things an operator should know.
    pub(crate) notes: Vec<String>,
    /// Files to remove once the ends are written down, those that are needed longest last.
    extents: Vec<PathBuf>,
    closing: Option<Closing>,
}

/// How to say that nothing in the journal is needed.
#[derive(Debug)]
struct Closing {
    position: u64,
    lsn: u64,
    sequence: u64,
    journal: highwater_records::TopicId,
}

/// A batch that is still to be written.
struct Batch {
    segment: Offset,
    position: u64,
    base: Offset,
    next: Offset,
    /// Which extent of the chain, where in it, and how long.
    extent: usize,
    at: u64,
    len: usize,
}

#[derive(Default)]
struct OfLog {
    batches: Vec<Batch>,
    end: Option<Offset>,
}

impl OfLog {
    fn take(&mut self, what: What, extent: usize, entries_at: u64) {
        match what {
            What::Batch { segment, position, base, next, at, len } => {
                let at = entries_at + at as u64;
                self.batches.push(Batch { segment, position, base, next, extent, at, len });
                self.end = Some(next);
            }
            What::TruncateTo(_) if has(Bug::ReplayForgetsTruncation) => {}
            What::TruncateTo(offset) => {
                self.batches.retain(|batch| batch.next <= offset);
                self.end = self.end.map(|end| end.min(offset));
            }
            What::Restart(_) | What::Delete => *self = OfLog::default(),
            What::Floor(offset) => {
                self.batches.retain(|batch| batch.next > offset);
                self.end = self.end.max(Some(offset));
            }
        }
    }
}

/// Brings the logs of a directory up to the end of its journal. `directory_of` tells where a log lies, if it is there.
/// The caller writes down where the logs end and then calls [`Replayed::empty`].
///
/// # Errors
/// The disk's; replaying again goes on.
pub(crate) fn replay(
    disk: &Arc<dyn Disk>,
    root: &Path,
    names: &[String],
    directory_of: impl Fn(TopicIdPartition) -> Option<PathBuf>,
) -> io::Result<Replayed> {
    let journal = ReadJournal::read(&**disk, root, names)?;
    let mut logs: BTreeMap<TopicIdPartition, OfLog> = BTreeMap::new();
    for (at, extent) in journal.chain.iter().enumerate() {
        let (mut position, mut lsn) = (BLOCK as u64, extent.header.first_lsn - 1);
        while position < extent.end
            && let Some(group) = extent.group_at(position, lsn)?
        {
            (position, lsn) = (position + group.header.size() as u64, group.header.lsn);
            for found in group.entries {
                logs.entry(found.log).or_default().take(found.what, at, group.at);
            }
        }
    }
    let mut replayed = Replayed { notes: journal.missing.iter().cloned().collect(), ..Replayed::default() };
    for (log, of_log) in logs {
        // Deleted, or never finished being made: its topic id is nobody's.
        let Some(directory) = directory_of(log) else {
            if !of_log.batches.is_empty() {
                replayed.nobodys.push(log);
            }
            continue;
        };
        write_batches(disk, &directory, &journal, &of_log.batches, &mut replayed)?;
        replayed.ends.insert(log, of_log.end);
    }
    if let Some(last) = journal.chain.last().filter(|last| !last.closed) {
        replayed.closing = Some(Closing {
            position: last.end,
            lsn: last.last_lsn + 1,
            sequence: last.header.sequence,
            journal: last.header.journal,
        });
    }
    replayed.extents = journal.others;
    replayed.extents.extend(journal.chain.into_iter().map(|extent| extent.path));
    Ok(replayed)
}

fn write_batches(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    journal: &ReadJournal,
    batches: &[Batch],
    replayed: &mut Replayed,
) -> io::Result<()> {
    let mut open: BTreeMap<Offset, Arc<dyn DiskFile>> = BTreeMap::new();
    let mut created = false;
    let mut expected: Option<Offset> = None;
    for batch in batches {
        let file = match open.get(&batch.segment) {
            Some(file) => file,
            None => {
                let path = directory.join(FileKind::Log.at(batch.segment));
                let file = match disk.open(&path, Open::Write) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        created = true;
                        disk.open(&path, Open::Create)?
                    }
                    opened => opened?,
                };
                open.entry(batch.segment).or_insert(file)
            }
        };
        // A first batch has all before it in its files; the others have one another.
        if expected.is_some_and(|expected| expected != batch.base) || batch.position > file.len()? {
            replayed.notes.push(format!(
                "the journal has offset {} of {} and not what comes before it",
                batch.base,
                directory.display()
            ));
            break;
        }
        let mut bytes = vec![0; batch.len];
        read_exact_at(&*journal.chain[batch.extent].file, &mut bytes, batch.at)?;
        // Also where it is equal: a sync that failed may have left pages that look clean and are not on the media.
        file.write_at(&[IoSlice::new(&bytes)], batch.position)?;
        expected = Some(batch.next);
        replayed.batches += 1;
        replayed.bytes += batch.len as u64;
    }
    for file in open.values() {
        file.sync_data()?;
    }
    let mut stale: BTreeSet<Offset> = open.keys().copied().collect();
    if let Some(first) = batches.first()
        && first.base == first.segment
    {
        // Sealed since it was last settled, so that its indexes are not known to be durable either.
        stale.extend(segment_before(&**disk, directory, first.segment)?);
    }
    let stale = remove_indexes(&**disk, directory, &stale)?;
    if created || stale {
        disk.sync_dir(directory)?;
    }
    Ok(())
}

fn segment_before(disk: &dyn Disk, directory: &Path, base: Offset) -> io::Result<Option<Offset>> {
    let bases = disk.list(directory)?.into_iter().filter_map(|entry| match FileName::parse(&entry.name) {
        FileName::Of(FileKind::Log, other) if other < base => Some(other),
        _ => None,
    });
    Ok(bases.max())
}

/// Indexes of segments that were written to tell less than is there.
fn remove_indexes(disk: &dyn Disk, directory: &Path, segments: &BTreeSet<Offset>) -> io::Result<bool> {
    let mut any = false;
    for segment in segments {
        for kind in [FileKind::OffsetIndex, FileKind::TimeIndex] {
            match disk.remove_file(&directory.join(kind.at(*segment))) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => {
                    removed?;
                    any = true;
                }
            }
        }
    }
    Ok(any)
}

impl Replayed {
    /// Whether there was a journal, or a rest of one.
    pub(crate) fn any(&self) -> bool {
        !self.extents.is_empty()
    }

    /// Removes the journal. What it told is written down elsewhere.
    ///
    /// # Errors
    /// The disk's; the next opening replays again, which changes nothing.
    pub(crate) fn empty(&mut self, disk: &dyn Disk, root: &Path) -> io::Result<()> {
        let Some(last) = self.extents.pop() else { return Ok(()) };
        if let Some(Closing { position, lsn, sequence, journal }) = self.closing.take() {
            // Says that the others are not missing once they are gone.
            let mut group = vec![0; GROUP_HEAD];
            let facts = GroupFacts { journal, lsn, in_flight: 0, oldest: sequence, last: true };
            GroupHeader::seal(&mut group, 0, facts, 0);
            let file = disk.open(&last, Open::Write)?;
            if position + group.len() as u64 <= file.len()? {
                file.write_at(&[IoSlice::new(&group)], position)?;
                file.sync_data()?;
            }
        }
        for path in self.extents.drain(..) {
            disk.remove_file(&path)?;
        }
        disk.sync_dir(root)?;
        disk.remove_file(&last)?;
        disk.sync_dir(root)
    }
}
