//! Retention: what is too old or too much goes, on local disk and in the bucket alike.

use std::sync::Arc;

use highwater_tiering::{DropReason, PartitionTier, planner::Retention};

use super::offload::OffloadError;
use crate::{
    Node,
    museum::{Bug, has},
    partition::{Closed, Partition},
};

impl Node {
    /// Applies one partition's retention. Failures are reported and tried again at the next round.
    pub(crate) async fn retain(&self, partition: &Arc<Partition>) {
        let outcome = match partition.tier.clone() {
            Some(tier) => self.retain_tiered(partition, &tier).await,
            None => self.retain_local(partition).await,
        };
        match outcome {
            Ok(()) | Err(OffloadError::Closed(Closed)) => {}
            Err(error) => {
                tracing::warn!(partition = %partition.name, %error, "retention failed, will be tried again");
            }
        }
    }

    /// What a follower drops by itself: what its own retention says of a log that is only local, local copies of what
    /// the bucket has.
    pub(super) async fn retain_followed(&self, partition: &Arc<Partition>) {
        let outcome = match partition.tier.clone() {
            Some(tier) => {
                self.commit_sealed(partition).await;
                self.drop_local(partition, &tier).await
            }
            None => self.retain_local(partition).await,
        };
        match outcome {
            Ok(()) | Err(OffloadError::Closed(Closed)) => {}
            Err(error) => {
                tracing::warn!(partition = %partition.name, %error, "retention failed, will be tried again");
            }
        }
    }

    async fn retain_local(&self, partition: &Arc<Partition>) -> Result<(), OffloadError> {
        let now = self.wall();
        let owes = partition.see(move |state| state.log.owes_retention(now));
        // Most logs are owed nothing most of the time, and a thread is needed only for the others.
        if !owes.await? {
            return Ok(());
        }
        self.begin_and_change_head(partition, move |state| {
            state.log.release_sealed();
            state.log.begin_retain(now)
        })
        .await
    }

    /// The whole log counts, each offset once: what the bucket holds, and what only the local log has beyond it.
    async fn retain_tiered(
        &self,
        partition: &Arc<Partition>,
        tier: &Arc<PartitionTier>,
    ) -> Result<(), OffloadError> {
        let Some(summary) = self.learn_tier(partition, tier).await? else { return Ok(()) };
        let (sealed, positions, local_bytes, epoch) = partition
            .see(|state| {
                let (log, epoch) = (&state.log, state.leading()?);
                Ok::<_, Closed>((log.sealed_segments(), log.positions(), log.size_bytes(), epoch))
            })
            .await??;
        let also_tiered: u64 = sealed
            .iter()
            .filter(|segment| segment.next_offset <= summary.end)
            .map(|segment| segment.size)
            .sum();
        let config = partition.config();
        let limits = Retention { ms: config.retention_ms, bytes: config.retention_bytes };
        let now = self.wall();
        let wished = tier.retention_start(now.0, &limits, local_bytes.saturating_sub(also_tiered)).await?;
        let start =
            wished.unwrap_or(positions.log_start).max(positions.log_start).min(positions.high_watermark);
        if start > positions.log_start {
            self.advance_start(partition, start).await?;
        }
        if start > summary.log_start {
            tier.advance_start(epoch, start, DropReason::Retention).await?;
        }
        // Local files below the log start, and producers that are silent for too long.
        self.retain_local(partition).await?;
        if !has(Bug::OrphansStay) {
            tier.collect(epoch, now.0, self.config.history_retention_ms).await?;
        }
        Ok(())
    }
}
