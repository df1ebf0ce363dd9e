//! The in-sync set and the change of it that is in flight.

use crate::museum::{Bug, has};
use alloc::{collections::BTreeSet, vec::Vec};
use highwater_records::{BrokerEpoch, BrokerId, LeaderEpoch};

/// The in-sync replicas as the metadata log has them, and the one change that may be in flight.
///
/// A change in flight ends only when the metadata log shows a newer version of the partition: no answer to a proposal
/// proves that an earlier copy of it will not be committed after all.
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
        /// The registration in which it had everything: what a later life of the broker has, nobody knows.
        joining_epoch: BrokerEpoch,
        /// Whether the proposal was refused and the committed set is proposed again, so that a version is committed
        /// after which the refused one cannot be.
        withdrawn: bool,
    },
    /// Replicas have been proposed for leaving; the metadata log has not answered.
    Shrinking {
        /// The in-sync set as last committed, the leaving ones included.
        isr: BTreeSet<BrokerId>,
        /// The replicas that leave.
        leaving: BTreeSet<BrokerId>,
    },
}

/// A new in-sync set, for the controller to judge and commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsrProposal {
    /// The leader epoch in which it was made.
    pub leader_epoch: LeaderEpoch,
    /// The version of the partition that it replaces.
    pub partition_epoch: u32,
    /// The new set, each member with the registration in which it fetched (KIP-903); `None` for members of the
    /// committed set that have not fetched in this leader epoch.
    pub isr: Vec<(BrokerId, Option<BrokerEpoch>)>,
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

    /// Whether a change is in flight.
    pub const fn is_in_flight(&self) -> bool {
        !matches!(self, IsrState::Committed { .. })
    }

    /// Everyone who may be in sync in the eyes of the controller, committed or proposed: the set whose slowest member
    /// the watermark waits for. An unanswered proposal may already have been committed, so a joining replica counts
    /// at once and a leaving one counts until it is gone.
    pub fn maximal(&self) -> impl Iterator<Item = BrokerId> + '_ {
        let joining = match self {
            IsrState::Expanding { isr, joining, .. }
                if !isr.contains(joining) && !has(Bug::JoiningNotCounted) =>
            {
                Some(*joining)
            }
            _ => None,
        };
        let counts = |member: &BrokerId| match self {
            IsrState::Shrinking { leaving, .. } if has(Bug::LeavingNotCounted) => !leaving.contains(member),
            _ => true,
        };
        self.committed().iter().copied().filter(move |member| counts(member)).chain(joining)
    }

    /// The set that is proposed; `None` when nothing is.
    pub(crate) fn proposed(&self) -> Option<BTreeSet<BrokerId>> {
        match self {
            IsrState::Committed { .. } => None,
            IsrState::Expanding { isr, withdrawn: true, .. } => Some(isr.clone()),
            IsrState::Expanding { isr, joining, .. } => Some(isr.iter().copied().chain([*joining]).collect()),
            IsrState::Shrinking { isr, leaving } => Some(isr.difference(leaving).copied().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maximal_set_holds_both_outcomes() {
        let isr = BTreeSet::from([BrokerId(1), BrokerId(2)]);
        let ids = |state: &IsrState| state.maximal().map(|b| b.0).collect::<Vec<_>>();
        let expanding = |joining, withdrawn| IsrState::Expanding {
            isr: BTreeSet::from([BrokerId(1), BrokerId(2)]),
            joining: BrokerId(joining),
            joining_epoch: BrokerEpoch(1),
            withdrawn,
        };
        assert_eq!(ids(&IsrState::Committed { isr: isr.clone() }), [1, 2]);
        assert_eq!(ids(&expanding(3, false)), [1, 2, 3]);
        assert_eq!(ids(&expanding(3, true)), [1, 2, 3], "the refused proposal may still be committed");
        assert_eq!(ids(&expanding(2, false)), [1, 2]);
        let leaving = BTreeSet::from([BrokerId(2)]);
        assert_eq!(ids(&IsrState::Shrinking { isr, leaving }), [1, 2]);
    }
}
