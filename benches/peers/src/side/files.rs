//! No log at all: the bytes, a file for each log, and `fdatasync`. Nothing is checked, numbered or found.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
    sync::Mutex,
};

use super::{READ_BYTES, Side};
use crate::Result;

pub(super) struct Files {
    /// Each with its length.
    files: Vec<Mutex<(File, u64)>>,
    synced: bool,
}

impl Files {
    pub(super) fn open(place: &Path, logs: usize, synced: bool) -> Result<Files> {
        let file = |log: usize| -> Result<Mutex<(File, u64)>> {
            let path = place.join(log.to_string());
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
            let len = file.metadata()?.len();
            Ok(Mutex::new((file, len)))
        };
        Ok(Files { files: (0..logs).map(file).collect::<Result<_>>()?, synced })
    }
}

impl Side for Files {
    fn append(&self, log: usize, records: &[&[u8]]) -> Result<()> {
        let mut guard = self.files[log].lock().map_err(|_| "a thread died")?;
        let (file, len) = &mut *guard;
        match records {
            [record] => file.write_all_at(record, *len)?,
            records => file.write_all_at(&records.concat(), *len)?,
        }
        *len += records.iter().map(|record| record.len() as u64).sum::<u64>();
        if self.synced {
            file.sync_data()?;
        }
        Ok(())
    }

    fn read(&self, log: usize, all: bool) -> Result<(usize, usize)> {
        let guard = self.files[log].lock().map_err(|_| "a thread died")?;
        let (file, len) = &*guard;
        let (mut reads, mut position) = (0, 0);
        while position < *len {
            let mut bytes = vec![0; READ_BYTES.min((*len - position) as usize)];
            file.read_exact_at(&mut bytes, position)?;
            std::hint::black_box(&bytes);
            position += bytes.len() as u64;
            reads += 1;
            if !all {
                break;
            }
        }
        Ok((reads, position as usize))
    }
}
