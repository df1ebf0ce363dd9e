//! Who this broker is to a partition, and becoming another.

use highwater_metadata::{Image, Topic};
use highwater_records::{BrokerId, LeaderEpoch, Offset, PartitionIndex};
use highwater_replication::{
    CommittedIsr, FetchOutcome, FetchRefused, Follower, FollowerFetch, FollowerStart, IsrProposal, Leader,
    LeaderStart, Moment, Place,
};

use super::State;
use crate::{
    replicate::{Watcher, epoch_end},
    request::ProduceError,
    transactional_produce::Verifications,
};

/// What this broker is to a partition.
pub(crate) enum Role {
    /// It leads.
    Leader(Leader),
    /// It follows whoever leads, or waits for somebody to.
    Follower(Follower),
}

impl Role {
    pub(super) fn high_watermark(&self) -> Offset {
        match self {
            Role::Leader(leader) => leader.high_watermark(),
            Role::Follower(follower) => follower.high_watermark(),
        }
    }
}

/// A partition as the image assigns it.
#[derive(Clone, Debug)]
pub(crate) struct Assigned {
    pub(crate) broker: BrokerId,
    pub(crate) leader: Option<BrokerId>,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) replicas: Vec<BrokerId>,
    pub(crate) isr: Vec<BrokerId>,
    pub(crate) partition_epoch: u32,
    /// Whether the leadership began with an unclean election.
    pub(crate) unclean: bool,
    pub(crate) min_isr: u32,
}

impl Assigned {
    /// What the image says of a partition to `broker`; `None` if the partition does not exist.
    pub(crate) fn of(
        image: &Image,
        topic: &Topic,
        index: PartitionIndex,
        broker: BrokerId,
        min_isr: u32,
    ) -> Option<Assigned> {
        let partition = topic.partition(index)?;
        let leader_epoch = image.leader_epoch(partition);
        Some(Assigned {
            broker,
            leader: partition.leader,
            leader_epoch,
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
            partition_epoch: partition.partition_epoch,
            unclean: partition.unclean_epoch == Some(leader_epoch),
            min_isr,
        })
    }

    /// Whether this broker is to lead.
    pub(crate) fn leads(&self) -> bool {
        self.leader == Some(self.broker)
    }

    /// The role for a log that stands like this.
    pub(crate) fn role(&self, log: &highwater_engine::Log, now: Moment) -> Role {
        let positions = log.positions();
        if self.leads() {
            return Role::Leader(Leader::new(LeaderStart {
                local: self.broker,
                leader_epoch: self.leader_epoch,
                replicas: self.replicas.clone(),
                isr: self.isr.clone(),
                partition_epoch: self.partition_epoch,
                min_isr: self.min_isr,
                durability: log.config().durability,
                high_watermark: positions.high_watermark,
                positions: highwater_replication::LocalPositions {
                    log_end: positions.log_end,
                    durable_end: positions.durable_end,
                },
                now,
            }));
        }
        Role::Follower(Follower::new(FollowerStart {
            leader: self.leader,
            leader_epoch: self.leader_epoch,
            high_watermark: positions.high_watermark,
            log_end: positions.log_end,
        }))
    }
}

/// What taking on a role changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Assumed {
    /// Nothing that others must hear of.
    Same,
    /// This broker leads, in a new epoch.
    Leads,
    /// This broker follows, somebody else or in a new epoch.
    Follows,
}

