//! How far the bucket holds what is in this log.

use highwater_engine::Log;
use highwater_records::{LeaderEpoch, Offset};
use highwater_tiering::{TierSummary, divergence};

/// The end (exclusive) of what the bucket holds of this log. Where an unclean election has made another history the true
/// one, the bucket may go on with the one before: of that nothing counts, until the leader has cut it.
pub(crate) fn tiered_end(log: &Log, found: &TierSummary) -> Offset {
    diverges(log, found, Offset::ZERO).unwrap_or(found.end)
}

/// The first offset, at or above `from`, at which the bucket has another history than this log; `None` if there is none.
pub(crate) fn diverges(log: &Log, found: &TierSummary, from: Offset) -> Option<Offset> {
    let here = lineage(log);
    divergence((&found.lineage, found.start, found.end), (&here, from, log.positions().log_end))
}

/// The leader epochs of this log and where they start, as the bucket has them.
pub(crate) fn lineage(log: &Log) -> Vec<(LeaderEpoch, Offset)> {
    log.epochs().into_iter().map(|start| (start.epoch, start.start)).collect()
}
