//! What a path is.

use std::path::{Path, PathBuf};

use highwater_records::Offset;

use super::InspectError;
use crate::{
    disk::{Disk, Open},
    name::{FileKind, FileName, LogName},
};

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A directory of logs.
    Directory(PathBuf),
    /// The directory of one log.
    Log {
        /// Where it is.
        path: PathBuf,
        /// Its name, where the directory has the name of one.
        name: Option<LogName>,
    },
    /// One file of a log or of a directory of logs.
    File {
        /// Where it is.
        path: PathBuf,
        /// The directory it lies in.
        parent: PathBuf,
    },
}

/// Files that lie in a directory of many and nowhere else.
const OF_DIRECTORIES: [&str; 3] =
    ["meta.properties", "recovery-point-offset-checkpoint", "replication-offset-checkpoint"];

impl Place {
    /// # Errors
    /// When it is none of these, or is not there.
    pub fn of(disk: &dyn Disk, path: &Path) -> Result<Place, InspectError> {
        let foreign = |what| InspectError::Foreign { path: path.to_owned(), what };
        let listed = match disk.list(path) {
            Ok(listed) => listed,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(foreign("not there"));
            }
            // No directory, then.
            Err(listing) => {
                disk.open(path, Open::Read).map_err(|_| InspectError::disk(path)(listing))?;
                let parent = path.parent().unwrap_or(Path::new("")).to_owned();
                return Ok(Place::File { path: path.to_owned(), parent });
            }
        };
        let is_log = |name: &str| matches!(FileName::parse(name), FileName::Of(FileKind::Log, _));
        if listed
            .iter()
            .any(|entry| !entry.is_dir && (is_log(&entry.name) || entry.name == "partition.metadata"))
        {
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
            return Ok(Place::Log { path: path.to_owned(), name });
        }
        let of_many = |name: &str| OF_DIRECTORIES.contains(&name);
        let many = listed.iter().any(|entry| {
            if entry.is_dir { entry.name.parse::<LogName>().is_ok() } else { of_many(&entry.name) }
        });
        if many {
            Ok(Place::Directory(path.to_owned()))
        } else {
            Err(foreign("neither a data directory nor a log"))
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Place::Directory(path) | Place::Log { path, .. } | Place::File { path, .. } => path,
        }
    }

    /// Bytes of batches in it.
    pub(super) fn log_bytes(&self, disk: &dyn Disk) -> Result<u64, InspectError> {
        match self {
            Place::Directory(path) => {
                log_directories(disk, path)?.iter().map(|(_, path)| log_bytes(disk, path)).sum()
            }
            Place::Log { path, .. } => log_bytes(disk, path),
            // An index is looked at together with its segment.
            Place::File { path, .. } => {
                match path.file_name().map(|name| FileName::parse(&name.to_string_lossy())) {
                    Some(FileName::Of(_, base)) => {
                        Ok(length(disk, &path.with_file_name(FileKind::Log.at(base))).unwrap_or(0))
                    }
                    _ => Ok(0),
                }
            }
        }
    }
}

/// The logs of a directory of many, by name.
pub(super) fn log_directories(disk: &dyn Disk, path: &Path) -> Result<Vec<(LogName, PathBuf)>, InspectError> {
    let mut found: Vec<(LogName, PathBuf)> = disk
        .list(path)
        .map_err(InspectError::disk(path))?
        .into_iter()
        .filter(|entry| entry.is_dir)
        .filter_map(|entry| Some((entry.name.parse().ok()?, path.join(entry.name))))
        .collect();
    found.sort();
    Ok(found)
}

/// The segments in a log's directory, oldest first.
pub(super) fn segments(disk: &dyn Disk, path: &Path) -> Result<Vec<Offset>, InspectError> {
    let mut found: Vec<Offset> = disk
        .list(path)
        .map_err(InspectError::disk(path))?
        .iter()
        .filter_map(|entry| match FileName::parse(&entry.name) {
            FileName::Of(FileKind::Log, base) => Some(base),
            _ => None,
        })
        .collect();
    found.sort();
    Ok(found)
}

fn log_bytes(disk: &dyn Disk, path: &Path) -> Result<u64, InspectError> {
    segments(disk, path)?.into_iter().map(|base| length(disk, &path.join(FileKind::Log.at(base)))).sum()
}

pub(super) fn length(disk: &dyn Disk, path: &Path) -> Result<u64, InspectError> {
    disk.open(path, Open::Read).and_then(|file| file.len()).map_err(InspectError::disk(path))
}
