//! A follower's side: from a leader's answer to the log.

use bytes::Bytes;
use highwater_engine::{AppendError, ChangeError, EpochStart, HeadJob, StartReason};
use highwater_records::{
    LeaderEpoch, Offset, TimestampMs,
    batch::{CheckPolicy, CheckedBatch, filler, split},
};
use highwater_replication::{EpochEnd, FetchFrom, LocalPositions, Truncation};

use super::{State, role::Role};
use crate::replicate::epoch_end;

/// Where a follower stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    pub(crate) from: FetchFrom,
    pub(crate) positions: LocalPositions,
    pub(crate) last_epoch: Option<LeaderEpoch>,
    pub(crate) log_start: Offset,
}

/// What appending a leader's answer did.
#[derive(Debug)]
pub(crate) struct Appended {
    /// Whether the log end moved.
    pub(crate) grown: bool,
    /// Whether the leader counts nothing before a sync.
    pub(crate) wants_commit: bool,
    /// Whether the log starts elsewhere than was last told: its own retention has moved it.
    pub(crate) start_untold: bool,
    /// The leader's start is further: to be run, and noted, where the disk may be waited for.
    pub(crate) head: Option<HeadJob>,
}

/// Why an answer was not taken in. The log is as it was, or shorter than it was; the next fetch goes on from there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    /// It answers what is no longer asked.
    #[error("the answer came too late")]
    Late,
    /// The leader sent what is no batch, or not the one that was asked for.
    #[error("the leader sent what does not fit: {0}")]
    Batch(String),
    /// The log did not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The log could not be changed.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// Cuts a leader's answer into batches and checks each, before any lock.
pub(crate) fn check_fetched(records: Bytes) -> Result<Vec<CheckedBatch>, FollowError> {
    let wrong = |error: &dyn std::fmt::Display| FollowError::Batch(error.to_string());
    split(records)
        .map(|batch| {
            let batch = batch.map_err(|error| wrong(&error))?;
            CheckedBatch::check(batch, &CheckPolicy::replica()).map_err(|error| wrong(&error))
        })
        .collect()
}

/// What is missing here of a batch without records that spans what a leader has compacted: it may have begun before the
/// end of this log, while batches that stay never do. `None` for any other batch.
fn rest_of_gap(batch: &CheckedBatch, end: Offset) -> Option<CheckedBatch> {
    let view = batch.view();
    let spans = view.record_count() == 0 && view.producer().is_none() && !view.is_control();
    let reaches = view.base_offset() < end && end < view.next_offset();
    let rest = filler(end, view.last_offset(), view.leader_epoch()).filter(|_| spans && reaches)?;
    CheckedBatch::check(rest, &CheckPolicy::replica()).ok()
}

/// Whether batches begin before the offset that was asked for: it lies within the first one.
pub(crate) fn begins_before(sent: &FetchFrom, batches: &[CheckedBatch]) -> bool {
    batches.first().is_some_and(|first| first.view().base_offset() < sent.offset)
}

impl State {
    /// Where to fetch from next; `None` unless this broker follows somebody.
    pub(crate) fn fetch_position(&mut self) -> Option<Position> {
        let Role::Follower(follower) = &self.role else { return None };
        let positions = self.local_positions();
        let from = follower.fetch_from(positions.log_end)?;
        let log_start = self.log.positions().log_start;
        self.told_start = log_start;
        Some(Position { from, positions, last_epoch: self.log.latest_epoch(), log_start })
    }

    /// Appends what a leader sent for a fetch from `sent`, and takes in what came with it. Waits for the disk where
    /// [`begins_before`] says so.
    pub(crate) fn append_fetched(
        &mut self,
        sent: &FetchFrom,
        mut batches: Vec<CheckedBatch>,
        leader: LeaderPositions,
        now: TimestampMs,
    ) -> Result<Appended, FollowError> {
        let before = self.log.positions().log_end;
        let Role::Follower(follower) = &mut self.role else { return Err(FollowError::Late) };
        if !follower.accepts(sent, before) {
            return Err(FollowError::Late);
        }
        let positions = self.log.positions();
        if let Some(first) = batches.first_mut()
            && let Some(rest) = rest_of_gap(first, before)
        {
            *first = rest;
        }
        let first = batches.first().map(|batch| batch.view().base_offset());
        if let Some(base) = first.filter(|base| *base < before)
            && positions.local_start == before
        {
            // The leader's log starts in the middle of this batch, which is nothing to cut: this log is still empty.
            self.log.truncate_fully_and_start_at(base)?;
            follower.restarted_at(base);
        }
        let mut failed = None;
        for batch in batches {
            if let Err(error) = self.log.append_as_follower(batch, now) {
                failed = Some(error);
                break;
            }
        }
        let end = self.log.positions().log_end;
        self.tiered_end = leader.tiered_end;
        if let Some(watermark) = follower.on_appended(leader.high_watermark, end) {
            self.log.set_high_watermark(watermark);
            self.fetches.wake();
        }
        // The leader's start is below its watermark, and so is what this broker may drop below its own.
        let start = leader.log_start.min(self.log.positions().high_watermark);
        let head = self.log.begin_advance(start, StartReason::Leader)?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        Ok(Appended {
            grown: end > before,
            wants_commit: self.wants_commit(),
            start_untold: self.log.positions().log_start != self.told_start,
            head,
        })
    }

