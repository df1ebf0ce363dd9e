//! One partition's log: the writer's side.

mod append;
mod batches;
mod close;
mod commit;
mod compact;
mod epochs;
mod error;
mod head;
mod open;
mod pending;
mod points;
mod repair;
mod retain;
mod roll;
mod sealed;
mod transactions;
mod truncate;

use std::{
    collections::BTreeSet,
    fmt,
    path::Path,
    sync::{Arc, Weak, atomic::Ordering},
};

use highwater_records::{
    Durability, LeaderEpoch, Offset, ProducerId, TimestampMs, TopicId, TopicIdPartition,
};

pub use append::Appended;
pub use batches::{BatchesError, BatchesJob, PrepareError, PreparedBatch, WrittenBatch};
#[cfg(test)]
pub(crate) use commit::Started;
pub use commit::{CommitDone, CommitError, CommitJob};
pub use error::{AppendError, AppendIfError, ChangeError, CreateLogError, OpenLogError};
pub use head::{HeadDone, HeadJob};
pub use retain::{Deleted, StartReason};
pub use sealed::{SealedSegment, SegmentParts};
pub use transactions::OpenTransaction;

use crate::{
    compact::Gate,
    config::{LogConfig, Watermark},
    directory::{LogDir, LogEntry},
    epochs::{EpochStart, LeaderEpochs},
    museum::{Bug, has},
    name::LogName,
    points::Points,
    positions::Positions,
    producer::{ProducerState, ProducerStates},
    quarantine::Quarantined,
    reader::{LogReader, Picture},
    segment::Segment,
    sync::AtomicU64,
};

/// One partition's log: the writer's side. There is one per log and process; the caller keeps its own lock around
/// it.
///
/// Methods that take `&mut self` never wait for a sync, with the exceptions that say so (truncation, [`Log::close`], and
/// what does several steps at once). What [`Log::append`] wrote lies in the page cache until a commit:
///
/// 1. [`Log::begin_commit`], under the caller's lock, takes what is pending;
/// 2. [`CommitJob::run`] syncs it, without a lock, while appends go on;
/// 3. [`Log::finish_commit`], under the lock again, moves the durable end.
///
/// [`Log::reader`] gives readers an immutable picture; they never see the writer again.
pub struct Log {
    dir: Arc<LogDir>,
    entry: Arc<LogEntry>,
    config: LogConfig,
    /// Oldest first; the last one is active. Never empty.
    segments: Arc<Vec<Arc<Segment>>>,
    positions: Positions,
    epochs: Arc<LeaderEpochs>,
    /// Whether the epochs' file is behind.
    epochs_dirty: bool,
    producers: ProducerStates,
    /// Offsets of the producer snapshots on the disk.
    snapshots: BTreeSet<Offset>,
    quarantine: Arc<Vec<Quarantined>>,
    /// Cut files and when they were cut.
    cuts: Vec<(String, i64)>,
    pending: pending::Pending,
    points: Points,
    /// Starts that are being written down.
    heads: head::Heads,
    /// What has a place at the log end that nothing else takes.
    reserved: Option<batches::Reserved>,
    /// Held by the commit that is under way, if any.
    committing: Weak<()>,
    /// Held by the compaction that is under way, if any.
    compacting: Weak<()>,
    /// Everything below is decided by markers below the durable end.
    decided: Offset,
    /// Closed while compacted files take their place.
    gate: Arc<Gate>,
    /// Grows when bytes that readers may be looking at change.
    generation: Arc<AtomicU64>,
    /// Bytes of a failed append may lie behind the active segment's end.
    rest_behind_end: bool,
    /// The log start as it was written down when the log was opened.
    written_start: Option<Offset>,
    /// Opened as a clean stop left it and not changed since: closing it has nothing to write.
    as_opened: bool,
    /// A change broke off halfway; only opening the log anew tells what is there.
    broken: Option<String>,
}

impl Log {
    /// Its name.
    pub fn name(&self) -> &LogName {
        &self.entry.name
    }

    /// Its topic's identity.
    pub fn topic_id(&self) -> TopicId {
        self.entry.topic_id
    }

