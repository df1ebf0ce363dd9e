//! What stands under a partition's lock.

use std::{collections::BTreeMap, sync::Arc};

use highwater_engine::{CommitDone, CommitJob, Log, LogReader, Positions};
use highwater_records::{BrokerId, Durability, LeaderEpoch, Offset, batch::CheckedBatch};
use highwater_replication::{AckState, Acks, Leader, LocalPositions};
use tokio::sync::Notify;

use super::{
    Closed,
    attempts::Attempts,
    role::Role,
    waiting::{Waiting, WaitingProduce},
};
use crate::{replicate::Watcher, request::ProduceError, transactional_produce::Verifications};

/// A partition's log and role, and the requests that wait for them.
pub(crate) struct State {
    pub(crate) log: Log,
    pub(super) role: Role,
    /// As a follower: the end of what the bucket holds, as the leader said in this leader epoch.
    pub(crate) tiered_end: Option<Offset>,
    /// As a follower: whom to tell that the position has changed.
    due: Option<Watcher>,
    /// Followers to tell when there is more to fetch.
    pub(super) watchers: Vec<Watcher>,
    /// Whether producers may append and log start and end mean anything: a tiered log whose
    /// last stop was unclean, or whose directory was lost, must first be compared with its head in the bucket.
    pub(crate) tier_known: bool,
    /// Whether the head was read since the partition was opened, or is known not to exist yet.
    pub(crate) head_read: bool,
    /// Producers whose transactions are about to begin here.
    pub(crate) verifications: Verifications,
    /// Coordinators that ended transactions here.
    pub(super) attempts: Attempts,
    /// As a leader: where the logs of followers start, as they said in this leader epoch.
    pub(super) follower_starts: BTreeMap<BrokerId, Offset>,
    /// As a follower: the log start that was told last.
    pub(super) told_start: Offset,
    /// Whoever waits for followers to start later.
    pub(super) deletions: Waiting,
    /// How far its log was read for damage, this time round.
    pub(crate) scrubbed: Offset,
    pub(super) produces: Vec<WaitingProduce>,
    pub(super) fetches: Waiting,
}

/// What a reader works with: an immutable picture of the log and the positions of the same moment.
pub(crate) struct View {
    pub(crate) reader: LogReader,
    pub(crate) positions: Positions,
    pub(crate) leader_epoch: LeaderEpoch,
    /// Whether this broker leads the partition: only then is the rest of any use to a client.
    pub(crate) leads: bool,
    /// Whether the watermark may be told: a new leader knows an old one until it has passed its start (KIP-207).
    pub(crate) watermark_known: bool,
    /// See [`State::tier_known`]: unless it is, where the log starts and ends is what the crash left here, and the
    /// bucket may know better.
    pub(crate) tier_known: bool,
}

/// What a commit has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    /// Nothing.
    All,
    /// What was appended meanwhile.
    More,
    /// Everything: the disk refused, for now or for ever.
    Refused,
}

impl State {
    /// What is to be read for damage next: from (inclusive) and to (exclusive). Nothing that is not committed, which
    /// nobody else may have.
    pub(crate) fn to_scrub(&self) -> (LogReader, Offset, Offset) {
        let positions = self.log.positions();
        let end = positions.high_watermark.min(positions.durable_end);
        (self.log.reader(), self.scrubbed.max(positions.local_start).min(end), end)
    }

    /// Goes on behind the segment that has `at`.
    pub(crate) fn pass_segment(&mut self, at: Offset) {
        let ends = self.log.sealed_segments().into_iter().map(|segment| segment.next_offset);
        self.scrubbed = ends.filter(|end| *end > at).min().unwrap_or(Offset::ZERO);
    }

