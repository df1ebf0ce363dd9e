//! Which logs the journal holds something for that their own files may not have.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use highwater_records::{Offset, TopicIdPartition};

use super::entry::{Change, Entry};
use crate::{
    directory::LogEntry,
    disk::DiskFile,
    museum::{Bug, has},
    segment::Segment,
};

/// One such log.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) entry: Arc<LogEntry>,
    /// Segments with journaled bytes that no sync has covered, oldest first.
    pub(super) segments: Vec<Arc<Segment>>,
    /// Producer snapshots that were written with them.
    pub(super) snapshots: Vec<Arc<dyn DiskFile>>,
    /// Names in its directory that are not durable.
    pub(super) names: u64,
    /// A batch from here on is in the journal, or about to be, and not in its segment yet.
    pub(super) ahead: Option<Offset>,
    /// Which extents hold entries of it that no floor covers: sequence, and the end of what it holds there.
    marks: Vec<(u64, Offset)>,
}

/// Every such log.
#[derive(Debug, Default)]
pub(super) struct TrackedLogs {
    pub(super) logs: BTreeMap<TopicIdPartition, Tracked>,
}

/// What a settling syncs for one log.
pub(super) struct ToSettle {
    pub(super) entry: Arc<LogEntry>,
    pub(super) truncations: u64,
    /// Everything below is journaled, and lies in these segments or is synced.
    pub(super) floor: Offset,
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) snapshots: Vec<Arc<dyn DiskFile>>,
    pub(super) names: u64,
}

impl TrackedLogs {
    pub(super) fn track(&mut self, entry: &Arc<LogEntry>) -> &mut Tracked {
        self.logs.entry(entry.id()).or_insert_with(|| Tracked {
            entry: entry.clone(),
            segments: Vec::new(),
            snapshots: Vec::new(),
            names: 0,
            ahead: None,
            marks: Vec::new(),
        })
    }

    /// Notes what has become durable in the extent of this sequence.
    pub(super) fn apply<'a>(&mut self, entries: impl Iterator<Item = &'a Entry>, sequence: u64) {
        for Entry { log, change } in entries {
            let Some(tracked) = self.logs.get_mut(log) else { continue };
            match change {
                Change::Batch(batch) => tracked.mark(sequence, batch.next),
                Change::TruncateTo(offset) | Change::Restart(offset) => {
                    tracked.marks.iter_mut().for_each(|(_, end)| *end = (*end).min(*offset));
                    tracked.mark(sequence, *offset);
                }
                Change::Floor(offset) => {
                    tracked.settled(*offset);
                    if tracked.marks.is_empty() && tracked.segments.is_empty() && tracked.ahead.is_none() {
                        self.logs.remove(log);
                    }
                }
                Change::Delete => {}
            }
        }
    }

    /// The oldest extent that is needed once these entries are durable in the one of this sequence.
    pub(super) fn oldest_after<'a>(&self, entries: impl Iterator<Item = &'a Entry>, sequence: u64) -> u64 {
        let mut floors = BTreeMap::new();
        for Entry { log, change } in entries {
            if let Change::Floor(offset) = change {
                floors.insert(*log, *offset);
            }
        }
        let first_needed = |(log, tracked): (&TopicIdPartition, &Tracked)| {
            let floor = floors.get(log);
            let needed = |(_, end): &&(u64, Offset)| floor.is_none_or(|floor| end > floor);
            tracked.marks.iter().find(needed).map(|(sequence, _)| *sequence)
        };
        self.logs.iter().filter_map(first_needed).min().unwrap_or(sequence).min(sequence)
    }

    /// Notes that this was synced. Returns what the log has left.
    pub(super) fn synced(&mut self, one: &ToSettle) -> &[Arc<Segment>] {
        let Some(tracked) = self.logs.get_mut(&one.entry.id()) else { return &[] };
        tracked.snapshots.drain(..one.snapshots.len().min(tracked.snapshots.len()));
        tracked.names -= one.names.min(tracked.names);
        &tracked.segments
    }

    /// What is to be synced so that nothing in the extents up to `up_to` is needed.
    pub(super) fn to_settle(&self, up_to: u64) -> Vec<ToSettle> {
        let owed = |tracked: &&Tracked| tracked.first_mark().is_some_and(|mark| mark <= up_to);
        self.logs.values().filter(owed).filter_map(Tracked::to_settle).collect()
    }
}

impl Tracked {
    fn first_mark(&self) -> Option<u64> {
        self.marks.first().map(|(sequence, _)| *sequence)
    }

    fn mark(&mut self, sequence: u64, end: Offset) {
        match self.marks.last_mut() {
            Some((last, before)) if *last == sequence => *before = end,
            _ => self.marks.push((sequence, end)),
        }
    }

    fn settled(&mut self, floor: Offset) {
        self.marks.retain(|(_, end)| *end > floor);
        self.segments.retain(|segment| segment.facts().next_offset > floor);
    }

    pub(super) fn add(&mut self, segments: &[Arc<Segment>]) {
        for segment in segments {
            if !self.segments.iter().any(|known| Arc::ptr_eq(known, segment)) {
                self.segments.push(segment.clone());
            }
        }
    }

    /// `None` if nothing would come of it: what is ahead cannot be covered by a floor, and one that covers nothing takes room
    /// from those that do.
    fn to_settle(&self) -> Option<ToSettle> {
        let ((_, first), (_, journaled)) = (*self.marks.first()?, *self.marks.last()?);
        let ahead = self.ahead.filter(|_| !has(Bug::FloorCoversAhead));
        let floor = ahead.map_or(journaled, |ahead| ahead.min(journaled));
        (first <= floor).then(|| ToSettle {
            entry: self.entry.clone(),
            truncations: self.entry.truncations.load(Ordering::Acquire),
            floor,
            segments: self.segments.clone(),
            snapshots: self.snapshots.clone(),
            names: self.names,
        })
    }
}
