//! A damaged segment, written again with what another replica has, and put in its place as a compacted one is.

use std::{ops::Range, path::PathBuf, sync::Arc};

use highwater_records::{LeaderEpoch, Offset, TimestampMs, batch::CheckedBatch};

use super::{CompactedGroup, output::Output};
use crate::{
    disk::KeepingDisk,
    epochs::{EpochStart, LeaderEpochs},
    index::AbortedTransaction,
    producer::{ProducerStates, marker_of},
    recovery::set_aside,
    segment::{BatchHeader, Segment},
};

/// What is written again.
pub(crate) struct RepairPlan {
    pub(crate) disk: Arc<KeepingDisk>,
    pub(crate) directory: PathBuf,
    pub(crate) damaged: Arc<Segment>,
    /// The first offset that is wanted (inclusive): the segment's, or the log's where that is further on.
    pub(crate) begins: Offset,
    /// Where the segment ends (exclusive).
    pub(crate) end: Offset,
    pub(crate) interval_bytes: u32,
    pub(crate) epochs: Arc<LeaderEpochs>,
    /// What markers of this segment have aborted.
    pub(crate) aborted: Vec<AbortedTransaction>,
    /// What recovery could not read: markers in there may have aborted what nobody noted.
    pub(crate) unread: Vec<Range<Offset>>,
    pub(crate) now: TimestampMs,
    /// While this lives, no compaction and no other repair of the log begins.
    pub(crate) token: Arc<()>,
}

/// A segment that is written again. [`Log::begin_repair`](crate::Log::begin_repair) begins it. Dropping it leaves the log
/// as it is, and files that the next opening removes.
#[must_use = "the segment stays as it is until all its batches are there"]
pub struct Repair {
    plan: RepairPlan,
    output: Option<Output>,
    next: Offset,
    /// Epochs of what was pushed that the log does not know.
    learned: Vec<EpochStart>,
    /// Whose batches were pushed.
    producers: ProducerStates,
}

/// Why a segment could not be written again. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// Ask somebody else: this is not what was here.
    #[error("what another replica has does not fit: {0}")]
    DoesNotFit(String),
    /// Retry later: the disk refused.
    #[error("cannot repair: {0}")]
    Disk(#[from] std::io::Error),
}

impl Repair {
    pub(crate) fn new(plan: RepairPlan) -> Repair {
        Repair {
            output: None,
            next: plan.begins,
            learned: Vec::new(),
            producers: ProducerStates::default(),
            plan,
        }
    }

    /// The segment's offsets.
    pub fn offsets(&self) -> Range<Offset> {
        self.plan.damaged.base..self.plan.end
    }

    /// The first offset that is still missing (inclusive), at first the log start if that is within the segment; `None` when
    /// all is there.
    pub fn wants(&self) -> Option<Offset> {
        (self.next < self.plan.end).then_some(self.next)
    }

