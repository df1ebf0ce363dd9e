//! Compaction: of each key only the last record stays. As Kafka's log cleaner does it, but offsets stay dense: what was
//! removed is spanned by batches without records. See `docs/decisions/compaction.md`.

mod filter;
mod gate;
mod keys;
mod output;
mod pass;
mod repair;
mod swap;
#[cfg(test)]
mod tests;
mod transactions;

use std::io;

use highwater_records::Offset;

pub use pass::{CompactedGroup, CompactionPass};
pub use repair::{Learned, Repair, RepairError, Repaired};
pub use swap::SwapJob;

pub(crate) use gate::Gate;
pub(crate) use pass::Plan;
pub(crate) use repair::RepairPlan;
pub(crate) use swap::complete;

use crate::directory::Offline;

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Up to where the log is compacted now (exclusive).
    pub up_to: Offset,
    /// Bytes of the segments that were replaced.
    pub bytes_before: u64,
    /// Bytes of what replaced them.
    pub bytes_after: u64,
    /// Segments that were replaced.
    pub segments_before: usize,
    /// Segments that replaced them.
    pub segments_after: usize,
}

/// What a pass would have to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionDebt {
    /// Bytes of sealed segments that no pass has looked at and the next one may.
    pub dirty_bytes: u64,
    /// Bytes of compacted segments.
    pub clean_bytes: u64,
    /// Whether the dirty ratio or the longest lag asks for a pass now.
    pub due: bool,
}

/// Why a pass did not get further. The log is as it was before the group at hand, unless an error says that it must be
/// opened again.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// Begin anew: the log was truncated, or segments were deleted, meanwhile.
    #[error("the log changed while it was compacted")]
    Changed,
    /// The caller asked for that.
    #[error("stopped")]
    Stopped,
    /// Report: a batch is damaged. Nothing was removed because of it; the log is not compacted beyond it.
    #[error("segment {segment} is damaged at byte {position}: {reason}")]
    Corrupt {
        /// Base offset of the segment.
        segment: Offset,
        /// Where in its file.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// Retry later: the disk refused, for example because it is full.
    #[error("cannot compact: {0}")]
    Disk(#[from] io::Error),
    /// A restart is needed.
    #[error(transparent)]
    Offline(#[from] Offline),
    /// The log must be opened again.
    #[error("the log must be opened again: {0}")]
    Broken(String),
}
