//! What stands under a partition's lock.

use std::sync::Arc;

use highwater_engine::{CommitDone, CommitJob, Log, LogReader, Positions};
use highwater_records::{Durability, LeaderEpoch, Offset};
use highwater_replication::{AckState, Leader, LocalPositions};
use tokio::sync::Notify;

use super::waiting::{WaitingFetches, WaitingProduce};
use crate::request::ProduceError;

/// A partition's log and role, and the requests that wait for them.
pub(crate) struct State {
    pub(crate) log: Log,
    pub(crate) leader: Leader,
    /// Whether producers may append and log start and end mean anything: a tiered log whose last stop was unclean, or whose directory was lost, must
    /// first be compared with its head in the bucket.
    pub(crate) tier_known: bool,
    /// Whether the head was read since the partition was opened, or is known not to exist yet.
    pub(crate) head_read: bool,
    pub(super) produces: Vec<WaitingProduce>,
    pub(super) fetches: WaitingFetches,
}

/// What a reader works with: an immutable picture of the log and the positions of the same moment.
pub(crate) struct View {
    pub(crate) reader: LogReader,
    pub(crate) positions: Positions,
    pub(crate) leader_epoch: LeaderEpoch,
    /// See [`State::tier_known`]: unless it is, where the log starts and ends is what the crash left here, and the
    /// bucket may know better.
    pub(crate) tier_known: bool,
}

impl State {
    pub(crate) fn new(mut log: Log, leader: Leader, tier_known: bool, head_read: bool) -> State {
        // The role may start further on than the watermark that was last written down.
        log.set_high_watermark(leader.high_watermark());
        State { log, leader, tier_known, head_read, produces: Vec::new(), fetches: WaitingFetches::default() }
    }

    /// Tells the role what the log has, the log what the role concludes, and everyone who waits what it means.
    /// Called after every change of the log.
    pub(crate) fn progress(&mut self) {
        let positions = self.log.positions();
        let local = LocalPositions { log_end: positions.log_end, durable_end: positions.durable_end };
        if let Some(watermark) = self.leader.on_local(local) {
            self.log.set_high_watermark(watermark);
            self.fetches.wake();
        }
        self.answer_produces();
    }

    /// The watermark moved although the log did not.
    pub(crate) fn watermark_moved(&mut self, watermark: Offset) {
        self.log.set_high_watermark(watermark);
        self.fetches.wake();
        self.answer_produces();
    }

    fn answer_produces(&mut self) {
        if !self.produces.is_empty() {
            let leader = &self.leader;
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
    }

    /// Whether appended bytes wait for a sync before anyone is told about them.
    pub(crate) fn wants_commit(&self) -> bool {
        let positions = self.log.positions();
        self.log.config().durability == Durability::Synced && positions.durable_end < positions.log_end
    }

    /// The log as a reader may see it now.
    pub(crate) fn view(&self) -> View {
        View {
            reader: self.log.reader(),
            positions: self.log.positions(),
            leader_epoch: self.leader.leader_epoch(),
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

    /// Counts what a commit has synced, and answers whether more has been appended meanwhile. After an error the
    /// directory is offline; whoever waits is told.
    pub(crate) fn finish_commit(&mut self, done: CommitDone) -> bool {
        match self.log.finish_commit(done) {
            Ok(_) => {
                self.progress();
                self.wants_commit()
            }
            Err(error) => {
                self.fail_waiting(&ProduceError::Storage(error.to_string()));
                false
            }
        }
    }

    /// Tells everyone who waits that nothing more will happen here.
    pub(super) fn into_log(mut self) -> Log {
        self.fail_waiting(&ProduceError::NotLeader);
        self.fetches.wake();
        self.log
    }

    fn fail_waiting(&mut self, error: &ProduceError) {
        for waiting in self.produces.drain(..) {
            drop(waiting.reply.send(Err(error.clone())));
        }
    }

    /// The lowest offset that a client may read, inclusive.
    pub(crate) fn log_start(&self) -> Offset {
        self.log.positions().log_start
    }
}