    /// Cuts the log where a leader says that it diverges. Waits for the disk.
    pub(crate) fn cut_at_divergence(
        &mut self,
        sent: &FetchFrom,
        at: EpochEnd,
        now: TimestampMs,
    ) -> Result<Truncation, FollowError> {
        let end = self.log.positions().log_end;
        let Role::Follower(follower) = &mut self.role else { return Err(FollowError::Late) };
        if !follower.accepts(sent, end) {
            return Err(FollowError::Late);
        }
        let log = &mut self.log;
        let first = log.epochs().first().map_or(log.positions().local_start, |oldest| oldest.start);
        let cut = follower.diverges(at, first, end, |epoch| epoch_end(log.end_offset_for_epoch(epoch)));
        let positions = log.positions();
        if cut.to < positions.local_start {
            // Nothing that is here agrees.
            log.truncate_fully_and_start_at(cut.to)?;
            follower.restarted_at(cut.to);
        } else {
            log.truncate_to(cut.to, now)?;
        }
        Ok(cut)
    }

    /// Begins again with an empty log where the leader's log starts. Waits for the disk.
    pub(crate) fn restart_at_start(
        &mut self,
        sent: &FetchFrom,
        log_start: Offset,
    ) -> Result<(), FollowError> {
        let end = self.log.positions().log_end;
        let Role::Follower(follower) = &mut self.role else { return Err(FollowError::Late) };
        if !follower.accepts(sent, end) {
            return Err(FollowError::Late);
        }
        self.log.truncate_fully_and_start_at(log_start)?;
        follower.restarted_at(log_start);
        Ok(())
    }

    /// Begins again with an empty log where the bucket's part ends, with what the bucket knows of epochs and producers.
    /// Waits for the disk.
    pub(crate) fn restart_at_tier(
        &mut self,
        sent: &FetchFrom,
        tier: &TieredStart,
        now: TimestampMs,
    ) -> Result<(), FollowError> {
        let end = self.log.positions().log_end;
        let Role::Follower(follower) = &mut self.role else { return Err(FollowError::Late) };
        if !follower.accepts(sent, end) {
            return Err(FollowError::Late);
        }
        self.log.restart_at(tier.end, tier.log_start, &tier.epochs, tier.producers.as_deref(), now)?;
        follower.restarted_at(tier.end);
        Ok(())
    }
}

/// What a leader says of itself along with records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaderPositions {
    pub(crate) high_watermark: Offset,
    pub(crate) log_start: Offset,
    /// The end of what the bucket holds, if the leader knows it.
    pub(crate) tiered_end: Option<Offset>,
}

/// What the bucket has of a partition.
pub(crate) struct TieredStart {
    pub(crate) end: Offset,
    pub(crate) log_start: Offset,
    pub(crate) epochs: Vec<EpochStart>,
    pub(crate) producers: Option<Vec<u8>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_leader_has_compacted_a_follower_takes_what_it_lacks() {
        let offset = |value| Offset::new(value).unwrap();
        let checked = |bytes| CheckedBatch::check(bytes, &CheckPolicy::replica()).unwrap();
        let gap = checked(filler(offset(20), offset(50), Some(LeaderEpoch(3))).unwrap());
        let rest = rest_of_gap(&gap, offset(33)).unwrap();
        let view = rest.view();
        assert_eq!((view.base_offset(), view.last_offset()), (offset(33), offset(50)));
        assert_eq!((view.leader_epoch(), view.record_count()), (Some(LeaderEpoch(3)), 0));
        assert!(rest_of_gap(&gap, offset(20)).is_none(), "all of it");
        assert!(rest_of_gap(&gap, offset(51)).is_none(), "nothing of it");
        assert!(rest_of_gap(&rest_of_gap(&gap, offset(50)).unwrap(), offset(50)).is_none());
    }
}
