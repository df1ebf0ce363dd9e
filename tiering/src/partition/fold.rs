//! Keeps a head small: what is old moves to pages.

use highwater_records::Offset;

use super::{PartitionTier, Turn};
use crate::{
    bucket::Body,
    error::TierError,
    head::{
        Head,
        dropped::{DropReason, Dropped, DroppedObjects},
        page::{LEVEL_MAX, PageContent, PageRef},
    },
    name::{Fence, Kind, ObjectId},
};

impl PartitionTier {
    /// Moves what is too much for the head to pages, which are written here.
    pub(super) async fn fold(&self, turn: &mut Turn, head: &mut Head, fence: Fence) -> Result<(), TierError> {
        self.fold_recent(turn, head, fence).await?;
        self.fold_pages(turn, head, fence).await?;
        self.fold_dropped(turn, head, fence).await
    }

    async fn fold_recent(&self, turn: &mut Turn, head: &mut Head, fence: Fence) -> Result<(), TierError> {
        let limits = self.tier.options.limits;
        if head.recent.len() < limits.recent_max {
            return Ok(());
        }
        let mut old: Vec<_> = head.recent.drain(..head.recent.len() - limits.recent_kept).collect();
        let smaller = head.pages.last().copied();
        if let Some(page) =
            smaller.filter(|page| page.level == 0 && (page.segments as usize) < limits.page_entries)
        {
            // What retention has dropped of the page stays named by the dropped list.
            let mut together = self.entries_below(&page, head.start, page.end).await?;
            together.append(&mut old);
            old = together;
            head.pages.pop();
            let what = DroppedObjects::Page { page, from: page.end, to: page.end, whole: true };
            let still_named = head.dropped.iter().any(|dropped| names_page(dropped, &page));
            if !still_named {
                let at_ms = self.tier.env.wall_ms();
                head.dropped.push(Dropped { at_ms, reason: DropReason::Replaced, deleting: false, what });
            } else {
                // The page must outlive the entry that names segments by it: they go together.
                let last = head.dropped.iter_mut().rfind(|dropped| names_page(dropped, &page));
                if let Some(DroppedObjects::Page { whole, .. }) = last.map(|dropped| &mut dropped.what) {
                    *whole = true;
                }
            }
        }
        // A cut can bring back more entries than one page takes.
        for entries in old.chunks(limits.page_entries + limits.recent_max) {
            let page = self.write_page(turn, &PageContent::Entries(entries.to_vec()), fence).await?;
            head.pages.push(page);
        }
        Ok(())
    }

    async fn fold_pages(&self, turn: &mut Turn, head: &mut Head, fence: Fence) -> Result<(), TierError> {
        let limits = self.tier.options.limits;
        if head.pages.len() < limits.pages_max {
            return Ok(());
        }
        // The oldest run of one level; higher levels are older.
        let mut from = 0;
        while from < head.pages.len() {
            let level = head.pages[from].level;
            let run = head.pages[from..].iter().take_while(|page| page.level == level).count();
            // The newest page stays: it still grows.
            let run = run.min(head.pages.len() - 1 - from);
            if run >= limits.pages_folded && level < LEVEL_MAX {
                let pages = head.pages[from..from + limits.pages_folded].to_vec();
                let above = self.write_page(turn, &PageContent::Pages(pages), fence).await?;
                head.pages.splice(from..from + limits.pages_folded, [above]);
                return Ok(());
            }
            from += run.max(1);
        }
        Ok(())
    }

    async fn fold_dropped(&self, turn: &mut Turn, head: &mut Head, fence: Fence) -> Result<(), TierError> {
        let limits = self.tier.options.limits;
        if head.dropped.len() > limits.dropped_max / 2 {
            join_neighbours(&mut head.dropped);
        }
        let single =
            |dropped: &Dropped| !dropped.deleting && matches!(dropped.what, DroppedObjects::Segment(_));
        let reasons = [
            DropReason::Retention,
            DropReason::RecordsDeleted,
            DropReason::Diverged,
            DropReason::TopicDeleted,
        ];
        for reason in reasons {
            let ours = |dropped: &Dropped| single(dropped) && dropped.reason == reason;
            if head.dropped.iter().filter(|dropped| ours(dropped)).count() <= limits.dropped_max / 4 {
                continue;
            }
            if head.dropped.iter().filter(|dropped| single(dropped)).count() <= limits.dropped_max {
                break;
            }
            let (together, rest): (Vec<Dropped>, Vec<Dropped>) = head.dropped.drain(..).partition(ours);
            head.dropped = rest;
            let at_ms = together.iter().map(|dropped| dropped.at_ms).max().unwrap_or_default();
            let mut entries: Vec<_> = together
                .into_iter()
                .filter_map(|dropped| match dropped.what {
                    DroppedObjects::Segment(entry) => Some(entry),
                    DroppedObjects::Page { .. } => None,
                })
                .collect();
            entries.sort_by_key(|entry| entry.start);
            let page = self.write_page(turn, &PageContent::Entries(entries), fence).await?;
            let what = DroppedObjects::Page { page, from: Offset::ZERO, to: Offset::MAX, whole: true };
            head.dropped.push(Dropped { at_ms, reason, deleting: false, what });
        }
        self.fold_dropped_pages(turn, head, fence).await
    }

