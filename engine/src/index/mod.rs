//! The sparse indexes of a segment: in memory while it is active, read through the disk once it is sealed.
//!
//! An index is a hint. Whoever uses an entry checks it against the batch it leads to.

mod offset;
mod time;
mod transaction;

use std::{io, path::Path, sync::Arc};

pub(crate) use offset::OffsetEntry;
pub(crate) use time::TimeEntry;
pub(crate) use transaction::sum_of;
pub use transaction::{AbortedTransaction, decode_transaction_index, find_aborted};

use crate::{
    disk::{Disk, DiskFile, FileSlot, read_exact_at, write_file},
    sync::RwLock,
};

/// An entry of fixed size.
pub(crate) trait IndexEntry: Copy {
    /// Bytes on the disk.
    const SIZE: usize;

    fn encode(&self, out: &mut Vec<u8>);

    /// From exactly [`IndexEntry::SIZE`] bytes.
    fn decode(bytes: &[u8]) -> Self;

    /// Whether this may stand right after `previous`.
    fn follows(&self, previous: &Self) -> bool;
}

/// One index of one segment.
#[derive(Debug)]
pub(crate) struct Index<E> {
    state: RwLock<State<E>>,
}

#[derive(Debug)]
enum State<E> {
    Memory(Vec<E>),
    File { file: FileSlot, entries: u64 },
}

impl<E: IndexEntry> Index<E> {
    /// An index that grows, in memory.
    pub(crate) fn growing(entries: Vec<E>) -> Index<E> {
        Index { state: RwLock::new(State::Memory(entries)) }
    }

    /// The index of a sealed segment, in its file.
    pub(crate) fn sealed(file: FileSlot, entries: u64) -> Index<E> {
        Index { state: RwLock::new(State::File { file, entries }) }
    }

    /// Whether it can be asked without a file.
    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(&*self.state.read(), State::Memory(_) | State::File { entries: 0, .. })
    }

    /// Becomes another index, which nobody else uses.
    pub(crate) fn set(&self, other: Index<E>) {
        *self.state.write() = other.state.into_inner();
    }

    pub(crate) fn len(&self) -> u64 {
        match &*self.state.read() {
            State::Memory(entries) => entries.len() as u64,
            State::File { entries, .. } => *entries,
        }
    }

    /// Adds an entry to a growing index; ignored unless it follows the last one.
    pub(crate) fn push(&self, entry: E) {
        if let State::Memory(entries) = &mut *self.state.write()
            && entries.last().is_none_or(|last| entry.follows(last))
        {
            entries.push(entry);
        }
    }

    /// The entries of a growing index from the `from`th on; `None` once it is sealed.
    pub(crate) fn entries_from(&self, from: usize) -> Option<Vec<E>> {
        match &*self.state.read() {
            State::Memory(entries) => entries.get(from..).map(<[E]>::to_vec),
            State::File { .. } => None,
        }
    }

    /// The last entry for which `holds` is true. `holds` must be true for a prefix of the entries.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn last_where(&self, holds: impl Fn(&E) -> bool) -> io::Result<Option<E>> {
        match &*self.state.read() {
            State::Memory(entries) => Ok(entries.partition_point(holds).checked_sub(1).map(|at| entries[at])),
            State::File { entries: 0, .. } => Ok(None),
            State::File { file, entries } => Ok(search(&*file.get()?, *entries, holds)?.1),
        }
    }

    /// Visits the entries behind those for which `before` is true, a prefix, until `visit` says no.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn visit_after(
        &self,
        before: impl Fn(&E) -> bool,
        mut visit: impl FnMut(&E) -> bool,
    ) -> io::Result<()> {
        match &*self.state.read() {
            State::Memory(entries) => {
                let from = entries.partition_point(before);
                entries[from..].iter().all(visit);
            }
            State::File { entries: 0, .. } => {}
            State::File { file, entries } => {
                let file = file.get()?;
                let mut at = search(&*file, *entries, before)?.0;
                let mut window = vec![0; E::SIZE * VISIT_ENTRIES];
                while at < *entries {
                    let count = (*entries - at).min(VISIT_ENTRIES as u64) as usize;
                    let bytes = &mut window[..count * E::SIZE];
                    read_exact_at(&*file, bytes, at * E::SIZE as u64)?;
                    if !bytes.chunks_exact(E::SIZE).all(|entry| visit(&E::decode(entry))) {
                        break;
                    }
                    at += count as u64;
                }
            }
        }
        Ok(())
    }

    /// Reads a growing index from its file from now on, into which it was [saved](Index::save).
    pub(crate) fn seal(&self, file: FileSlot) {
        let mut state = self.state.write();
        if let State::Memory(entries) = &*state {
            let entries = entries.len() as u64;
            *state = State::File { file, entries };
        }
    }

    /// Writes the entries of a growing index to a file and goes on growing. Page cache only.
    pub(crate) fn save(&self, disk: &dyn Disk, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        match &*self.state.read() {
            State::Memory(entries) => write_file(disk, path, &encode(entries)),
            State::File { file, .. } => file.get(),
        }
    }

    /// The whole index as it is in its file.
    pub(crate) fn bytes(&self) -> io::Result<Vec<u8>> {
        match &*self.state.read() {
            State::Memory(entries) => Ok(encode(entries)),
            State::File { entries: 0, .. } => Ok(Vec::new()),
            State::File { file, entries } => {
                let mut bytes = vec![0; (*entries as usize) * E::SIZE];
                read_exact_at(&*file.get()?, &mut bytes, 0)?;
                Ok(bytes)
            }
        }
    }

    /// Whether it lies in its file.
    pub(crate) fn is_sealed(&self) -> bool {
        matches!(&*self.state.read(), State::File { .. })
    }

    /// Gives the descriptor of a sealed index up.
    pub(crate) fn close(&self) {
        if let State::File { file, .. } = &*self.state.read() {
            file.close();
        }
    }

    /// Whether it keeps a descriptor until [`Index::close`].
    pub(crate) fn is_written(&self) -> bool {
        matches!(&*self.state.read(), State::File { file, .. } if file.is_written())
    }

    /// The file's name is about to belong to another one.
    pub(crate) fn retire(&self) {
        if let State::File { file, .. } = &*self.state.read() {
            file.retire();
        }
    }

    /// Makes the file of a sealed index durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match &*self.state.read() {
            State::Memory(_) => Ok(()),
            State::File { file, .. } => file.get()?.sync_data(),
        }
    }
}

