//! The in-sync set and the change of it that is in flight.

use alloc::collections::BTreeSet;
use highwater_records::BrokerId;

/// The in-sync replicas as the metadata log has them, and the one change that may be in flight.
///
/// Only [`IsrState::Committed`] occurs while brokers stand alone: proposing a change comes with replica fetch. The
/// shape is here from the start, because the rules of the watermark and of the minimum read different sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IsrState {
    /// No change is in flight.
    Committed {
        /// The in-sync set.
        isr: BTreeSet<BrokerId>,
    },
    /// A replica has been proposed for joining; the metadata log has not answered.
    Expanding {
        /// The in-sync set as last committed.
        isr: BTreeSet<BrokerId>,
        /// The replica that joins.
        joining: BrokerId,
    },
    /// Replicas have been proposed for leaving; the metadata log has not answered.
    Shrinking {
        /// The in-sync set as last committed, the leaving ones included.
        isr: BTreeSet<BrokerId>,
        /// The replicas that leave.
        leaving: BTreeSet<BrokerId>,
    },
}

impl IsrState {
    /// The set as last committed: what counts against `min.insync.replicas`.
    pub const fn committed(&self) -> &BTreeSet<BrokerId> {
        match self {
            IsrState::Committed { isr }
            | IsrState::Expanding { isr, .. }
            | IsrState::Shrinking { isr, .. } => isr,
        }
    }

    /// Everyone who may be in sync in the eyes of the controller, committed or proposed: the set whose slowest member
    /// the watermark waits for. An unanswered proposal may already have been committed, so a joining replica counts
    /// at once and a leaving one counts until it is gone.
    pub fn maximal(&self) -> impl Iterator<Item = BrokerId> + '_ {
        let joining = match self {
            IsrState::Expanding { isr, joining } if !isr.contains(joining) => Some(*joining),
            _ => None,
        };
        self.committed().iter().copied().chain(joining)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn the_maximal_set_holds_both_outcomes() {
        let isr = BTreeSet::from([BrokerId(1), BrokerId(2)]);
        let ids = |state: &IsrState| state.maximal().map(|b| b.0).collect::<Vec<_>>();
        assert_eq!(ids(&IsrState::Committed { isr: isr.clone() }), [1, 2]);
        assert_eq!(ids(&IsrState::Expanding { isr: isr.clone(), joining: BrokerId(3) }), [1, 2, 3]);
        assert_eq!(ids(&IsrState::Expanding { isr: isr.clone(), joining: BrokerId(2) }), [1, 2]);
        let leaving = BTreeSet::from([BrokerId(2)]);
        assert_eq!(ids(&IsrState::Shrinking { isr, leaving }), [1, 2]);
    }
}
