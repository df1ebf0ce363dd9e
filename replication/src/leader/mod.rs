//! One partition as its leader sees it.

mod fetch;
mod follower;
mod membership;
#[cfg(test)]
mod tests;

pub use fetch::{FetchOutcome, FetchRefused, FollowerFetch};
pub use membership::CommittedIsr;

use crate::{
    AckState, Acks, Durability, IsrState, LocalPositions, Moment, NotEnoughReplicas,
    museum::{Bug, has},
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use follower::FollowerState;
use highwater_records::{BrokerId, LeaderEpoch, Offset};

/// One partition that this broker leads, in one leader epoch.
///
/// Three kinds of methods:
/// - *questions* ([`Leader::admit`], [`Leader::ack`], [`Leader::high_watermark`] and the other getters) change
///   nothing and may be asked at any time;
/// - *reports* ([`Leader::on_local`], [`Leader::on_fetch`]) say how far a replica has come and answer with the
///   watermark when it advanced: wake readers and waiting producers then;
/// - *settings* ([`Leader::set_min_isr`]) answer like reports;
/// - *membership* ([`Leader::check_lag`], [`Leader::check_joining`], [`Leader::proposal`],
///   [`Leader::on_refused`], [`Leader::on_committed`]) keeps the in-sync set and what is proposed to the controller.
///
/// The order of one produce: `admit`, append to the log, `on_local`, `ack`; if that is
/// [`AckState::Waiting`], `ack` again after each advance of the watermark and, for `acks=1`, after each report of
/// this broker's own log. Nothing here reads a clock: a [`Moment`] is passed in where it matters, deadlines belong
/// to the caller. The caller serializes all calls for one partition. A new leader epoch is a new `Leader`.
///
/// Always true, and checked on every report in release builds too: the watermark never goes back, and it is not
/// beyond this broker's log end.
#[derive(Clone, Debug)]
pub struct Leader {
    local: BrokerId,
    leader_epoch: LeaderEpoch,
    replicas: BTreeSet<BrokerId>,
    isr: IsrState,
    partition_epoch: u32,
    min_isr: u32,
    durability: Durability,
    /// How far this broker's own log has come.
    own: LocalPositions,
    /// What each follower has reported in this leader epoch.
    followers: BTreeMap<BrokerId, FollowerState>,
    /// Where this broker's log ended when it began to lead. Exclusive.
    epoch_start: Offset,
    high_watermark: Offset,
}

/// What a leader starts from.
#[derive(Clone, Debug)]
pub struct LeaderStart {
    /// This broker.
    pub local: BrokerId,
    /// The effective leader epoch.
    pub leader_epoch: LeaderEpoch,
    /// The assigned replicas, this broker among them.
    pub replicas: Vec<BrokerId>,
    /// The committed in-sync set, this broker among them.
    pub isr: Vec<BrokerId>,
    /// The version of the partition in the metadata log.
    pub partition_epoch: u32,
    /// `min.insync.replicas` as configured; what is required is at most the number of assigned replicas.
    pub min_isr: u32,
    /// The topic's durability.
    pub durability: Durability,
    /// The watermark this broker last knew (exclusive). A value beyond the log end, left by a crash that took the
    /// tail of the log, is brought back to it.
    pub high_watermark: Offset,
    /// How far this broker's own log has come.
    pub positions: LocalPositions,
    /// Now: members of the in-sync set have their time from here on.
    pub now: Moment,
}

impl Leader {
    /// Starts leading. The watermark has advanced as far as `start` allows: read it before serving.
    ///
    /// # Panics
    /// If this broker is not among the replicas and the in-sync set, or its durable end is beyond its log end:
    /// the metadata log and the engine never say so.
    pub fn new(start: LeaderStart) -> Leader {
        start.positions.check();
        let replicas: BTreeSet<BrokerId> = start.replicas.into_iter().collect();
        let isr: BTreeSet<BrokerId> = start.isr.into_iter().collect();
        let others = isr.iter().filter(|member| **member != start.local);
        let followers = others.map(|member| (*member, FollowerState::new(start.now))).collect();
        let mut leader = Leader {
            local: start.local,
            leader_epoch: start.leader_epoch,
            replicas,
            isr: IsrState::Committed { isr: BTreeSet::new() },
            partition_epoch: start.partition_epoch,
            min_isr: start.min_isr,
            durability: start.durability,
            own: start.positions,
            followers,
            epoch_start: start.positions.log_end,
            high_watermark: start.high_watermark.min(start.positions.log_end),
        };
        leader.check_members(&isr);
        leader.isr = IsrState::Committed { isr };
        leader.advance();
        leader
    }

    /// Whether an append that asks for `acks` may happen. To be asked before the append.
    pub fn admit(&self, acks: Acks) -> Result<(), NotEnoughReplicas> {
        if acks == Acks::All && self.is_under_min_isr() {
            return Err(NotEnoughReplicas { in_sync: self.in_sync(), required: self.required() });
        }
        Ok(())
    }

    /// This broker's own log has come this far. Answers with the watermark if it advanced. An older report that
    /// arrives late changes nothing.
    ///
    /// # Panics
    /// If the durable end is beyond the log end.
    pub fn on_local(&mut self, positions: LocalPositions) -> Option<Offset> {
        positions.check();
        let before = self.own.log_end;
        self.own = self.own.furthest(positions);
        if self.own.log_end > before {
            for follower in self.followers.values_mut() {
                follower.leader_appended(follower.positions.counted(self.durability), before);
            }
        }
        self.advance()
    }

    /// Takes a new `min.insync.replicas`. Answers with the watermark if that let it advance.
    pub fn set_min_isr(&mut self, min_isr: u32) -> Option<Offset> {
        self.min_isr = min_isr;
        self.advance()
    }

    /// How far an append has come towards `acks`; `next_offset` is its last offset plus one.
    pub fn ack(&self, acks: Acks, next_offset: Offset) -> AckState {
        let reached = match acks {
            Acks::None => true,
            Acks::Leader => self.own_position() >= next_offset,
            Acks::All => self.high_watermark >= next_offset,
        };
        if reached {
            AckState::Satisfied
        } else if acks == Acks::All && self.is_under_min_isr() {
            AckState::NotEnoughReplicasAfterAppend
        } else {
            AckState::Waiting
        }
    }

    /// Everything below is on every in-sync replica, as the topic's durability demands. Exclusive.
    pub const fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// The watermark, once it may be told to clients: a new leader knows only an old one until everything it found in its
    /// log is replicated, and a client may have seen a newer one from its predecessor (KIP-207). `None` means
    /// OFFSET_NOT_AVAILABLE: ask again. The only replica there is has no predecessor.
    pub fn exposed_watermark(&self) -> Option<Offset> {
        let alone = self.replicas.len() == 1 || has(Bug::WatermarkToldTooSoon);
        (alone || self.high_watermark >= self.epoch_start).then_some(self.high_watermark)
    }

    /// Where this broker's log ended when it began to lead. Exclusive.
    pub const fn epoch_start(&self) -> Offset {
        self.epoch_start
    }

    /// This broker's position as the watermark counts it, and what `acks=1` waits for. Exclusive.
    pub fn own_position(&self) -> Offset {
        self.own.counted(self.counting())
    }

    /// This broker.
    pub const fn local(&self) -> BrokerId {
        self.local
    }

    /// The assigned replicas, this broker among them.
    pub fn replicas(&self) -> impl Iterator<Item = BrokerId> + '_ {
        self.replicas.iter().copied()
    }

    /// The leader epoch of this leadership.
    pub const fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// The version of the partition that this leader works with.
    pub const fn partition_epoch(&self) -> u32 {
        self.partition_epoch
    }

    /// The in-sync set and the change of it that is in flight.
    pub const fn isr(&self) -> &IsrState {
        &self.isr
    }

    /// The topic's durability.
    pub const fn durability(&self) -> Durability {
        self.durability
    }

    /// Whether fewer replicas are in sync than required. The watermark stands still then.
    pub fn is_under_min_isr(&self) -> bool {
        self.in_sync() < self.required()
    }

    fn in_sync(&self) -> u32 {
        u32::try_from(self.isr.committed().len()).unwrap_or(u32::MAX)
    }

    /// A topic with one replica must not become unwritable because the cluster's default asks for two.
    fn required(&self) -> u32 {
        self.min_isr.min(u32::try_from(self.replicas.len()).unwrap_or(u32::MAX))
    }

    /// What counts for the watermark: the topic's durability.
    fn counting(&self) -> Durability {
        if has(Bug::LogEndIsDurable) { Durability::Replicated } else { self.durability }
    }

    /// What one replica has, as the watermark counts it; zero for one that has not reported in this epoch.
    fn counted(&self, member: BrokerId) -> Offset {
        let positions = match member == self.local {
            true => self.own,
            false => self.followers.get(&member).map(|follower| follower.positions).unwrap_or_default(),
        };
        positions.counted(self.counting())
    }

    /// The slowest member of the maximal in-sync set; one that has not reported in this epoch holds it at zero.
    fn slowest(&self) -> Offset {
        let slowest = self.isr.maximal().map(|member| self.counted(member)).min();
        slowest.unwrap_or(Offset::ZERO)
    }

    fn check_members(&self, isr: &BTreeSet<BrokerId>) {
        assert!(isr.contains(&self.local), "leader {} is not in its own in-sync set", self.local);
        assert!(isr.is_subset(&self.replicas), "the in-sync set has a member that is no replica");
    }

    fn advance(&mut self) -> Option<Offset> {
        let before = self.high_watermark;
        if !self.is_under_min_isr() || has(Bug::WatermarkIgnoresMinimum) {
            self.high_watermark = before.max(self.slowest());
        }
        let log_end = self.own.log_end;
        assert!(
            self.high_watermark <= log_end,
            "watermark {} is beyond log end {log_end}",
            self.high_watermark
        );
        (self.high_watermark > before).then_some(self.high_watermark)
    }
}
