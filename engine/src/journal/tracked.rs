//! Which logs the journal holds something for that their own files may not have, or that no checkpoint says.

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
    /// The floor that alone says what was promised, until a checkpoint does: in which extent it is, and what it says. Were
    /// it forgotten, damage below it would be taken for what a crash left of an append.
    said: Option<(u64, Offset)>,
    /// How many truncations and new beginnings had landed, of any log, when its last one did.
    cut: u64,
}

/// Every such log.
#[derive(Debug, Default)]
pub(super) struct TrackedLogs {
    pub(super) logs: BTreeMap<TopicIdPartition, Tracked>,
    /// Truncations and new beginnings that have landed.
    cuts: u64,
}

/// What a settling syncs for one log.
pub(super) struct ToSettle {
    pub(super) entry: Arc<LogEntry>,
    pub(super) truncations: u64,
    cut: u64,
    /// Everything below is journaled, and lies in these segments or is synced.
    pub(super) floor: Offset,
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) snapshots: Vec<Arc<dyn DiskFile>>,
    pub(super) names: u64,
}

impl TrackedLogs {
    pub(super) fn track(&mut self, entry: &Arc<LogEntry>) -> &mut Tracked {
        let cut = self.cuts;
        self.logs.entry(entry.id()).or_insert_with(|| Tracked {
            entry: entry.clone(),
            segments: Vec::new(),
            snapshots: Vec::new(),
            names: 0,
            ahead: None,
            marks: Vec::new(),
            said: None,
            cut,
        })
    }

    /// Notes what has become durable in the extent of this sequence.
    pub(super) fn apply<'a>(&mut self, entries: impl Iterator<Item = &'a Entry>, sequence: u64) {
        for Entry { log, change } in entries {
            let Some(tracked) = self.logs.get_mut(log) else { continue };
            match change {
                Change::Batch(batch) => tracked.mark(sequence, batch.next),
                Change::TruncateTo(offset) | Change::Restart(offset) => {
                    let said = tracked.said.iter_mut().map(|(_, end)| end);
                    let ends = tracked.marks.iter_mut().map(|(_, end)| end);
                    said.chain(ends).for_each(|end| *end = (*end).min(*offset));
                    tracked.mark(sequence, *offset);
                    self.cuts += 1;
                    tracked.cut = self.cuts;
                }
                Change::Floor(offset) => {
                    tracked.settled(*offset);
                    tracked.said = Some((sequence, *offset));
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
            let mark = tracked.marks.iter().find(needed).map(|(sequence, _)| *sequence);
            // A floor among the entries says it again.
            let said = tracked.said.filter(|_| floor.is_none()).map(|(sequence, _)| sequence);
            mark.into_iter().chain(said).min()
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

    /// What is to be synced so that nothing in the extents up to `up_to` is needed, and what floors in those up to
    /// `said_up_to` is to be said again.
    pub(super) fn to_settle(&self, up_to: u64, said_up_to: u64) -> Vec<ToSettle> {
        let owed = |tracked: &&Tracked| {
            tracked.first_mark().is_some_and(|mark| mark <= up_to) || tracked.is_said_in(said_up_to)
        };
        self.logs.values().filter(owed).filter_map(Tracked::to_settle).collect()
    }

    /// Whether the floor of what was synced is still right: nobody has begun to truncate the log since, and nothing that was
    /// begun before has landed since. What lands later is written behind the floor.
    pub(super) fn holds(&self, one: &ToSettle) -> bool {
        let begun = one.entry.truncations.load(Ordering::Acquire);
        begun == one.truncations && self.logs.get(&one.entry.id()).is_some_and(|known| known.cut == one.cut)
    }

    /// Whether an extent up to this one alone says what some log was promised.
    pub(super) fn is_said_in(&self, up_to: u64) -> bool {
        self.logs.values().any(|tracked| tracked.is_said_in(up_to))
    }

    /// Notes that a durable checkpoint says up to where this log was promised.
    pub(super) fn written_down(&mut self, log: TopicIdPartition, promised: Offset) {
        let Some(tracked) = self.logs.get_mut(&log) else { return };
        tracked.said = tracked.said.filter(|(_, floor)| *floor > promised);
        if tracked.is_idle() {
            self.logs.remove(&log);
        }
    }
}

impl Tracked {
    fn first_mark(&self) -> Option<u64> {
        self.marks.first().map(|(sequence, _)| *sequence)
    }

    fn is_said_in(&self, up_to: u64) -> bool {
        self.said.is_some_and(|(sequence, _)| sequence <= up_to)
    }

    fn is_idle(&self) -> bool {
        let holds_nothing = self.marks.is_empty() && self.segments.is_empty() && self.ahead.is_none();
        holds_nothing && self.said.is_none()
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
        let ahead = self.ahead.filter(|_| !has(Bug::FloorCoversAhead));
        let covers = || {
            let ((_, first), (_, journaled)) = (*self.marks.first()?, *self.marks.last()?);
            let floor = ahead.map_or(journaled, |ahead| ahead.min(journaled));
            (first <= floor).then_some(floor)
        };
        let floor = covers().max(self.said.map(|(_, floor)| floor))?;
        Some(ToSettle {
            entry: self.entry.clone(),
            truncations: self.entry.truncations.load(Ordering::Acquire),
            cut: self.cut,
            floor,
            segments: self.segments.clone(),
            snapshots: self.snapshots.clone(),
            names: self.names,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        directory::{EntryState, PartitionMetadata},
        testing::*,
    };

    #[test]
    fn what_was_synced_before_a_truncation_landed_is_no_floor_behind_it() {
        let metadata =
            PartitionMetadata { topic_id: highwater_records::TopicId::from_random(1, 1), vouched: true };
        let entry = Arc::new(LogEntry::new(name(), metadata, "/data/topic-0".into(), EntryState::default()));
        let mut logs = TrackedLogs::default();
        let cut = |to| Entry { log: entry.id(), change: Change::TruncateTo(offset(to)) };
        logs.track(&entry);
        logs.apply([cut(5)].iter(), 1);
        let [before] = &logs.to_settle(1, 0)[..] else { panic!("it has a mark") };
        assert!(logs.holds(before));
        assert_eq!(before.floor, offset(5));
        logs.apply([cut(3)].iter(), 1);
        assert!(!logs.holds(before));
        let [after] = &logs.to_settle(1, 0)[..] else { panic!("it has a mark") };
        assert!(logs.holds(after));
        assert_eq!(after.floor, offset(3));
    }
}
