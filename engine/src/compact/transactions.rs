//! What became of transactions, as their batches and markers pass by in order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use highwater_records::{Offset, ProducerId, batch::EndTxnMarker};

use crate::{index::AbortedTransaction, segment::BatchHeader};

/// Transactions as a pass over a log meets them. All of it lies below the last stable offset, so that each one's end is
/// known before its records are read.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// Aborted transactions whose first record has not been met, by first offsets.
    ahead: VecDeque<AbortedTransaction>,
    /// Those that have begun, and whether any of their batches is still there, if only an empty one: without its marker it
    /// would begin a transaction that never ends.
    aborted: BTreeMap<ProducerId, (AbortedTransaction, bool)>,
    /// Producers of committed transactions that still have batches.
    committed: BTreeSet<ProducerId>,
}

/// What a marker is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// None of its transaction's batches is left; it only keeps the producer's epoch.
    Idle,
    /// Its transaction has batches.
    Needed {
        /// What the transaction index must tell.
        aborted: Option<AbortedTransaction>,
    },
}

impl Outcomes {
    /// Adds what was aborted by markers further on.
    pub(super) fn expect(&mut self, aborted: impl IntoIterator<Item = AbortedTransaction>) {
        self.ahead.extend(aborted);
        self.ahead.make_contiguous().sort_by_key(|aborted| (aborted.first_offset, aborted.last_offset));
    }

    /// A batch of records. Whether it was aborted.
    pub(super) fn on_records(&mut self, batch: &BatchHeader) -> bool {
        self.begin_up_to(batch.last_offset);
        let Some(producer) = batch.producer.filter(|_| batch.is_transactional) else { return false };
        match self.aborted.get_mut(&producer.id) {
            Some((_, has_batches)) => {
                *has_batches = true;
                true
            }
            None => {
                self.committed.insert(producer.id);
                false
            }
        }
    }

    /// A marker; `None` is one that compaction has emptied before.
    pub(super) fn on_marker(&mut self, batch: &BatchHeader, marker: Option<EndTxnMarker>) -> Marker {
        self.begin_up_to(batch.last_offset);
        let (Some(producer), Some(marker)) = (batch.producer, marker) else { return Marker::Idle };
        if marker.committed {
            return if self.committed.remove(&producer.id) {
                Marker::Needed { aborted: None }
            } else {
                Marker::Idle
            };
        }
        match self.aborted.remove(&producer.id) {
            Some((aborted, true)) => Marker::Needed { aborted: Some(aborted) },
            _ => Marker::Idle,
        }
    }

    fn begin_up_to(&mut self, offset: Offset) {
        while let Some(aborted) = self.ahead.front()
            && aborted.first_offset <= offset
        {
            // Twice where segments that were read before tell of it too.
            self.aborted.entry(aborted.producer_id).or_insert((*aborted, false));
            self.ahead.pop_front();
        }
    }
}
