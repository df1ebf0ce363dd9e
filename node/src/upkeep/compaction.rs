//! Compaction of the logs that ask for it, the dirtiest first, one at a time.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use highwater_engine::{CompactError, CompactionPass};
use highwater_env::{EnvExt, Lane};

use crate::{
    Node,
    first_of::first_of,
    partition::{Closed, Partition},
};

impl Node {
    /// Compacts what is due until the node stops. A task of its own, which looks out for the stop between two batches:
    /// nothing else writes a log's compacted files, and none is left half in its place.
    pub(crate) async fn compaction(self: Arc<Self>) {
        while !self.is_stopping() {
            let pause = Duration::from_millis(self.live.get().compaction_pause_ms);
            first_of(self.stops(), self.env.sleep(pause)).await;
            if self.config.compaction_enabled && !self.is_stopping() {
                self.compact_what_is_due().await;
            }
        }
    }

    async fn compact_what_is_due(self: &Arc<Self>) {
        let mut compacting = self.partitions.led(|config| config.compaction.is_some()).await;
        // A follower compacts its own log: nobody else does, and what it has below its watermark is what the leader has.
        compacting.extend(self.all_followed().await);
        compacting.retain(|partition| partition.config().compaction.is_some());
        let mut unwritten = false;
        for partition in &compacting {
            self.roll_if_due(partition).await;
            // Only what is durable, and known to be by recovery, is compacted; on a replicated topic nobody else syncs it.
            let state = partition.see(|state| (state.log.sealed_end(), state.log.positions())).await;
            let Ok((sealed_end, positions)) = state else { continue };
            if positions.durable_end < sealed_end {
                self.commit_all(vec![partition.clone()], true).await;
            }
            unwritten |= positions.recovery_point < sealed_end;
        }
        if unwritten {
            self.write_checkpoints().await;
        }
        let now = self.wall();
        let mut due = Vec::new();
        for partition in compacting {
            let debt = partition.see(move |state| state.log.compaction_debt(now)).await;
            if let Ok(Some(debt)) = debt
                && debt.due
            {
                let share = u128::from(debt.dirty_bytes) * 1_000_000
                    / u128::from((debt.dirty_bytes + debt.clean_bytes).max(1));
                due.push((Reverse(share), partition));
            }
        }
        due.sort_by_key(|(share, _)| *share);
        for (_, partition) in due {
            if self.is_stopping() {
                return;
            }
            match self.compact(&partition).await {
                Ok(()) | Err(Ended::Closed | Ended::Stopping) => {}
                Err(Ended::Failed(error)) => {
                    tracing::warn!(partition = %partition.name, error, "compaction failed, will be tried again");
                }
            }
        }
    }

    async fn compact(self: &Arc<Self>, partition: &Arc<Partition>) -> Result<(), Ended> {
        let (now, key_bytes) = (self.wall(), self.config.compaction_key_bytes);
        let key_bytes = usize::try_from(key_bytes).unwrap_or(usize::MAX);
        let begun = partition.with(move |state| state.log.begin_compaction(key_bytes, now)).await?;
        let Some(mut pass) = begun else { return Ok(()) };
        loop {
            let node = self.clone();
            let step = self
                .env
                .run_blocking(Lane::Background, move || {
                    let group = pass.next_group(|| !node.is_stopping());
                    (pass, group)
                })
                .await;
            let (stepped, group): (CompactionPass, _) = step.map_err(failed)?;
            pass = stepped;
            let Some(group) = group? else { break };
            let swapped = partition.clone();
            // Both in one go: whoever truncates waits for the second from the first on, under the partition's lock, and may
            // be what the thread that would come back for it is waiting for.
            let swap = move || {
                swapped.with_blocking(|state| state.log.swap_compacted(group))??.run()?;
                Ok::<(), Ended>(())
            };
            self.env.run_blocking(Lane::Background, swap).await.map_err(failed)??;
        }
        let done = partition.with(move |state| state.log.finish_compaction(pass)).await?;
        tracing::debug!(
            partition = %partition.name,
            up_to = %done.up_to,
            before = done.bytes_before,
            after = done.bytes_after,
            "compacted"
        );
        Ok(())
    }
}

/// Why a pass did not reach its end.
enum Ended {
    /// The topic is deleted.
    Closed,
    Stopping,
    Failed(String),
}

fn failed(error: impl std::fmt::Display) -> Ended {
    Ended::Failed(error.to_string())
}

impl From<Closed> for Ended {
    fn from(_: Closed) -> Ended {
        Ended::Closed
    }
}

impl From<CompactError> for Ended {
    fn from(error: CompactError) -> Ended {
        match error {
            CompactError::Stopped => Ended::Stopping,
            other => failed(other),
        }
    }
}
