//! The live view: entries of the pages, then the recent ones.

use std::sync::Arc;

use highwater_env::BoxFuture;
use highwater_records::Offset;

use super::PartitionTier;
use crate::{
    error::TierError,
    head::{
        Head,
        entry::SegmentEntry,
        page::{PageContent, PageRef},
    },
};

/// What entries and page references have in common.
trait Span {
    fn end(&self) -> Offset;
    fn newest_ms(&self) -> Option<i64>;
}

impl Span for SegmentEntry {
    fn end(&self) -> Offset {
        self.end
    }

    fn newest_ms(&self) -> Option<i64> {
        self.newest.map(|(timestamp, _)| timestamp.0)
    }
}

impl Span for PageRef {
    fn end(&self) -> Offset {
        self.end
    }

    fn newest_ms(&self) -> Option<i64> {
        self.newest.map(|(timestamp, _)| timestamp.0)
    }
}

/// The first that ends above `from` and, if asked, may have a record at or after `timestamp`.
fn first<T: Span>(spans: &[T], from: Offset, timestamp: Option<i64>) -> Option<&T> {
    let after = spans.partition_point(|span| span.end() <= from);
    let wanted =
        |span: &&T| timestamp.is_none_or(|wanted| span.newest_ms().is_some_and(|newest| newest >= wanted));
    spans[after..].iter().find(wanted)
}

impl PartitionTier {
    /// The first live entry that ends above `from` and, if a timestamp is given, has a record that late somewhere.
    pub(super) async fn find(
        &self,
        head: &Head,
        from: Offset,
        timestamp: Option<i64>,
    ) -> Result<Option<SegmentEntry>, TierError> {
        let mut from = from.max(head.start);
        while let Some(page) = first(&head.pages, from, timestamp) {
            if let Some(entry) = self.find_in_page(*page, from, timestamp).await? {
                return Ok(Some(entry));
            }
            // The page's largest timestamp belongs to an entry that is no longer live.
            from = page.end;
        }
        Ok(first(&head.recent, from, timestamp).copied())
    }

    async fn find_in_page(
        &self,
        page: PageRef,
        from: Offset,
        timestamp: Option<i64>,
    ) -> Result<Option<SegmentEntry>, TierError> {
        let (mut page, mut from) = (page, from);
        let top = page;
        loop {
            let content = self.tier.page(self.id, &page).await?;
            match &*content {
                PageContent::Entries(entries) => match first(entries, from, timestamp) {
                    Some(entry) => return Ok(Some(*entry)),
                    None => from = page.end,
                },
                PageContent::Pages(pages) => match first(pages, from, timestamp) {
                    Some(below) => {
                        page = *below;
                        continue;
                    }
                    None => from = page.end,
                },
            }
            // Nothing below this page: go on behind it, from the top.
            if from >= top.end {
                return Ok(None);
            }
            page = top;
        }
    }

    /// Every entry below a page whose live start is in `[from, to)`, ascending.
    pub(super) fn entries_below<'a>(
        &'a self,
        page: &'a PageRef,
        from: Offset,
        to: Offset,
    ) -> BoxFuture<'a, Result<Vec<SegmentEntry>, TierError>> {
        Box::pin(async move {
            let content: Arc<PageContent> = self.tier.page(self.id, page).await?;
            match &*content {
                PageContent::Entries(entries) => Ok(entries
                    .iter()
                    .filter(|entry| from <= entry.start && entry.start < to)
                    .copied()
                    .collect()),
                PageContent::Pages(pages) => {
                    let mut out = Vec::new();
                    for below in pages.iter().filter(|below| below.name.base < to && from < below.end) {
                        out.extend(self.entries_below(below, from, to).await?);
                    }
                    Ok(out)
                }
            }
        })
    }
}
