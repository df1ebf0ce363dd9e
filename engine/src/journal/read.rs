//! From files to the entries that hold: the longest valid chain that reaches the newest group.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    entry::{Found, decode},
    extents::is_extent,
    frame::{BLOCK, ExtentHeader, GROUP_HEAD, GROUP_MAX, GroupHeader},
};
use crate::{
    disk::{Disk, DiskFile, Open, read_exact_at},
    museum::{Bug, has},
};

/// One extent as it was read.
pub(super) struct ReadExtent {
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) header: ExtentHeader,
    /// Where the valid groups end.
    pub(super) end: u64,
    pub(super) last_lsn: u64,
    /// What its last group says; its own sequence if it has none.
    pub(super) oldest: u64,
    /// Whether that group is the last one of the journal.
    pub(super) closed: bool,
}

/// A journal as it was found.
#[derive(Default)]
pub(super) struct ReadJournal {
    /// Oldest first: each goes on where the one before it ends.
    pub(super) chain: Vec<ReadExtent>,
    /// All other files of a journal: recycled, spare, torn, or another journal's.
    pub(super) others: Vec<PathBuf>,
    /// What should be there and is not, in words.
    pub(super) missing: Option<String>,
}

impl ReadJournal {
    /// Reads what is in a directory.
    ///
    /// # Errors
    /// The disk's; `Unsupported` for a version that this build does not read. Damage is no error: the chain ends there.
    pub(super) fn read(disk: &dyn Disk, root: &Path, names: &[String]) -> io::Result<ReadJournal> {
        let mut journal = ReadJournal::default();
        let (mut extents, mut damaged) = (Vec::new(), Vec::new());
        for name in names.iter().filter(|name| is_extent(name)) {
            let path = root.join(name);
            match read_extent(disk, &path)? {
                Extent::Of(extent) => extents.push(extent),
                Extent::Unused => journal.others.push(path),
                Extent::Damaged { sequence, how } => {
                    damaged.push((sequence, how));
                    journal.others.push(path);
                }
            }
        }
        extents.sort_by_key(|extent| extent.header.sequence);
        let newest = extents.pop();
        // One that is not needed may have been about to be used again.
        let oldest = newest.as_ref().map_or(0, |newest| newest.oldest);
        journal.missing = damaged.into_iter().find(|(sequence, _)| *sequence >= oldest).map(|(_, how)| how);
        let Some(newest) = newest else { return Ok(journal) };
        if let Some(position) = newest.proof_of_more()? {
            let path = newest.path.display();
            journal.missing =
                Some(format!("{path} is damaged at position {}: there is more at {position}", newest.end));
        }
        let mut first = (newest.header.sequence, newest.header.first_lsn);
        let id = newest.header.journal;
        journal.chain.push(newest);
        for extent in extents.into_iter().rev() {
            let header = extent.header;
            let goes_on = header.journal == id
                && header.sequence.checked_add(1) == Some(first.0)
                && extent.last_lsn.checked_add(1) == Some(first.1);
            if goes_on && header.sequence >= oldest {
                first = (header.sequence, header.first_lsn);
                journal.chain.push(extent);
            } else {
                journal.others.push(extent.path);
            }
        }
        journal.chain.reverse();
        if first.0 > oldest {
            journal.missing =
                Some(format!("extents {oldest} to {} of the journal are missing or damaged", first.0 - 1));
        }
        Ok(journal)
    }
}

/// What a file is.
enum Extent {
    Of(ReadExtent),
    /// New, or about to be used again when the power failed: header and first group are one write.
    Unused,
    /// How, in words; and its sequence, as far as it can be told.
    Damaged {
        sequence: u64,
        how: String,
    },
}

