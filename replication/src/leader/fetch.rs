//! A follower's fetch: the report of how far it has come.

use super::{Leader, follower::FollowerState};
use crate::{
    IsrProposal, IsrState, LocalPositions, Moment,
    divergence::{Comparison, EpochEnd, compare},
    museum::{Bug, has},
};
use highwater_records::{BrokerEpoch, BrokerId, LeaderEpoch, Offset};

/// A follower asks to go on from the end of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerFetch {
    /// Who asks.
    pub replica: BrokerId,
    /// Its registration.
    pub broker_epoch: BrokerEpoch,
    /// The leader epoch that it follows.
    pub leader_epoch: LeaderEpoch,
    /// The ends of its log; it asks for what begins at the log end.
    pub positions: LocalPositions,
    /// The leader epoch of its last record; `None` for an empty log.
    pub last_epoch: Option<LeaderEpoch>,
    /// Whether the cluster lets it be in sync: registered in this very epoch, not fenced, not stopping.
    pub eligible: bool,
}

/// What a fetch means for the follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchOutcome {
    /// The logs agree up to the follower's end: send what comes next.
    Counted {
        /// The watermark, if this advanced it.
        watermark: Option<Offset>,
        /// A change of the in-sync set to propose now.
        proposal: Option<IsrProposal>,
    },
    /// The follower must cut its log: send this, and no records. Nothing was counted.
    Diverges(EpochEnd),
    /// The follower must begin again at the log start or the tiered end. Nothing was counted.
    OutOfRange,
}

/// A fetch that has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchRefused {
    /// The follower knows an older leader epoch: it will learn of this one.
    #[error("leader epoch is {0} by now")]
    Fenced(LeaderEpoch),
    /// The follower knows a newer leader epoch than this leader, which is one no more.
    #[error("leader epoch is still {0} here")]
    Unknown(LeaderEpoch),
    /// No replica of this partition.
    #[error("broker {0} is no replica of this partition")]
    NotReplica(BrokerId),
    /// From a former life of the broker.
    #[error("broker {replica} has registered again since, with epoch {known}")]
    StaleBroker {
        /// The broker.
        replica: BrokerId,
        /// The registration it has fetched in before.
        known: BrokerEpoch,
    },
}

impl Leader {
    /// Takes in a follower's fetch. `log_start` is where this leader's log starts (inclusive); `epoch_end` answers with
    /// this leader's largest epoch not above the one asked for, and its end.
    ///
    /// A position counts only in this leader epoch, only from the latest life of its broker, and only once the logs are
    /// known to agree below it: a follower with a tail of its own has not replicated anything there (KIP-320).
    ///
    /// # Errors
    /// [`FetchRefused`]: nothing was counted.
    ///
    /// # Panics
    /// If the durable end is beyond the log end.
    pub fn on_fetch(
        &mut self,
        fetch: FollowerFetch,
        log_start: Offset,
        now: Moment,
        epoch_end: impl FnOnce(LeaderEpoch) -> Option<EpochEnd>,
    ) -> Result<FetchOutcome, FetchRefused> {
        fetch.positions.check();
        if !has(Bug::FetchIgnoresLeaderEpoch) {
            if fetch.leader_epoch < self.leader_epoch {
                return Err(FetchRefused::Fenced(self.leader_epoch));
            }
            if fetch.leader_epoch > self.leader_epoch {
                return Err(FetchRefused::Unknown(self.leader_epoch));
            }
        }
        if fetch.replica == self.local || !self.replicas.contains(&fetch.replica) {
            return Err(FetchRefused::NotReplica(fetch.replica));
        }
        let known = self.followers.get(&fetch.replica).and_then(|follower| follower.broker_epoch);
        if let Some(known) = known.filter(|known| *known > fetch.broker_epoch) {
            return Err(FetchRefused::StaleBroker { replica: fetch.replica, known });
        }
        if fetch.positions.log_end < log_start {
            return Ok(FetchOutcome::OutOfRange);
        }
        if has(Bug::TruncateToWatermark) && known.is_none() {
            return Ok(self.first_cut(&fetch, now));
        }
        let unchecked = has(Bug::FetchIgnoresDivergence)
            || (has(Bug::FetchIgnoresLeaderEpoch) && fetch.leader_epoch != self.leader_epoch)
            || (has(Bug::MissedEpochNotCompared)
                && fetch.last_epoch.is_some_and(|last| last.0 + 1 < self.leader_epoch.0));
        if !unchecked {
            match compare(fetch.last_epoch, fetch.positions.log_end, epoch_end) {
                Comparison::Agrees => {}
                Comparison::Diverges(at) => return Ok(FetchOutcome::Diverges(at)),
                Comparison::Unknown => return Ok(FetchOutcome::OutOfRange),
            }
        }
        let leader_end = self.own.log_end;
        if fetch.positions.log_end > leader_end {
            // An empty epoch list beyond this log: only a log that began again elsewhere looks like that.
            return Ok(FetchOutcome::OutOfRange);
        }
        let counted = fetch.positions.counted(self.durability);
        self.followers.entry(fetch.replica).or_insert_with(|| FollowerState::new(now)).on_fetch(
            fetch.positions,
            counted,
            fetch.broker_epoch,
            leader_end,
            now,
        );
        let proposal = match fetch.eligible && self.may_join(fetch.replica) {
            true => self.propose_joining(fetch.replica, fetch.broker_epoch),
            false => None,
        };
        Ok(FetchOutcome::Counted { watermark: self.advance(), proposal })
    }