    pub(crate) fn new(mut log: Log, role: Role, tier_known: bool, head_read: bool) -> State {
        // The role may start further on than the watermark that was last written down.
        log.set_high_watermark(role.high_watermark());
        State {
            log,
            role,
            tiered_end: None,
            due: None,
            watchers: Vec::new(),
            tier_known,
            head_read,
            verifications: Verifications::default(),
            attempts: Attempts::default(),
            follower_starts: BTreeMap::new(),
            told_start: Offset::ZERO,
            deletions: Waiting::default(),
            scrubbed: Offset::ZERO,
            produces: Vec::new(),
            fetches: Waiting::default(),
        }
    }

    /// The leader's role, if this broker has it.
    pub(crate) fn leader(&self) -> Option<&Leader> {
        match &self.role {
            Role::Leader(leader) => Some(leader),
            Role::Follower(_) => None,
        }
    }

    /// The leader epoch that this broker knows, whoever leads in it.
    pub(crate) fn leader_epoch(&self) -> LeaderEpoch {
        match &self.role {
            Role::Leader(leader) => leader.leader_epoch(),
            Role::Follower(follower) => follower.leader_epoch(),
        }
    }

    /// The leader epoch in which this broker leads; [`Closed`] if it does not: what only a leader does is not done.
    pub(crate) fn leading(&self) -> Result<LeaderEpoch, Closed> {
        self.leader().map(Leader::leader_epoch).ok_or(Closed)
    }

    /// Tells the role what the log has, the log what the role concludes, and everyone who waits what it means.
    /// Called after every change of the log.
    pub(crate) fn progress(&mut self) {
        let local = self.local_positions();
        match &mut self.role {
            Role::Leader(leader) => {
                let watermark = leader.on_local(local);
                self.tell_watchers(true);
                self.watermark_advanced(watermark);
            }
            Role::Follower(_) => {
                // The leader counts what is durable here, whoever made it so.
                let due = self.due.as_ref().and_then(|due| Some((due.ready.upgrade()?, due.partition)));
                if let Some((due, partition)) = due {
                    due.urgent(partition);
                }
            }
        }
    }

    /// As a follower: whom to tell that the position has changed.
    pub(crate) fn report_to(&mut self, due: Watcher) {
        self.due = Some(due);
    }

    /// How far the log has come.
    pub(super) fn local_positions(&self) -> LocalPositions {
        let positions = self.log.positions();
        LocalPositions { log_end: positions.log_end, durable_end: positions.durable_end }
    }

    /// Takes over the role's watermark, if it advanced, and answers producers.
    pub(super) fn watermark_advanced(&mut self, watermark: Option<Offset>) {
        if let Some(watermark) = watermark {
            self.log.set_high_watermark(watermark);
            self.fetches.wake();
            self.tell_watchers(false);
        }
        self.answer_producers();
    }

    fn answer_producers(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        if self.produces.is_empty() {
            return;
        }
        // In order of arrival; a later one may be ready before an earlier one that asked for more.
        let mut rest = Vec::new();
        for waiting in self.produces.drain(..) {
            match leader.ack(waiting.acks, waiting.next_offset) {
                AckState::Waiting => rest.push(waiting),
                AckState::Satisfied => drop(waiting.reply.send(Ok(()))),
                AckState::NotEnoughReplicasAfterAppend => {
                    drop(waiting.reply.send(Err(ProduceError::NotEnoughReplicasAfterAppend)));
                }
            }
        }
        self.produces = rest;
    }

    /// There is something new for followers: records, or only a watermark.
    fn tell_watchers(&mut self, records: bool) {
        self.watchers.retain(|watcher| {
            let Some(ready) = watcher.ready.upgrade() else { return false };
            match records {
                true => ready.urgent(watcher.partition),
                false => ready.later(watcher.partition),
            }
            true
        });
    }

    /// As a leader: the log starts later now. Followers hear of it though nothing is appended.
    pub(crate) fn starts_later(&mut self) {
        self.tell_watchers(false);
    }

    /// Takes another `min.insync.replicas`.
    pub(crate) fn set_min_isr(&mut self, min_isr: u32) {
        if let Role::Leader(leader) = &mut self.role {
            let watermark = leader.set_min_isr(min_isr);
            self.watermark_advanced(watermark);
        }
    }

