//! One partition as its leader sees it.

use crate::{AckState, Acks, Durability, IsrState, LocalPositions, NotEnoughReplicas};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use highwater_records::{BrokerId, LeaderEpoch, Offset};

/// One partition that this broker leads, in one leader epoch.
///
/// Three kinds of methods:
/// - *questions* ([`Leader::admit`], [`Leader::ack`], [`Leader::high_watermark`] and the other getters) change
///   nothing and may be asked at any time;
/// - *reports* ([`Leader::on_local`], [`Leader::on_replica`]) say how far a replica has come and answer with the
///   watermark when it advanced: wake readers and waiting producers then;
/// - *settings* ([`Leader::set_min_isr`]) answer like reports.
///
/// The order of one produce: `admit`, append to the log, `on_local`, `ack`; if that is
/// [`AckState::Waiting`], `ack` again after each advance of the watermark and, for `acks=1`, after each report of
/// this broker's own log. Nothing here knows time: deadlines belong to the caller. The caller serializes all
/// calls for one partition. A new leader epoch is a new `Leader`.
///
/// Always true, and checked on every report in release builds too: the watermark never goes back, and it is not
/// beyond this broker's log end.
#[derive(Clone, Debug)]
pub struct Leader {
    local: BrokerId,
    leader_epoch: LeaderEpoch,
    replicas: BTreeSet<BrokerId>,
    isr: IsrState,
    min_isr: u32,
    durability: Durability,
    /// What each replica has reported in this leader epoch; this broker's own is always there.
    positions: BTreeMap<BrokerId, LocalPositions>,
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
    /// `min.insync.replicas` as configured; what is required is at most the number of assigned replicas.
    pub min_isr: u32,
    /// The topic's durability.
    pub durability: Durability,
    /// The watermark this broker last knew (exclusive). A value beyond the log end, left by a crash that took the
    /// tail of the log, is brought back to it.
    pub high_watermark: Offset,
    /// How far this broker's own log has come.
    pub positions: LocalPositions,
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
        assert!(isr.contains(&start.local), "leader {} is not in its own in-sync set", start.local);
        assert!(isr.is_subset(&replicas), "the in-sync set has a member that is no replica");
        let mut leader = Leader {
            local: start.local,
            leader_epoch: start.leader_epoch,
            replicas,
            isr: IsrState::Committed { isr },
            min_isr: start.min_isr,
            durability: start.durability,
            positions: BTreeMap::from([(start.local, start.positions)]),
            high_watermark: start.high_watermark.min(start.positions.log_end),
        };
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
        self.on_replica(self.local, positions)
    }

    /// A replica has come this far *in this leader epoch*; the caller has checked the epoch. Answers with the
    /// watermark if it advanced. A report from a broker that is no replica changes nothing.
    ///
    /// # Panics
    /// If the durable end is beyond the log end.
    pub fn on_replica(&mut self, replica: BrokerId, positions: LocalPositions) -> Option<Offset> {
        positions.check();
        if !self.replicas.contains(&replica) {
            return None;
        }
        let known = self.positions.entry(replica).or_default();
        *known = known.furthest(positions);
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

    /// This broker's position as the watermark counts it, and what `acks=1` waits for. Exclusive.
    pub fn own_position(&self) -> Offset {
        self.own().counted(self.durability)
    }

    /// The leader epoch of this leadership.
    pub const fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
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

    fn own(&self) -> LocalPositions {
        self.positions.get(&self.local).copied().unwrap_or_default()
    }

    /// The slowest member of the maximal in-sync set; one that has not reported in this epoch holds it at zero.
    fn slowest(&self) -> Offset {
        self.isr
            .maximal()
            .map(|member| self.positions.get(&member).copied().unwrap_or_default().counted(self.durability))
            .min()
            .unwrap_or(Offset::ZERO)
    }

    fn advance(&mut self) -> Option<Offset> {
        let before = self.high_watermark;
        if !self.is_under_min_isr() {
            self.high_watermark = before.max(self.slowest());
        }
        let log_end = self.own().log_end;
        assert!(
            self.high_watermark <= log_end,
            "watermark {} is beyond log end {log_end}",
            self.high_watermark
        );
        (self.high_watermark > before).then_some(self.high_watermark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn at(log_end: u64, durable_end: u64) -> LocalPositions {
        LocalPositions { log_end: offset(log_end), durable_end: offset(durable_end) }
    }

    fn offset(value: u64) -> Offset {
        Offset::new(value).expect("small")
    }

    fn start(durability: Durability, replicas: &[u32], isr: &[u32], min_isr: u32) -> LeaderStart {
        LeaderStart {
            local: BrokerId(1),
            leader_epoch: LeaderEpoch(4),
            replicas: replicas.iter().copied().map(BrokerId).collect(),
            isr: isr.iter().copied().map(BrokerId).collect(),
            min_isr,
            durability,
            high_watermark: Offset::ZERO,
            positions: at(10, 10),
        }
    }

    fn alone(durability: Durability) -> Leader {
        Leader::new(start(durability, &[1], &[1], 1))
    }

    #[test]
    fn a_synced_topic_waits_for_the_durable_end() {
        let mut leader = alone(Durability::Synced);
        assert_eq!(leader.high_watermark(), offset(10));
        assert_eq!(leader.on_local(at(15, 10)), None);
        assert_eq!(leader.ack(Acks::All, offset(15)), AckState::Waiting);
        assert_eq!(leader.ack(Acks::Leader, offset(15)), AckState::Waiting);
        assert_eq!(leader.ack(Acks::None, offset(15)), AckState::Satisfied);
        assert_eq!(leader.on_local(at(20, 15)), Some(offset(15)));
        assert_eq!(leader.ack(Acks::All, offset(15)), AckState::Satisfied);
        assert_eq!(leader.ack(Acks::Leader, offset(15)), AckState::Satisfied);
        assert_eq!(leader.ack(Acks::All, offset(16)), AckState::Waiting);
    }

    #[test]
    fn a_replicated_topic_counts_the_log_end() {
        let mut leader = alone(Durability::Replicated);
        assert_eq!(leader.on_local(at(15, 10)), Some(offset(15)));
        assert_eq!(leader.ack(Acks::All, offset(15)), AckState::Satisfied);
    }

    #[test]
    fn the_slowest_in_sync_replica_holds_the_watermark_and_acks_all() {
        let mut leader = Leader::new(start(Durability::Replicated, &[1, 2, 3], &[1, 2], 1));
        assert_eq!(leader.high_watermark(), Offset::ZERO);
        assert_eq!(leader.on_replica(BrokerId(2), at(7, 0)), Some(offset(7)));
        assert_eq!(leader.on_replica(BrokerId(3), at(2, 0)), None);
        assert_eq!(leader.ack(Acks::All, offset(8)), AckState::Waiting);
        assert_eq!(leader.ack(Acks::Leader, offset(10)), AckState::Satisfied);
        assert_eq!(leader.on_replica(BrokerId(2), at(30, 0)), Some(offset(10)));
        assert_eq!(leader.on_replica(BrokerId(9), at(30, 0)), None);
    }

    #[test]
    fn too_few_in_sync_replicas_stop_the_watermark_and_acks_all() {
        let mut leader = Leader::new(start(Durability::Replicated, &[1, 2, 3], &[1], 2));
        assert_eq!(leader.admit(Acks::All), Err(NotEnoughReplicas { in_sync: 1, required: 2 }));
        assert_eq!(leader.admit(Acks::Leader), Ok(()));
        assert_eq!(leader.on_local(at(12, 12)), None);
        assert_eq!(leader.ack(Acks::All, offset(12)), AckState::NotEnoughReplicasAfterAppend);
        assert_eq!(leader.ack(Acks::Leader, offset(12)), AckState::Satisfied);
        assert_eq!(leader.set_min_isr(1), Some(offset(12)));
        assert_eq!(leader.admit(Acks::All), Ok(()));
    }

    #[test]
    fn the_minimum_is_never_more_than_the_assigned_replicas() {
        let leader = Leader::new(start(Durability::Synced, &[1], &[1], 2));
        assert_eq!(leader.admit(Acks::All), Ok(()));
        assert_eq!(leader.high_watermark(), offset(10));
    }

    #[test]
    fn a_watermark_beyond_a_log_that_lost_its_tail_comes_back_to_its_end() {
        let mut from = start(Durability::Replicated, &[1, 2], &[1, 2], 1);
        from.high_watermark = offset(50);
        assert_eq!(Leader::new(from).high_watermark(), offset(10));
    }

    #[test]
    fn late_reports_change_nothing() {
        let mut leader = alone(Durability::Synced);
        assert_eq!(leader.on_local(at(20, 20)), Some(offset(20)));
        assert_eq!(leader.on_local(at(15, 12)), None);
        assert_eq!(leader.own_position(), offset(20));
        assert_eq!(leader.high_watermark(), offset(20));
    }

    #[test]
    #[should_panic(expected = "durable end 3 is beyond log end 2")]
    fn impossible_positions_are_caught() {
        alone(Durability::Synced).on_local(at(2, 3));
    }

    #[test]
    #[should_panic(expected = "not in its own in-sync set")]
    fn a_leader_outside_its_in_sync_set_is_caught() {
        let mut from = start(Durability::Synced, &[1, 2], &[1], 1);
        from.isr = vec![BrokerId(2)];
        let _ = Leader::new(from);
    }
}
