//! Open transactions, and those that ended where readers may not look yet: what keeps the last stable offset back.

use std::collections::BTreeMap;

use highwater_records::{
    Offset, ProducerEpoch, ProducerId,
    batch::{BatchView, EndTxnMarker, Producer},
};

use super::state::ProducerStates;
use crate::{
    index::AbortedTransaction,
    museum::{Bug, has},
    segment::BatchHeader,
};

/// More than any marker has.
const MARKER_BYTES_MAX: usize = 1 << 20;

/// How a marker's producer epoch relates to that of the transaction it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MarkerEpoch {
    /// It is the transaction's, or a newer one: coordinators before KIP-890.
    #[default]
    SameOrNewer,
    /// It is newer, since the coordinator raises it at every end (KIP-890): a marker of the transaction's own epoch is a
    /// late one, unless nothing is open and it repeats the last one.
    Newer,
}

/// Transactions of one log by their first offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transactions {
    open: BTreeMap<Offset, ProducerId>,
    /// Where the marker is of those that ended at or above the high watermark.
    ended: BTreeMap<Offset, Offset>,
}

/// Why a batch must not be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransactionError {
    OldEpoch { current: ProducerEpoch },
    OldCoordinator { current: u32 },
    NotTransactional { first_offset: Offset },
}

impl Transactions {
    pub(super) fn begin(&mut self, at: Offset, producer: ProducerId) {
        self.open.insert(at, producer);
    }

    /// What was taken to begin at `was` does not; it begins here, or has ended.
    pub(super) fn begin_elsewhere(&mut self, was: Option<Offset>, begins: Option<(Offset, ProducerId)>) {
        was.and_then(|was| self.open.remove(&was));
        self.open.extend(begins);
    }

    /// Notes a marker; answers what was decided then.
    pub(super) fn end(&mut self, first: Offset, marker: &BatchHeader) -> Offset {
        self.open.remove(&first);
        self.ended.insert(first, marker.last_offset);
        self.open.keys().next().copied().unwrap_or(marker.next_offset)
    }

    /// The first offset that readers of committed records must not pass, if any.
    pub(crate) fn first_unstable(&self) -> Option<Offset> {
        let first = |map: Option<&Offset>| map.copied();
        let ended = self.ended.keys().next().filter(|_| !has(Bug::EndedIsStable));
        first(self.open.keys().next()).into_iter().chain(first(ended)).min()
    }

    /// The high watermark has moved: what ended below it is decided for every replica.
    pub(crate) fn settle(&mut self, high_watermark: Offset) {
        if !self.ended.is_empty() {
            self.ended.retain(|_, marker| *marker >= high_watermark);
        }
    }

    /// A snapshot tells what was open at its offset; what had ended before, and may not be settled, only batches tell.
    pub(crate) fn also_ended(&mut self, earlier: Transactions) {
        self.ended.extend(earlier.ended);
    }

    /// First offsets of those that ended and are not settled, with their markers' offsets, by first offset.
    pub(crate) fn ended(&self) -> impl Iterator<Item = (Offset, Offset)> {
        self.ended.iter().map(|(first, marker)| (*first, *marker))
    }

    /// Forgets those that ended and began below `start`.
    #[cfg(test)]
    pub(crate) fn forget_ended_below(&mut self, start: Offset) {
        self.ended.retain(|first, _| *first >= start);
    }

    /// Adds what [`Transactions::ended`] has told.
    pub(crate) fn have_ended(&mut self, ended: impl IntoIterator<Item = (Offset, Offset)>) {
        self.ended.extend(ended);
    }

    /// First offsets and producers of open transactions, by first offset.
    pub(crate) fn open(&self) -> impl Iterator<Item = (Offset, ProducerId)> {
        self.open.iter().map(|(first, producer)| (*first, *producer))
    }
}

impl ProducerStates {
    /// Whether a marker may end what its producer has open; nothing open is fine.
    pub(crate) fn check_marker(
        &self,
        producer: Producer,
        marker: EndTxnMarker,
        rule: MarkerEpoch,
    ) -> Result<(), TransactionError> {
        let Some(known) = self.producers.get(&producer.id) else { return Ok(()) };
        let repeats = producer.epoch == known.epoch && known.transaction_start.is_none();
        let late = match rule {
            MarkerEpoch::SameOrNewer => producer.epoch < known.epoch,
            MarkerEpoch::Newer => producer.epoch <= known.epoch && !repeats,
        };
        if late {
            return Err(TransactionError::OldEpoch { current: known.epoch });
        }
        match known.coordinator_epoch {
            Some(current) if marker.coordinator_epoch < current && !has(Bug::FormerCoordinatorEnds) => {
                Err(TransactionError::OldCoordinator { current })
            }
            _ => Ok(()),
        }
    }

    /// Whether records that belong to no transaction may follow what the producer has open.
    pub(crate) fn check_open(&self, batch: &BatchHeader) -> Result<(), TransactionError> {
        let known = batch.producer.and_then(|producer| self.producers.get(&producer.id));
        match known.and_then(|known| known.transaction_start) {
            Some(first_offset) if !batch.is_transactional => {
                Err(TransactionError::NotTransactional { first_offset })
            }
            _ => Ok(()),
        }
    }

    /// Notes a marker that was appended. The transaction it aborted, if it did.
    pub(super) fn note_marker(
        &mut self,
        producer: ProducerId,
        batch: &BatchHeader,
        marker: EndTxnMarker,
    ) -> Option<AbortedTransaction> {
        let state = self.producers.get_mut(&producer)?;
        state.coordinator_epoch = Some(marker.coordinator_epoch);
        let first_offset = state.transaction_start.take()?;
        let last_stable = self.transactions.end(first_offset, batch);
        (!marker.committed).then_some(AbortedTransaction {
            producer_id: producer,
            first_offset,
            last_offset: batch.last_offset,
            last_stable,
        })
    }
}

/// The transaction marker in a control batch; `None` where compaction has emptied it, or it is of another kind.
pub(crate) fn marker_of(batch: &BatchView<'_>) -> Option<EndTxnMarker> {
    if !batch.is_control() || batch.record_count() == 0 || batch.verify_crc().is_err() {
        return None;
    }
    let mut records = batch.records(MARKER_BYTES_MAX).ok()?;
    let record = records.next_record().ok()??;
    EndTxnMarker::from_record(record.key, record.value).ok()?
}

#[cfg(test)]
mod tests;