impl State {
    /// Takes on the role that the image gives this broker. What the image of an older epoch says changes nothing.
    pub(crate) fn assume(&mut self, assigned: &Assigned, now: Moment) -> Assumed {
        if assigned.leader_epoch < self.leader_epoch() {
            return Assumed::Same;
        }
        match &mut self.role {
            Role::Leader(leader) if leader.leader_epoch() == assigned.leader_epoch && assigned.leads() => {
                let watermark = leader.on_committed(CommittedIsr {
                    replicas: assigned.replicas.clone(),
                    isr: assigned.isr.clone(),
                    partition_epoch: assigned.partition_epoch,
                });
                self.watermark_advanced(watermark);
                return Assumed::Same;
            }
            Role::Follower(follower)
                if follower.leader_epoch() == assigned.leader_epoch
                    && follower.leader() == assigned.leader =>
            {
                return Assumed::Same;
            }
            _ => {}
        }
        let led = self.leader().is_some();
        // Another leader may have ended transactions meanwhile: what was asked before does not count any more.
        self.verifications = Verifications::default();
        self.attempts.clear();
        self.follower_starts.clear();
        self.role = assigned.role(&self.log, now);
        self.tiered_end = None;
        self.log.set_high_watermark(self.role.high_watermark());
        if assigned.leads() {
            if !led {
                // Another broker may have changed the head since it was read here.
                self.head_read = false;
            }
            // An unclean leader's log may end below what the bucket has.
            self.tier_known &= !assigned.unclean;
            self.watermark_advanced(None);
            return Assumed::Leads;
        }
        self.watchers.clear();
        self.fail_waiting(&ProduceError::NotLeader);
        self.fetches.wake();
        self.deletions.wake();
        Assumed::Follows
    }

    /// As a leader, takes in a follower's fetch of a log that starts at `starts_at`; `None` if this broker does not lead.
    /// `watcher` is told from now on when there is more.
    pub(crate) fn on_replica_fetch(
        &mut self,
        fetch: FollowerFetch,
        starts_at: Offset,
        now: Moment,
        watcher: Watcher,
    ) -> Option<Result<FetchOutcome, FetchRefused>> {
        let follower = fetch.replica;
        let Role::Leader(leader) = &mut self.role else { return None };
        let log = &self.log;
        let log_start = log.positions().log_start;
        // Who could lead must not bring back what was deleted; it hears of this start with its next answer.
        let fetch = FollowerFetch { eligible: fetch.eligible && starts_at >= log_start, ..fetch };
        let outcome =
            leader.on_fetch(fetch, log_start, now, |epoch| epoch_end(log.end_offset_for_epoch(epoch)));
        if let Ok(FetchOutcome::Counted { watermark, .. }) = &outcome {
            let known = self.watchers.iter().any(|other| other.ready.ptr_eq(&watcher.ready));
            if !known {
                self.watchers.push(watcher);
            }
            self.watermark_advanced(*watermark);
            if self.follower_starts.insert(follower, starts_at) != Some(starts_at) {
                self.deletions.wake();
            }
        }
        Some(outcome)
    }

    /// As a leader: the replica that a consumer in `rack` should read `offset` from instead, if there is a nearer one.
    pub(crate) fn nearest(&self, rack: &str, offset: Offset, image: &Image) -> Option<BrokerId> {
        self.leader()?.nearest(rack, offset, |broker| Place {
            rack: image.brokers().get(&broker).and_then(|broker| broker.rack.as_deref()),
            active: image.is_active(broker),
        })
    }

    /// As a leader, the proposal of an in-sync set that is to be sent (again).
    pub(crate) fn proposal(&self) -> Option<IsrProposal> {
        self.leader()?.proposal()
    }

    /// As a leader: the proposal was refused.
    pub(crate) fn proposal_refused(&mut self) {
        if let Role::Leader(leader) = &mut self.role {
            leader.on_refused();
        }
    }

    /// As a leader, looks who is late, and who has caught up; whether there is something to propose.
    pub(crate) fn check_isr(&mut self, now: Moment, lag_max_ms: u64, image: &Image) -> bool {
        let Role::Leader(leader) = &mut self.role else { return false };
        let (starts, log_start) = (&self.follower_starts, self.log.positions().log_start);
        let eligible = |broker, epoch| {
            starts.get(&broker).is_some_and(|start| *start >= log_start)
                && image.is_active(broker)
                && image.registration(broker).is_some_and(|latest| latest.epoch == epoch)
        };
        leader.check_lag(now, lag_max_ms).is_some() || leader.check_joining(eligible).is_some()
    }
}
