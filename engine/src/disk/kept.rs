//! Files that are only read stay open for the next reader, up to a bound.

use std::{io, path::Path, sync::Arc};

use rustix::io::Errno;

use super::{DirEntry, Disk, DiskFile, DiskLock, Open, Space};
use crate::sync::{AtomicBool, Mutex};

/// The disk of one directory, and the files of it that are open for nobody in particular.
///
/// A file is found by whoever holds it weakly, never by its path: what is renamed, removed or replaced is given up by its
/// owner, and a new owner of the same path opens its own. Nothing is locked while a file is opened; a file that is found
/// open costs no lock of this at all. When descriptors run out, all that is kept is closed before anybody is told.
#[derive(Debug)]
pub(crate) struct KeepingDisk {
    disk: Arc<dyn Disk>,
    kept: Mutex<Kept>,
}

/// A file that stays open while nobody needs its place.
#[derive(Debug)]
pub(crate) struct KeptFile {
    pub(crate) file: Arc<dyn DiskFile>,
    /// Whether it was read since the hand last passed.
    used: AtomicBool,
    place: usize,
}

#[derive(Debug)]
struct Kept {
    most: usize,
    /// The clock: a hand goes round and takes the first that was not used since it last came by.
    places: Vec<Option<Arc<KeptFile>>>,
    free: Vec<usize>,
    hand: usize,
    /// Places that are promised to files that are being opened.
    promised: usize,
}

impl KeepingDisk {
    pub(crate) fn new(disk: Arc<dyn Disk>, most: usize) -> KeepingDisk {
        let kept = Kept { most, places: Vec::new(), free: Vec::new(), hand: 0, promised: 0 };
        KeepingDisk { disk, kept: Mutex::new(kept) }
    }

    /// How many files are kept at most, from now on.
    pub(crate) fn keep_at_most(&self, most: usize) {
        let closed = {
            let mut kept = self.kept.lock();
            kept.most = most;
            let mut closed = Vec::new();
            while kept.count() > most
                && let Some(file) = kept.take_one()
            {
                closed.push(file);
            }
            closed
        };
        drop(closed);
    }

    /// Opens a file and keeps it, in the place of one that was not used for long. Without a bound to keep it in, or where
    /// others are just filling it, it is only opened.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn open_kept(&self, path: &Path) -> io::Result<Result<Arc<KeptFile>, Arc<dyn DiskFile>>> {
        let (promised, closed) = self.kept.lock().make_room();
        drop(closed);
        let opened = self.open(path, Open::Write);
        let mut kept = self.kept.lock();
        if promised {
            kept.promised -= 1;
        }
        let file = opened?;
        if !promised || kept.count() >= kept.most {
            return Ok(Err(file));
        }
        Ok(Ok(kept.put(file)))
    }

    /// Closes a file that was kept, unless somebody is reading it.
    pub(crate) fn give_up(&self, file: &Arc<KeptFile>) {
        let found = self.kept.lock().take(file);
        drop(found);
    }

    fn give_up_all(&self) -> bool {
        let files = {
            let mut kept = self.kept.lock();
            kept.free.clear();
            std::mem::take(&mut kept.places)
        };
        files.iter().any(Option::is_some)
    }
}

impl KeptFile {
    /// The file, which stays a while longer for that.
    pub(crate) fn read(&self) -> Arc<dyn DiskFile> {
        // Most of the time it is set: reading it leaves the line with whoever else reads it.
        if !self.used.load(std::sync::atomic::Ordering::Relaxed) {
            self.used.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        self.file.clone()
    }
}

impl Kept {
    /// Files that are open, or about to be.
    fn count(&self) -> usize {
        self.places.len() - self.free.len() + self.promised
    }

    /// Promises a place if there is one, or if one can be made.
    fn make_room(&mut self) -> (bool, Option<Arc<KeptFile>>) {
        let closed = if self.count() >= self.most { self.take_one() } else { None };
        let promised = self.count() < self.most;
        self.promised += usize::from(promised);
        (promised, closed)
    }

    fn put(&mut self, file: Arc<dyn DiskFile>) -> Arc<KeptFile> {
        let place = self.free.pop().unwrap_or(self.places.len());
        let kept = Arc::new(KeptFile { file, used: AtomicBool::new(true), place });
        match self.places.get_mut(place) {
            Some(free) => *free = Some(kept.clone()),
            None => self.places.push(Some(kept.clone())),
        }
        kept
    }

    fn take(&mut self, file: &Arc<KeptFile>) -> Option<Arc<KeptFile>> {
        let place = self.places.get_mut(file.place)?;
        let taken = place.take_if(|kept| Arc::ptr_eq(kept, file))?;
        self.free.push(file.place);
        Some(taken)
    }

