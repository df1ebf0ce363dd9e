//! Reading another broker's replica: what a broker asks for whose own is damaged.

use highwater_records::{BrokerId, Offset, TopicIdPartition};

/// Asks for batches of a replica that are committed and whose checksums hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaRead {
    /// Who asks.
    pub from: BrokerId,
    /// Which partition.
    pub partition: TopicIdPartition,
    /// Where the first batch begins, or lies (inclusive).
    pub offset: Offset,
    /// About how many bytes at most; one batch at least.
    pub max_bytes: usize,
}

/// Why there are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaReadError {
    /// Ask another replica: this broker has none, or not what was asked for, or does not know yet that it is committed.
    #[error("not here")]
    NotHere,
    /// Ask another replica: this one is damaged there, which its broker did not know unless it was asked before.
    #[error("damaged here at offset {0}")]
    Damaged(Offset),
    /// Retry later: the disk refused.
    #[error("{0}")]
    Storage(String),
}