    /// Looks for a replica that may join by what it has fetched, and was not let in then: what is idle does not fetch
    /// again. `eligible` says whether the cluster lets a broker in that fetched in this registration. Answers with the
    /// proposal to send.
    pub fn check_joining(&mut self, eligible: impl Fn(BrokerId, BrokerEpoch) -> bool) -> Option<IsrProposal> {
        let joining = self.followers.iter().find(|(replica, follower)| {
            follower.broker_epoch.is_some_and(|epoch| eligible(**replica, epoch)) && self.may_join(**replica)
        });
        let (replica, follower) = joining?;
        let (replica, joining_epoch) = (*replica, follower.broker_epoch?);
        self.propose_joining(replica, joining_epoch)
    }

    fn propose_joining(&mut self, joining: BrokerId, joining_epoch: BrokerEpoch) -> Option<IsrProposal> {
        let isr = self.isr.committed().clone();
        self.isr = IsrState::Expanding { isr, joining, joining_epoch, withdrawn: false };
        self.proposal()
    }

    /// A replica joins when it has everything that was ever committed: all below the watermark, and all that this leader
    /// found when it began to lead, because the watermark it then knew may be an old one.
    fn may_join(&self, replica: BrokerId) -> bool {
        let counted = self.counted(replica);
        !self.isr.is_in_flight()
            && self.replicas.contains(&replica)
            && !self.isr.committed().contains(&replica)
            && (has(Bug::JoinBelowWatermark) || counted >= self.high_watermark)
            && (has(Bug::JoinBelowEpochStart) || counted >= self.epoch_start)
    }

    /// The bug [`Bug::TruncateToWatermark`]: a follower begins by cutting, whatever it has.
    fn first_cut(&mut self, fetch: &FollowerFetch, now: Moment) -> FetchOutcome {
        let follower = self.followers.entry(fetch.replica).or_insert_with(|| FollowerState::new(now));
        let nothing = LocalPositions::default();
        follower.on_fetch(nothing, Offset::ZERO, fetch.broker_epoch, self.own.log_end, now);
        let epoch = fetch.last_epoch.unwrap_or(self.leader_epoch);
        FetchOutcome::Diverges(EpochEnd { epoch, end: fetch.positions.log_end })
    }

    /// The follower's positions as last reported in this leader epoch.
    pub fn follower(&self, replica: BrokerId) -> Option<LocalPositions> {
        let follower = self.followers.get(&replica)?;
        follower.broker_epoch.map(|_| follower.positions)
    }
}
