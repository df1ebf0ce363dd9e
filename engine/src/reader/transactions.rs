//! Which transactions a reader of committed records must skip.

use highwater_records::Offset;

use super::{LogReader, Picture, ReadError};
use crate::index::AbortedTransaction;

impl LogReader {
    /// The aborted transactions that have records in `[from, to)`, by their markers: a reader of committed records skips
    /// each producer's transactional records from `first_offset` to `last_offset`. Complete where `to` is at most
    /// [`Positions::last_stable`](crate::Positions::last_stable). What has its marker below the local start is the
    /// bucket's to tell; markers that are here tell of their whole transaction.
    ///
    /// # Errors
    /// `Changed`, the disk's.
    pub fn aborted(&self, from: Offset, to: Offset) -> Result<Vec<AbortedTransaction>, ReadError> {
        let picture = &*self.picture;
        let first = picture.first_with_markers(from);
        let mut found = Vec::new();
        let mut complete = false;
        for segment in &picture.segments[first..] {
            let index = &segment.transaction_index;
            index.visit_after(
                |aborted| aborted.last_offset < from,
                |aborted| {
                    if aborted.first_offset < to {
                        found.push(*aborted);
                    }
                    // What ends later began at or above this.
                    complete = aborted.last_stable >= to;
                    !complete
                },
            )?;
            if complete {
                break;
            }
        }
        picture.check_unchanged()?;
        Ok(found)
    }

    /// Like [`LogReader::aborted`], but `None` where a file must be read for it.
    ///
    /// # Errors
    /// As [`LogReader::aborted`].
    pub fn try_aborted(
        &self,
        from: Offset,
        to: Offset,
    ) -> Result<Option<Vec<AbortedTransaction>>, ReadError> {
        let segments = &self.picture.segments[self.picture.first_with_markers(from)..];
        let at_hand = segments.iter().all(|segment| segment.transaction_index.is_in_memory());
        if at_hand { self.aborted(from, to).map(Some) } else { Ok(None) }
    }
}

impl Picture {
    /// The first segment whose markers may end what has records at or above `from`.
    fn first_with_markers(&self, from: Offset) -> usize {
        self.segments.partition_point(|segment| segment.base <= from).saturating_sub(1)
    }
}
