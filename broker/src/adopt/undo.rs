//! Giving a directory back to Kafka.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use highwater_engine::{
    LogName,
    disk::{Disk, RealDisk},
    inspect::{Contents, InspectError, inspect},
};

use super::{apply::RECORD, kafka_image::METADATA_LOG};

/// Why a directory was not given back. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    /// There is nothing to undo.
    #[error("{0} was not adopted, or its record is damaged")]
    NotAdopted(PathBuf),
    /// It cannot be looked at.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// Somebody has it.
    #[error("{0} is in use")]
    InUse(PathBuf),
    /// Kafka could not go on from here.
    #[error("Kafka could not go on from here:\n  {}", .0.join("\n  "))]
    Refused(Vec<String>),
    /// The disk's error.
    #[error("cannot move {path}: {error}")]
    Disk {
        /// What was to be moved.
        path: PathBuf,
        /// What the disk said.
        error: io::Error,
    },
}

/// Moves our metadata log and the undo record aside, so that the directory is Kafka's again, with everything that was
/// written since. Returns where they lie now.
///
/// # Errors
/// [`UndoError`].
pub(super) fn undo(directory: &Path) -> Result<Vec<(PathBuf, PathBuf)>, UndoError> {
    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let file = directory.join(RECORD);
    let record = fs::read_to_string(&file).ok().and_then(|text| Record::decode(&text));
    let record = record.ok_or_else(|| UndoError::NotAdopted(directory.clone()))?;
    let lock = RealDisk.lock(&directory.join(".lock"));
    let _lock = lock.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => UndoError::InUse(directory.clone()),
        _ => UndoError::Disk { path: directory.join(".lock"), error },
    })?;
    let Contents::Directory(contents) = inspect(&RealDisk, &directory)? else {
        return Err(UndoError::NotAdopted(directory));
    };
    let mut refusals = Vec::new();
    if !contents.clean {
        refusals.push(format!("the last stop was not clean: highwater log settle {}", directory.display()));
    }
    for log in &contents.logs {
        let Some(name) = log.name.as_ref().filter(|name| name.to_string() != METADATA_LOG) else { continue };
        let epoch = log.epochs.last().map_or(0, |last| last.epoch.0);
        match record.logs.get(name) {
            None => refusals.push(format!("{name} was created since, and Kafka does not know it")),
            // At its start it counts on by one.
            Some(kafka) if epoch > kafka.saturating_add(1) => refusals.push(format!(
                "{name} has leader epoch {epoch}, since this broker was stopped hard; Kafka would go on with {}",
                kafka + 1
            )),
            Some(_) => {}
        }
    }
    for name in
        record.logs.keys().filter(|name| !contents.logs.iter().any(|log| log.name.as_ref() == Some(name)))
    {
        refusals.push(format!("{name} was deleted since, and Kafka expects it"));
    }
    if !refusals.is_empty() {
        return Err(UndoError::Refused(refusals));
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut moved = Vec::new();
    for path in [record.metadata, file] {
        let mut aside = path.clone().into_os_string();
        aside.push(format!(".undone-{since}"));
        let aside = PathBuf::from(aside);
        fs::rename(&path, &aside).map_err(|error| UndoError::Disk { path: path.clone(), error })?;
        moved.push((path, aside));
    }
    Ok(moved)
}

struct Record {
    metadata: PathBuf,
    /// The leader epoch that Kafka knows of each.
    logs: BTreeMap<LogName, u32>,
}

impl Record {
    fn decode(text: &str) -> Option<Record> {
        let mut lines = text.strip_prefix("version 0\n")?.strip_suffix("end\n")?.lines();
        lines.next()?.strip_prefix("cluster ")?;
        let metadata = PathBuf::from(lines.next()?.strip_prefix("metadata ")?);
        let logs = lines.map(|line| {
            let (name, epoch) = line.strip_prefix("log ")?.split_once(' ')?;
            Some((name.parse().ok()?, epoch.parse().ok()?))
        });
        Some(Record { metadata, logs: logs.collect::<Option<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_whole_or_not_at_all() {
        let text = "version 0\ncluster abc\nmetadata /m\nlog a-0 3\nlog b-c-12 0\nend\n";
        let record = Record::decode(text).unwrap();
        assert_eq!(record.metadata, Path::new("/m"));
        assert_eq!(record.logs.values().copied().collect::<Vec<u32>>(), [3, 0]);
        for len in 0..text.len() {
            assert!(Record::decode(&text[..len]).is_none(), "{len}");
        }
    }
}
