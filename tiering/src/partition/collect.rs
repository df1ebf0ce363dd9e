//! Deletes what was dropped long enough ago, and what nobody ever named.

use std::collections::BTreeSet;

use highwater_env::BoxFuture;
use highwater_records::{LeaderEpoch, Offset};

use super::{Base, PartitionTier, Turn, apply::Change};
use crate::{
    error::TierError,
    head::{
        Head, TierState,
        dropped::{DropReason, DroppedObjects},
        entry::SegmentEntry,
        page::{PageContent, PageRef},
    },
    name::{Fence, Kind, ObjectId, ObjectName, head_key},
};

/// A page that only gave way to a larger one has readers for as long as they keep an old head.
const REPLACED_GRACE_MS: i64 = 10 * 60 * 1000;

/// What a collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Objects deleted that a head had named.
    pub dropped: u64,
    /// Objects deleted that no head named.
    pub orphans: u64,
    /// The partition's tombstone was removed: nothing of it is left.
    pub forgotten: bool,
}

impl PartitionTier {
    /// Deletes the objects that were dropped `grace_ms` ago or earlier (`remote.history.retention.ms`), unless a fork
    /// pins them, and once per epoch those that no head names. Reads the head again first. For the leader, now and
    /// then; also for partitions of deleted topics, with an epoch not below the head's.
    ///
    /// # Errors
    /// [`TierError::Retry`], [`TierError::Fenced`], [`TierError::NotLeader`], [`TierError::Refused`]; what was not deleted then is
    /// deleted by a later call.
    pub fn collect(
        &self,
        epoch: LeaderEpoch,
        now_ms: i64,
        grace_ms: u64,
    ) -> BoxFuture<'_, Result<Collected, TierError>> {
        Box::pin(async move {
            let mut collected = Collected::default();
            let grace = i64::try_from(grace_ms).unwrap_or(i64::MAX);
            let mut turn = self.turn.lock().await;
            if self.nothing_to_collect(&turn, epoch).await? {
                return Ok(collected);
            }
            turn.base = Base::Unread;
            self.tier.incarnation_for_changes().await?;
            self.read_head(&mut turn).await?;
            // What an earlier round has marked and perhaps not finished.
            self.delete_marked(&mut turn, epoch, &mut collected).await?;
            let before_ms = now_ms.saturating_sub(grace);
            let replaced_before_ms = now_ms.saturating_sub(grace.min(REPLACED_GRACE_MS));
            self.change(&mut turn, epoch, &Change::MarkDeleting { before_ms, replaced_before_ms }).await?;
            self.delete_marked(&mut turn, epoch, &mut collected).await?;
            let Base::Known(known) = turn.base.clone() else { return Ok(collected) };
            let head = &known.head;
            if head.state == TierState::Deleted && head.dropped.is_empty() && head.pins.is_empty() {
                collected.orphans += self.delete_all_orphans(&mut turn, head).await?;
                self.tier.bucket.delete(&head_key(self.id)).await?;
                turn.base = Base::Absent;
                self.show(&turn);
                collected.forgotten = true;
                return Ok(collected);
            }
            // While an upload is running its objects look like orphans: another time.
            if let Ok(_not_copying) = self.copying.try_lock() {
                collected.orphans += self.delete_orphans(&mut turn, epoch, head, before_ms).await?;
            }
            Ok(collected)
        })
    }

    /// When [`PartitionTier::collect`] has something to delete next, in milliseconds since 1970, by the head that was read or
    /// written last; the past where a deletion is under way. `None` if never.
    pub fn collect_due(&self, grace_ms: u64) -> Option<i64> {
        let grace = i64::try_from(grace_ms).unwrap_or(i64::MAX);
        let known = self.seen.lock().clone().flatten()?;
        let due = known.head.dropped.iter().map(|dropped| match dropped.reason {
            _ if dropped.deleting => i64::MIN,
            DropReason::Replaced => dropped.at_ms.saturating_add(grace.min(REPLACED_GRACE_MS)),
            _ => dropped.at_ms.saturating_add(grace),
        });
        due.min()
    }

    /// Whether the head that we know has nothing to delete: then it need not be read again.
    async fn nothing_to_collect(&self, turn: &Turn, epoch: LeaderEpoch) -> Result<bool, TierError> {
        let Base::Known(known) = &turn.base else { return Ok(false) };
        let ours = Fence { incarnation: self.tier.incarnation().await?, epoch };
        let head = &known.head;
        // Before our first own change nobody's objects can be told from orphans.
        let looked = turn.scanned == Some(ours) && turn.strays.is_empty() || head.fence < ours;
        Ok(looked && head.dropped.is_empty() && head.state != TierState::Deleted)
    }

    /// Keys of the objects that lie in the bucket for this partition though the head, which is read again, neither names them
    /// nor had them dropped, and whose writer was there before the head's. The leader deletes them after its first own
    /// change. None where there is no head, nor while dropped objects are being deleted: those are not named any more.
    ///
    /// # Errors
    /// [`TierError::Retry`], [`TierError::Missing`], [`TierError::Corrupt`], [`TierError::Refused`].
    pub fn orphans(&self) -> BoxFuture<'_, Result<Vec<String>, TierError>> {
        Box::pin(async move {
            self.load().await?;
            let Some(known) = self.known().await? else { return Ok(Vec::new()) };
            let named = self.named(&known.head).await?;
            let marked = known.head.dropped.iter().any(|dropped| dropped.deleting);
            let is_orphan =
                |name: &ObjectName| !named.contains(&name.id) && name.fence < known.head.fence && !marked;
            self.listed(is_orphan).await
        })
    }

    /// Deletes the objects that the head has marked, and notes them for the next change to forget.
    async fn delete_marked(
        &self,
        turn: &mut Turn,
        epoch: LeaderEpoch,
        collected: &mut Collected,
    ) -> Result<(), TierError> {
        let Base::Known(known) = turn.base.clone() else { return Ok(()) };
        let head = &known.head;
        let incarnation = self.tier.incarnation().await?;
        if head.fence > (Fence { incarnation, epoch }) {
            return Err(TierError::Fenced { by: head.fence });
        }
        let marked: Vec<_> =
            head.dropped.iter().filter(|it| it.deleting && !turn.gone.contains(it)).copied().collect();
        if marked.is_empty() {
            return Ok(());
        }
        self.confirm(turn, epoch).await?;
        let pinned = self.pinned(head).await?;
        for dropped in marked {
            match dropped.what {
                DroppedObjects::Segment(entry) => {
                    self.delete_segment(&entry, &pinned, collected).await?;
                }
                DroppedObjects::Page { page, from, to, whole } => {
                    self.delete_below(&page, from, to, whole, &pinned, collected).await?;
                }
            }
            turn.gone.push(dropped);
        }
        Ok(())
    }

    async fn delete_segment(
        &self,
        entry: &SegmentEntry,
        pinned: &BTreeSet<ObjectId>,
        collected: &mut Collected,
    ) -> Result<(), TierError> {
        if !pinned.contains(&entry.name.id) {
            self.tier.bucket.delete(&entry.name.key(Kind::Segment, self.id)).await?;
            collected.dropped += 1;
        }
        Ok(())
    }

    /// Deletes segments first, pages after what they name, so that a crash leaves a page whose rest is still known.
    fn delete_below<'a>(
        &'a self,
        page: &'a PageRef,
        from: Offset,
        to: Offset,
        whole: bool,
        pinned: &'a BTreeSet<ObjectId>,
        collected: &'a mut Collected,
    ) -> BoxFuture<'a, Result<(), TierError>> {
        Box::pin(async move {
            if from < to {
                let content = match self.tier.page(self.id, page).await {
                    // A page goes after all that it names, whichever entry names it: an earlier round was here.
                    Err(TierError::Missing { .. }) => return Ok(()),
                    content => content?,
                };
                match &*content {
                    PageContent::Entries(entries) => {
                        for entry in entries.iter().filter(|it| from <= it.start && it.start < to) {
                            self.delete_segment(entry, pinned, collected).await?;
                        }
                    }
                    PageContent::Pages(pages) => {
                        for below in pages.iter().filter(|it| it.name.base < to && from < it.end) {
                            let inside = from <= below.name.base && below.end <= to;
                            self.delete_below(below, from, to, inside, pinned, collected).await?;
                        }
                    }
                }
            }
            if whole {
                self.tier.bucket.delete(&page.name.key(Kind::Page, self.id)).await?;
                collected.dropped += 1;
            }
            Ok(())
        })
    }

    /// Objects that forks need.
    async fn pinned(&self, head: &Head) -> Result<BTreeSet<ObjectId>, TierError> {
        let mut pinned = BTreeSet::new();
        for pin in &head.pins {
            self.name_all(&pin.page, Offset::ZERO, Offset::MAX, &mut pinned).await?;
        }
        Ok(pinned)
    }

    /// The ids of a page, of the segments below it whose live start is in `[from, to)`, and of the pages between.
    fn name_all<'a>(
        &'a self,
        page: &'a PageRef,
        from: Offset,
        to: Offset,
        names: &'a mut BTreeSet<ObjectId>,
    ) -> BoxFuture<'a, Result<(), TierError>> {
        Box::pin(async move {
            names.insert(page.name.id);
            if from >= to {
                return Ok(());
            }
            match &*self.tier.page(self.id, page).await? {
                PageContent::Entries(entries) => {
                    let within = entries.iter().filter(|it| from <= it.start && it.start < to);
                    names.extend(within.map(|entry| entry.name.id));
                }
                PageContent::Pages(pages) => {
                    for below in pages.iter().filter(|it| it.name.base < to && from < it.end) {
                        self.name_all(below, from, to, names).await?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Deletes what neither this head nor a page of it names (`docs/format/head.md`, Orphan scan).
    async fn delete_orphans(
        &self,
        turn: &mut Turn,
        epoch: LeaderEpoch,
        head: &Head,
        before_ms: i64,
    ) -> Result<u64, TierError> {
        let ours = Fence { incarnation: self.tier.incarnation().await?, epoch };
        // Only a head that carries our fence keeps every older writer from committing.
        if head.fence != ours || (turn.scanned == Some(ours) && turn.strays.is_empty()) {
            return Ok(0);
        }
        let named = self.named(head).await?;
        let strays = turn.strays.clone();
        let orphan = |name: &ObjectName| {
            !named.contains(&name.id)
                && (name.fence < ours
                    || name.fence == ours && (strays.contains(&name.id) || name.id.drawn_ms() <= before_ms))
        };
        self.confirm(turn, epoch).await?;
        let deleted = self.delete_listed(orphan).await?;
        turn.strays.clear();
        turn.scanned = Some(ours);
        Ok(deleted)
    }

    /// The ids of everything that must stay: live, dropped and not marked, or pinned.
    async fn named(&self, head: &Head) -> Result<BTreeSet<ObjectId>, TierError> {
        let mut named = self.pinned(head).await?;
        named.extend(head.recent.iter().map(|entry| entry.name.id));
        for page in &head.pages {
            self.name_all(page, head.start, page.end, &mut named).await?;
        }
        // What is marked may be gone already, or go now.
        for dropped in head.dropped.iter().filter(|dropped| !dropped.deleting) {
            match &dropped.what {
                DroppedObjects::Segment(entry) => {
                    named.insert(entry.name.id);
                }
                DroppedObjects::Page { page, from, to, .. } => {
                    self.name_all(page, *from, *to, &mut named).await?
                }
            }
        }
        Ok(named)
    }

    /// What the bucket must have for this partition, as the newest head says.
    #[cfg(test)]
    pub(crate) async fn named_now(&self) -> Result<BTreeSet<ObjectId>, TierError> {
        match self.known().await? {
            Some(known) => self.named(&known.head).await,
            None => Ok(BTreeSet::new()),
        }
    }

    /// The partition is gone for good: so is whatever else was written for it by writers up to the tombstone's.
    async fn delete_all_orphans(&self, turn: &mut Turn, head: &Head) -> Result<u64, TierError> {
        let fence = head.fence;
        let deleted = self.delete_listed(|name: &ObjectName| name.fence <= fence).await?;
        turn.strays.clear();
        Ok(deleted)
    }

    async fn delete_listed(&self, which: impl Fn(&ObjectName) -> bool) -> Result<u64, TierError> {
        let mut deleted = 0;
        for key in self.listed(which).await? {
            self.tier.bucket.delete(&key).await?;
            deleted += 1;
        }
        Ok(deleted)
    }

    /// The keys of this partition's segments and pages, as a listing has them.
    async fn listed(&self, which: impl Fn(&ObjectName) -> bool) -> Result<Vec<String>, TierError> {
        let mut keys = Vec::new();
        for kind in Kind::ALL {
            let prefix = kind.prefix(self.id);
            let all = self.tier.bucket.list(&prefix).await?.into_iter().map(|(key, _)| key);
            keys.extend(all.filter(|key| ObjectName::parse(key, &prefix).is_some_and(|name| which(&name))));
        }
        Ok(keys)
    }
}