/// Entries that are read at once when many are visited.
const VISIT_ENTRIES: usize = 64;

/// Binary search, one small read per probe: the number of entries for which `holds` is true, and the last of them.
fn search<E: IndexEntry>(
    file: &dyn DiskFile,
    entries: u64,
    holds: impl Fn(&E) -> bool,
) -> io::Result<(u64, Option<E>)> {
    let mut found = None;
    let (mut low, mut high) = (0, entries);
    let mut bytes = vec![0; E::SIZE];
    while low < high {
        let middle = low + (high - low) / 2;
        read_exact_at(file, &mut bytes, middle * E::SIZE as u64)?;
        let entry = E::decode(&bytes);
        if holds(&entry) {
            found = Some(entry);
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok((low, found))
}

pub(crate) fn encode<E: IndexEntry>(entries: &[E]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len() * E::SIZE);
    entries.iter().for_each(|entry| entry.encode(&mut bytes));
    bytes
}

/// The entries of an index file; `None` if its length or order is wrong.
pub(crate) fn decode<E: IndexEntry>(bytes: &[u8]) -> Option<Vec<E>> {
    if !bytes.len().is_multiple_of(E::SIZE) {
        return None;
    }
    let entries: Vec<E> = bytes.chunks_exact(E::SIZE).map(E::decode).collect();
    entries.windows(2).all(|pair| pair[1].follows(&pair[0])).then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{KeepingDisk, memory::MemoryDisk};

    #[test]
    fn memory_and_file_answer_alike() {
        let disk = Arc::new(KeepingDisk::new(Arc::new(MemoryDisk::new()), 8));
        let entries: Vec<OffsetEntry> =
            (1..50).map(|n| OffsetEntry { relative: n * 3, position: n * 100 }).collect();
        let index = Index::growing(entries.clone());
        let ask = |index: &Index<OffsetEntry>| -> Vec<_> {
            (0..160).map(|limit| index.last_where(|entry| entry.relative <= limit).unwrap()).collect()
        };
        let before = ask(&index);
        assert_eq!(before[2], None);
        assert_eq!(before[8], Some(entries[1]));
        assert_eq!(before[159], entries.last().copied());
        index.save(&*disk, Path::new("/i")).unwrap();
        index.seal(FileSlot::new(disk.clone(), Path::new("/i").into()));
        assert_eq!(ask(&index), before);
        assert_eq!(decode(&index.bytes().unwrap()), Some(entries));
    }

    #[test]
    fn an_entry_that_does_not_follow_is_ignored() {
        let index = Index::growing(vec![]);
        index.push(TimeEntry { timestamp: 5, relative: 1 });
        index.push(TimeEntry { timestamp: 5, relative: 2 });
        index.push(TimeEntry { timestamp: 6, relative: 3 });
        assert_eq!(index.len(), 2);
    }
}
