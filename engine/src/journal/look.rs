//! What is in a journal, for whoever looks at a directory without opening it.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use highwater_records::{Offset, TopicIdPartition, batch::BatchView};

use super::{
    entry::What,
    frame::BLOCK,
    read::{ReadExtent, ReadJournal},
};
use crate::disk::{Disk, read_exact_at};

/// What a replay would find.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// The extents that it would read, oldest first.
    pub(crate) extents: Vec<LookedExtent>,
    /// What should be there and is not, in words.
    pub(crate) missing: Option<String>,
    /// Every log that it tells of, and up to where it was promised there, if that is said.
    pub(crate) logs: BTreeMap<TopicIdPartition, Option<Offset>>,
}

/// One extent of the chain.
#[derive(Debug)]
pub(crate) struct LookedExtent {
    pub(crate) path: PathBuf,
    pub(crate) batches: u64,
    /// Bytes of the batches.
    pub(crate) bytes: u64,
    /// Batches that are not what their entry says, by position.
    pub(crate) bad: Vec<(u64, String)>,
}

/// Reads every group and every batch of a directory's journal; changes nothing. Needs memory for a group.
///
/// # Errors
/// The disk's. Damage is no error.
pub(crate) fn look(disk: &dyn Disk, root: &Path, names: &[String]) -> io::Result<Looked> {
    let journal = ReadJournal::read(disk, root, names)?;
    let mut looked = Looked { missing: journal.missing.clone(), ..Looked::default() };
    for extent in &journal.chain {
        let one = look_at(extent, &mut looked.logs)?;
        looked.extents.push(one);
    }
    Ok(looked)
}

fn look_at(
    extent: &ReadExtent,
    logs: &mut BTreeMap<TopicIdPartition, Option<Offset>>,
) -> io::Result<LookedExtent> {
    let mut looked = LookedExtent { path: extent.path.clone(), batches: 0, bytes: 0, bad: Vec::new() };
    let (mut position, mut lsn) = (BLOCK as u64, extent.header.first_lsn - 1);
    while position < extent.end
        && let Some(group) = extent.group_at(position, lsn)?
    {
        (position, lsn) = (position + group.header.size() as u64, group.header.lsn);
        for found in group.entries {
            let end = logs.entry(found.log).or_default();
            match found.what {
                What::Batch { base, next, at, len, .. } => {
                    let at = group.at + at as u64;
                    let mut bytes = vec![0; len];
                    read_exact_at(&*extent.file, &mut bytes, at)?;
                    looked.batches += 1;
                    looked.bytes += len as u64;
                    looked.bad.extend(problem(&bytes, base, next).map(|problem| (at, problem)));
                    *end = Some(next);
                }
                What::TruncateTo(offset) => *end = end.map(|end| end.min(offset)),
                What::Floor(offset) => *end = (*end).max(Some(offset)),
                What::Restart(_) | What::Delete => *end = None,
            }
        }
    }
    Ok(looked)
}

fn problem(bytes: &[u8], base: Offset, next: Offset) -> Option<String> {
    let view = match BatchView::parse(bytes) {
        Ok(view) => view,
        Err(error) => return Some(error.to_string()),
    };
    if view.size() != bytes.len() {
        return Some(format!("a batch of {} bytes was expected, it has {}", bytes.len(), view.size()));
    }
    if let Err(error) = view.verify_crc() {
        return Some(error.to_string());
    }
    let (first, after) = (view.base_offset(), view.next_offset());
    let fits = (first, after) == (base, next);
    (!fits).then(|| format!("offsets {base} to {next} were expected, the batch has {first} to {after}"))
}
