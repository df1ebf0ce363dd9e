//! DeleteRecords: the log start moves up because somebody asks.

use std::sync::Arc;

use highwater_engine::{ChangeError, HeadJob, StartReason};
use highwater_env::{BoxFuture, EnvExt, Lane};
use highwater_records::Offset;
use highwater_tiering::DropReason;

use crate::{
    Node,
    coordinator::is_internal,
    partition::{Closed, Partition},
    partitions::FindError,
    request::{Caller, OfPartition, PartitionError},
};

impl Node {
    /// Moves the start of each partition up to the offset asked for, -1 for the high watermark, answered in order with
    /// where each starts now. An offset at or below the start changes nothing. Internal topics and those that are only
    /// compacted refuse.
    ///
    /// The new starts are durable on return; what lies below is shown to nobody any more and goes with the next
    /// rounds of retention, on local disk and in the bucket.
    pub fn delete_records<'a>(
        &'a self,
        caller: &'a Caller,
        requests: Vec<OfPartition<i64>>,
    ) -> BoxFuture<'a, Vec<Result<Offset, PartitionError>>> {
        Box::pin(async move {
            let _ = caller;
            let mut answers = Vec::with_capacity(requests.len());
            let mut advanced = Vec::new();
            for request in requests {
                let answer = self.advance_asked(&request).await;
                if let Ok((partition, start)) = &answer {
                    advanced.push((partition.clone(), *start));
                }
                answers.push(answer.map(|(_, start)| start));
            }
            if advanced.is_empty() {
                return answers;
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
                let fail =
                    |answer: Result<_, _>| answer.and_then(|_| Err(PartitionError::Storage(detail.clone())));
                return answers.into_iter().map(fail).collect();
            }
            for (partition, start) in advanced {
                self.tell_bucket(&partition, start).await;
            }
            answers
        })
    }

    async fn advance_asked(
        &self,
        request: &OfPartition<i64>,
    ) -> Result<(Arc<Partition>, Offset), PartitionError> {
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
                    begun.map_err(|error| match error {
                        ChangeError::OutOfRange { .. } => PartitionError::OffsetOutOfRange(to.as_i64()),
                        error => PartitionError::Storage(error.to_string()),
                    })
                })?;
                let done = match begun {
                    Err(error) => return Ok(Err(error)),
                    Ok(job) => job.map(HeadJob::run),
                };
                moved.with_blocking(|state| {
                    if let Some(done) = done {
                        let finished = state.log.finish_head(done);
                        finished.map_err(|error| PartitionError::Storage(error.to_string()))?;
                        state.starts_later();
                    }
                    Ok(state.log.positions().log_start)
                })
            })
            .await
            .map_err(|error| PartitionError::Storage(error.to_string()))?;
        let start = changed.map_err(|Closed| PartitionError::NotLeader)??;
        Ok((partition, start))
    }

    /// Lets the head in the bucket know, so that look-ups by time need not wait for the next round of retention. That
    /// round catches up with whatever fails here.
    async fn tell_bucket(&self, partition: &Arc<Partition>, start: Offset) {
        let Some(tier) = &partition.tier else { return };
        if tier.summary().is_none_or(|summary| summary.log_start >= start) {
            return;
        }
        let Ok(Ok(epoch)) = partition.with(|state| state.leading()).await else { return };
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
