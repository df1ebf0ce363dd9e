//! A disk in memory that keeps the duties of [`Disk`](super::Disk) and nothing more: what was not synced may be
//! lost, torn or reordered by [`MemoryDisk::crash`], and any operation can be made to fail.
//!
//! Deterministic: the same calls and the same seeds give the same bytes. Time stands still until
//! [`MemoryDisk::set_time`] moves it.

mod fault;
mod operations;
mod tree;

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use fault::Faults;
pub use fault::{Counts, Fault, Operation};
use tree::{NodeId, Tree};

/// A disk in memory. Clones are the same disk; [`MemoryDisk::fork`] makes another one.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

/// What a power cut does to what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Everything that was not synced is gone.
    Everything,
    /// Everything had reached the media after all.
    Nothing,
    /// Each unsynced sector (512 bytes), length and name is kept or lost by a coin with this seed.
    Seeded(u64),
}

impl MemoryDisk {
    /// An empty disk without a limit, at time zero.
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    /// Sets the time that files changed from now on carry.
    pub fn set_time(&self, unix_ms: i64) {
        self.state.lock().now_ms = unix_ms;
    }

    /// Limits the bytes of all files together; what goes beyond fails with `StorageFull`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    /// How many files are open: handles that live, other than those that a crash made void.
    pub fn open_files(&self) -> usize {
        Arc::strong_count(&self.state.lock().open_files) - 1
    }

    /// Limits how many files are open together; opening one more fails as it does where a process has no descriptors left.
    pub fn set_open_files_max(&self, most: Option<usize>) {
        self.state.lock().open_files_max = most;
    }

    /// Makes operations fail from now on; replaces an earlier fault.
    pub fn inject(&self, fault: Fault) {
        self.state.lock().faults.inject(fault);
    }

    /// From now on a write of a file that is open [`Through`](super::Open::Through) returns when the device has it and it is
    /// not durable yet: several are in flight at once, of which a power cut keeps what it likes. `false` makes such writes
    /// durable again when they return.
    ///
    /// # Panics
    /// If some are held still and none are to be.
    pub fn hold_through(&self, hold: bool) {
        let mut state = self.state.lock();
        let held = state.held.take().unwrap_or_default();
        assert!(hold || held.is_empty(), "{} writes are in flight", held.len());
        state.held = hold.then_some(held);
    }

    /// Makes one of the writes that are held durable, counted by their age.
    ///
    /// # Errors
    /// As for a sync that fails.
    ///
    /// # Panics
    /// If there is no such write.
    pub fn land(&self, nth: usize) -> io::Result<()> {
        let mut state = self.state.lock();
        let write = state.held.as_mut().map(|held| held.remove(nth)).expect("it is held");
        state.land(write)
    }

    /// Lets operations succeed again.
    pub fn clear_faults(&self) {
        self.state.lock().faults.clear();
    }

    /// Cuts the power at a change (write, length, name or sync): `changes` of them still happen, the next one
    /// happens not at all or, if it is a write and `tear` is set, in its first half; everything after it fails
    /// until [`MemoryDisk::crash`].
    pub fn stop_after(&self, changes: u64, tear: bool) {
        self.state.lock().faults.stop_after(changes, tear);
    }

    /// Whether the power was cut by [`MemoryDisk::stop_after`].
    pub fn stopped(&self) -> bool {
        self.state.lock().faults.stopped()
    }

    /// What was asked of the disk since it was made.
    pub fn counts(&self) -> Counts {
        self.state.lock().faults.counts()
    }

    /// A power cut with this seed: short for [`MemoryDisk::crash_with`] and [`Loss::Seeded`].
    pub fn crash(&self, seed: u64) {
        self.crash_with(Loss::Seeded(seed));
    }

    /// A power cut: open files and locks are void, unsynced data and names are lost as `loss` says, faults are
    /// cleared.
    pub fn crash_with(&self, loss: Loss) {
        let mut state = self.state.lock();
        state.incarnation += 1;
        state.open_files = Arc::default();
        state.locked.clear();
        state.held = None;
        state.faults.clear();
        state.tree.crash(loss);
    }

    /// The process dies and the machine lives: open files and locks are void, every byte and name stays.
    pub fn kill(&self) {
        let mut state = self.state.lock();
        state.incarnation += 1;
        state.open_files = Arc::default();
        state.locked.clear();
        state.held = None;
        state.faults.clear();
    }

    /// Another disk with the same content, synced and unsynced. Its files and locks are not open.
    pub fn fork(&self) -> MemoryDisk {
        let state = self.state.lock();
        MemoryDisk {
            state: Arc::new(Mutex::new(State {
                tree: state.tree.clone(),
                faults: Faults::default(),
                locked: Vec::new(),
                held: None,
                incarnation: 0,
                now_ms: state.now_ms,
                capacity: state.capacity,
                open_files: Arc::default(),
                open_files_max: state.open_files_max,
            })),
        }
    }

    /// Every file's path, sorted.
    pub fn files(&self) -> Vec<PathBuf> {
        self.state.lock().tree.files()
    }

    /// A file's bytes as a reader sees them now.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn contents(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.state.lock();
        let file = state.tree.file(path)?;
        Ok(state.tree.content(file).bytes().to_vec())
    }

    /// Puts these bytes on the media in place of a file's content, as rot or a vandal would.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        let file = state.tree.file(path)?;
        state.tree.content_mut(file).overwrite(bytes);
        Ok(())
    }

    /// Flips bits of one byte of a file, on the media and as it is read from now on. Of what is not synced the media has
    /// nothing yet: nothing is done, and the answer is false.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn rot(&self, path: &Path, position: usize, bits: u8) -> io::Result<bool> {
        let mut state = self.state.lock();
        let file = state.tree.file(path)?;
        Ok(state.tree.content_mut(file).rot(position, bits))
    }

    /// Removes a file from the media, as a vandal would.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn vandalize(&self, path: &Path) -> io::Result<()> {
        self.state.lock().tree.vandalize(path)
    }
}

#[derive(Debug, Default)]
struct State {
    tree: Tree,
    faults: Faults,
    /// Paths with a held lock.
    locked: Vec<PathBuf>,
    /// Writes past the page cache that are not durable yet; `None` if each is before it returns.
    held: Option<Vec<Write>>,
    /// Counts crashes, so that what was open before one can be told.
    incarnation: u64,
    now_ms: i64,
    capacity: Option<u64>,
    /// Held by every open file.
    open_files: Arc<()>,
    open_files_max: Option<usize>,
}

/// A write past the page cache.
#[derive(Debug)]
struct Write {
    file: NodeId,
    bytes: Range<usize>,
}

impl State {
    fn land(&mut self, Write { file, bytes }: Write) -> io::Result<()> {
        let pass = self.faults.pass(Operation::Sync);
        let content = self.tree.content_mut(file);
        match pass {
            Ok(_) => {
                content.sync_range(bytes);
                Ok(())
            }
            Err(error) => {
                content.fail_range(bytes);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests;
