//! Copying sealed segments to the bucket, and dropping local copies that the bucket's head names.

use std::sync::Arc;

use highwater_engine::{ChangeError, EpochStart, HeadJob, SealedSegment, StartReason};
use highwater_env::{EnvExt, Lane};
use highwater_records::Offset;
use highwater_tiering::{
    PartitionTier, SegmentSource, TierError, TierSummary,
    planner::{Bounds, CopyLimit, Retention, Sealed, local_start, segments_to_copy},
};

use crate::{
    Node,
    partition::{Closed, Partition, State, diverges, lineage, tiered_end},
};

/// Why a partition was not copied, or not brought in line with its head.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OffloadError {
    #[error(transparent)]
    Tier(#[from] TierError),
    #[error(transparent)]
    Closed(#[from] Closed),
    #[error("local log: {0}")]
    Local(String),
}

impl From<ChangeError> for OffloadError {
    fn from(error: ChangeError) -> OffloadError {
        OffloadError::Local(error.to_string())
    }
}

impl Node {
    /// Copies what may be copied of one partition, then drops what its local retention no longer wants. Failures are
    /// counted and tried again at the next round; nothing local is dropped that the head does not name.
    pub(crate) async fn offload(&self, partition: &Arc<Partition>) {
        let Some(tier) = partition.tier.clone() else { return };
        match self.copy_sealed(partition, &tier).await {
            Ok(()) | Err(OffloadError::Closed(Closed)) => {}
            Err(error) => {
                partition.counters.remote_copy_errors.add(1);
                tracing::warn!(partition = %partition.name, %error, "not copied to the bucket, will be tried again");
                if let OffloadError::Tier(TierError::BadSegment { base, .. }) = error {
                    // All of a file is uploaded: what is damaged may lie below the log start, where nobody reads.
                    self.mend(partition, base).await;
                }
            }
        }
        match self.drop_local(partition, &tier).await {
            Ok(()) | Err(OffloadError::Closed(Closed)) => {}
            Err(error) => {
                tracing::warn!(partition = %partition.name, %error, "local segments were not dropped")
            }
        }
    }

    async fn copy_sealed(
        &self,
        partition: &Arc<Partition>,
        tier: &Arc<PartitionTier>,
    ) -> Result<(), OffloadError> {
        let mut summary = self.learn_tier(partition, tier).await?;
        self.commit_sealed(partition).await;
        while !self.is_stopping() {
            let (mut sealed, positions, epoch) = partition
                .see(|state| {
                    let epoch = state.leading()?;
                    Ok::<_, Closed>((state.log.sealed_segments(), state.log.positions(), epoch))
                })
                .await??;
            // A damaged segment is repaired before anything behind it is copied.
            if let Some(damaged) = sealed.iter().position(|segment| segment.damaged) {
                sealed.truncate(damaged);
            }
            let bounds = Bounds {
                last_stable: positions.last_stable,
                high_watermark: positions.high_watermark,
                durable_end: positions.durable_end,
            };
            let planned: Vec<Sealed> = sealed.iter().map(planned).collect();
            let tier_end = summary.as_ref().map(|summary| summary.end);
            let ready =
                segments_to_copy(tier_end, positions.log_start, &bounds, &planned, &CopyLimit::default());
            if ready.is_empty() {
                return Ok(());
            }
            let chosen: Vec<SealedSegment> = sealed.drain(ready).collect();
            let bytes: u64 = chosen.iter().map(|segment| segment.size).sum();
            let count = chosen.len();
            let sources = self
                .env
                .run_blocking(Lane::Background, move || {
                    chosen.iter().map(source).collect::<Result<Vec<_>, _>>()
                })
                .await
                .map_err(|error| OffloadError::Local(error.to_string()))?
                .map_err(OffloadError::Local)?;
            summary = tier.copy(epoch, sources, positions.log_start).await?;
            partition.counters.remote_bytes_in.add(bytes);
            tracing::debug!(partition = %partition.name, count, bytes, "copied to the bucket");
        }
        Ok(())
    }

    /// Syncs what the partition has sealed: on a replicated topic nobody else may have, and of a synced one what only the
    /// journal has must not be dropped here.
    pub(super) async fn commit_sealed(&self, partition: &Arc<Partition>) {
        let is_owed = partition.see(|state| {
            state.log.positions().durable_end < state.log.sealed_end()
                || !state.log.is_sealed_settled()
                || state.log.sealed_segments().iter().any(|segment| !segment.synced)
        });
        if matches!(is_owed.await, Ok(true)) {
            self.commit_all(vec![partition.clone()], true).await;
        }
    }

    /// Makes durable what partitions have appended so far, in a task of its own that a stop waits for; with
    /// `sync_files` not by way of the journal.
    pub(crate) async fn commit_all(&self, partitions: Vec<Arc<Partition>>, sync_files: bool) {
        let committer = self.committer.clone();
        let (reply, done) = tokio::sync::oneshot::channel();
        self.tasks.spawn(&self.env, Lane::Commit, async move {
            committer.commit(partitions, sync_files).await;
            let _ = reply.send(());
        });
        let _ = done.await;
    }

    /// The partition's head, read once per opening; and, where the local log may be shorter than the bucket says,
    /// what that means for it.
    pub(crate) async fn learn_tier(
        &self,
        partition: &Arc<Partition>,
        tier: &Arc<PartitionTier>,
    ) -> Result<Option<TierSummary>, OffloadError> {
        // Comparing may empty the log, which must not happen again once producers may append.
        let _turn = partition.learning.lock().await;
        // What a follower makes of the bucket its leader tells it.
        let (read, known) =
            partition.see(|state| state.leading().map(|_| (state.head_read, state.tier_known))).await??;
        let mut summary = if read { tier.summary() } else { tier.load().await? };
        if let Some(found) = &summary {
            if self.cut_diverged(partition, tier, found).await? {
                summary = tier.summary();
            } else if !known {
                self.reconcile(partition, tier, found).await?;
            }
        }
        if let Some(found) = &summary {
            self.follow_tiered_start(partition, found.log_start).await?;
        }
        if !read || !known {
            partition.with(State::tier_is_known).await?;
            let positions = partition.see(|state| state.log.positions()).await?;
            let tiered_end = summary.as_ref().map_or(positions.log_start, |found| found.end);
            if tiered_end < positions.local_start {
                // Local copies are only dropped once the head names them, so the bucket has gone back.
                tracing::error!(
                    partition = %partition.name,
                    from = %tiered_end,
                    to = %positions.local_start,
                    "these offsets are neither on local disk nor in the bucket: they cannot be read"
                );
            }
        }
        Ok(summary)
    }

    /// Takes from the tier what is of another lineage than this leader's log, and answers whether there was any. Not only
    /// when the head is read first: until this leader has changed it, a former one that was cut off may, and after an
    /// unclean election what that one adds need not be what is here.
    async fn cut_diverged(
        &self,
        partition: &Arc<Partition>,
        tier: &Arc<PartitionTier>,
        found: &TierSummary,
    ) -> Result<bool, OffloadError> {
        let known = found.clone();
        let (at, epoch, epochs) = partition
            .see(move |state| {
                let epoch = state.leading()?;
                // Of what is below, this leader has nothing that it could put in its place.
                let at = diverges(&state.log, &known, state.log.positions().local_start);
                Ok::<_, Closed>((at, epoch, at.map(|_| lineage(&state.log)).unwrap_or_default()))
            })
            .await??;
        let Some(at) = at else { return Ok(false) };
        tracing::error!(
            partition = %partition.name,
            from = %at,
            to = %found.end,
            "the bucket holds records of a lineage that this log does not have: they are cut from the tier"
        );
        tier.cut(epoch, at, &epochs).await?;
        Ok(true)
    }

    /// Brings a log that was not stopped cleanly in line with its head, which is of its lineage.
    async fn reconcile(
        &self,
        partition: &Arc<Partition>,
        tier: &Arc<PartitionTier>,
        found: &TierSummary,
    ) -> Result<(), OffloadError> {
        let (positions, written) = partition
            .see(|state| {
                state.leading()?;
                Ok::<_, Closed>((state.log.positions(), state.log.written_start()))
            })
            .await??;
        if found.end > positions.log_end {
            tracing::error!(
                partition = %partition.name,
                log_end = %positions.log_end,
                tiered_end = %found.end,
                "the local log ends before the bucket does: it starts again, empty, at the tiered end"
            );
            // A tier without objects still knows its lineage.
            let (epochs, producers) = match tier.end_state().await? {
                Some(known) => (known.epochs, known.producer_snapshot),
                None => (found.lineage.clone(), None),
            };
            let epochs: Vec<_> =
                epochs.into_iter().map(|(epoch, start)| EpochStart { epoch, start }).collect();
            // Records may have been deleted here that the head did not hear of.
            let log_start = found.log_start.max(written.unwrap_or(Offset::ZERO)).min(found.end);
            let (end, now) = (found.end, self.wall());
            return self
                .change_log(partition, move |state| {
                    state.log.restart_at(end, log_start, &epochs, producers.as_deref(), now)?;
                    // Further on than before, so that the watermark only advances.
                    state.progress();
                    Ok(())
                })
                .await;
        }
        if found.end == positions.log_end {
            // The crash may have taken the empty segment that was begun when the last one was copied. Were that one appended
            // to, it would reach across the tiered end and could never be copied.
            let now = self.wall();
            self.change_log(partition, move |state| state.log.roll(now).map(drop)).await?;
        }
        if found.log_start < positions.log_start {
            let start = found.log_start;
            return self
                .change_log(partition, move |state| {
                    state.log.adopt_tiered_start(start);
                    Ok(())
                })
                .await;
        }
        Ok(())
    }

    /// Moves the log start up to what the head says (inclusive), below which the bucket has nothing. A crash may have
    /// taken the checkpoint of the log start; and the leader before this one may have moved it and been gone before
    /// its followers heard of it.
    async fn follow_tiered_start(
        &self,
        partition: &Arc<Partition>,
        tiered: Offset,
    ) -> Result<(), OffloadError> {
        let positions = partition.see(|state| state.log.positions()).await?;
        let start = tiered.min(positions.high_watermark);
        if start > positions.log_start {
            self.advance_start(partition, start).await?;
        }
        Ok(())
    }

    pub(super) async fn drop_local(
        &self,
        partition: &Arc<Partition>,
        tier: &Arc<PartitionTier>,
    ) -> Result<(), OffloadError> {
        let found = tier.summary();
        let config = partition.config();
        let limits = Retention { ms: config.local_retention_ms, bytes: config.local_retention_bytes };
        let now = self.wall();
        self.change_head(partition, move |state| {
            // A follower goes by what its leader said in this leader epoch, and by what it knows to be committed.
            let tiered_end = match state.leading() {
                Ok(_) => found.filter(|_| state.head_read).map(|found| tiered_end(&state.log, &found)),
                // What was never made durable here goes without its epochs and producers having been written down.
                Err(Closed) => {
                    let positions = state.log.positions();
                    state.tiered_end.map(|end| end.min(positions.high_watermark).min(positions.durable_end))
                }
            };
            let Some(tiered_end) = tiered_end else { return Ok(None) };
            let sealed: Vec<_> = state
                .log
                .sealed_segments()
                .iter()
                .map(|segment| (planned(segment), newest_ms(segment)))
                .collect();
            let sealed_bytes: u64 = sealed.iter().map(|(segment, _)| segment.size).sum();
            let active_bytes = state.log.size_bytes().saturating_sub(sealed_bytes);
            match local_start(now.0, &limits, tiered_end, &sealed, active_bytes) {
                Some(below) => state.log.begin_drop_local(below),
                None => Ok(None),
            }
        })
        .await
    }

    /// Moves the log start, durably, before anything below it is deleted anywhere.
    pub(super) async fn advance_start(
        &self,
        partition: &Arc<Partition>,
        start: Offset,
    ) -> Result<(), OffloadError> {
        let reason = StartReason::TieredRetention;
        self.change_head(partition, move |state| state.log.begin_advance(start, reason)).await?;
        let directory = self.directory.clone();
        self.env
            .run_blocking(Lane::Background, move || directory.write_checkpoints())
            .await
            .map_err(|error| OffloadError::Local(error.to_string()))?
            .map_err(|error| OffloadError::Local(error.to_string()))
    }

    /// Changes the head of a log; the disk is waited for without the log's lock. Where there is nothing to change, which
    /// is most of the time, no thread is asked for.
    async fn change_head(
        &self,
        partition: &Arc<Partition>,
        begin: impl FnOnce(&mut State) -> Result<Option<HeadJob>, ChangeError> + Send + 'static,
    ) -> Result<(), OffloadError> {
        let Some(job) = partition.with(begin).await?? else { return Ok(()) };
        let partition = partition.clone();
        let changed = self.env.run_blocking(Lane::Background, move || run_head(&partition, job)).await;
        changed.map_err(|error| OffloadError::Local(error.to_string()))?
    }

    /// The same where already the beginning may wait for the disk.
    pub(super) async fn begin_and_change_head(
        &self,
        partition: &Arc<Partition>,
        begin: impl FnOnce(&mut State) -> Result<Option<HeadJob>, ChangeError> + Send + 'static,
    ) -> Result<(), OffloadError> {
        let partition = partition.clone();
        let change = move || match partition.with_blocking(begin)?? {
            Some(job) => run_head(&partition, job),
            None => Ok(()),
        };
        let changed = self.env.run_blocking(Lane::Background, change).await;
        changed.map_err(|error| OffloadError::Local(error.to_string()))?
    }

    /// Changes a log where waiting for its lock and its disk holds up nobody.
    pub(super) async fn change_log(
        &self,
        partition: &Arc<Partition>,
        change: impl FnOnce(&mut State) -> Result<(), highwater_engine::ChangeError> + Send + 'static,
    ) -> Result<(), OffloadError> {
        let partition = partition.clone();
        self.env
            .run_blocking(Lane::Background, move || partition.with_blocking(change))
            .await
            .map_err(|error| OffloadError::Local(error.to_string()))??
            .map_err(|error| OffloadError::Local(error.to_string()))
    }
}

fn run_head(partition: &Partition, job: HeadJob) -> Result<(), OffloadError> {
    let done = job.run();
    partition.with_blocking(|state| {
        state.log.finish_head(done)?;
        state.starts_later();
        Ok::<_, ChangeError>(())
    })??;
    Ok(())
}

pub(crate) fn planned(segment: &SealedSegment) -> Sealed {
    Sealed {
        base: segment.base_offset,
        next: segment.next_offset,
        size: segment.size,
        synced: segment.synced,
    }
}

/// The newest record's time; where none has one, when the file was written.
pub(crate) fn newest_ms(segment: &SealedSegment) -> i64 {
    segment.max_timestamp.map_or(segment.modified_ms, |(time, _)| time.0)
}

fn source(segment: &SealedSegment) -> Result<SegmentSource, String> {
    let parts = segment.parts().map_err(|error| error.to_string())?;
    Ok(SegmentSource {
        base_offset: segment.base_offset,
        next_offset: segment.next_offset,
        log: parts.log,
        log_len: parts.log_len,
        modified_ms: segment.modified_ms,
        transaction_index: parts.transaction_index,
        producer_snapshot: parts.producer_snapshot,
        epochs: parts.epochs.iter().map(|start| (start.epoch, start.start)).collect(),
    })
}
