//! Where the newest batches of the active segment lie, each of them.
//!
//! Unlike an index this is no hint: it was noted when they were written, and covers nothing else. What it does not have, the
//! sparse index and the headers tell.

use std::collections::VecDeque;

use highwater_records::Offset;

use super::BatchHeader;

/// How many batches are remembered: 32 KiB, once that many were appended.
pub(crate) const RECENT: usize = 4096;

/// The newest batches, oldest first, each where the one before it ends.
#[derive(Debug)]
pub(crate) struct Recent {
    /// What offsets are relative to.
    base: Offset,
    batches: VecDeque<Begins>,
    /// Where the last one ends.
    end: Boundary,
    /// Whether there are more than when somebody last asked.
    grew: bool,
}

#[derive(Clone, Copy, Debug)]
struct Begins {
    relative: u32,
    position: u32,
}

/// Between two batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Boundary {
    pub(crate) position: u64,
    /// Of the batch that begins there.
    pub(crate) offset: Offset,
}

impl Recent {
    pub(crate) const fn new(base: Offset) -> Recent {
        let end = Boundary { position: 0, offset: base };
        Recent { base, batches: VecDeque::new(), end, grew: false }
    }

    /// Notes a batch that was written at `position`. No allocation, but for a dozen while a log grows.
    pub(crate) fn push(&mut self, position: u64, batch: &BatchHeader) {
        let begins = Boundary { position, offset: batch.base_offset };
        let ends = Boundary { position: position + batch.size, offset: batch.next_offset };
        if begins != std::mem::replace(&mut self.end, ends) {
            self.batches.clear();
        }
        // Segments are rolled before either is larger.
        let relative = batch.base_offset.since(self.base) as u32;
        if self.batches.len() == RECENT {
            self.batches.pop_front();
        }
        self.batches.push_back(Begins { relative, position: position as u32 });
        self.grew = true;
    }

    /// Whether a batch was appended since this was last asked.
    pub(crate) fn grew(&mut self) -> bool {
        std::mem::take(&mut self.grew)
    }

    /// The same of a segment that is cut at `position`.
    pub(crate) fn cut_at(&self, position: u64) -> Recent {
        let kept = self.batches.partition_point(|batch| u64::from(batch.position) < position);
        let end = if kept < self.batches.len() { self.boundary(kept) } else { self.end };
        if end.position != position {
            return Recent::new(self.base);
        }
        let batches = self.batches.iter().take(kept).copied().collect();
        Recent { base: self.base, batches, end, grew: true }
    }

    /// Where the batch that holds `offset` begins and ends, if it is one of these.
    pub(crate) fn holding(&self, offset: Offset) -> Option<(Boundary, Boundary)> {
        if offset < self.base || offset >= self.end.offset {
            return None;
        }
        let relative = offset.since(self.base);
        let after = self.batches.partition_point(|batch| u64::from(batch.relative) <= relative);
        Some((self.boundary(after.checked_sub(1)?), self.boundary(after)))
    }

    /// The last boundary that lies neither behind `position` nor above `offset`, if it is known to be the last.
    pub(crate) fn last_within(&self, position: u64, offset: Offset) -> Option<Boundary> {
        if self.end.position <= position && self.end.offset <= offset {
            return (!self.batches.is_empty()).then_some(self.end);
        }
        let relative = if offset < self.base { return None } else { offset.since(self.base) };
        let within =
            |batch: &Begins| u64::from(batch.position) <= position && u64::from(batch.relative) <= relative;
        Some(self.boundary(self.batches.partition_point(within).checked_sub(1)?))
    }

