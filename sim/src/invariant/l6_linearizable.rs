//! L6: appends, reads and position queries of a partition behave as if they happened one at a time, each between
//! its begin and its answer, on a log that only grows.
//!
//! The model is a tail and what lies below it. Checked: a read sees every append that was acknowledged before it
//! began; every batch seen was begun by a client, in this partition; one append has
//! one effect, however often it was tried, and if two answers place it, they agree (so a duplicate is answered with
//! the original offset), unless the first one was deleted meanwhile: nobody need know of it then; two answers that cover an offset agree on what is there.
//!
//! Not checked: reads that return nothing although something is there (that is for the liveness phase).

use std::collections::BTreeMap;

use highwater_records::TopicIdPartition;

use super::Invariant;
use crate::{
    ghost::{Ghost, Known},
    history::Event,
};

/// See the file's text.
#[derive(Default)]
pub struct Linearizable {
    /// Where each append took effect, by content.
    placed: BTreeMap<(TopicIdPartition, u64), u64>,
}

impl Invariant for Linearizable {
    fn name(&self) -> &'static str {
        "L6 linearizable append"
    }

    fn check(&mut self, ghost: &Ghost, event: &Event) -> Result<(), String> {
        let Some(at) = event.partition() else { return Ok(()) };
        if let Event::LossReported { lost_from, .. } = event {
            self.placed.retain(|(partition, _), base| *partition != at || *base < *lost_from);
            return Ok(());
        }
        let Some((known, _)) = ghost.partition(at) else { return Ok(()) };
        let told = event.log_start().map_or(0, |(_, start)| start);
        let start = known.log_start.max(known.deleted).max(told);
        let mut one = |base: u64, last: u64, content: u64| {
            if !known.invoked.contains_key(&content) {
                return Err(format!("batch {base}..={last} was never produced here"));
            }
            let placed = self.placed.entry((at, content)).or_insert(base);
            if *placed != base && *placed + (last - base) >= start {
                return Err(format!("one append took effect at {placed} and at {base}"));
            }
            *placed = base;
            // Batches do not overlap: where this very one is known there is no other.
            let same = |other: &Known| (other.last, other.content) == (last, content);
            if known.known.get(&base).is_some_and(same) {
                return Ok(());
            }
            match known
                .known_in(base, last + 1)
                .find(|(other, known)| (*other, known.last, known.content) != (base, last, content))
            {
                Some((other, known)) => {
                    Err(format!("batch {base}..={last} contradicts {other}..={}, seen before", known.last))
                }
                None => Ok(()),
            }
        };
        match event {
            Event::ProduceAcked { base, last, content, .. } => one(*base, *last, *content)?,
            Event::Fetched { batches, .. } => {
                batches.good.iter().try_for_each(|batch| one(batch.base, batch.last, batch.content))?;
            }
            _ => {}
        }
        if let Some((op, watermark)) = event.watermark() {
            let acked = known.began.get(&op).map_or(0, |began| began.acked_end);
            if watermark < acked {
                return Err(format!(
                    "a read ends at {watermark}, [.., {acked}) was acknowledged before it began"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::testing::*;

    fn check() -> Linearizable {
        Linearizable::default()
    }

    #[test]
    fn a_stale_read() {
        let story = [invoked(1, 7), acked(1, batch(0, 2, 7)), reading(2), fetched(2, 0, 2, &[])];
        refused(check(), &story, "acknowledged before it began");
        // One that began earlier may see either.
        accepted(check(), &[invoked(1, 7), reading(2), acked(1, batch(0, 2, 7)), fetched(2, 0, 2, &[])]);
    }

    #[test]
    fn invented_batches() {
        refused(check(), &[invoked(1, 7), fetched(2, 0, 9, &[batch(0, 2, 8)])], "never produced here");
    }

    #[test]
    fn two_effects_of_one_append() {
        let twice = fetched(2, 0, 9, &[batch(0, 2, 7), batch(3, 5, 7)]);
        refused(check(), &[invoked(1, 7), twice], "at 0 and at 3");
        let story = [invoked(1, 7), fetched(2, 0, 9, &[batch(0, 2, 7)]), acked(1, batch(3, 5, 7))];
        refused(check(), &story, "at 0 and at 3");
        let again = |start| {
            let deleted = out_of_range(2, 0, start, 3);
            [
                invoked(1, 7),
                reading(2),
                fetched(2, 0, 3, &[batch(0, 2, 7)]),
                deleted,
                acked(1, batch(3, 5, 7)),
            ]
        };
        accepted(check(), &again(3));
        refused(check(), &again(2), "at 0 and at 3");
    }

    #[test]
    fn two_batches_at_one_offset() {
        let story =
            [invoked(1, 7), invoked(2, 8), acked(1, batch(0, 2, 7)), fetched(3, 0, 9, &[batch(0, 2, 8)])];
        refused(check(), &story, "contradicts 0..=2");
    }
}
