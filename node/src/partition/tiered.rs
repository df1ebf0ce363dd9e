//! How far the bucket holds what is in this log.

use highwater_engine::Log;
use highwater_records::Offset;
use highwater_tiering::{TierSummary, divergence};

/// The end (exclusive) of what the bucket holds of this log. Where an unclean election has made another history the true
/// one, the bucket may go on with the one before: of that nothing counts, until the leader has cut it.
pub(crate) fn tiered_end(log: &Log, found: &TierSummary) -> Offset {
    diverges(log, found, Offset::ZERO).unwrap_or(found.end)
}

/// The first offset, at or above `from`, at which the bucket has another history than this log; `None` if there is none.
pub(crate) fn diverges(log: &Log, found: &TierSummary, from: Offset) -> Option<Offset> {
    let epochs: Vec<_> = log.epochs().into_iter().map(|start| (start.epoch, start.start)).collect();
    let here = (epochs.as_slice(), from, log.positions().log_end);
    divergence((&found.lineage, found.start, found.end), here)
}
