//! Transactions in this log: what is open, what was aborted, and how one ends.

use highwater_records::{
    LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs,
    batch::{CheckPolicy, CheckedBatch, EndTxnMarker},
};

use super::{AppendError, Appended, Log};
use crate::producer::MarkerEpoch;

/// A transaction that has records in this log and no marker yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenTransaction {
    /// Whose it is.
    pub producer_id: ProducerId,
    /// The producer's incarnation.
    pub epoch: ProducerEpoch,
    /// Its first record (inclusive).
    pub first_offset: Offset,
    /// Timestamp of its last batch.
    pub last_timestamp: TimestampMs,
}

impl Log {
    /// The open transactions by their first offsets. One that no coordinator knows hangs, and keeps the last stable
    /// offset back until somebody ends it.
    pub fn open_transactions(&self) -> Vec<OpenTransaction> {
        let open = self.producers.transactions.open();
        let describe = |(first_offset, producer_id)| {
            let state = self.producers.producers.get(&producer_id)?;
            Some(OpenTransaction {
                producer_id,
                epoch: state.epoch,
                first_offset,
                last_timestamp: state.last_timestamp,
            })
        };
        open.filter_map(describe).collect()
    }

    /// Ends a producer's transaction in this log, as a transaction coordinator decided: appends a marker. Where nothing
    /// is open the marker is appended all the same, and raises the producer's epoch. Like any append it is durable
    /// after the next commit, and it counts for readers of committed records once the watermark has passed it.
    ///
    /// `rule` says how the coordinator that decided chooses the marker's epoch.
    ///
    /// # Errors
    /// `InvalidProducerEpoch` and `CoordinatorFenced` for a late marker; else as [`Log::append`]. The log is as it was
    /// before.
    pub fn end_transaction(
        &mut self,
        producer: (ProducerId, ProducerEpoch),
        marker: EndTxnMarker,
        rule: MarkerEpoch,
        leader_epoch: LeaderEpoch,
        now: TimestampMs,
    ) -> Result<Appended, AppendError> {
        let (id, epoch) = producer;
        let bytes = marker.to_batch(id, epoch, now, Offset::ZERO, None).map_err(std::io::Error::other)?;
        let batch = CheckedBatch::check(bytes, &CheckPolicy::internal()).map_err(std::io::Error::other)?;
        self.append_as_leader(batch, rule, leader_epoch, now)
    }

    /// The last stable offset follows the watermark and the open transactions.
    pub(super) fn follow_transactions(&mut self) {
        let positions = &mut self.positions;
        let transactions = &mut self.producers.transactions;
        transactions.settle(positions.high_watermark);
        let unstable = transactions.first_unstable().unwrap_or(positions.high_watermark);
        positions.last_stable = unstable.max(positions.log_start).min(positions.high_watermark);
    }
}
