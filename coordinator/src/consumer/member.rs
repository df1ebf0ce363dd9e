use alloc::{collections::BTreeSet, string::String, sync::Arc, vec::Vec};

use super::assignment::Assignment;
use crate::group_request::{Caller, Protocol};

/// How far a member has come towards its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has what it can have in its epoch.
    Stable,
    /// It has been asked to give partitions up and has not said that it did.
    Unrevoked,
    /// It waits for partitions that others have not given up yet.
    Unreleased,
}

impl Progress {
    /// Kafka's number for it.
    pub(crate) const fn number(self) -> i8 {
        match self {
            Progress::Stable => 0,
            Progress::Unrevoked => 1,
            Progress::Unreleased => 2,
        }
    }

    /// The progress with this number. Of one that is not known the member waits for others, which harms nobody.
    pub(crate) const fn from_number(number: i8) -> Progress {
        match number {
            0 => Progress::Stable,
            1 => Progress::Unrevoked,
            _ => Progress::Unreleased,
        }
    }
}

/// A member of a consumer group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) id: Arc<str>,
    pub(crate) instance: Option<Arc<str>>,
    pub(crate) rack: Option<String>,
    pub(crate) caller: Caller,
    pub(crate) topics: BTreeSet<String>,
    /// Topics by regular expression; none where empty.
    pub(crate) regex: Option<String>,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) assignor: Option<String>,
    pub(crate) epoch: i32,
    pub(crate) previous_epoch: i32,
    pub(crate) progress: Progress,
    pub(crate) assigned: Assignment,
    /// What it is asked to give up.
    pub(crate) revoking: Assignment,
    /// What it says in the classic protocol, if it speaks that still.
    pub(crate) classic: Option<Classic>,
}

/// A member of a consumer group that speaks the classic protocol.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Classic {
    pub(crate) session_timeout_ms: u64,
    pub(crate) protocols: Vec<Protocol>,
}

impl Member {
    pub(crate) fn new(id: Arc<str>) -> Member {
        Member {
            id,
            instance: None,
            rack: None,
            caller: Caller::default(),
            topics: BTreeSet::new(),
            regex: None,
            rebalance_timeout_ms: -1,
            assignor: None,
            epoch: 0,
            previous_epoch: 0,
            progress: Progress::Stable,
            assigned: Assignment::default(),
            revoking: Assignment::default(),
            classic: None,
        }
    }

    /// Whether it has all of its target of this epoch.
    pub(crate) fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.progress == Progress::Stable && self.epoch == epoch
    }

    /// Sets its epoch, and remembers the one before.
    pub(super) fn enter(&mut self, epoch: i32) {
        if self.epoch != epoch {
            self.previous_epoch = self.epoch;
            self.epoch = epoch;
        }
    }
}
