//! A file that is opened when it is first needed.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{Disk, DiskFile, Open};

/// A path, and the open file once somebody needed it. A sealed segment that nobody reads has no descriptor.
#[derive(Debug)]
pub(crate) struct FileSlot {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    open: Mutex<Option<Arc<dyn DiskFile>>>,
}

impl FileSlot {
    pub(crate) fn new(disk: Arc<dyn Disk>, path: PathBuf) -> FileSlot {
        FileSlot { disk, path, open: Mutex::new(None) }
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
        if let Some(file) = &*open {
            return Ok(file.clone());
        }
        let file = self.disk.open(&self.path, Open::Write)?;
        *open = Some(file.clone());
        Ok(file)
    }

    pub(crate) fn set(&self, file: Arc<dyn DiskFile>) {
        *self.open.lock() = Some(file);
    }

    /// Gives the descriptor up; whoever uses the file keeps it open. The caller has synced it.
    pub(crate) fn close(&self) {
        *self.open.lock() = None;
    }
}
