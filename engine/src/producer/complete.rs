//! What damage has hidden from whoever read producers' states from files, and somebody else knows.

use std::collections::VecDeque;

use highwater_records::{Offset, ProducerId};

use super::state::ProducerStates;

impl ProducerStates {
    /// Takes over what `other` knows of batches below `end` (exclusive) and these states do not: where the newest one of a
    /// producer was not read, its next one would be refused for ever.
    pub(crate) fn complete_batches(&mut self, other: &ProducerStates, end: Offset) {
        for (id, known) in &other.producers {
            let batches: VecDeque<_> =
                known.batches.iter().filter(|batch| batch.last_offset < end).copied().collect();
            let Some(newest) = batches.back().copied() else { continue };
            // A new epoch forgets the batches of the one before: those that are left are all of this one.
            let found = self.producers.get(id).map(|mine| (mine.epoch, mine.last_offset()));
            if found >= Some((known.epoch, Some(newest.last_offset))) {
                continue;
            }
            let mine = self.producers.entry(*id).or_insert_with(|| {
                let mut new = known.clone();
                new.transaction_start = None;
                new
            });
            (mine.epoch, mine.batches, mine.last_timestamp) = (known.epoch, batches, newest.timestamp);
        }
    }

    /// The same for transactions, of states that were read after everything from `end` on had gone; `before` is what was
    /// known until then. Nothing is shown to readers of committed records that was not shown before.
    pub(crate) fn complete_transactions(
        &mut self,
        before: &ProducerStates,
        end: Offset,
        high_watermark: Offset,
    ) {
        // What had ended below the watermark is not remembered as such: only above it a marker that is gone is known to be.
        let reopens = end < high_watermark || before.transactions.ended().any(|(_, marker)| marker >= end);
        if !reopens {
            let closed: Vec<(Offset, ProducerId)> = self
                .transactions
                .open()
                .filter(|(first, id)| {
                    before.producers.get(id).is_some_and(|known| known.transaction_start != Some(*first))
                })
                .collect();
            for (first, id) in closed {
                self.open_at(id, Some(first), None);
            }
        }
        for (first, id) in before.transactions.open().filter(|(first, _)| *first < end) {
            let mine = self.producers.get(&id).map(|mine| mine.transaction_start);
            match (mine, before.producers.get(&id)) {
                (Some(found), _) if found == Some(first) => {}
                (Some(found), _) => self.open_at(id, found, Some(first)),
                (None, Some(known)) => {
                    let mut new = known.clone();
                    new.batches.retain(|batch| batch.last_offset < end);
                    self.producers.insert(id, new);
                    self.transactions.begin(first, id);
                }
                (None, None) => {}
            }
        }
        let open: Vec<Offset> = self.transactions.open().map(|(first, _)| first).collect();
        let ended = before.transactions.ended().filter(|(first, _)| *first < end && !open.contains(first));
        self.transactions.have_ended(ended);
    }

    fn open_at(&mut self, id: ProducerId, was: Option<Offset>, first: Option<Offset>) {
        if let Some(mine) = self.producers.get_mut(&id) {
            mine.transaction_start = first;
        }
        self.transactions.begin_elsewhere(was, first.map(|first| (first, id)));
    }
}

#[cfg(test)]
mod tests;
