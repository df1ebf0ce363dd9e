//! Which transactions were aborted, by what the bucket knows.

use highwater_engine::{AbortedTransaction, find_aborted};
use highwater_env::BoxFuture;
use highwater_records::Offset;

use super::PartitionTier;
use crate::error::TierError;

/// Aborted transactions that have records in a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TierAborted {
    /// By their markers, as far as those are in the bucket.
    pub transactions: Vec<AbortedTransaction>,
    /// Whether that is all of them. If not, the markers behind the tier's end tell the rest: a transaction may begin in
    /// the bucket and end in a local segment.
    pub complete: bool,
}

impl PartitionTier {
    /// The aborted transactions that have records in `[from, to)`. Everything in the bucket is decided.
    ///
    /// # Errors
    /// As [`PartitionTier::read`].
    pub fn aborted(&self, from: Offset, to: Offset) -> BoxFuture<'_, Result<TierAborted, TierError>> {
        Box::pin(async move {
            let mut found = TierAborted::default();
            let Some(known) = self.known().await? else { return Ok(found) };
            let mut at = from;
            while let Some(entry) = self.find(&known.head, at, None).await? {
                let footer = self.tier.footer(self.id, &entry).await?;
                // Behind a cut lies what never happened, and what lies before the entry's start the one before it tells.
                let (index, from) = (&footer.transaction_index, from.max(entry.start));
                found.complete = find_aborted(index, (from, to), entry.end, &mut found.transactions);
                if found.complete {
                    break;
                }
                at = entry.end;
            }
            Ok(found)
        })
    }
}
