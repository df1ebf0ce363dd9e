use alloc::{sync::Arc, vec::Vec};
use bytes::Bytes;

use crate::{
    group_request::{Caller, Protocol},
    shard::ReplyTo,
};

/// A member of a classic group.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: Arc<str>,
    pub(super) instance: Option<Arc<str>>,
    pub(super) caller: Caller,
    pub(super) session_timeout_ms: u64,
    pub(super) rebalance_timeout_ms: u64,
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    /// Who waits for the rebalance to complete.
    pub(super) joining: Option<ReplyTo>,
    /// Who waits for the assignment.
    pub(super) syncing: Option<ReplyTo>,
    /// It has never been told its id, so it cannot send signs of life yet.
    pub(super) is_new: bool,
}

impl Member {
    /// What it says for a protocol.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols
            .iter()
            .find(|known| known.name == protocol)
            .map_or_else(Bytes::new, |known| known.metadata.clone())
    }

    /// Whether a silent member is to be given up. One that waits for us is not silent; a new one may have lost its
    /// connection, and will then come again as somebody else.
    pub(super) fn is_overdue(&self) -> bool {
        self.is_new || (self.joining.is_none() && self.syncing.is_none())
    }
}
