//! Which batches a reader of committed records skips.

use std::collections::BTreeSet;

use highwater_records::batch::{BatchView, ControlType};
use highwater_wire::messages::fetch::AbortedTransaction;

/// Follows the aborted transactions of one partition through its batches, in order, as Kafka's consumer does: a
/// transaction that is known to have been aborted hides its producer's batches from its first offset up to its marker.
#[derive(Debug, Default)]
pub(super) struct Aborted {
    /// Those that begin further on, by first offset.
    ahead: Vec<AbortedTransaction>,
    producers: BTreeSet<u64>,
}

impl Aborted {
    /// The transactions that overlap what was fetched, as the broker lists them.
    pub(super) fn new(mut listed: Vec<AbortedTransaction>) -> Aborted {
        listed.sort_by_key(|transaction| std::cmp::Reverse(transaction.first_offset));
        Aborted { ahead: listed, producers: BTreeSet::new() }
    }

    /// Whether the records of this batch are to be hidden. Markers always are.
    pub(super) fn hides(&mut self, batch: &BatchView<'_>, marker: Option<ControlType>) -> bool {
        let last = batch.last_offset().as_i64();
        while let Some(begun) = self.ahead.pop_if(|transaction| transaction.first_offset <= last) {
            self.producers.insert(begun.producer_id.cast_unsigned());
        }
        let producer = batch.producer().map(|producer| producer.id.0);
        if batch.is_control() {
            if let (Some(ControlType::Abort), Some(producer)) = (marker, producer) {
                self.producers.remove(&producer);
            }
            return true;
        }
        batch.is_transactional() && producer.is_some_and(|producer| self.producers.contains(&producer))
    }
}
