//! A directory of many, and single files.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use highwater_records::Offset;

use super::{
    Finding, InspectError, Looker, Severity, log::Known, place::log_directories, scan::Expectations,
};
use crate::{
    directory::{
        catalog,
        checkpoint::{Checkpoint, Checkpoints, Reading, decode},
        meta::{self, BadMeta, Meta},
    },
    epochs::{self, LeaderEpochs},
    gaps,
    index::{OffsetEntry, TimeEntry},
    journal::is_extent,
    name::{FileKind, FileName, LogName, TEMPORARY},
    quarantine,
};

/// How far each compacted log was cleaned; Kafka's tells which ones may have gaps.
const CLEANER_CHECKPOINT: &str = "cleaner-offset-checkpoint";

/// What the small files of a directory of many say.
pub(super) struct Outside {
    pub(super) clean: bool,
    pub(super) recovery_points: BTreeMap<LogName, Offset>,
    pub(super) log_starts: BTreeMap<LogName, Offset>,
    /// By Kafka.
    pub(super) compacted: BTreeMap<LogName, Offset>,
}

impl Outside {
    pub(super) fn of(&self, name: &LogName) -> Known {
        Known {
            bound: self.recovery_points.get(name).copied(),
            log_start: self.log_starts.get(name).copied(),
            clean: self.clean,
            compacted: Some(self.compacted.contains_key(name)),
        }
    }
}

