//! The disk trait over the tree: every call is counted, may fail, and knows whether it outlived a crash.

use std::{
    fmt,
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};

use super::{
    MemoryDisk, State, Write,
    fault::{Operation, Pass, power_is_off},
    tree::NodeId,
};
use crate::{
    disk::{BLOCK, DirEntry, Disk, DiskFile, DiskLock, Open},
    sync,
};

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        state.faults.pass(Operation::Open)?;
        if state.open_files_max.is_some_and(|most| Arc::strong_count(&state.open_files) > most) {
            return Err(rustix::io::Errno::MFILE.into());
        }
        let node = match (state.tree.file(path), how) {
            (Ok(_), Open::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Ok(node), _) => node,
            (Err(error), Open::Create | Open::CreateNew) if error.kind() == io::ErrorKind::NotFound => {
                state.faults.pass(Operation::Name)?;
                let now_ms = state.now_ms;
                state.tree.create_file(path, now_ms)?
            }
            (Err(error), _) => return Err(error),
        };
        let (writable, through) = (how != Open::Read, how == Open::Through);
        let incarnation = state.incarnation;
        let _open = state.open_files.clone();
        Ok(Arc::new(MemoryFile { state: self.state.clone(), node, incarnation, writable, through, _open }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.faults.pass(Operation::Name)?;
        state.tree.create_directories(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut state = self.state.lock();
        state.faults.pass(Operation::Open)?;
        let names = state.tree.list(path)?;
        Ok(names.into_iter().map(|(name, is_dir)| DirEntry { name, is_dir }).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.faults.pass(Operation::Name)?;
        state.tree.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.faults.pass(Operation::Name)?;
        state.tree.remove(path, false)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.faults.pass(Operation::Name)?;
        state.tree.remove(path, true)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.faults.pass(Operation::SyncDir)?;
        state.tree.sync_directory(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let mut state = self.state.lock();
        state.faults.pass(Operation::Open)?;
        if state.locked.iter().any(|held| held == path) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if state.tree.file(path).is_err() {
            state.faults.pass(Operation::Name)?;
            let now_ms = state.now_ms;
            state.tree.create_file(path, now_ms)?;
        }
        state.locked.push(path.to_owned());
        let incarnation = state.incarnation;
        Ok(Box::new(MemoryLock { state: self.state.clone(), path: path.to_owned(), incarnation }))
    }
}

struct MemoryFile {
    state: Arc<Mutex<State>>,
    node: NodeId,
    incarnation: u64,
    writable: bool,
    /// Every write is followed by a sync.
    through: bool,
    /// Counted while it lives.
    _open: Arc<()>,
}

impl MemoryFile {
    /// The disk, if the machine has not crashed since this file was opened.
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state.lock();
        if state.incarnation == self.incarnation { Ok(state) } else { Err(power_is_off()) }
    }

    fn state_to_write(&self) -> io::Result<MutexGuard<'_, State>> {
        if self.writable { self.state() } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut state = self.state()?;
        state.faults.pass(Operation::Read)?;
        let bytes = state.tree.content(self.node).bytes();
        let from = usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
        let count = buffer.len().min(bytes.len() - from);
        buffer[..count].copy_from_slice(&bytes[from..from + count]);
        state.faults.has_read(count);
        Ok(count)
    }

    fn try_read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        self.read_at(buffer, position).map(Some)
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let aligned = |len: u64| len.is_multiple_of(BLOCK as u64);
        if self.through && !(slices.len() == 1 && aligned(slices[0].len() as u64) && aligned(position)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut state = self.state_to_write()?;
        let mut count: usize = slices.iter().map(|slice| slice.len()).sum();
        let pass = state.faults.pass(Operation::Write)?;
        if let Pass::Torn = pass {
            count /= 2;
        }
        let position = usize::try_from(position).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let len = state.tree.content(self.node).bytes().len();
        let grows_by = (position + count).saturating_sub(len) as u64;
        let free = match state.capacity {
            Some(capacity) if grows_by > 0 => capacity.saturating_sub(state.tree.bytes_used()),
            _ => u64::MAX,
        };
        let full = grows_by > free;
        if full {
            // As the operating system does: what fits is written.
            count -= ((grows_by - free) as usize).min(count);
        }
        let now_ms = state.now_ms;
        let content = state.tree.content_mut(self.node);
        let mut written = 0;
        for slice in slices {
            let piece = &slice[..slice.len().min(count - written)];
            content.write(piece, position + written);
            written += piece.len();
        }
        content.modified_ms = now_ms;
        match pass {
            Pass::Torn => Err(power_is_off()),
            Pass::Whole if full => Err(io::ErrorKind::StorageFull.into()),
            Pass::Whole if self.through => {
                let write = Write { file: self.node, bytes: position..position + count };
                if let Some(held) = &mut state.held {
                    held.push(write);
                    return Ok(());
                }
                drop(state);
                // Others may be in flight together with it.
                sync::let_others_run();
                self.state()?.land(write)
            }
            Pass::Whole => Ok(()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state_to_write()?;
        if let Pass::Torn = state.faults.pass(Operation::Write)? {
            return Err(power_is_off());
        }
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let now_ms = state.now_ms;
        let content = state.tree.content_mut(self.node);
        content.set_len(len);
        content.modified_ms = now_ms;
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.state()?;
        state.faults.pass(Operation::Open)?;
        Ok(state.tree.content(self.node).bytes().len() as u64)
    }

    fn modified_ms(&self) -> io::Result<i64> {
        let mut state = self.state()?;
        state.faults.pass(Operation::Open)?;
        Ok(state.tree.content(self.node).modified_ms)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state()?;
        let pass = state.faults.pass(Operation::Sync);
        let content = state.tree.content_mut(self.node);
        match pass {
            Ok(_) => {
                content.sync();
                Ok(())
            }
            Err(error) => {
                content.fail_sync();
                Err(error)
            }
        }
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl fmt::Debug for MemoryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryFile({})", self.node)
    }
}

struct MemoryLock {
    state: Arc<Mutex<State>>,
    path: PathBuf,
    incarnation: u64,
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        if state.incarnation == self.incarnation {
            state.locked.retain(|held| *held != self.path);
        }
    }
}

impl fmt::Debug for MemoryLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryLock({})", self.path.display())
    }
}

impl DiskLock for MemoryLock {}
