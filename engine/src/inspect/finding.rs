//! What does not fit, and how bad that is.

use std::{
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
};

use highwater_records::Offset;

/// How bad a finding is, from harmless to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing to do.
    Note,
    /// What a crash leaves. The next opening puts it right; so does `highwater log settle`.
    Unsettled,
    /// Wrong, and can be made again from the batches. The next opening does, if it notices; `highwater log repair` does.
    Rebuildable,
    /// Records that were promised cannot be read.
    Damage,
}

impl Severity {
    /// Its name in one lower-case word.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Unsettled => "unsettled",
            Severity::Rebuildable => "rebuildable",
            Severity::Damage => "damage",
        }
    }
}

/// Something that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub file: PathBuf,
    /// Where in it, in bytes from its start.
    pub position: Option<u64>,
    /// The offsets it is about (end exclusive).
    pub offsets: Option<Range<Offset>>,
    /// What is wrong, and what was expected.
    pub what: String,
}

impl Finding {
    pub(super) fn new(severity: Severity, file: &Path, what: impl Into<String>) -> Finding {
        Finding { severity, file: file.to_owned(), position: None, offsets: None, what: what.into() }
    }

    pub(super) fn at(mut self, position: u64) -> Finding {
        self.position = Some(position);
        self
    }

    pub(super) fn of(mut self, offsets: Range<Offset>) -> Finding {
        self.offsets = Some(offsets);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity.name(), self.file.display())?;
        if let Some(position) = self.position {
            write!(f, " at byte {position}")?;
        }
        match &self.offsets {
            Some(offsets) if offsets.end.since(offsets.start) == 1 => {
                write!(f, ", offset {}", offsets.start)?
            }
            Some(offsets) => write!(f, ", offsets {} to {}", offsets.start, offsets.end)?,
            None => {}
        }
        write!(f, ": {}", self.what)
    }
}

/// Why nothing could be looked at.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// Fix the call: it is no data directory, no log and no file of one.
    #[error("{path} is {what}")]
    Foreign {
        /// What was asked for.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// The disk's error.
    #[error("cannot read {path}: {error}")]
    Disk {
        /// What was being read.
        path: PathBuf,
        /// What the disk said.
        error: io::Error,
    },
}

impl InspectError {
    pub(super) fn disk(path: &Path) -> impl FnOnce(io::Error) -> InspectError {
        move |error| InspectError::Disk { path: path.to_owned(), error }
    }
}
