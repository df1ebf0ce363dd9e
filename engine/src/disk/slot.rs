//! A file that is opened when it is first needed.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use crate::sync::Mutex;

use super::{Disk, DiskFile, KeepingDisk, Open, kept::KeptFile};

/// A path, and the open file once somebody needed it. A sealed segment that nobody reads has no descriptor, and those that are
/// read have no more than the [`KeepingDisk`] keeps.
#[derive(Debug)]
pub(crate) struct FileSlot {
    disk: Arc<KeepingDisk>,
    path: PathBuf,
    open: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: Held,
    /// The path belongs to another file now: nothing is opened by it any more.
    retired: bool,
}

#[derive(Debug)]
enum Held {
    Nothing,
    /// Open to be read: the disk keeps it as long as it has the room.
    Kept(Weak<KeptFile>),
    /// It was written: a sync that fails must be heard of, and only who has it open since then hears of it.
    Written(Arc<dyn DiskFile>),
}

impl FileSlot {
    pub(crate) fn new(disk: Arc<KeepingDisk>, path: PathBuf) -> FileSlot {
        FileSlot { disk, path, open: Mutex::new(State { file: Held::Nothing, retired: false }) }
    }

    /// A slot whose file was written and is open.
    pub(crate) fn holding(self, file: Arc<dyn DiskFile>) -> FileSlot {
        self.set(file);
        self
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, opened unless it is open already; it stays open while whoever asked has it, and after that as long as there
    /// is room.
    ///
    /// # Errors
    /// The disk's; `NotFound` once the file was deleted.
    pub(crate) fn get(&self) -> io::Result<Arc<dyn DiskFile>> {
        let mut open = self.open.lock();
        match &open.file {
            Held::Written(file) => return Ok(file.clone()),
            Held::Kept(kept) => {
                if let Some(kept) = kept.upgrade() {
                    return Ok(kept.read());
                }
            }
            Held::Nothing => {}
        }
        open.may_open()?;
        match self.disk.open_kept(&self.path)? {
            Ok(kept) => {
                open.file = Held::Kept(Arc::downgrade(&kept));
                Ok(kept.read())
            }
            Err(file) => Ok(file),
        }
    }

    /// The file, to be written: it stays open until it was synced and [closed](FileSlot::close).
    ///
    /// # Errors
    /// As [`FileSlot::get`].
    pub(crate) fn get_to_write(&self) -> io::Result<Arc<dyn DiskFile>> {
        let mut open = self.open.lock();
        let kept = match &open.file {
            Held::Written(file) => return Ok(file.clone()),
            Held::Kept(kept) => kept.upgrade(),
            Held::Nothing => None,
        };
        let file = match kept {
            Some(kept) => {
                self.disk.give_up(&kept);
                kept.file.clone()
            }
            None => {
                open.may_open()?;
                self.disk.open(&self.path, Open::Write)?
            }
        };
        open.file = Held::Written(file.clone());
        Ok(file)
    }

    pub(crate) fn set(&self, file: Arc<dyn DiskFile>) {
        self.hold(Held::Written(file));
    }

    /// Gives the descriptor up; whoever uses the file keeps it open. The caller has synced it.
    pub(crate) fn close(&self) {
        self.hold(Held::Nothing);
    }

    /// Whether it keeps its descriptor until [`FileSlot::close`], however little room there is.
    pub(crate) fn is_written(&self) -> bool {
        matches!(self.open.lock().file, Held::Written(_))
    }

    /// The path is about to belong to another file: this one is what was opened before, or gone.
    pub(crate) fn retire(&self) {
        self.open.lock().retired = true;
    }

    fn hold(&self, file: Held) {
        let before = std::mem::replace(&mut self.open.lock().file, file);
        if let Held::Kept(kept) = before
            && let Some(kept) = kept.upgrade()
        {
            self.disk.give_up(&kept);
        }
    }
}

impl State {
    fn may_open(&self) -> io::Result<()> {
        if self.retired { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
    }
}

impl Drop for FileSlot {
    fn drop(&mut self) {
        // A file that was deleted gives its room on the disk back with its last descriptor.
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{memory::MemoryDisk, write_file};

    #[test]
    fn a_retired_slot_never_shows_another_file() {
        let disk = Arc::new(KeepingDisk::new(Arc::new(MemoryDisk::new()), 1));
        write_file(&*disk, Path::new("/f"), b"old").unwrap();
        write_file(&*disk, Path::new("/g"), b"x").unwrap();
        let slot = || FileSlot::new(disk.clone(), Path::new("/f").into());
        let (opened, closed, given_up) = (slot(), slot(), slot());
        given_up.get().unwrap();
        opened.get().unwrap();
        opened.retire();
        closed.retire();
        given_up.retire();
        disk.remove_file(Path::new("/f")).unwrap();
        write_file(&*disk, Path::new("/f"), b"another").unwrap();
        assert_eq!(opened.get().unwrap().len().unwrap(), 3);
        assert_eq!(closed.get().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(given_up.get().unwrap_err().kind(), io::ErrorKind::NotFound);
        opened.close();
        assert_eq!(opened.get().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(slot().get().unwrap().len().unwrap(), 7);
    }

    #[test]
    fn what_was_written_has_no_need_of_a_place() {
        let memory = MemoryDisk::new();
        let disk = Arc::new(KeepingDisk::new(Arc::new(memory.clone()), 1));
        let slots: Vec<FileSlot> = (0..3)
            .map(|n| {
                let path = format!("/{n}");
                write_file(&*disk, Path::new(&path), b"x").unwrap();
                FileSlot::new(disk.clone(), path.into())
            })
            .collect();
        let read = slots[0].get().unwrap();
        assert!(!slots[0].is_written());
        let written = slots[0].get_to_write().unwrap();
        assert!(Arc::ptr_eq(&read, &written), "it is not opened twice");
        drop((read, written));
        slots[1].get().unwrap();
        slots[2].get().unwrap();
        assert_eq!(memory.open_files(), 2, "one that was written, one that is kept");
        assert!(slots[0].is_written());
        slots[0].close();
        assert!(!slots[0].is_written());
        assert_eq!(memory.open_files(), 1);
        slots[2].get().unwrap();
        drop(slots);
        assert_eq!(memory.open_files(), 0, "nobody is left who could read them");
    }
}