fn read_extent(disk: &dyn Disk, path: &Path) -> io::Result<Extent> {
    let file = disk.open(path, Open::Read)?;
    let len = file.len()?;
    let mut block = vec![0; BLOCK];
    if len < BLOCK as u64 {
        return Ok(Extent::Unused);
    }
    read_exact_at(&*file, &mut block, 0)?;
    let header = ExtentHeader::decode(&block)
        .map_err(|version| io::Error::new(io::ErrorKind::Unsupported, version))?;
    let Some((header, before)) = header.and_then(|header| Some((header, header.first_lsn.checked_sub(1)?)))
    else {
        // A sector is written whole or not at all.
        let new = block.iter().all(|byte| *byte == 0);
        let how = format!("{} has a damaged header", path.display());
        return Ok(if new { Extent::Unused } else { Extent::Damaged { sequence: u64::MAX, how } });
    };
    let end = BLOCK as u64;
    let mut extent =
        ReadExtent { path: path.to_owned(), file, header, end, last_lsn: before, oldest: 0, closed: false };
    while let Some(group) = extent.group_at(extent.end, extent.last_lsn)? {
        extent.last_lsn = group.header.lsn;
        extent.oldest = group.header.oldest;
        extent.end += group.header.size() as u64;
        if group.header.last && !has(Bug::VoidGroupReplayed) {
            extent.closed = true;
            break;
        }
    }
    Ok(match extent.proof_of_more()? {
        _ if extent.end > BLOCK as u64 => Extent::Of(extent),
        Some(_) => Extent::Damaged {
            sequence: header.sequence,
            how: format!("{} is damaged at its first group", path.display()),
        },
        None => Extent::Unused,
    })
}

/// A group that checks.
pub(super) struct Group {
    pub(super) header: GroupHeader,
    pub(super) entries: Vec<Found>,
    /// Position of the entries in the extent.
    pub(super) at: u64,
}

impl ReadExtent {
    /// Where behind the end there is a group that was written when the one that is missing there was known to be
    /// durable: so that one was damaged. One that was in flight together with it proves nothing, and is void.
    fn proof_of_more(&self) -> io::Result<Option<u64>> {
        if self.closed {
            return Ok(None);
        }
        let len = self.file.len()?;
        let mut position = self.end + BLOCK as u64;
        while position < len {
            let mut head = [0; GROUP_HEAD];
            if len - position < GROUP_HEAD as u64 {
                return Ok(None);
            }
            read_exact_at(&*self.file, &mut head, position)?;
            if let Some(header) = GroupHeader::decode(&head)
                && header.lsn > self.last_lsn
                && (header.durable() > self.last_lsn || has(Bug::GapTakenForDamage))
                && self.group_at(position, header.lsn - 1)?.is_some()
            {
                return Ok(Some(position));
            }
            position += BLOCK as u64;
        }
        Ok(None)
    }

    /// The group at `position`, if it follows the one with the LSN `before`.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn group_at(&self, position: u64, before: u64) -> io::Result<Option<Group>> {
        let left = self.file.len()?.saturating_sub(position);
        if left < GROUP_HEAD as u64 {
            return Ok(None);
        }
        let mut head = [0; GROUP_HEAD];
        read_exact_at(&*self.file, &mut head, position)?;
        let Some(header) = GroupHeader::decode(&head) else { return Ok(None) };
        let length = header.length as usize;
        let follows = before.checked_add(1) == Some(header.lsn) || has(Bug::StaleGroupsReplayed);
        let plausible = follows
            && length <= GROUP_MAX
            && header.size() as u64 <= left
            && header.oldest <= self.header.sequence;
        if !plausible {
            return Ok(None);
        }
        let mut bytes = vec![0; length];
        let at = position + GROUP_HEAD as u64;
        read_exact_at(&*self.file, &mut bytes, at)?;
        if !header.fits(self.header.journal, &head, &bytes) {
            return Ok(None);
        }
        Ok(decode(&bytes, header.count).map(|entries| Group { header, entries, at }))
    }
}

/// How many groups of a journal are valid, and void.
#[cfg(test)]
pub(crate) fn void_groups(disk: &dyn Disk, root: &Path) -> usize {
    let names: Vec<String> = disk.list(root).unwrap().into_iter().map(|entry| entry.name).collect();
    let journal = ReadJournal::read(disk, root, &names).unwrap();
    let Some(newest) = journal.chain.last() else { return 0 };
    let valid = |position: &u64| {
        let mut head = [0; GROUP_HEAD];
        read_exact_at(&*newest.file, &mut head, *position).unwrap();
        GroupHeader::decode(&head).is_some_and(|header| {
            header.lsn > newest.last_lsn && newest.group_at(*position, header.lsn - 1).unwrap().is_some()
        })
    };
    let len = newest.file.len().unwrap();
    (newest.end..len).step_by(BLOCK).filter(valid).count()
}