impl Looker<'_> {
    pub(super) fn directory(&mut self, path: &Path) -> Result<(), InspectError> {
        let listed = self.disk.list(path).map_err(InspectError::disk(path))?;
        let has = |name: &str| listed.iter().any(|entry| entry.name == name);
        if has(".lock") {
            self.look_at_lock(&path.join(".lock"));
        }
        self.meta(&path.join(meta::META_PROPERTIES))?;
        if has(catalog::FILE_NAME) {
            self.sealed(&path.join(catalog::FILE_NAME), Severity::Rebuildable)?;
        }
        let outside = self.outside(path, true)?;
        if !outside.clean {
            let file = path.join(meta::CLEAN_SHUTDOWN);
            let what = if self.found.in_use {
                "somebody has the directory open"
            } else {
                "it is missing: the last stop was not clean, the next start recovers"
            };
            self.say(Finding::new(
                if self.found.in_use { Severity::Note } else { Severity::Unsettled },
                &file,
                what,
            ));
        }
        let files = listed.iter().filter(|entry| !entry.is_dir).map(|entry| entry.name.clone());
        self.journal(path, &files.collect::<Vec<_>>())?;
        let logs = log_directories(self.disk, path)?;
        for (name, _) in
            outside.recovery_points.iter().filter(|(name, _)| !logs.iter().any(|(log, _)| log == *name))
        {
            let file = path.join(Checkpoint::RecoveryPoint.file_name());
            self.say(Finding::new(
                Severity::Note,
                &file,
                format!("{name} is checkpointed, and there is no such log"),
            ));
        }
        for (name, directory) in &logs {
            self.log(directory, outside.of(name))?;
        }
        for entry in &listed {
            let file = path.join(&entry.name);
            if entry.is_dir && entry.name.ends_with("-delete") {
                self.say(Finding::new(
                    Severity::Unsettled,
                    &file,
                    "the deletion of this log was interrupted",
                ));
            } else if !entry.is_dir && entry.name.ends_with(TEMPORARY) {
                self.say(Finding::new(Severity::Unsettled, &file, "its writing was interrupted"));
            }
        }
        Ok(())
    }

    /// What is known of a log from the directory it lies in.
    pub(super) fn known_of(&mut self, parent: &Path, log: &Path) -> Result<Known, InspectError> {
        let name =
            log.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<LogName>().ok());
        let of_many = self
            .disk
            .list(parent)
            .is_ok_and(|listed| listed.iter().any(|entry| entry.name == meta::META_PROPERTIES));
        match name {
            Some(name) if of_many => Ok(self.outside(parent, false)?.of(&name)),
            _ => Ok(Known::default()),
        }
    }

    fn outside(&mut self, path: &Path, say: bool) -> Result<Outside, InspectError> {
        let failed = InspectError::disk(path);
        let (_, readings) = Checkpoints::read(self.disk, path).map_err(failed)?;
        let mut offsets = BTreeMap::new();
        // Our compaction leaves no gaps.
        let mut ours = false;
        for (checkpoint, reading) in readings {
            let file = path.join(checkpoint.file_name());
            let problem = match reading {
                Reading::Missing => None,
                Reading::Trusted(known) => {
                    ours |= checkpoint.file_name() == CLEANER_CHECKPOINT;
                    offsets.insert(checkpoint, known);
                    None
                }
                Reading::Hint(known) => {
                    // How far a log was cleaned bounds nothing.
                    let cleaner = checkpoint.file_name() == CLEANER_CHECKPOINT;
                    let hint = if cleaner { Severity::Note } else { Severity::Unsettled };
                    offsets.insert(checkpoint, known);
                    let written_by_us =
                        self.disk.open(&path.join("checkpoints.hwsum"), crate::disk::Open::Read).is_ok();
                    written_by_us
                        .then(|| (hint, "it is not as we wrote it: recovery will read more".to_owned()))
                }
                Reading::Damaged(damaged) => {
                    Some((Severity::Rebuildable, format!("it does not read: {damaged}")))
                }
            };
            self.found.small_files += u64::from(say);
            if let Some((severity, what)) = problem
                && say
            {
                self.say(Finding::new(severity, &file, what));
            }
        }
        let cleaner = path.join(CLEANER_CHECKPOINT);
        let compacted = match self.small(&cleaner)?.map(|bytes| decode(&bytes)) {
            None => BTreeMap::new(),
            Some(Ok(_)) if ours => BTreeMap::new(),
            Some(Ok(known)) => known,
            Some(Err(damaged)) => {
                if say {
                    let what = format!("it does not read: {damaged}");
                    self.say(Finding::new(Severity::Rebuildable, &cleaner, what));
                }
                BTreeMap::new()
            }
        };
        let clean = self.small(&path.join(meta::CLEAN_SHUTDOWN))?.is_some();
        let mut take = |checkpoint| offsets.remove(&checkpoint).unwrap_or_default();
        Ok(Outside {
            clean,
            recovery_points: take(Checkpoint::RecoveryPoint),
            log_starts: take(Checkpoint::LogStart),
            compacted,
        })
    }

    fn look_at_lock(&mut self, file: &Path) {
        // Asking is the only way to know; it is given back at once.
        self.found.in_use =
            self.disk.lock(file).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        if self.found.in_use {
            let what = "somebody has the directory open: what is being written now may look unfinished";
            self.say(Finding::new(Severity::Note, file, what));
        }
    }

    fn meta(&mut self, file: &Path) -> Result<(), InspectError> {
        let what = match self.small(file)?.map(|bytes| Meta::decode(&bytes)) {
            Some(Ok(_)) => return Ok(()),
            None => "it is missing: nobody knows whose directory this is".to_owned(),
            Some(Err(BadMeta::Version(found))) => format!("version 1 was expected, it has {found}"),
            Some(Err(BadMeta::Damaged(damaged))) => format!("it cannot be used: {damaged}"),
        };
        self.say(Finding::new(Severity::Damage, file, what));
        Ok(())
    }

    /// A file on its own.
    pub(super) fn file(&mut self, path: &Path) -> Result<(), InspectError> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match FileName::parse(name) {
            FileName::Of(FileKind::Log, base) => self.segment_alone(path, base)?,
            FileName::Of(FileKind::OffsetIndex | FileKind::TimeIndex, base) => {
                let log = path.with_file_name(FileKind::Log.at(base));
                if self.disk.open(&log, crate::disk::Open::Read).is_ok() {
                    self.segment_alone(&log, base)?;
                } else if path.extension().is_some_and(|extension| extension == "index") {
                    self.index::<OffsetEntry>(path)?;
                } else {
                    self.index::<TimeEntry>(path)?;
                }
            }
            FileName::Of(FileKind::TransactionIndex, _) => self.transaction_index(path)?,
            FileName::Of(FileKind::Snapshot | FileKind::Producers, _) => self.producer_snapshot(path)?,
            FileName::Of(FileKind::Points, base) => self.points(path, base)?,
            _ => self.named(path, name)?,
        }
        Ok(())
    }

    fn named(&mut self, path: &Path, name: &str) -> Result<(), InspectError> {
        match name {
            meta::META_PROPERTIES => self.meta(path)?,
            meta::PARTITION_METADATA => self.partition_metadata(path)?,
            quarantine::FILE_NAME => self.quarantined(path)?,
            gaps::FILE_NAME => self.sealed(path, Severity::Damage)?,
            catalog::FILE_NAME => self.sealed(path, Severity::Rebuildable)?,
            epochs::FILE_NAME => {
                if let Some(Err(damaged)) = self.small(path)?.map(|bytes| LeaderEpochs::decode(&bytes)) {
                    let what = format!("it does not read: {damaged}");
                    self.say(Finding::new(Severity::Rebuildable, path, what));
                }
            }
            _ if is_extent(name) => {
                self.journal(path.parent().unwrap_or(Path::new("")), &[name.to_owned()])?
            }
            _ if name.ends_with("-checkpoint") => {
                if let Some(Err(damaged)) = self.small(path)?.map(|bytes| decode(&bytes)) {
                    let what = format!("it does not read: {damaged}");
                    self.say(Finding::new(Severity::Rebuildable, path, what));
                }
            }
            _ => {
                return Err(InspectError::Foreign { path: PathBuf::from(path), what: "not a file of a log" });
            }
        }
        Ok(())
    }

    fn segment_alone(&mut self, path: &Path, base: Offset) -> Result<(), InspectError> {
        let offsets = self.index::<OffsetEntry>(&path.with_file_name(FileKind::OffsetIndex.at(base)))?;
        let times = self.index::<TimeEntry>(&path.with_file_name(FileKind::TimeIndex.at(base)))?;
        let expect = Expectations {
            base,
            bound: None,
            next_base: None,
            gaps: true,
            last: true,
            clean: false,
            offsets: offsets.as_deref(),
            times: times.as_deref(),
        };
        self.scan(path, &expect).map(drop)
    }
}
