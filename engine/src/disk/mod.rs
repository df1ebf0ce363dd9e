//! The seam to the file system. Real files, files in memory and files on a disk that lies are interchangeable.

mod host;
mod kept;
#[cfg(any(test, feature = "faults"))]
pub mod memory;
mod real;
mod replace;
mod slot;

pub use host::{Host, SystemHost};
pub(crate) use kept::KeepingDisk;
pub use real::RealDisk;
pub(crate) use replace::{read_file, replace_file, write_file};
pub(crate) use slot::FileSlot;

use std::{fmt, io, io::IoSlice, path::Path, sync::Arc};

/// A file system.
///
/// Duties every form keeps, and callers may rely on nothing else:
/// - Bytes written are visible to every reader of the same file at once, and survive a crash of the *process*.
/// - They survive a crash of the *machine* only after [`DiskFile::sync_data`] or [`DiskFile::sync_all`] has
///   returned `Ok`.
/// - A file's name (created, renamed, removed) survives a crash of the machine only after [`Disk::sync_dir`] of
///   its parent has returned `Ok`.
/// - After a sync has failed nothing is known of what it covered: the caller treats those bytes as lost.
/// - [`Disk::rename`] replaces its target atomically.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Opens a file.
    ///
    /// # Errors
    /// As the operating system's: `NotFound`, `AlreadyExists` with [`Open::CreateNew`], out of descriptors, ...
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>>;

    /// Creates a directory and its missing parents; `Ok` if it exists.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;

    /// Renames a file or a directory, replacing a target file.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Takes the lock of a file, which is created if missing and held until the value is dropped.
    ///
    /// # Errors
    /// `WouldBlock` when another process, or another holder in this one, has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;

    /// What there is room for on the file system that holds `path`; `Ok(None)` from a form that has no bounds.
    fn space(&self, path: &Path) -> io::Result<Option<Space>> {
        let _ = path;
        Ok(None)
    }
}

/// Room on a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All there is.
    pub total: u64,
    /// What this process may still use.
    pub usable: u64,
}

/// How [`Disk::open`] opens a file. Writable forms can be read too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// An existing file, for reading.
    Read,
    /// An existing file, for reading and writing.
    Write,
    /// For reading and writing, created if missing.
    Create,
    /// For reading and writing; refused if the name exists.
    CreateNew,
    /// An existing file, for reading and writing past the page cache where the file system allows it. What was written
    /// is durable when the write returns, as if [`DiskFile::sync_data`] had followed; a write that fails is a sync that
    /// failed. Positions, lengths and the memory of every access begin and end at multiples of [`BLOCK`]; a write is
    /// one slice.
    Through,
}

/// What accesses to a file opened with [`Open::Through`] are multiples of, in bytes.
pub const BLOCK: usize = 4096;

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name, without its directory. Names that are not UTF-8 are converted lossily.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// An open file. Dropping it closes it without syncing.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Reads at `position` into `buffer`; fewer bytes than asked only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// Like [`DiskFile::read_at`], but `Ok(None)` where it would have to wait for the device. A form that cannot
    /// tell answers `Ok(None)`. May read fewer bytes than asked.
    fn try_read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        let _ = (buffer, position);
        Ok(None)
    }

    /// Writes all slices one after the other at `position`, growing the file as needed. On an error any prefix
    /// may have been written.
    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()>;

    /// Cuts or extends (with zeros) the file.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// The file's length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// When the content last changed, in milliseconds since the Unix epoch.
    fn modified_ms(&self) -> io::Result<i64>;

    /// Makes the content and the length durable.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes the content and all metadata durable.
    fn sync_all(&self) -> io::Result<()>;

    /// The descriptor, where there is one, for `sendfile`.
    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }
}

/// A held lock; released when dropped.
pub trait DiskLock: Send + Sync + fmt::Debug {}

/// Reads exactly `buffer.len()` bytes at `position`.
///
/// # Errors
/// `UnexpectedEof` when the file ends before that.
pub fn read_exact_at(file: &dyn DiskFile, buffer: &mut [u8], position: u64) -> io::Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], position + done as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => done += count,
        }
    }
    Ok(())
}
