//! Who is in sync: proposing, and learning what was decided.

use super::Leader;
use crate::{
    IsrProposal, IsrState, Moment,
    museum::{Bug, has},
};
use alloc::{collections::BTreeSet, vec::Vec};
use highwater_records::{BrokerId, Offset};

/// What the metadata log says of a partition, in the leader epoch of this leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedIsr {
    /// The assigned replicas.
    pub replicas: Vec<BrokerId>,
    /// The in-sync set.
    pub isr: Vec<BrokerId>,
    /// The partition's version.
    pub partition_epoch: u32,
}

impl Leader {
    /// Looks who has fallen behind: a member of the in-sync set that has not had everything for more than
    /// `lag_max_ms` is proposed for leaving. Answers with the proposal to send; nothing while another is in flight.
    pub fn check_lag(&mut self, now: Moment, lag_max_ms: u64) -> Option<IsrProposal> {
        let (end, durability) = (self.own.log_end, self.durability);
        let in_flight = self.isr.is_in_flight();
        let mut leaving = BTreeSet::new();
        for member in self.isr.committed().iter().filter(|member| **member != self.local) {
            let Some(follower) = self.followers.get_mut(member) else { continue };
            let counted = follower.positions.counted(durability);
            if follower.lag(counted, end, now) > lag_max_ms {
                leaving.insert(*member);
            }
        }
        if in_flight || leaving.is_empty() {
            return None;
        }
        self.isr = IsrState::Shrinking { isr: self.isr.committed().clone(), leaving };
        self.proposal()
    }

    /// The proposal in flight, to be sent again until the metadata log shows a newer version: its answer may be lost.
    pub fn proposal(&self) -> Option<IsrProposal> {
        let proposed = self.isr.proposed()?;
        let joining = match &self.isr {
            IsrState::Expanding { joining, joining_epoch, .. } if !has(Bug::JoinsInAnyLife) => {
                Some((*joining, *joining_epoch))
            }
            _ => None,
        };
        let isr = proposed.into_iter().map(|member| {
            let epoch = match joining {
                _ if member == self.local => None,
                // Not the one it fetched in last: it may have lost everything since this was proposed first.
                Some((joining, epoch)) if joining == member => Some(epoch),
                _ => self.followers.get(&member).and_then(|follower| follower.broker_epoch),
            };
            (member, epoch)
        });
        Some(IsrProposal {
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            isr: isr.collect(),
        })
    }

    /// The controller refused to let the joining replica in. The proposal stays in flight, because a copy of it may
    /// still arrive and be accepted; what is sent from now on is the committed set, whose commit settles it.
    pub fn on_refused(&mut self) -> Option<IsrProposal> {
        if has(Bug::RefusedMeansNever) {
            self.isr = IsrState::Committed { isr: self.isr.committed().clone() };
            return None;
        }
        if let IsrState::Expanding { withdrawn, .. } = &mut self.isr {
            *withdrawn = true;
        }
        self.proposal()
    }

    /// The metadata log has a newer version of the partition, in the same leader epoch. Answers with the watermark if
    /// that let it advance (KAFKA-13091: a smaller set may). An older version changes nothing.
    ///
    /// # Panics
    /// If this broker is not in the in-sync set, or that has a member that is no replica: it would not lead then.
    pub fn on_committed(&mut self, committed: CommittedIsr) -> Option<Offset> {
        if committed.partition_epoch <= self.partition_epoch {
            return None;
        }
        self.partition_epoch = committed.partition_epoch;
        self.replicas = committed.replicas.into_iter().collect();
        let isr: BTreeSet<BrokerId> = committed.isr.into_iter().collect();
        self.check_members(&isr);
        let replicas = &self.replicas;
        self.followers.retain(|follower, _| replicas.contains(follower));
        self.isr = IsrState::Committed { isr };
        self.advance()
    }
}
