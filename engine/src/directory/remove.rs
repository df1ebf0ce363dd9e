//! Deleting logs and files.

use std::{io, path::Path, path::PathBuf};

use super::{LogDir, Offline};
use crate::{
    disk::Disk,
    journal::{Change, JournalError},
    log::Log,
    name::LogName,
};

/// What the name of a directory ends with whose log is deleted.
pub(super) const DELETED_DIRECTORY: &str = "-delete";

/// Why [`LogDir::delete_log`] failed.
#[derive(Debug, thiserror::Error)]
pub enum DeleteLogError {
    /// There is no such log.
    #[error("there is no log {0}")]
    NotFound(LogName),
    /// Somebody has it open; delete it by its [`Log`].
    #[error("{0} is open")]
    Open(LogName),
    /// The directory is offline.
    #[error(transparent)]
    Offline(#[from] Offline),
    /// The disk's error. Whether the log is gone is seen by [`LogDir::logs`].
    #[error("cannot delete the log: {0}")]
    Disk(#[from] io::Error),
}

impl From<JournalError> for DeleteLogError {
    fn from(error: JournalError) -> DeleteLogError {
        match error {
            JournalError::Offline(offline) => DeleteLogError::Offline(offline),
            JournalError::Disk(error) => DeleteLogError::Disk(error),
        }
    }
}

impl LogDir {
    /// Deletes a log that is open. The deletion counts, durably, when this returns or the name is gone from
    /// [`LogDir::logs`]; files that could not be removed are removed at the next opening.
    ///
    /// # Errors
    /// When offline, or the disk's.
    pub fn delete_log(&self, log: Log) -> Result<(), DeleteLogError> {
        let name = log.name().clone();
        drop(log);
        self.delete_closed_log(&name)
    }

    /// Deletes a log that is not open, as [`LogDir::delete_log`] does.
    ///
    /// # Errors
    /// `NotFound`; `Open`; when offline; the disk's.
    pub fn delete_closed_log(&self, name: &LogName) -> Result<(), DeleteLogError> {
        self.check()?;
        let entry =
            self.logs.lock().get(name).cloned().ok_or_else(|| DeleteLogError::NotFound(name.clone()))?;
        {
            let mut state = entry.state.lock();
            if state.open {
                return Err(DeleteLogError::Open(name.clone()));
            }
            // Nobody opens it from here on.
            state.deleted = true;
        }
        // Nobody syncs files that go.
        self.journal.forget(&entry);
        let hidden = self.path.join(deleted_name(name, entry.topic_id.as_bytes()));
        let renamed = self.disk.rename(&entry.path, &hidden);
        if let Err(error) = renamed {
            entry.state.lock().deleted = false;
            return Err(error.into());
        }
        self.logs.lock().remove(name);
        self.spare(&entry.path);
        self.disk
            .sync_dir(&self.path)
            .map_err(|error| self.health().fail("a directory sync failed", &error))?;
        // Before the same topic id may have a log here again.
        self.journal.change(&entry, Change::Delete)?;
        Ok(remove_log_directory(&*self.disk, &self.path, &hidden)?)
    }
}

/// `<topic>-<partition>.<hex>-delete`, with a hex that no other log ever has, and at most 255 bytes long.
fn deleted_name(name: &LogName, topic_id: &[u8; 16]) -> String {
    let hex: String = topic_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let end = format!("-{}.{hex}{DELETED_DIRECTORY}", name.partition);
    let topic: String = name.topic.chars().take(255 - end.len()).collect();
    format!("{topic}{end}")
}

/// Removes a log's directory with everything in it.
pub(super) fn remove_log_directory(disk: &dyn Disk, parent: &Path, directory: &Path) -> io::Result<()> {
    for entry in disk.list(directory)? {
        if !entry.is_dir {
            disk.remove_file(&directory.join(entry.name))?;
        }
    }
    disk.remove_dir(directory)?;
    disk.sync_dir(parent)
}

/// Removes files that were renamed for deletion. Their new names become durable first, all of them: else a crash
/// could bring back an older one after a younger one is gone.
pub(super) fn remove_deleted(disk: &dyn Disk, directory: &Path, files: &[PathBuf]) -> io::Result<()> {
    disk.sync_dir(directory)?;
    for file in files {
        match disk.remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use highwater_records::PartitionIndex;

    use super::*;

    #[test]
    fn names_of_deleted_logs_are_bounded() {
        let long = LogName::new("t".repeat(249), PartitionIndex(2_000_000_000));
        assert_eq!(deleted_name(&long, &[0xab; 16]).len(), 255);
        let short = LogName::new("t", PartitionIndex(0));
        assert_eq!(deleted_name(&short, &[1; 16]), format!("t-0.{}-delete", "01".repeat(16)));
    }
}
