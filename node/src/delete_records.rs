//! DeleteRecords: the log start moves up because somebody asks.

use std::{sync::Arc, time::Duration};

use highwater_engine::{ChangeError, HeadJob, StartReason};
use highwater_env::{BoxFuture, EnvExt, Instant, Lane};
use highwater_records::{BrokerId, Offset};
use highwater_tiering::DropReason;
use tokio::sync::Notify;

use crate::{
    Node,
    coordinator::is_internal,
    first_of::first_of,
    partition::{Closed, Partition},
    partitions::FindError,
    request::{Caller, OfPartition, PartitionError},
};

/// A partition whose start was moved here.
struct Advanced {
    partition: Arc<Partition>,
    /// Where it starts now.
    start: Offset,
    /// Where it was asked to start, no later than that.
    asked: Offset,
}

impl Node {
    /// Moves the start of each partition up to the offset asked for, -1 for the high watermark, answered in order with
    /// where each starts now. An offset at or below the start changes nothing. Internal topics and those that are only
    /// compacted refuse.
    ///
    /// On return the new starts are durable here and on every other replica that lives or may be elected, whose lowest
    /// start is the answer: no later leader shows what lies below (KIP-107). It goes with the next rounds of retention, on
    /// local disk and in the bucket. Others are waited for as long as `timeout`.
    pub fn delete_records<'a>(
        &'a self,
        caller: &'a Caller,
        timeout: Duration,
        requests: Vec<OfPartition<i64>>,
    ) -> BoxFuture<'a, Vec<Result<Offset, PartitionError>>> {
        Box::pin(async move {
            let _ = caller;
            let deadline = self.env.now().plus(timeout);
            let mut advanced = Vec::with_capacity(requests.len());
            for request in requests {
                advanced.push(self.advance_asked(&request).await);
            }
            if !advanced.iter().any(Result::is_ok) {
                return advanced.into_iter().map(|answer| answer.map(|done| done.start)).collect();
            }
            // One write for all, before the bucket hears of it: nothing is deleted below a start that a crash could undo.
            let directory = self.directory.clone();
            let written =
                self.env.run_blocking(Lane::Background, move || directory.write_checkpoints()).await;
            let failed = match written {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(detail) = failed {
                let fail = |answer: Result<Advanced, _>| {
                    answer.and_then(|_| Err(PartitionError::Storage(detail.clone())))
                };
                return advanced.into_iter().map(fail).collect();
            }
            for done in advanced.iter().flatten() {
                self.tell_bucket(&done.partition, done.start).await;
            }
            let mut answers = Vec::with_capacity(advanced.len());
            for answer in advanced {
                answers.push(match answer {
                    Ok(done) => self.gone_everywhere(done, deadline).await,
                    Err(error) => Err(error),
                });
            }
            answers
        })
    }

    /// Waits until every replica that lives or may be elected starts at what was asked for, or later: one that did not
    /// could lead next, and show what was deleted. The lowest start of them.
    async fn gone_everywhere(&self, done: Advanced, deadline: Instant) -> Result<Offset, PartitionError> {
        let Advanced { partition, start, asked } = done;
        if self.membership.is_none() {
            return Ok(start);
        }
        let signal = Arc::new(Notify::new());
        loop {
            let image = self.image();
            let assigned = image.partition(partition.id).ok_or(PartitionError::UnknownTopicOrPartition)?;
            let live = |replica: &BrokerId| {
                image.is_active(*replica)
                    || assigned.isr.contains(replica)
                    || assigned.eligible_leaders.contains(replica)
            };
            let live: Vec<BrokerId> = assigned.replicas.iter().copied().filter(live).collect();
            let told = signal.clone();
            let lowest = partition.with(move |state| state.lowest_start(live.into_iter(), &told)).await;
            let lowest = lowest.and_then(|leading| leading).map_err(|Closed| PartitionError::NotLeader)?;
            if lowest >= asked {
                return Ok(lowest);
            }
            let changed = first_of(signal.notified(), self.cluster.wait_after(image.applied()));
            if !first_of(changed, self.env.sleep_until(deadline)).await.is_left() {
                return Err(PartitionError::TimedOut { log_start: lowest });
            }
        }
    }

    async fn advance_asked(&self, request: &OfPartition<i64>) -> Result<Advanced, PartitionError> {
        let partition = self.partitions.find(&request.topic, request.partition).await?;
        // A shard rebuilds its state from the whole of its log.
        if is_internal(&partition.name.topic) {
            return Err(PartitionError::InternalTopic);
        }
        let config = partition.config();
        if config.compaction.is_some() && !config.deletes {
            return Err(PartitionError::OnlyCompacted);
        }
        let asked = match request.asked {
            -1 => None,
            offset => Some(Offset::from_i64(offset).map_err(|_| PartitionError::OffsetOutOfRange(offset))?),
        };
        let moved = partition.clone();
        let changed = self
            .env
            .run_blocking(Lane::Background, move || {
                let begun = moved.with_blocking(|state| {
                    if !state.tier_known {
                        return Err(PartitionError::Storage(
                            "the partition's head in the bucket has not been read yet".into(),
                        ));
                    }
                    let to = asked.unwrap_or(state.log.positions().high_watermark);
                    let begun = state.log.begin_advance(to, StartReason::RecordsDeleted);
                    let begun = begun.map_err(|error| match error {
                        ChangeError::OutOfRange { .. } => PartitionError::OffsetOutOfRange(to.as_i64()),
                        error => PartitionError::Storage(error.to_string()),
                    })?;
                    Ok((to, begun))
                })?;
                let (to, done) = match begun {
                    Err(error) => return Ok(Err(error)),
                    Ok((to, job)) => (to, job.map(HeadJob::run)),
                };
                moved.with_blocking(|state| {
                    if let Some(done) = done {
                        let finished = state.log.finish_head(done);
                        finished.map_err(|error| PartitionError::Storage(error.to_string()))?;
                        state.starts_later();
                    }
                    Ok((state.log.positions().log_start, to))
                })
            })
            .await
            .map_err(|error| PartitionError::Storage(error.to_string()))?;
        let (start, asked) = changed.map_err(|Closed| PartitionError::NotLeader)??;
        Ok(Advanced { partition, start, asked })
    }

    /// Lets the head in the bucket know, so that look-ups by time need not wait for the next round of retention. That
    /// round catches up with whatever fails here.
    async fn tell_bucket(&self, partition: &Arc<Partition>, start: Offset) {
        let Some(tier) = &partition.tier else { return };
        if tier.summary().is_none_or(|summary| summary.log_start >= start) {
            return;
        }
        let Ok(Ok(epoch)) = partition.see(|state| state.leading()).await else { return };
        if let Err(error) = tier.advance_start(epoch, start, DropReason::RecordsDeleted).await {
            tracing::warn!(partition = %partition.name, %error, "the bucket will hear of the new log start later");
        }
    }
}

impl From<FindError> for PartitionError {
    fn from(error: FindError) -> PartitionError {
        match error {
            FindError::UnknownTopicOrPartition | FindError::UnknownTopicId => {
                PartitionError::UnknownTopicOrPartition
            }
            FindError::NotLeader => PartitionError::NotLeader,
            FindError::Storage(detail) => PartitionError::Storage(detail),
        }
    }
}
