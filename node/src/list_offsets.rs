//! ListOffsets: positions of a partition, and records by time, on local disk and in the bucket.

use std::sync::Arc;

use highwater_env::{BoxFuture, EnvExt, Lane};
use highwater_records::{Offset, TimestampMs};

use crate::{
    Node,
    partition::{Partition, View},
    partitions::FindError,
    request::{Caller, Isolation, ListOffset, ListOffsetsError, ListedOffset, OffsetSpec},
};

impl Node {
    /// Looks up one offset per request, answered in order.
    pub fn list_offsets<'a>(
        &'a self,
        caller: &'a Caller,
        requests: Vec<ListOffset>,
    ) -> BoxFuture<'a, Vec<Result<ListedOffset, ListOffsetsError>>> {
        Box::pin(async move {
            let _ = caller;
            let mut answers = Vec::with_capacity(requests.len());
            for request in requests {
                answers.push(self.list_offset(request).await);
            }
            answers
        })
    }

    async fn list_offset(&self, request: ListOffset) -> Result<ListedOffset, ListOffsetsError> {
        let partition = self.partitions.find(&request.topic, request.partition).await.map_err(find_error)?;
        let view = partition.see(|state| state.view()).await.map_err(|_| ListOffsetsError::NotLeader)?;
        if !view.leads {
            return Err(ListOffsetsError::NotLeader);
        }
        let ours = view.leader_epoch;
        match request.current_leader_epoch {
            Some(theirs) if theirs < ours.as_i32() => {
                return Err(ListOffsetsError::FencedLeaderEpoch { ours });
            }
            Some(theirs) if theirs > ours.as_i32() => {
                return Err(ListOffsetsError::UnknownLeaderEpoch { ours });
            }
            _ => {}
        }
        // What a consumer is told must not go back when the leader changes (KIP-207).
        if !view.watermark_known && matches!(request.spec, OffsetSpec::Latest | OffsetSpec::At(_)) {
            return Err(ListOffsetsError::NotAvailable);
        }
        let positions = &view.positions;
        let end = match request.isolation {
            Isolation::ReadUncommitted => positions.high_watermark,
            Isolation::ReadCommitted => positions.last_stable,
        };
        if !view.tier_known && !matches!(request.spec, OffsetSpec::Latest) {
            return Err(ListOffsetsError::Storage(
                "the partition's head in the bucket has not been read yet".into(),
            ));
        }
        let found = match request.spec {
            OffsetSpec::Latest => Found::at(end).in_epoch(Some(ours)),
            OffsetSpec::Earliest => self.position(&partition, &view, positions.log_start).await?,
            OffsetSpec::EarliestLocal => self.position(&partition, &view, positions.local_start).await?,
            OffsetSpec::LatestTiered => match self.tiered_end(&partition).await? {
                Some(tiered_end) if tiered_end > Offset::ZERO => {
                    let last = Offset::new(tiered_end.get() - 1).unwrap_or_default();
                    self.position(&partition, &view, last).await?
                }
                _ => ListedOffset::default(),
            },
            OffsetSpec::EarliestPendingUpload if partition.tier.is_some() => {
                let tiered_end = self.tiered_end(&partition).await?;
                let pending = tiered_end.map_or(positions.local_start, |end| end.max(positions.log_start));
                self.position(&partition, &view, pending).await?
            }
            OffsetSpec::EarliestPendingUpload => ListedOffset::default(),
            OffsetSpec::MaxTimestamp => self.max_timestamp(&partition, view, end).await?,
            OffsetSpec::At(timestamp) => self.at_timestamp(&partition, view, timestamp, end).await?,
        };
        Ok(found)
    }

    /// An offset together with the leader epoch its record has or will have.
    async fn position(
        &self,
        partition: &Arc<Partition>,
        view: &View,
        offset: Offset,
    ) -> Result<ListedOffset, ListOffsetsError> {
        let local = view.reader.epoch_of(offset);
        let epoch = match (local, &partition.tier) {
            (Some(epoch), _) => Some(epoch),
            // The epoch is a hint for the client; the offset is known without the bucket.
            (None, Some(tier)) if offset < view.positions.local_start => {
                tier.epoch_of(offset).await.ok().flatten()
            }
            _ => Some(view.leader_epoch),
        };
        Ok(Found::at(offset).in_epoch(epoch))
    }

    /// The end of what the bucket holds, exclusive; `None` where nothing was ever copied. The bucket is asked only
    /// while nothing is known of it: this broker alone writes the head, and answers while the bucket is away.
    async fn tiered_end(&self, partition: &Arc<Partition>) -> Result<Option<Offset>, ListOffsetsError> {
        let Some(tier) = &partition.tier else { return Ok(None) };
        let summary = match tier.summary() {
            Some(summary) => Some(summary),
            None => tier.load().await.map_err(storage)?,
        };
        Ok(summary.map(|summary| summary.end))
    }

    /// The first record at or after `timestamp`. Where the log begins in the bucket the bucket is asked first: the
    /// first local record at that time need not be the first one.
    async fn at_timestamp(
        &self,
        partition: &Arc<Partition>,
        view: View,
        timestamp: TimestampMs,
        end: Offset,
    ) -> Result<ListedOffset, ListOffsetsError> {
        let positions = view.positions;
        if let (Some(tier), true) = (&partition.tier, positions.log_start < positions.local_start) {
            let found = tier.offset_for_timestamp(timestamp).await.map_err(storage)?;
            if let Some((time, offset)) = found
                && offset < positions.local_start
            {
                if offset < positions.log_start {
                    return Err(storage("the bucket has not heard of the new log start yet"));
                }
                let epoch = tier.epoch_of(offset).await.map_err(storage)?;
                return Ok(ListedOffset { offset: Some(offset), timestamp: Some(time), leader_epoch: epoch });
            }
        }
        let reader = view.reader.clone();
        let found = self
            .env
            .run_blocking(Lane::ColdRead, move || reader.offset_for_timestamp(timestamp))
            .await
            .map_err(storage)?
            .map_err(storage)?;
        Ok(match found {
            Some((time, offset)) if offset < end => ListedOffset {
                offset: Some(offset),
                timestamp: Some(time),
                leader_epoch: view.reader.epoch_of(offset),
            },
            _ => ListedOffset::default(),
        })
    }

    /// The record with the largest timestamp, wherever it is.
    async fn max_timestamp(
        &self,
        partition: &Arc<Partition>,
        view: View,
        end: Offset,
    ) -> Result<ListedOffset, ListOffsetsError> {
        let positions = view.positions;
        let reader = view.reader.clone();
        let local = self
            .env
            .run_blocking(Lane::ColdRead, move || reader.max_timestamp(end))
            .await
            .map_err(storage)?
            .map_err(storage)?;
        let mut best = local;
        if let (Some(tier), true) = (&partition.tier, positions.log_start < positions.local_start) {
            let remote = tier.max_timestamp().await.map_err(storage)?;
            if let Some((time, offset)) = remote
                && offset >= positions.log_start
                && best.is_none_or(|(local_time, local_offset)| {
                    time > local_time || (time == local_time && offset < local_offset)
                })
            {
                best = Some((time, offset));
            }
        }
        let Some((time, offset)) = best else { return Ok(ListedOffset::default()) };
        let found = self.position(partition, &view, offset).await?;
        Ok(ListedOffset { timestamp: Some(time), ..found })
    }
}

/// Shorthand for an offset that was found.
struct Found(Offset);

impl Found {
    fn at(offset: Offset) -> Found {
        Found(offset)
    }

    fn in_epoch(self, leader_epoch: Option<highwater_records::LeaderEpoch>) -> ListedOffset {
        ListedOffset { offset: Some(self.0), timestamp: None, leader_epoch }
    }
}

fn storage(error: impl std::fmt::Display) -> ListOffsetsError {
    ListOffsetsError::Storage(error.to_string())
}

fn find_error(error: FindError) -> ListOffsetsError {
    match error {
        FindError::UnknownTopicOrPartition | FindError::UnknownTopicId => {
            ListOffsetsError::UnknownTopicOrPartition
        }
        FindError::NotLeader => ListOffsetsError::NotLeader,
        FindError::Storage(detail) => ListOffsetsError::Storage(detail),
    }
}
