//! How far a replica has come.

use crate::Durability;
use highwater_records::Offset;

/// How far one replica's log has come. Both bounds are exclusive, and `durable_end <= log_end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LocalPositions {
    /// The next offset to be written.
    pub log_end: Offset,
    /// Everything below is on stable storage.
    pub durable_end: Offset,
}

impl LocalPositions {
    /// What counts for the watermark: the durable end on a synced topic, the log end otherwise. Exclusive.
    pub const fn counted(self, durability: Durability) -> Offset {
        match durability {
            Durability::Synced => self.durable_end,
            Durability::Replicated => self.log_end,
        }
    }

    /// The further of both reports, bound by bound: reports of one replica may arrive out of order.
    pub(crate) fn furthest(self, other: LocalPositions) -> LocalPositions {
        LocalPositions {
            log_end: self.log_end.max(other.log_end),
            durable_end: self.durable_end.max(other.durable_end),
        }
    }

    pub(crate) fn check(self) {
        assert!(
            self.durable_end <= self.log_end,
            "durable end {} is beyond log end {}",
            self.durable_end,
            self.log_end
        );
    }
}