    /// Takes the next batch. Blocks now and then; hold no lock.
    ///
    /// # Errors
    /// `DoesNotFit` for what does not begin at [`Repair::wants`] (the first batch has it, and begins within the segment), ends
    /// beyond the segment, has another leader epoch than the log knows there (any that fits, where damage took what the
    /// log knew), or is not as it was appended: what a cleaner has been at may want what newer records say, and this log
    /// may still have older ones. `Disk`.
    pub fn push(&mut self, batch: &CheckedBatch) -> Result<(), RepairError> {
        let view = batch.view();
        let wrong = |why: String| Err(RepairError::DoesNotFit(why));
        // The log may start within a batch.
        let reaches = self.plan.damaged.base <= view.base_offset() && view.next_offset() > self.next;
        let fits = match self.output {
            None => view.base_offset() <= self.next && reaches,
            Some(_) => view.base_offset() == self.next,
        };
        if !fits || view.next_offset() > self.plan.end {
            let (found, end) = (view.base_offset(), view.next_offset());
            return wrong(format!("offsets {found} to {end}, of {} to {}", self.next, self.plan.end));
        }
        let (epoch, known) = (view.leader_epoch(), self.plan.epochs.epoch_of(view.last_offset()));
        let unknown = epoch.filter(|epoch| known.is_none() && self.may_be(*epoch));
        if epoch != known && unknown.is_none() {
            return wrong(format!("leader epoch {epoch:?}, not {known:?}, at {}", self.next));
        }
        if u64::from(view.record_count()) != u64::from(view.last_offset_delta()) + 1 {
            return wrong(format!("records at {} were removed", self.next));
        }
        let header = BatchHeader::of(&view);
        let aborts = marker_of(&view).is_some_and(|marker| !marker.committed);
        let known =
            self.plan.aborted.iter().find(|aborted| aborted.last_offset == header.base_offset).copied();
        if aborts && known.is_none() && self.plan.unread.iter().any(|range| range.contains(&self.next)) {
            return wrong(format!("nobody knows any more what the marker at {} has aborted", self.next));
        }
        let output = match &mut self.output {
            Some(output) => output,
            none => none.insert(Output::create(
                &self.plan.disk,
                &self.plan.directory,
                self.plan.damaged.base,
                self.plan.interval_bytes,
                self.plan.epochs.clone(),
            )?),
        };
        known.filter(|_| aborts).into_iter().for_each(|aborted| output.note_aborted(aborted));
        output.keep(&header, batch.bytes())?;
        if let Some(epoch) =
            unknown.filter(|epoch| self.learned.last().is_none_or(|last| last.epoch != *epoch))
        {
            self.learned.push(EpochStart { epoch, start: self.next });
        }
        // Its transactions are known otherwise, or else this is refused.
        self.producers.note(&BatchHeader { is_transactional: false, ..header }, None, self.plan.now);
        self.next = view.next_offset();
        Ok(())
    }

    /// Whether this epoch may have been before all that the log knows.
    fn may_be(&self, epoch: LeaderEpoch) -> bool {
        let follows = self.learned.last().is_none_or(|last| last.epoch <= epoch);
        follows && self.plan.epochs.entries().first().is_none_or(|first| epoch <= first.epoch)
    }

    /// Sets the damaged file aside under the name of what recovery cuts off, and syncs what replaces it; then
    /// [`Log::swap_compacted`](crate::Log::swap_compacted), [`SwapJob::run`](crate::SwapJob::run) and
    /// [`Log::finish_repair`](crate::Log::finish_repair). Blocks; hold no lock.
    ///
    /// # Errors
    /// `DoesNotFit` while something is missing; `Disk`.
    pub fn finish(self) -> Result<Repaired, RepairError> {
        let Repair { plan, output, next, learned, producers } = self;
        let Some(output) = output.filter(|_| next == plan.end) else {
            return Err(RepairError::DoesNotFit(format!("nothing beyond {next}")));
        };
        let base = plan.damaged.base;
        let aside = set_aside(&*plan.disk, &plan.directory, base, plan.now)?;
        let written = output.finish(&plan.directory, plan.damaged.facts().first_append, plan.end)?;
        let group = CompactedGroup { replaced: vec![plan.damaged], written };
        let learned = Learned { epochs: learned, producers };
        Ok(Repaired { group, base, aside, learned, token: plan.token })
    }
}

/// A segment that was written again.
#[must_use = "a segment is used once the log has it"]
pub struct Repaired {
    /// What replaces it.
    pub group: CompactedGroup,
    /// Its base.
    pub base: Offset,
    /// The file that has what was damaged, beside the log's.
    pub aside: String,
    /// What the log may not know any more because of the damage.
    pub learned: Learned,
    /// To be held until [`Log::finish_repair`](crate::Log::finish_repair).
    pub token: Arc<()>,
}

/// What was told by batches that were damaged: where leader epochs began, oldest first, and the newest batches of producers.
#[derive(Debug)]
pub struct Learned {
    pub(crate) epochs: Vec<EpochStart>,
    pub(crate) producers: ProducerStates,
}
