//! Looking up by timestamp.

use highwater_env::BoxFuture;
use highwater_records::{Offset, TimestampMs, batch::BatchView};

use super::PartitionTier;
use crate::{
    error::TierError,
    head::{entry::SegmentEntry, page::newer},
    name::Kind,
};

/// How much is read at once while looking.
const STEP_BYTES: usize = 1 << 20;
/// Larger than any batch that a log accepts; what decompresses to more is not looked into.
const DECOMPRESSED_MAX: usize = 1 << 30;

impl PartitionTier {
    /// The first record at or above the log start whose timestamp is at or after `timestamp`; `None` if the tier has
    /// none.
    ///
    /// # Errors
    /// As [`PartitionTier::read`].
    pub fn offset_for_timestamp(
        &self,
        timestamp: TimestampMs,
    ) -> BoxFuture<'_, Result<Option<(TimestampMs, Offset)>, TierError>> {
        Box::pin(async move {
            let Some(known) = self.known().await? else { return Ok(None) };
            let mut from = known.head.log_start.max(known.head.start);
            while let Some(entry) = self.find(&known.head, from, Some(timestamp.0)).await? {
                let footer = self.tier.footer(self.id, &entry).await?;
                let before = footer.time_index.offset_before(timestamp.0);
                let hint = entry.name.base.checked_add(before.into()).unwrap_or(entry.start);
                from = from.max(entry.start);
                if let Some(found) = self.first_at(&entry, from, hint.max(from), timestamp).await? {
                    return Ok(Some(found));
                }
                from = entry.end;
            }
            Ok(None)
        })
    }

    /// The largest timestamp in the tier at or above the log start, and the first record that has it.
    ///
    /// # Errors
    /// As [`PartitionTier::read`].
    pub fn max_timestamp(&self) -> BoxFuture<'_, Result<Option<(TimestampMs, Offset)>, TierError>> {
        Box::pin(async move {
            let Some(known) = self.known().await? else { return Ok(None) };
            let head = &known.head;
            let from = head.log_start.max(head.start);
            let mut best = None;
            // Each step asks for something later than what was found, so few segments are looked at twice.
            let mut wanted = i64::MIN;
            let mut at = from;
            while let Some(entry) = self.find(head, at, Some(wanted)).await? {
                if let Some(found) = self.latest_in(&entry, from.max(entry.start)).await? {
                    let latest = best.map_or(found, |best| newer(best, found));
                    best = Some(latest);
                    wanted = latest.0.0.saturating_add(1);
                    if latest.0.0 == i64::MAX {
                        break;
                    }
                }
                at = entry.end;
            }
            Ok(best)
        })
    }

    /// The first record of `entry` at or above `from` that is at or after `timestamp`; none lies before `hint`.
    async fn first_at(
        &self,
        entry: &SegmentEntry,
        from: Offset,
        hint: Offset,
        timestamp: TimestampMs,
    ) -> Result<Option<(TimestampMs, Offset)>, TierError> {
        let mut found = None;
        self.walk(entry, hint, |batch| {
            if batch.max_timestamp().is_none_or(|latest| latest < timestamp) {
                return Ok(true);
            }
            found = records(batch)?
                .into_iter()
                .find(|(at, offset)| *offset >= from && *offset < entry.end && *at >= timestamp);
            Ok(found.is_none())
        })
        .await?;
        Ok(found)
    }

    async fn latest_in(
        &self,
        entry: &SegmentEntry,
        from: Offset,
    ) -> Result<Option<(TimestampMs, Offset)>, TierError> {
        let Some((latest, at)) = entry.newest else { return Ok(None) };
        if at >= from && at < entry.end {
            let exact = self.first_at(entry, from, from.max(entry.start), latest).await?;
            if exact.is_some() {
                return Ok(exact);
            }
        }
        // The record that had it is no longer live: the hint is of no use.
        let mut best = None;
        self.walk(entry, from, |batch| {
            let promising = batch
                .max_timestamp()
                .is_some_and(|latest| best.is_none_or(|(before, _): (TimestampMs, Offset)| latest > before));
            if promising {
                let live =
                    records(batch)?.into_iter().filter(|(_, offset)| *offset >= from && *offset < entry.end);
                best = live.chain(best).reduce(newer);
            }
            Ok(true)
        })
        .await?;
        Ok(best)
    }

    /// Shows the batches from the one that contains `from` on, until `visit` says no.
    async fn walk(
        &self,
        entry: &SegmentEntry,
        from: Offset,
        mut visit: impl FnMut(&BatchView<'_>) -> Result<bool, String>,
    ) -> Result<(), TierError> {
        let corrupt =
            |detail: String| TierError::Corrupt { object: entry.name.key(Kind::Segment, self.id), detail };
        let mut at = from;
        while at < entry.end {
            let read = self.read_entry(entry, at, STEP_BYTES, true).await?;
            if read.bytes.is_empty() {
                break;
            }
            let mut rest = &read.bytes[..];
            while !rest.is_empty() {
                let batch = BatchView::parse(rest).map_err(|error| corrupt(error.to_string()))?;
                if !visit(&batch).map_err(corrupt)? {
                    return Ok(());
                }
                rest = &rest[batch.size()..];
            }
            at = read.next_offset;
        }
        Ok(())
    }
}

/// Timestamps and offsets of a batch's records.
fn records(batch: &BatchView<'_>) -> Result<Vec<(TimestampMs, Offset)>, String> {
    let mut out = Vec::new();
    for record in batch.walk(DECOMPRESSED_MAX).map_err(|error| error.to_string())? {
        let record = record.map_err(|error| error.to_string())?;
        out.extend(record.timestamp.map(|timestamp| (timestamp, record.offset)));
    }
    Ok(out)
}