    /// What an append must satisfy before it happens, and in which leader epoch it does.
    pub(super) fn admit(&self, acks: Acks) -> Result<LeaderEpoch, ProduceError> {
        let leader = self.leader().ok_or(ProduceError::NotLeader)?;
        leader.admit(acks).map_err(|_| ProduceError::NotEnoughReplicas)?;
        Ok(leader.leader_epoch())
    }

    /// Whether the batch's producer has a transaction with records here.
    pub(crate) fn has_open_transaction(&self, batch: &CheckedBatch) -> bool {
        let known = batch.view().producer().and_then(|producer| self.log.producer(producer.id));
        known.is_some_and(|known| known.transaction_start.is_some())
    }

    /// Whether appended bytes wait for a sync before anyone is told about them.
    pub(crate) fn wants_commit(&self) -> bool {
        let positions = self.log.positions();
        self.log.config().durability == Durability::Synced && positions.durable_end < positions.log_end
    }

    /// As a leader: the lowest start among this log, those of the in-sync set and those of other `replicas`; zero for one
    /// that has not said. Wakes `signal` when it may have changed. [`Closed`] if this broker does not lead.
    pub(crate) fn lowest_start(
        &mut self,
        replicas: impl Iterator<Item = BrokerId>,
        signal: &Arc<Notify>,
    ) -> Result<Offset, Closed> {
        let leader = self.leader().ok_or(Closed)?;
        let told = |replica| self.follower_starts.get(&replica).copied().unwrap_or(Offset::ZERO);
        let followers = replicas.chain(leader.isr().maximal()).filter(|replica| *replica != leader.local());
        let lowest = followers.map(told).fold(self.log_start(), Offset::min);
        self.deletions.push(signal);
        Ok(lowest)
    }

    /// The log as a reader may see it now.
    pub(crate) fn view(&self) -> View {
        View {
            reader: self.log.reader(),
            positions: self.log.positions(),
            leader_epoch: self.leader_epoch(),
            leads: self.leader().is_some(),
            watermark_known: self.leader().is_some_and(|leader| leader.exposed_watermark().is_some()),
            tier_known: self.tier_known,
        }
    }

    /// The log agrees with its head in the bucket. Whoever waits to read what only the bucket has is woken.
    pub(crate) fn tier_is_known(&mut self) {
        self.head_read = true;
        self.tier_known = true;
        self.fetches.wake();
    }

    /// Like [`State::view`]; wakes `signal` once the watermark passes what this view shows.
    pub(crate) fn view_and_wait(&mut self, signal: &Arc<Notify>) -> View {
        self.fetches.push(signal);
        self.view()
    }

    /// Takes what is not durable yet; with `sync_files` also what is durable in the journal alone.
    pub(crate) fn begin_commit(&mut self, sync_files: bool) -> Option<CommitJob> {
        if sync_files { self.log.begin_sync() } else { self.log.begin_commit() }
    }

    /// Counts what a commit has synced. After an error whoever waits is told.
    pub(crate) fn finish_commit(&mut self, done: CommitDone) -> Finished {
        match self.log.finish_commit(done) {
            Ok(_) => {
                self.progress();
                if self.wants_commit() { Finished::More } else { Finished::All }
            }
            Err(error) => {
                self.fail_waiting(&ProduceError::Storage(error.to_string()));
                Finished::Refused
            }
        }
    }

    /// Tells everyone who waits that nothing more will happen here.
    pub(super) fn into_log(mut self) -> Log {
        self.fail_waiting(&ProduceError::NotLeader);
        self.fetches.wake();
        self.deletions.wake();
        self.log
    }

    pub(super) fn fail_waiting(&mut self, error: &ProduceError) {
        for waiting in self.produces.drain(..) {
            drop(waiting.reply.send(Err(error.clone())));
        }
    }

    /// The lowest offset that a client may read, inclusive.
    pub(crate) fn log_start(&self) -> Offset {
        self.log.positions().log_start
    }
}
