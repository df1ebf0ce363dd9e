//! Compaction of a log: what is due, and compacted segments taking their place.

use std::sync::Arc;

use highwater_records::{Offset, TimestampMs};

use super::{ChangeError, Log};
use crate::{
    compact::{CompactError, Compacted, CompactedGroup, CompactionDebt, CompactionPass, Plan, SwapJob},
    config::Compaction,
    quarantine::{self, Quarantined},
    segment::Segment,
};

/// What a pass may look at.
struct Due {
    compaction: Compaction,
    first_dirty: Offset,
    /// How many segments, from the first on.
    count: usize,
    debt: CompactionDebt,
    /// Whether more is dirty that may not be compacted before something is durable, written down or decided.
    blocked: bool,
    /// When lags make a difference (milliseconds since the Unix epoch).
    later: Option<i64>,
}

impl Log {
    /// What there is to compact; `None` where the log does not compact, or has nothing that it may.
    ///
    /// A pass may look at sealed segments below the last stable offset and the recovery point whose newest record is old
    /// enough. It is due where more than the dirty ratio of their bytes is dirty, or a dirty record has become too old.
    pub fn compaction_debt(&self, now: TimestampMs) -> Option<CompactionDebt> {
        self.compaction_due(now).map(|due| due.debt)
    }

    /// Begins a pass if one is due. `key_bytes` is the memory for the keys of what is dirty, about 32 bytes each; what
    /// does not fit is left to the next pass.
    ///
    /// 1. [`CompactionPass::next_group`] reads and writes, without a lock, while the log is used;
    /// 2. [`Log::swap_compacted`], under the caller's lock, makes the log use what was written;
    /// 3. [`SwapJob::run`] puts the files in their place, without the lock; then again from 1;
    /// 4. [`Log::finish_compaction`], under the lock, notes how far it got.
    ///
    /// `None` where nothing is due, a pass is under way, or the log must not be changed.
    pub fn begin_compaction(&mut self, key_bytes: usize, now: TimestampMs) -> Option<CompactionPass> {
        self.check().ok()?;
        let due = self.compaction_due(now).filter(|due| due.debt.due)?;
        if self.compacting.strong_count() > 0 {
            return None;
        }
        let token = Arc::new(());
        self.compacting = Arc::downgrade(&token);
        let plan = Plan {
            disk: self.dir.disk.clone(),
            directory: self.path().to_owned(),
            reader: self.reader(),
            segments: self.segments[..due.count].to_vec(),
            first_dirty: due.first_dirty,
            producers: self.producers.clone(),
            snapshots: self.snapshots.clone(),
            now,
        };
        let config = self.config.clone();
        Some(CompactionPass::new(plan, config, due.compaction, key_bytes, token))
    }

    /// Uses a compacted segment in place of those it was made from. Readers that were taken before go on with these.
    ///
    /// # Errors
    /// `Changed` where one of them is gone; `Offline` or `Broken`. The log is as it was.
    pub fn swap_compacted(&mut self, group: CompactedGroup) -> Result<SwapJob, CompactError> {
        self.check().map_err(|error| match error {
            ChangeError::Offline(offline) => CompactError::Offline(offline),
            other => CompactError::Broken(other.to_string()),
        })?;
        let (replaced, segment, kinds) = group.into_parts();
        let same = |(a, b): (&Arc<Segment>, &Arc<Segment>)| Arc::ptr_eq(a, b);
        let at = self.segments.iter().position(|known| Arc::ptr_eq(known, &replaced[0]));
        let at = at.filter(|at| {
            let known = &self.segments[*at..self.segments.len() - 1];
            known.len() >= replaced.len() && known.iter().zip(&replaced).all(same)
        });
        let unsettled = self.unsettled();
        let is_unsettled = |old: &Arc<Segment>| unsettled.iter().any(|other| Arc::ptr_eq(other, old));
        let Some(at) = at.filter(|_| !replaced.iter().any(is_unsettled)) else {
            return Err(CompactError::Changed);
        };
        let gate = self.gate.close().ok_or(CompactError::Changed)?;
        self.as_opened = false;
        // Their names are about to belong to other files: who has not opened them by now must not.
        replaced.iter().for_each(|old| old.retire());
        let whole = |range: &&Quarantined| !replaced.iter().any(|old| old.base == range.segment);
        let damaged: Vec<Quarantined> = self.quarantine.iter().filter(whole).cloned().collect();
        let quarantine = (damaged.len() < self.quarantine.len()).then(|| quarantine::encode(&damaged));
        let others: Vec<Offset> = replaced[1..].iter().map(|old| old.base).collect();
        self.snapshots.retain(|at| !others.contains(at));
        Arc::make_mut(&mut self.segments).splice(at..at + replaced.len(), [segment.clone()]);
        self.publish();
        let job = SwapJob::new(
            self.dir.disk.clone(),
            self.entry.clone(),
            self.dir.health().clone(),
            others,
            kinds,
            segment,
            gate,
        );
        Ok(job.and_known(quarantine))
    }

