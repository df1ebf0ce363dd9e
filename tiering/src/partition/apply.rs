//! Head changes as functions of the head they start from.

use highwater_records::{LeaderEpoch, Offset};

use super::{Known, PartitionTier, Turn, lineage};
use crate::{
    error::TierError,
    head::{
        Head, TierState,
        dropped::{DropReason, Dropped, DroppedObjects},
        entry::SegmentEntry,
    },
    name::{Digest, Fence, ObjectId},
};

/// What a head change is for.
#[derive(Debug)]
pub(super) enum Change<'a> {
    /// Name these segments, which continue the tier.
    Copy { entries: &'a [SegmentEntry], epochs: &'a [(LeaderEpoch, Offset)], log_start: Offset },
    /// Move the log start up and drop what lies wholly below.
    AdvanceStart { to: Offset, reason: DropReason },
    /// Drop everything from here on: another history is the true one.
    Cut { at: Offset, epochs: &'a [(LeaderEpoch, Offset)] },
    /// The topic is gone.
    Tombstone,
    /// Mark what was dropped at or before this time, so that it may be deleted.
    MarkDeleting { before_ms: i64, replaced_before_ms: i64 },
}

impl Change<'_> {
    /// Whether objects are given up by it.
    pub(super) fn destroys(&self) -> bool {
        !matches!(self, Change::Copy { .. })
    }
}

impl PartitionTier {
    /// The head after `change`; `None` where nothing would change.
    pub(super) async fn apply(
        &self,
        turn: &mut Turn,
        change: &Change<'_>,
        base: Option<&Known>,
        fence: Fence,
    ) -> Result<Option<Head>, TierError> {
        let Some(base) = base.map(|known| &known.head) else {
            let Change::Copy { entries: [first, ..], .. } = change else { return Ok(None) };
            return self.apply_to(turn, change, self.empty_head(first.start), fence).await;
        };
        if base.state == TierState::Deleted
            && !matches!(change, Change::MarkDeleting { .. } | Change::Tombstone)
        {
            return Err(TierError::refused("the topic was deleted"));
        }
        self.apply_to(turn, change, base.clone(), fence).await
    }

    async fn apply_to(
        &self,
        turn: &mut Turn,
        change: &Change<'_>,
        mut head: Head,
        fence: Fence,
    ) -> Result<Option<Head>, TierError> {
        let changed = match change {
            Change::Copy { entries, epochs, log_start } => append(&mut head, entries, epochs, *log_start)?,
            Change::AdvanceStart { to, reason } => self.advance(&mut head, *to, *reason).await?,
            Change::Cut { at, epochs } => self.cut_head(&mut head, *at, epochs).await?,
            Change::Tombstone => self.tombstone(&mut head),
            Change::MarkDeleting { before_ms, replaced_before_ms } => {
                mark(&mut head, *before_ms, *replaced_before_ms) || !turn.gone.is_empty()
            }
        };
        if !changed {
            return Ok(None);
        }
        head.dropped.retain(|dropped| !turn.gone.contains(dropped));
        self.fold(turn, &mut head, fence).await?;
        Ok(Some(head))
    }

    fn empty_head(&self, start: Offset) -> Head {
        Head {
            cluster_id: self.tier.owner.cluster_id.clone(),
            partition: self.id,
            fence: Fence::default(),
            attempt: ObjectId::default(),
            version: 0,
            predecessor: Digest::default(),
            written_ms: 0,
            state: TierState::Live,
            topic_name: String::new(),
            config_version: 0,
            log_start: start,
            start,
            end: start,
            bytes: 0,
            segments: 0,
            lineage: Vec::new(),
            stores: vec![String::new()],
            recent: Vec::new(),
            pages: Vec::new(),
            dropped: Vec::new(),
            pins: Vec::new(),
            erasures: Vec::new(),
        }
    }

    /// Drops what lies wholly below `to`.
    async fn advance(&self, head: &mut Head, to: Offset, reason: DropReason) -> Result<bool, TierError> {
        if to <= head.log_start {
            return Ok(false);
        }
        let now = self.tier.env.wall_ms();
        let mut start = head.start;
        while let Some(page) = head.pages.first().copied() {
            let live = self.entries_below(&page, start, page.end).await?;
            let kept = live.iter().find(|entry| entry.end > to);
            let bound = kept.map_or(page.end, |entry| entry.start);
            let gone = live.iter().filter(|entry| entry.end <= to);
            let (count, bytes) = gone.fold((0, 0), |(n, sum), entry| (n + 1, sum + entry.live_bytes));
            head.segments = head.segments.saturating_sub(count);
            head.bytes = head.bytes.saturating_sub(bytes);
            if bound > start {
                let what = DroppedObjects::Page { page, from: start, to: bound, whole: kept.is_none() };
                head.dropped.push(Dropped { at_ms: now, reason, deleting: false, what });
            }
            start = bound;
            if kept.is_some() {
                break;
            }
            head.pages.remove(0);
        }
        if head.pages.is_empty() {
            let kept = head.recent.iter().position(|entry| entry.end > to).unwrap_or(head.recent.len());
            for entry in head.recent.drain(..kept) {
                drop_entry(&mut head.dropped, entry, now, reason);
                head.segments = head.segments.saturating_sub(1);
                head.bytes = head.bytes.saturating_sub(entry.live_bytes);
                start = entry.end;
            }
        }
        head.log_start = to;
        if to > head.end {
            // Of what lies between, the tier has heard nothing.
            head.lineage.clear();
        }
        (head.start, head.end) =
            if head.segments == 0 { (head.end.max(to), head.end.max(to)) } else { (start, head.end) };
        trim_lineage(head);
        Ok(true)
    }