    /// Many pages that were dropped with all they name become one page that names them.
    async fn fold_dropped_pages(
        &self,
        turn: &mut Turn,
        head: &mut Head,
        fence: Fence,
    ) -> Result<(), TierError> {
        let limits = self.tier.options.limits;
        for level in 0..LEVEL_MAX {
            let full = |dropped: &Dropped| match &dropped.what {
                DroppedObjects::Page { page, from, to, whole } if page.level == level && *whole => {
                    !dropped.deleting && *from <= page.name.base && page.end <= *to && from < to
                }
                _ => false,
            };
            let Some(reason) = [
                DropReason::Retention,
                DropReason::RecordsDeleted,
                DropReason::Diverged,
                DropReason::TopicDeleted,
            ]
            .into_iter()
            .find(|reason| {
                head.dropped.iter().filter(|it| full(it) && it.reason == *reason).count() > limits.dropped_max
            }) else {
                continue;
            };
            let ours = |dropped: &Dropped| full(dropped) && dropped.reason == reason;
            let (together, rest): (Vec<Dropped>, Vec<Dropped>) = head.dropped.drain(..).partition(ours);
            head.dropped = rest;
            let at_ms = together.iter().map(|dropped| dropped.at_ms).max().unwrap_or_default();
            let mut pages: Vec<PageRef> = together
                .into_iter()
                .filter_map(|dropped| match dropped.what {
                    DroppedObjects::Page { page, .. } => Some(page),
                    DroppedObjects::Segment(_) => None,
                })
                .collect();
            pages.sort_by_key(|page| page.name.base);
            let page = self.write_page(turn, &PageContent::Pages(pages), fence).await?;
            let what = DroppedObjects::Page { page, from: Offset::ZERO, to: Offset::MAX, whole: true };
            head.dropped.push(Dropped { at_ms, reason, deleting: false, what });
        }
        Ok(())
    }

    /// Writes a page and reads it back.
    pub(super) async fn write_page(
        &self,
        turn: &mut Turn,
        content: &PageContent,
        fence: Fence,
    ) -> Result<PageRef, TierError> {
        let id = ObjectId::draw(&*self.tier.env);
        let (bytes, page) = content.encode(self.id, fence, id);
        let key = page.name.key(Kind::Page, self.id);
        turn.strays.insert(id);
        self.tier.bucket.put(&key, &mut Body::from(bytes)).await?;
        // A store that said yes and has something else must not get to be trusted with the only copy.
        self.tier.page(self.id, &page).await.map_err(|error| match error {
            TierError::Corrupt { .. } | TierError::Missing { .. } => TierError::retry(error),
            error => error,
        })?;
        Ok(page)
    }
}

fn names_page(dropped: &Dropped, wanted: &PageRef) -> bool {
    matches!(&dropped.what, DroppedObjects::Page { page, .. } if page.name == wanted.name)
}

/// Neighbouring ranges of one page become one range, with the younger time.
fn join_neighbours(dropped: &mut Vec<Dropped>) {
    let mut joined: Vec<Dropped> = Vec::with_capacity(dropped.len());
    for next in dropped.drain(..) {
        let same = joined.iter_mut().find(|before| {
            before.reason == next.reason
                && !before.deleting
                && !next.deleting
                && match (&before.what, &next.what) {
                    (
                        DroppedObjects::Page { page: one, to, .. },
                        DroppedObjects::Page { page: other, from, .. },
                    ) => one.name == other.name && to == from,
                    _ => false,
                }
        });
        match same {
            Some(before) => {
                before.at_ms = before.at_ms.max(next.at_ms);
                if let (
                    DroppedObjects::Page { to, whole, .. },
                    DroppedObjects::Page { to: further, whole: all, .. },
                ) = (&mut before.what, &next.what)
                {
                    *to = *further;
                    *whole |= all;
                }
            }
            None => joined.push(next),
        }
    }
    *dropped = joined;
}