    /// The first that was not used since the hand last came by; the next one if all were.
    fn take_one(&mut self) -> Option<Arc<KeptFile>> {
        for _ in 0..=2 * self.places.len() {
            let at = if self.hand < self.places.len() { self.hand } else { 0 };
            self.hand = at + 1;
            let Some(kept) = self.places.get(at)? else { continue };
            if !kept.used.swap(false, std::sync::atomic::Ordering::Relaxed) {
                let kept = kept.clone();
                return self.take(&kept);
            }
        }
        None
    }
}

impl Disk for KeepingDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        match self.disk.open(path, how) {
            Err(error) if out_of_descriptors(&error) && self.give_up_all() => self.disk.open(path, how),
            opened => opened,
        }
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        match self.disk.list(path) {
            Err(error) if out_of_descriptors(&error) && self.give_up_all() => self.disk.list(path),
            listed => listed,
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        match self.disk.sync_dir(path) {
            // The directory has to be opened for that; nothing was asked of the device yet.
            Err(error) if out_of_descriptors(&error) && self.give_up_all() => self.disk.sync_dir(path),
            synced => synced,
        }
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.disk.lock(path)
    }

    fn space(&self, path: &Path) -> io::Result<Option<Space>> {
        self.disk.space(path)
    }
}

/// Whether this process, or the machine, has as many files open as it may.
fn out_of_descriptors(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{memory::MemoryDisk, write_file};

    fn disk(most: usize, files: u32) -> (MemoryDisk, KeepingDisk) {
        let memory = MemoryDisk::new();
        for n in 0..files {
            write_file(&memory, Path::new(&format!("/{n}")), b"x").unwrap();
        }
        assert_eq!(memory.open_files(), 0);
        (memory.clone(), KeepingDisk::new(Arc::new(memory), most))
    }

    fn open(disk: &KeepingDisk, n: u32) -> std::sync::Weak<KeptFile> {
        Arc::downgrade(&disk.open_kept(Path::new(&format!("/{n}"))).unwrap().unwrap())
    }

    #[test]
    fn what_was_read_since_stays_longest() {
        let (memory, disk) = disk(3, 10);
        let [a, b, c] = [0, 1, 2].map(|n| open(&disk, n));
        let _ = open(&disk, 3);
        assert!(a.upgrade().is_none(), "all were new: the first goes");
        b.upgrade().unwrap().read();
        let _ = open(&disk, 4);
        assert!(b.upgrade().is_some() && c.upgrade().is_none());
        assert_eq!(memory.open_files(), 3);
    }

    #[test]
    fn a_bound_is_kept_whoever_reads() {
        let (memory, disk) = disk(2, 50);
        let held = disk.open_kept(Path::new("/0")).unwrap().unwrap().read();
        for n in 1..50 {
            assert!(open(&disk, n).upgrade().is_some());
            assert!(memory.open_files() <= 3, "two are kept, one is being read");
        }
        drop(held);
        assert_eq!(memory.open_files(), 2);
        disk.keep_at_most(1);
        assert_eq!(memory.open_files(), 1);
        disk.keep_at_most(0);
        assert!(disk.open_kept(Path::new("/1")).unwrap().is_err(), "opened, and not kept");
        assert_eq!(memory.open_files(), 0);
    }

    #[test]
    fn a_file_that_is_given_up_leaves_its_place_to_another() {
        let (memory, disk) = disk(2, 10);
        let kept = [0, 1].map(|n| open(&disk, n).upgrade().unwrap());
        disk.give_up(&kept[0]);
        let _ = open(&disk, 2);
        // Its place has another owner by now.
        disk.give_up(&kept[0]);
        drop(kept);
        assert_eq!(memory.open_files(), 2);
    }

    #[test]
    fn what_is_kept_goes_before_an_open_fails() {
        let (memory, disk) = disk(5, 10);
        (0..5).for_each(|n| drop(open(&disk, n)));
        memory.set_open_files_max(Some(5));
        let mut held = vec![disk.open(Path::new("/9"), Open::Read).unwrap()];
        assert_eq!(memory.open_files(), 1, "all that was kept was closed");
        held.extend((0..4).map(|_| disk.open(Path::new("/9"), Open::Read).unwrap()));
        let error = disk.open_kept(Path::new("/1")).unwrap_err();
        assert!(out_of_descriptors(&error), "{error}");
        held.pop();
        assert!(open(&disk, 1).upgrade().is_some(), "the failed one left nothing behind");
    }
}
