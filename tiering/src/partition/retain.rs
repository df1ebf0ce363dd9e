//! The changes that give something up, and when retention asks for one.

use highwater_env::BoxFuture;
use highwater_records::{LeaderEpoch, Offset};

use super::{PartitionTier, TierSummary, apply::Change};
use crate::{error::TierError, head::dropped::DropReason, planner::Retention};

impl PartitionTier {
    /// Where the log should start by `retention`: the end of the oldest segments that are due, `None` if none is.
    /// `local_bytes_beyond` are the bytes of the local log from the tiered end on, so that size counts each offset
    /// once. Only what is in the tier is ever due: what was not copied is nobody's to delete.
    ///
    /// # Errors
    /// Reads pages where the oldest segments are named by one: as [`PartitionTier::read`].
    pub fn retention_start<'a>(
        &'a self,
        now_ms: i64,
        retention: &'a Retention,
        local_bytes_beyond: u64,
    ) -> BoxFuture<'a, Result<Option<Offset>, TierError>> {
        Box::pin(async move {
            let Some(known) = self.known().await? else { return Ok(None) };
            let head = &known.head;
            let (mut total, mut due) = (head.bytes.saturating_add(local_bytes_beyond), None);
            let mut at = head.start;
            while let Some(entry) = self.find(head, at, None).await? {
                if !retention.is_due(now_ms, entry.newest_ms(), total, entry.live_bytes) {
                    break;
                }
                total = total.saturating_sub(entry.live_bytes);
                due = Some(entry.end);
                at = entry.end;
            }
            Ok(due.filter(|start| *start > head.log_start))
        })
    }

    /// Moves the log start up to `to` (inclusive) and drops the segments that lie wholly below it. They are deleted
    /// by [`PartitionTier::collect`] after the grace period. Durable when this returns `Ok`; only then may the local
    /// log start follow.
    ///
    /// # Errors
    /// [`TierError::Retry`], [`TierError::Fenced`], [`TierError::NotLeader`], [`TierError::Refused`].
    pub fn advance_start(
        &self,
        epoch: LeaderEpoch,
        to: Offset,
        reason: DropReason,
    ) -> BoxFuture<'_, Result<Option<TierSummary>, TierError>> {
        Box::pin(async move {
            let mut turn = self.turn.lock().await;
            self.change(&mut turn, epoch, &Change::AdvanceStart { to, reason }).await?;
            Ok(self.summary())
        })
    }

    /// Cuts the tier at `at`, from where on the leader's history is another one (see
    /// [`divergence`](super::divergence)): one head change. What is cut stays readable for the grace period by those
    /// who look for it, and copying goes on at `at`. From then on the tier has the leader's `epochs` (and where they start,
    /// ascending) of what stays, too: where two unclean elections followed each other, what the leader has in the bucket
    /// alone may be of another history, and nobody has anything to put in its place.
    ///
    /// # Errors
    /// As [`PartitionTier::advance_start`].
    pub fn cut<'a>(
        &'a self,
        epoch: LeaderEpoch,
        at: Offset,
        epochs: &'a [(LeaderEpoch, Offset)],
    ) -> BoxFuture<'a, Result<Option<TierSummary>, TierError>> {
        Box::pin(async move {
            let _copying = self.copying.lock().await;
            let mut turn = self.turn.lock().await;
            self.change(&mut turn, epoch, &Change::Cut { at, epochs }).await?;
            Ok(self.summary())
        })
    }

    /// The topic is gone: leaves a tombstone and drops everything. [`PartitionTier::collect`] deletes it after the grace
    /// period, the tombstone last. Does nothing where there is no head, or a tombstone already.
    ///
    /// # Errors
    /// As [`PartitionTier::advance_start`].
    pub fn delete(&self, epoch: LeaderEpoch) -> BoxFuture<'_, Result<(), TierError>> {
        Box::pin(async move {
            let _copying = self.copying.lock().await;
            let mut turn = self.turn.lock().await;
            self.change(&mut turn, epoch, &Change::Tombstone).await
        })
    }
}