    /// Drops what lies at or above `at`; an entry across it ends there.
    async fn cut_head(
        &self,
        head: &mut Head,
        at: Offset,
        epochs: &[(LeaderEpoch, Offset)],
    ) -> Result<bool, TierError> {
        if at >= head.end {
            return Ok(false);
        }
        let now = self.tier.env.wall_ms();
        let reason = DropReason::Diverged;
        // Of what stays, too: were it told otherwise than the leader tells it, what the leader adds would be taken for
        // another history again.
        head.lineage = lineage::replaced(&head.lineage, epochs, at);
        // Where nothing would be left to read, nothing is kept.
        let at = if at <= head.log_start { head.start } else { at };
        let mut survivors = Vec::new();
        while let Some(page) = head.pages.last().copied().filter(|page| page.end > at) {
            head.pages.pop();
            let from = page.name.base.max(head.start);
            let live = self.entries_below(&page, from, page.end).await?;
            let bound = live.iter().find(|entry| entry.start >= at).map_or(page.end, |entry| entry.start);
            survivors.splice(..0, live.into_iter().filter(|entry| entry.start < at));
            // The page's own name goes too: what survives of it is named in the head again.
            let what = DroppedObjects::Page { page, from: bound, to: page.end, whole: true };
            head.dropped.push(Dropped { at_ms: now, reason, deleting: false, what });
        }
        head.recent.splice(..0, survivors);
        let kept = head.recent.iter().position(|entry| entry.start >= at).unwrap_or(head.recent.len());
        for entry in head.recent.split_off(kept) {
            drop_entry(&mut head.dropped, entry, now, reason);
        }
        if let Some(last) = head.recent.last_mut().filter(|last| last.end > at) {
            last.live_bytes = self.bytes_between(last, last.start, at).await?;
            last.end = at;
        }
        let mut paged = (0, 0);
        for page in &head.pages {
            for entry in self.entries_below(page, head.start, page.end).await? {
                paged = (paged.0 + 1, paged.1 + entry.live_bytes);
            }
        }
        head.segments = paged.0 + head.recent.len() as u64;
        head.bytes = paged.1 + head.recent.iter().map(|entry| entry.live_bytes).sum::<u64>();
        head.end = at.max(head.log_start);
        if head.end > at {
            // As where a log start moves beyond the end.
            head.lineage.clear();
        }
        if head.segments == 0 {
            head.start = head.end;
        }
        trim_lineage(head);
        Ok(true)
    }

    fn tombstone(&self, head: &mut Head) -> bool {
        if head.state == TierState::Deleted {
            return false;
        }
        let now = self.tier.env.wall_ms();
        let reason = DropReason::TopicDeleted;
        for page in head.pages.drain(..) {
            let from = page.name.base.max(head.start);
            let what = DroppedObjects::Page { page, from, to: page.end, whole: true };
            head.dropped.push(Dropped { at_ms: now, reason, deleting: false, what });
        }
        for entry in head.recent.drain(..) {
            drop_entry(&mut head.dropped, entry, now, reason);
        }
        (head.segments, head.bytes) = (0, 0);
        (head.log_start, head.start) = (head.end, head.end);
        head.state = TierState::Deleted;
        true
    }
}

/// Names `entries`, which must continue the tier.
fn append(
    head: &mut Head,
    entries: &[SegmentEntry],
    epochs: &[(LeaderEpoch, Offset)],
    log_start: Offset,
) -> Result<bool, TierError> {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(false) };
    if head.recent.iter().any(|entry| entry.name == first.name) {
        // An earlier send of ours arrived after all.
        return Ok(false);
    }
    if head.state != TierState::Live {
        return Err(TierError::refused("the tier is read-only"));
    }
    if first.start != head.end {
        return Err(TierError::NotNext { base: first.name.base, end: head.end });
    }
    head.recent.extend_from_slice(entries);
    head.segments += entries.len() as u64;
    head.bytes += entries.iter().map(|entry| entry.live_bytes).sum::<u64>();
    head.end = last.end;
    head.log_start = head.log_start.max(log_start.min(last.end));
    head.lineage = lineage::extend(&head.lineage, epochs, last.end);
    trim_lineage(head);
    Ok(true)
}

/// Marks what is due. Pages that were only replaced have no readers left after a while.
fn mark(head: &mut Head, before_ms: i64, replaced_before_ms: i64) -> bool {
    let mut marked = false;
    for dropped in &mut head.dropped {
        let before = if dropped.reason == DropReason::Replaced { replaced_before_ms } else { before_ms };
        if !dropped.deleting && dropped.at_ms <= before {
            dropped.deleting = true;
            marked = true;
        }
    }
    marked
}

/// Longer lineages are in the footers.
const LINEAGE_MAX: usize = 512;

fn trim_lineage(head: &mut Head) {
    let below = head.lineage.partition_point(|(_, start)| *start <= head.start).saturating_sub(1);
    let many = head.lineage.len().saturating_sub(LINEAGE_MAX);
    head.lineage.drain(..below.max(many));
}

pub(super) fn drop_entry(dropped: &mut Vec<Dropped>, entry: SegmentEntry, at_ms: i64, reason: DropReason) {
    let what = DroppedObjects::Segment(entry);
    dropped.push(Dropped { at_ms, reason, deleting: false, what });
}
