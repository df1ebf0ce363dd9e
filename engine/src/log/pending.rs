//! What was appended and is not durable yet.

use std::sync::Arc;

use highwater_records::Offset;

use crate::{disk::DiskFile, journal::JournaledBatch, segment::Segment};

/// What is not durable yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Segments that have bytes which no commit covers, oldest first.
    pub(super) segments: Vec<Arc<Segment>>,
    /// Producer snapshots that were written.
    pub(super) snapshots: Vec<Arc<dyn DiskFile>>,
    /// Names created since the directory was last synced.
    pub(super) names: u64,
    /// The lowest point that the log was truncated to while a commit was under way.
    pub(super) truncated_to: Option<Offset>,
    /// What the next commit puts into the journal.
    pub(super) batches: Batches,
}

impl Pending {
    pub(super) fn touch(&mut self, segment: &Arc<Segment>) {
        if self.segments.last().is_none_or(|last| !Arc::ptr_eq(last, segment)) {
            self.segments.push(segment.clone());
        }
    }

    /// A new segment, and the snapshot that belongs to it.
    pub(super) fn created(&mut self, snapshot: Vec<Arc<dyn DiskFile>>) {
        self.snapshots.extend(snapshot);
        self.names += 1;
    }

    pub(super) fn truncated(&mut self, to: Offset) {
        self.truncated_to = Some(self.truncated_to.map_or(to, |before| before.min(to)));
        self.segments.retain(|segment| segment.base < to);
        self.batches = Batches::default();
    }

    /// Forgets deleted segments.
    pub(super) fn deleted_below(&mut self, first: Offset) {
        self.segments.retain(|segment| segment.base >= first);
    }

    pub(super) fn clear(&mut self) {
        *self = Pending { truncated_to: self.truncated_to, ..Pending::default() };
    }
}

/// Batches that no commit has taken, back to back.
#[derive(Debug, Default)]
pub(super) struct Batches {
    batches: Vec<JournaledBatch>,
    bytes: u64,
    /// Where they begin, kept or not.
    from: Option<Offset>,
    /// There were more than the journal takes: they were not kept.
    too_many: bool,
}

impl Batches {
    /// Adds the next one, unless there are more than `limit` bytes.
    pub(super) fn push(&mut self, batch: JournaledBatch, limit: u64) {
        self.from.get_or_insert(batch.base);
        self.bytes += batch.bytes.len() as u64;
        if self.too_many || self.bytes > limit {
            self.too_many = true;
            self.batches = Vec::new();
        } else {
            self.batches.push(batch);
        }
    }

    /// Takes all of them. `None` unless they are everything from `durable_end` on: what is missing only the files have.
    pub(super) fn take(&mut self, durable_end: Offset) -> Option<Vec<JournaledBatch>> {
        let Batches { batches, from, too_many, .. } = std::mem::take(self);
        (from == Some(durable_end) && !too_many).then_some(batches)
    }
}
