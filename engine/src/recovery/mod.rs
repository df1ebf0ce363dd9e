//! From files to a log that may be appended to.

mod cut;
mod decision;
mod leftovers;
mod points;
mod producers;
mod segments;
mod swaps;
mod transactions;
mod trusted;
mod walked;

use std::{collections::BTreeMap, io, path::Path, sync::Arc};

use highwater_records::{Offset, TimestampMs};

pub(crate) use cut::{remove_old_cuts, set_aside};
pub(crate) use leftovers::finish_leftovers;
pub(crate) use points::{keep_points, known_points, read_points};
pub(crate) use producers::{ProducerSource, RecoveredProducers, remove_snapshot, remove_stray_snapshots};
pub(crate) use segments::{Recovered, recover_segments};
pub(crate) use transactions::{set_transactions, trust_transactions};

use crate::{disk::KeepingDisk, gaps::Gaps, points::Chain, quarantine::Quarantined};
use decision::{LastStop, Side};

/// What opening a log found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Whether the last stop was clean, so that only shapes were checked.
    pub clean: bool,
    /// Ranges that cannot be read, those known from before included.
    pub quarantined: Vec<Quarantined>,
    /// What was cut off the end: records that were not promised and may be lost.
    pub cut: Vec<Cut>,
    /// Segments whose indexes were rebuilt.
    pub indexes_rebuilt: u64,
    /// Bytes whose checksums were verified.
    pub bytes_verified: u64,
    /// Things an operator should know, in words.
    pub notes: Vec<String>,
}

/// The end of a log that recovery moved aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Where the log ends now.
    pub at: Offset,
    /// Bytes moved aside.
    pub bytes: u64,
    /// The file they are in; `None` where they were all zero.
    pub file: Option<String>,
    /// What was wrong with the first of them.
    pub reason: String,
}

/// What recovery goes by.
pub(crate) struct Situation<'a> {
    pub(crate) disk: &'a Arc<KeepingDisk>,
    pub(crate) directory: &'a Path,
    /// Everything below was promised; `None` if nobody knows.
    pub(crate) bound: Option<Offset>,
    pub(crate) last_stop_clean: bool,
    pub(crate) log_start: Offset,
    /// Whether all from the log start on must be here: the start was written down, as it is before anything below it is
    /// deleted, and no bucket has it.
    pub(crate) head_is_here: bool,
    pub(crate) index_interval_bytes: u32,
    /// Of the segments that have any: what they were known to be up to a point. After a clean stop, hints.
    pub(crate) points: &'a BTreeMap<Offset, Chain>,
    /// Where offsets may have no batch.
    pub(crate) gaps: &'a Gaps,
    pub(crate) now: TimestampMs,
}

impl Situation<'_> {
    fn side(&self, offset: Offset) -> Side {
        if self.bound.is_some_and(|bound| offset < bound) { Side::Below } else { Side::Above }
    }

    fn last_stop(&self) -> LastStop {
        if self.last_stop_clean { LastStop::Clean } else { LastStop::Unclean }
    }
}

/// A note that is both logged and reported.
fn note(report: &mut RecoveryReport, directory: &Path, text: String) {
    tracing::warn!(log = %directory.display(), "{text}");
    report.notes.push(text);
}

pub(crate) fn not_found_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
