//! L4: a segment's file is named for its first offset, and segments do not overlap.
//!
//! Checked on every scan of the files: the first batch of a segment that has any begins at the offset in the name
//! of the file; names grow; no batch reaches into the next segment.
//!
//! Not checked: that only the newest is written to (a scan sees one instant).

use super::Invariant;
use crate::{ghost::Ghost, history::Event};

/// See the file's text.
pub struct SegmentNaming;

impl Invariant for SegmentNaming {
    fn name(&self) -> &'static str {
        "L4 segment naming"
    }

    fn check(&mut self, _: &Ghost, event: &Event) -> Result<(), String> {
        let Event::Scanned { files, .. } = event else { return Ok(()) };
        for segment in &files.segments {
            if let Some(first) = segment.batches.good.first()
                && first.base != segment.name
            {
                return Err(format!("segment {} begins with batch {}", segment.name, first.base));
            }
        }
        for pair in files.segments.windows(2) {
            let end = pair[0].batches.good.last().map_or(pair[0].name, |batch| batch.last + 1);
            if pair[0].name >= pair[1].name || end > pair[1].name {
                return Err(format!("segment {} ends at {end}, the next is {}", pair[0].name, pair[1].name));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::testing::*;

    #[test]
    fn names() {
        accepted(SegmentNaming, &[scanned(vec![segment(0, &[batch(0, 2, 1)]), segment(3, &[])])]);
        refused(SegmentNaming, &[scanned(vec![segment(0, &[batch(1, 2, 1)])])], "begins with batch 1");
        let overlap = scanned(vec![segment(0, &[batch(0, 3, 1)]), segment(3, &[])]);
        refused(SegmentNaming, &[overlap], "ends at 4, the next is 3");
    }
}