    /// Its configuration.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Changes its configuration, from the next operation on.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
        self.follow_own_watermark();
        self.publish();
    }

    /// Where everything is.
    pub fn positions(&self) -> Positions {
        let recovery_point = self.entry.state.lock().recovery_point.unwrap_or(Offset::ZERO);
        Positions { recovery_point: recovery_point.min(self.positions.durable_end), ..self.positions }
    }

    /// The log start that was written down when the log was opened: it was shown, and nothing below it is shown again.
    /// `None` if the directory does not know, since it is new or was lost.
    pub fn written_start(&self) -> Option<Offset> {
        self.written_start
    }

    /// Moves the high watermark, as replication says: never back, and never beyond the log end. Returns where it is.
    pub fn set_high_watermark(&mut self, high_watermark: Offset) -> Offset {
        let to = high_watermark.min(self.positions.log_end).max(self.positions.high_watermark);
        self.positions.high_watermark = to;
        self.publish();
        to
    }

    /// An immutable picture of the log as it is now.
    pub fn reader(&self) -> LogReader {
        LogReader::new(Picture {
            segments: self.segments.clone(),
            active: self.active().facts(),
            positions: self.positions(),
            epochs: self.epochs.clone(),
            quarantine: self.quarantine.clone(),
            health: self.dir.health().clone(),
            generation: self.generation.clone(),
            taken_at: self.generation.load(Ordering::Acquire),
        })
    }

    /// The largest known leader epoch not above `epoch`, and where it ended (exclusive). `None` if `epoch` is older
    /// than everything known.
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.epochs.end_offset_for(epoch, self.positions.log_end)
    }

    /// The leader epochs, oldest first.
    pub fn epochs(&self) -> Vec<EpochStart> {
        self.epochs.entries().to_vec()
    }

    /// The newest leader epoch in the log.
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest().map(|latest| latest.epoch)
    }

    /// The producers that are remembered, by id.
    pub fn producers(&self) -> impl Iterator<Item = (ProducerId, &ProducerState)> {
        self.producers.producers.iter().map(|(id, state)| (*id, state))
    }

    /// What is remembered of one producer.
    pub fn producer(&self, id: ProducerId) -> Option<&ProducerState> {
        self.producers.producers.get(&id)
    }

    /// Ranges that cannot be read because their bytes were damaged or lost, by offset.
    pub fn quarantined(&self) -> &[Quarantined] {
        &self.quarantine
    }

    /// Bytes of all local segments' batches.
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.facts().size).sum()
    }

    /// Where the sealed segments end and the active one begins.
    pub fn sealed_end(&self) -> Offset {
        self.active().base
    }

    /// Number of local segments, the active one included.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    fn active(&self) -> &Arc<Segment> {
        self.segments.last().expect("a log always has an active segment")
    }

    fn path(&self) -> &Path {
        &self.entry.path
    }

    /// Its topic and partition.
    pub(crate) fn id(&self) -> TopicIdPartition {
        self.entry.id()
    }

    /// # Errors
    /// When the directory is offline or this log is broken.
    fn check(&self) -> Result<(), ChangeError> {
        self.dir.check()?;
        match self.broken.clone().or_else(|| self.gate.broken()) {
            None => Ok(()),
            Some(reason) => Err(ChangeError::Broken(reason)),
        }
    }

    /// Ends a mutation: the last stable offset follows the others, the order of the positions is checked, and the
    /// directory learns what to write down.
    fn publish(&mut self) {
        self.follow_transactions();
        let positions = self.positions();
        positions.assert_order();
        let start = self.heads.start().unwrap_or(Offset::ZERO).max(positions.log_start);
        let mut state = self.entry.state.lock();
        let promised = if has(Bug::RecoveryPointAhead) { positions.log_end } else { positions.durable_end };
        state.durable_end = Some(promised);
        state.decided = self.decided.min(positions.last_stable);
        state.log_start = Some(start);
        state.high_watermark = Some(positions.high_watermark);
    }

    /// Whether its commits go through the directory's journal.
    fn journals(&self) -> bool {
        self.config.durability == Durability::Synced && self.dir.journal.enabled()
    }

    fn follow_own_watermark(&mut self) {
        if self.config.watermark == Watermark::Own {
            let to = match self.config.durability {
                Durability::Synced => self.positions.durable_end,
                Durability::Replicated => self.positions.log_end,
            };
            // After a start beyond the durable end the watermark is already further.
            self.positions.high_watermark = to.max(self.positions.high_watermark);
        }
    }

    fn expire_producers(&mut self, now: TimestampMs) {
        self.producers.expire(now, self.config.producer_expiry_ms);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.give_up_place();
        self.entry.state.lock().open = false;
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("name", &self.name().to_string())
            .field("positions", &self.positions())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
