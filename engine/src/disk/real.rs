//! The operating system's file system.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this is the file that the lints point away from"
)]

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    io::{self, IoSlice},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    },
    path::Path,
    sync::Arc,
    time::UNIX_EPOCH,
};

use parking_lot::Mutex;
use rustix::{
    fs::{FlockOperation, OFlags, fcntl_lock},
    io::{Errno, ReadWriteFlags},
};

#[cfg(test)]
use super::BLOCK;
use super::{DirEntry, Disk, DiskFile, DiskLock, Open, Space};

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        if how == Open::Through {
            return open_through(path);
        }
        match how {
            Open::Read => {}
            Open::Write | Open::Through => {
                options.write(true);
            }
            Open::Create => {
                options.write(true).create(true).truncate(false);
            }
            Open::CreateNew => {
                options.write(true).create_new(true);
            }
        }
        Ok(Arc::new(RealFile { file: options.open(path)? }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            entries.push(DirEntry {
                name: entry.file_name().to_string_lossy().into_owned(),
                is_dir: entry.file_type()?.is_dir(),
            });
        }
        entries.sort();
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        RealLock::take(path).map(|lock| Box::new(lock) as Box<dyn DiskLock>)
    }

    fn space(&self, path: &Path) -> io::Result<Option<Space>> {
        let found = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Some(Space { total: bytes(found.f_blocks), usable: bytes(found.f_bavail) }))
    }
}

/// Past the page cache, unless the file system has nothing else.
fn open_through(path: &Path) -> io::Result<Arc<dyn DiskFile>> {
    let open = |flags: OFlags| {
        let bits = flags.bits().cast_signed();
        OpenOptions::new().read(true).write(true).custom_flags(bits).open(path)
    };
    let file = match open(OFlags::DIRECT | OFlags::DSYNC) {
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => open(OFlags::DSYNC)?,
        opened => opened?,
    };
    Ok(Arc::new(RealFile { file }))
}

#[derive(Debug)]
struct RealFile {
    file: File,
}

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.file.read_at(&mut buffer[done..], position + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn try_read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        let mut slices = [io::IoSliceMut::new(buffer)];
        match rustix::io::preadv2(&self.file, &mut slices, position, ReadWriteFlags::NOWAIT) {
            Ok(count) => Ok(Some(count)),
            // Not in memory; or a file system (or an interruption) that cannot say.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn write_at(&self, slices: &[IoSlice<'_>], mut position: u64) -> io::Result<()> {
        // Nearly always all of it is written at once, and nothing has to be cut.
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let first = match rustix::io::pwritev(&self.file, slices, position) {
            Ok(count) if count == total => return Ok(()),
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => count,
            Err(Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        position += first as u64;
        let mut rest: Vec<IoSlice<'_>> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        let mut rest = rest.as_mut_slice();
        IoSlice::advance_slices(&mut rest, first);
        while !rest.is_empty() {
            match rustix::io::pwritev(&self.file, rest, position) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    position += count as u64;
                    IoSlice::advance_slices(&mut rest, count);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn modified_ms(&self) -> io::Result<i64> {
        let modified = self.file.metadata()?.modified()?;
        Ok(match modified.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}

/// Files locked by this process, by device and inode. Record locks belong to the process and are dropped when
/// *any* of its descriptors of the file closes, so a second open must be refused before a descriptor exists.
static HELD: Mutex<BTreeSet<(u64, u64)>> = Mutex::new(BTreeSet::new());

/// Both kinds of lock on one file: `flock`, which Rust programs take, and the record lock that the JVM takes.
/// Neither sees the other.
#[derive(Debug)]
struct RealLock {
    identity: (u64, u64),
    file: File,
}

impl RealLock {
    fn take(path: &Path) -> io::Result<RealLock> {
        let mut held = HELD.lock();
        if let Ok(metadata) = std::fs::metadata(path)
            && held.contains(&(metadata.dev(), metadata.ino()))
        {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::ACCESS | Errno::AGAIN) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => return Err(error.into()),
        }
        let metadata = file.metadata()?;
        let identity = (metadata.dev(), metadata.ino());
        held.insert(identity);
        Ok(RealLock { identity, file })
    }
}

impl Drop for RealLock {
    fn drop(&mut self) {
        let mut held = HELD.lock();
        // `flock` belongs to the open file, which a process that was just forked shares until it runs its program:
        // closing ours alone would leave the lock taken that long.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
        held.remove(&self.identity);
    }
}

impl DiskLock for RealLock {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_exclusive_within_the_process_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".lock");
        let first = RealDisk.lock(&path).unwrap();
        assert_eq!(RealDisk.lock(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(first);
        RealDisk.lock(&path).unwrap();
    }

    #[test]
    fn a_lock_is_free_once_dropped_even_while_a_forked_process_has_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".lock");
        let lock = RealLock::take(&path).unwrap();
        let inherited = lock.file.try_clone().unwrap();
        drop(lock);
        let again = RealLock::take(&path).unwrap();
        drop((inherited, again));
    }

    #[test]
    fn writing_through_reaches_every_reader() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let file = RealDisk.open(&path, Open::CreateNew).unwrap();
        file.set_len(3 * BLOCK as u64).unwrap();
        let through = RealDisk.open(&path, Open::Through).unwrap();
        let memory = vec![b'x'; 2 * BLOCK];
        let start = memory.as_ptr().align_offset(BLOCK);
        let aligned = &memory[start..start + BLOCK];
        through.write_at(&[IoSlice::new(aligned)], BLOCK as u64).unwrap();
        let mut bytes = vec![0; 3 * BLOCK];
        assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
        assert_eq!(&bytes[BLOCK..2 * BLOCK], aligned);
        assert!(bytes[..BLOCK].iter().chain(&bytes[2 * BLOCK..]).all(|byte| *byte == 0));
        assert_eq!(
            RealDisk.open(Path::new("/no/such"), Open::Through).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn vectored_writes_land_whole() {
        let directory = tempfile::tempdir().unwrap();
        let file = RealDisk.open(&directory.path().join("f"), Open::CreateNew).unwrap();
        file.write_at(&[IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")], 3).unwrap();
        let mut bytes = [0xff; 16];
        assert_eq!(file.read_at(&mut bytes, 0).unwrap(), 8);
        assert_eq!(&bytes[..8], b"\0\0\0abcde");
        assert_eq!(file.try_read_at(&mut bytes[..4], 4).unwrap(), Some(4));
        assert_eq!(&bytes[..4], b"bcde");
    }
}
