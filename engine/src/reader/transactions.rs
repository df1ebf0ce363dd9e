//! Which transactions a reader of committed records must skip.

use highwater_records::Offset;

use super::{LogReader, ReadError};
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
        let first = picture.segments.partition_point(|segment| segment.base <= from).saturating_sub(1);
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
}