    fn boundary(&self, at: usize) -> Boundary {
        let begins = |batch: &Begins| {
            let offset = self.base.checked_add(u64::from(batch.relative))?;
            Some(Boundary { position: u64::from(batch.position), offset })
        };
        self.batches.get(at).and_then(begins).unwrap_or(self.end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{batch, offset};

    /// A batch of these many offsets and bytes.
    fn header(base: u64, offsets: u64, size: u64) -> BatchHeader {
        let header = BatchHeader::of(&batch(1, &[5]).view());
        let (base, next) = (offset(base), offset(base + offsets));
        BatchHeader { size, ..header.placed(base, next, highwater_records::LeaderEpoch(1)) }
    }

    /// Every boundary that was noted last, the end included.
    fn filled(base: u64, from: u64, shapes: &[(u64, u64)]) -> (Recent, Vec<Boundary>) {
        let mut recent = Recent::new(offset(base));
        let mut at = Boundary { position: from, offset: offset(base + from / 10) };
        let mut known = vec![at];
        for (offsets, size) in shapes {
            recent.push(at.position, &header(at.offset.get(), *offsets, *size));
            at = Boundary { position: at.position + size, offset: offset(at.offset.get() + offsets) };
            known.push(at);
        }
        let forgotten = shapes.len().saturating_sub(RECENT);
        (recent, known.split_off(forgotten))
    }

    fn agree(recent: &Recent, known: &[Boundary]) {
        let (first, last) = (known[0], known[known.len() - 1]);
        for pair in known.windows(2) {
            for at in [pair[0].offset.get(), pair[1].offset.get() - 1] {
                assert_eq!(recent.holding(offset(at)), Some((pair[0], pair[1])));
            }
            let inside = (pair[1].position - 1, offset(pair[1].offset.get() - 1));
            assert_eq!(recent.last_within(pair[0].position, Offset::MAX), Some(pair[0]));
            assert_eq!(recent.last_within(u64::MAX, pair[0].offset), Some(pair[0]));
            assert_eq!(recent.last_within(inside.0, last.offset), Some(pair[0]));
            assert_eq!(recent.last_within(last.position, inside.1), Some(pair[0]));
        }
        assert_eq!(recent.last_within(last.position, last.offset), (known.len() > 1).then_some(last));
        assert_eq!(recent.holding(last.offset), None);
        if let Some(before) = first.offset.get().checked_sub(1) {
            assert_eq!((recent.holding(offset(before)), recent.last_within(9, offset(before))), (None, None));
        }
        if let Some(before) = first.position.checked_sub(1) {
            assert_eq!(recent.last_within(before, Offset::MAX), None);
        }
    }

    proptest! {
        #![proptest_config(crate::tests::random::cases())]

        #[test]
        fn it_tells_what_was_appended_and_nothing_else(
            base in 0..100u64,
            from in 0..3u64,
            shapes in prop::collection::vec((1..50u64, 70..9000u64), 0..40),
            cut in any::<prop::sample::Index>(),
        ) {
            let (recent, known) = filled(base, from * 100, &shapes);
            agree(&recent, &known);
            let end = cut.index(known.len());
            agree(&recent.cut_at(known[end].position), &known[..=end]);
            // Not between two batches: nothing of it is what was noted.
            prop_assert!(recent.cut_at(known[end].position + 1).batches.is_empty());
        }
    }

    #[test]
    fn it_has_a_bound_and_the_newest() {
        let shapes = vec![(3, 100); 2 * RECENT + 7];
        let (recent, known) = filled(5, 0, &shapes);
        assert_eq!(known.len(), RECENT + 1);
        agree(&recent, &known);
        assert!(recent.batches.capacity() * size_of::<Begins>() <= 32 << 10);
    }

    #[test]
    fn what_does_not_go_on_begins_anew() {
        let (mut recent, _) = filled(0, 0, &[(3, 100), (3, 100)]);
        recent.push(900, &header(20, 1, 80));
        assert_eq!(recent.holding(offset(4)), None);
        let ends = Boundary { position: 980, offset: offset(21) };
        assert_eq!(recent.holding(offset(20)), Some((Boundary { position: 900, offset: offset(20) }, ends)));
    }
}
