//! Small files, read and replaced whole.

use std::{
    io::{self, IoSlice},
    path::Path,
    sync::Arc,
};

use super::{Disk, DiskFile, Open, read_exact_at};
use crate::name::TEMPORARY;

/// The most a small file may have; what is larger is not one of ours.
const SMALL_FILE_MAX: u64 = 64 << 20;

/// Replaces the file `name` in `directory` at once or not at all; durable when it returns.
pub(crate) fn replace_file(disk: &dyn Disk, directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = directory.join(format!("{name}{TEMPORARY}"));
    write_file(disk, &temporary, bytes)?.sync_data()?;
    disk.rename(&temporary, &directory.join(name))?;
    disk.sync_dir(directory)
}

/// Writes a file whole, replacing its content; not durable.
pub(crate) fn write_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.open(path, Open::Create)?;
    file.set_len(0)?;
    file.write_at(&[IoSlice::new(bytes)], 0)?;
    Ok(file)
}

/// Reads a small file whole; `None` if it does not exist.
pub(crate) fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, Open::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = file.len()?;
    if len > SMALL_FILE_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "file is too large for what it is"));
    }
    let mut bytes = vec![0; len as usize];
    read_exact_at(&*file, &mut bytes, 0)?;
    Ok(Some(bytes))
}
