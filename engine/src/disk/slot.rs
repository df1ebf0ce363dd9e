//! A file that is opened when it is first needed.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::sync::Mutex;

use super::{Disk, DiskFile, Open};

/// A path, and the open file once somebody needed it. A sealed segment that nobody reads has no descriptor.
#[derive(Debug)]
pub(crate) struct FileSlot {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    open: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Closed,
    Open(Arc<dyn DiskFile>),
    /// The path belongs to another file now.
    Retired(Option<Arc<dyn DiskFile>>),
}

impl FileSlot {
    pub(crate) fn new(disk: Arc<dyn Disk>, path: PathBuf) -> FileSlot {
        FileSlot { disk, path, open: Mutex::new(State::Closed) }
    }

    /// A slot whose file is open already.
    pub(crate) fn holding(self, file: Arc<dyn DiskFile>) -> FileSlot {
        self.set(file);
        self
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, opened for reading and writing unless it is open already.
    ///
    /// # Errors
    /// The disk's; `NotFound` once the file was deleted.
    pub(crate) fn get(&self) -> io::Result<Arc<dyn DiskFile>> {
        let mut open = self.open.lock();
        match &*open {
            State::Open(file) | State::Retired(Some(file)) => Ok(file.clone()),
            State::Retired(None) => Err(io::ErrorKind::NotFound.into()),
            State::Closed => {
                let file = self.disk.open(&self.path, Open::Write)?;
                *open = State::Open(file.clone());
                Ok(file)
            }
        }
    }

    pub(crate) fn set(&self, file: Arc<dyn DiskFile>) {
        *self.open.lock() = State::Open(file);
    }

    /// Gives the descriptor up; whoever uses the file keeps it open. The caller has synced it.
    pub(crate) fn close(&self) {
        let mut open = self.open.lock();
        *open = match &*open {
            State::Retired(_) => State::Retired(None),
            _ => State::Closed,
        };
    }

    /// The path is about to belong to another file: this one is what was opened before, or gone.
    pub(crate) fn retire(&self) {
        let mut open = self.open.lock();
        *open = match std::mem::replace(&mut *open, State::Closed) {
            State::Open(file) => State::Retired(Some(file)),
            State::Retired(file) => State::Retired(file),
            State::Closed => State::Retired(None),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{memory::MemoryDisk, write_file};

    #[test]
    fn a_retired_slot_never_shows_another_file() {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        write_file(&*disk, Path::new("/f"), b"old").unwrap();
        let slot = || FileSlot::new(disk.clone(), Path::new("/f").into());
        let (opened, closed) = (slot(), slot());
        opened.get().unwrap();
        opened.retire();
        closed.retire();
        disk.remove_file(Path::new("/f")).unwrap();
        write_file(&*disk, Path::new("/f"), b"another").unwrap();
        assert_eq!(opened.get().unwrap().len().unwrap(), 3);
        assert_eq!(closed.get().unwrap_err().kind(), io::ErrorKind::NotFound);
        opened.close();
        assert_eq!(opened.get().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(slot().get().unwrap().len().unwrap(), 7);
    }
}