    /// Notes how far a pass got: durable after the next
    /// [`LogDir::write_checkpoints`](crate::LogDir::write_checkpoints). Where that is lost, the next pass looks at more.
    pub fn finish_compaction(&mut self, pass: CompactionPass) -> Compacted {
        let report = pass.report;
        // A truncation may have been faster.
        let up_to = report.up_to.min(self.active().base);
        self.entry.state.lock().compacted_to = Some(up_to);
        Compacted { up_to, ..report }
    }

    /// All steps at once, under the caller's lock. For programs with one thread. `None` where nothing is due.
    ///
    /// # Errors
    /// As the steps.
    pub fn compact(&mut self, key_bytes: usize, now: TimestampMs) -> Result<Option<Compacted>, CompactError> {
        let Some(mut pass) = self.begin_compaction(key_bytes, now) else { return Ok(None) };
        while let Some(group) = pass.next_group(|| true)? {
            self.swap_compacted(group)?.run()?;
        }
        Ok(Some(self.finish_compaction(pass)))
    }

    /// Segments whose files are still to be synced, or that a replay of the journal would write again.
    pub(super) fn unsettled(&self) -> Vec<Arc<Segment>> {
        let mut unsettled = self.dir.journal.unsettled(self.entry.id());
        unsettled.extend(self.pending.segments.iter().cloned());
        unsettled
    }

    /// When a compaction may become due even if nobody appends. `now` where one is due, or waits for what is not durable,
    /// not written down or not decided; `None` if never. Sealing the last segment is not counted: see [`Log::next_due`].
    pub fn compaction_next_due(&self, now: TimestampMs) -> Option<TimestampMs> {
        let Due { debt, blocked, later, .. } = self.compaction_debts(now)?;
        if blocked || debt.due {
            return Some(now);
        }
        later.map(|at| TimestampMs(at.saturating_add(1).max(now.0.saturating_add(1))))
    }

    fn compaction_due(&self, now: TimestampMs) -> Option<Due> {
        self.compaction_debts(now).filter(|due| due.debt.dirty_bytes > 0)
    }

    fn compaction_debts(&self, now: TimestampMs) -> Option<Due> {
        let compaction = self.config.compaction.filter(|_| !self.config.tiered)?;
        let positions = self.positions();
        let sealed = &self.segments[..self.segments.len() - 1];
        let active = self.active().base;
        let start = positions.local_start;
        let known = self.entry.state.lock().compacted_to.filter(|to| *to >= start && *to <= active);
        let first_dirty = known.unwrap_or(start);
        let damaged = self.quarantine.first().map_or(Offset::MAX, |range| range.segment);
        // Recovery believes what lies below its point; what it would read again must be what was appended.
        // Decided by markers that a power cut cannot take: else a record could go for the sake of one whose transaction
        // ends otherwise after all.
        let decided = self.entry.state.lock().decided_at_point;
        let bound = decided.min(positions.last_stable).min(positions.recovery_point);
        let newest = |segment: &Segment| segment.facts().max_timestamp.map_or(i64::MIN, |(time, _)| time.0);
        let too_young =
            |segment: &Segment| older_ms(now, newest(segment)).is_none_or(|age| age < compaction.min_lag_ms);
        let (mut count, mut debt) = (0, CompactionDebt { dirty_bytes: 0, clean_bytes: 0, due: false });
        let (mut overdue, mut blocked) = (false, false);
        let mut later: Option<i64> = None;
        let unsettled = self.unsettled();
        for segment in sealed {
            let facts = segment.facts();
            let dirty = facts.next_offset > first_dirty;
            if facts.next_offset > damaged {
                break;
            }
            // Its indexes may still be unsynced, even if its batches are not.
            if unsettled.iter().any(|other| Arc::ptr_eq(other, segment)) || facts.next_offset > bound {
                blocked = sealed.last().is_some_and(|last| last.facts().next_offset > first_dirty);
                break;
            }
            let at = |from: i64, ms: u64| from.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX));
            let mut wake = |time: i64| later = Some(later.map_or(time, |before| before.min(time)));
            if dirty && compaction.min_lag_ms > 0 && too_young(segment) {
                wake(at(newest(segment), compaction.min_lag_ms));
                break;
            }
            count += 1;
            if !dirty {
                debt.clean_bytes += facts.size;
                continue;
            }
            debt.dirty_bytes += facts.size;
            let oldest = facts.first_timestamp.or(facts.first_append).map_or(now.0, |time| time.0);
            let lag = older_ms(now, oldest).unwrap_or(0);
            overdue |= compaction.max_lag_ms.is_some_and(|longest| lag > longest);
            compaction.max_lag_ms.into_iter().for_each(|longest| wake(at(oldest, longest)));
        }
        let total = u128::from(debt.dirty_bytes + debt.clean_bytes);
        let enough =
            u128::from(debt.dirty_bytes) * 1_000_000 > total * u128::from(compaction.min_dirty_millionths);
        debt.due = debt.dirty_bytes > 0 && (enough || overdue);
        Some(Due { compaction, first_dirty, count, debt, blocked, later })
    }
}

/// How long ago that was; `None` if it is yet to come.
fn older_ms(now: TimestampMs, then: i64) -> Option<u64> {
    u64::try_from(now.0.saturating_sub(then)).ok()
}
