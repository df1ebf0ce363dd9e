//! L1: the offsets of a log have no gap, and none is used twice.
//!
//! Checked: in every answer the first batch contains the offset asked for and each next one begins where the one
//! before it ended; the same over all local segments of a partition; acknowledged ranges do not overlap others.
//!
//! Not checked: compacted topics (the simulation makes none).

use super::Invariant;
use crate::{batch::SeenBatch, ghost::Ghost, history::Event};

/// See the file's text.
pub struct Dense;

impl Invariant for Dense {
    fn name(&self) -> &'static str {
        "L1 dense"
    }

    fn check(&mut self, ghost: &Ghost, event: &Event) -> Result<(), String> {
        match event {
            Event::Fetched { from, batches, .. } => {
                if let Some(first) = batches.good.first()
                    && !(first.base..=first.last).contains(from)
                {
                    return Err(format!(
                        "asked for {from}, the first batch is {}..={}",
                        first.base, first.last
                    ));
                }
                follow(batches.good.iter())
            }
            Event::Scanned { files, .. } => {
                follow(files.segments.iter().flat_map(|segment| &segment.batches.good))
            }
            Event::ProduceAcked { at, base, last, content, .. } => {
                let Some((known, _)) = ghost.partition(*at) else { return Ok(()) };
                let other = known.known_in(*base, last + 1).find(|(other_base, other)| {
                    (*other_base, other.last, other.content) != (*base, *last, *content)
                });
                match other {
                    Some((other, _)) => Err(format!("acknowledged {base}..={last} overlaps batch {other}")),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

fn follow<'a>(batches: impl Iterator<Item = &'a SeenBatch>) -> Result<(), String> {
    let mut next = None;
    for batch in batches {
        if next.is_some_and(|next| next != batch.base) {
            return Err(format!("batch {} follows one that ends before {next:?}", batch.base));
        }
        next = Some(batch.last + 1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::testing::*;

    #[test]
    fn gaps_and_overlaps_in_an_answer() {
        refused(Dense, &[fetched(1, 0, 9, &[batch(0, 2, 1), batch(4, 5, 2)])], "batch 4 follows");
        refused(Dense, &[fetched(1, 0, 9, &[batch(0, 2, 1), batch(2, 5, 2)])], "batch 2 follows");
        refused(Dense, &[fetched(1, 3, 9, &[batch(4, 5, 2)])], "asked for 3");
    }

    #[test]
    fn a_gap_between_segments() {
        let files = scanned(vec![segment(0, &[batch(0, 2, 1)]), segment(4, &[batch(4, 5, 2)])]);
        refused(Dense, &[files], "batch 4 follows");
    }

    #[test]
    fn one_offset_for_two_batches() {
        let story = [acked(1, batch(0, 2, 1)), acked(2, batch(2, 3, 2))];
        refused(Dense, &story, "overlaps batch 0");
    }
}
