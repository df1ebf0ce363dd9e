//! D16: what was read at an offset stays what it was, as long as the log start has not passed it.
//!
//! Checked: an answer that covers a batch read before has the same content there, at the same offsets, in the same
//! leader epoch; an answer that begins in, or passes over, a batch read before contains it; a reader is not sent
//! out of range for an offset that was read and lies at or above every log start told.
//!
//! Not checked: compacted topics (`cluster::keyed` has its own clients).

use super::Invariant;
use crate::{ghost::Ghost, history::Event};

/// See the file's text.
pub struct Immutability;

impl Invariant for Immutability {
    fn name(&self) -> &'static str {
        "D16 immutability"
    }

    fn check(&mut self, ghost: &Ghost, event: &Event) -> Result<(), String> {
        let Some((known, _)) = event.partition().and_then(|at| ghost.partition(at)) else { return Ok(()) };
        match event {
            Event::Fetched { from, batches, .. } => {
                let Some(last) = batches.good.last() else { return Ok(()) };
                let read = known.known_in(*from, last.last + 1).filter(|(_, known)| known.consumed);
                for (base, before) in read {
                    // They are in order, unless that is what is wrong with them.
                    let at = batches.good.binary_search_by_key(&base, |batch| batch.base).ok();
                    let now = at.map(|at| &batches.good[at]);
                    let same = now.is_some_and(|now| {
                        (now.last, now.content) == (before.last, before.content)
                            && before.epoch.is_none_or(|epoch| epoch == now.epoch)
                    });
                    if !same {
                        return Err(format!("batch {base} was read as {before:?} and is now {now:?}"));
                    }
                }
                Ok(())
            }
            Event::OutOfRange { from, log_start, .. } => match known.known_in(*from, from + 1).next() {
                Some((base, before)) if before.consumed && *log_start <= *from => {
                    Err(format!("offset {from} was read in batch {base} and is now out of range"))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{history::Stop, invariant::testing::*};

    fn read_once() -> Vec<Event> {
        vec![fetched(1, 0, 6, &[batch(0, 2, 1), batch(3, 5, 2)]), stopped(Stop::Power)]
    }

    fn then(event: Event) -> Vec<Event> {
        [read_once(), vec![event]].concat()
    }

    #[test]
    fn other_content_other_offsets_other_epoch() {
        refused(Immutability, &then(fetched(2, 3, 6, &[batch(3, 5, 9)])), "batch 3 was read");
        refused(Immutability, &then(fetched(2, 3, 6, &[batch(3, 4, 2)])), "batch 3 was read");
        let other = crate::batch::SeenBatch { epoch: 1, ..batch(3, 5, 2) };
        refused(Immutability, &then(fetched(2, 3, 6, &[other])), "batch 3 was read");
        accepted(Immutability, &then(fetched(2, 3, 6, &[batch(3, 5, 2)])));
    }

    #[test]
    fn passed_over() {
        refused(Immutability, &then(fetched(2, 1, 6, &[batch(3, 5, 2)])), "batch 0 was read");
    }

    #[test]
    fn out_of_range_although_it_was_read() {
        refused(Immutability, &then(out_of_range(2, 4, 0, 3)), "offset 4 was read");
        // Below a log start that moved up it may go.
        accepted(Immutability, &then(out_of_range(2, 4, 5, 6)));
    }
}
