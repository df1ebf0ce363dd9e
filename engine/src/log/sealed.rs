//! Sealed segments, for whoever copies them elsewhere.

use std::{io, sync::Arc};

use bytes::Bytes;
use highwater_records::{Offset, TimestampMs};

use super::Log;
use crate::{
    directory::LogDir,
    disk::DiskFile,
    epochs::{EpochStart, LeaderEpochs},
    producer::encode_kafka,
    quarantine::Quarantined,
    recovery::ProducerSource,
    segment::Segment,
};

/// A sealed segment. It never changes; it may be deleted, which an open file survives.
#[derive(Clone)]
pub struct SealedSegment {
    /// The first offset it may hold (inclusive).
    pub base_offset: Offset,
    /// Where it ends (exclusive).
    pub next_offset: Offset,
    /// Bytes of its batches.
    pub size: u64,
    /// Its largest timestamp, and the last offset of the batch that has it.
    pub max_timestamp: Option<(TimestampMs, Offset)>,
    /// When it was last written, in milliseconds since the Unix epoch.
    pub modified_ms: i64,
    /// Whether it is on stable storage.
    pub synced: bool,
    /// Whether a range of it cannot be read, or Kafka's cleaner has left offsets without a batch; it must not be copied
    /// anywhere.
    pub damaged: bool,
    segment: Arc<Segment>,
    log: Arc<Source>,
}

/// What a segment's parts are made from, besides the segment.
struct Source {
    dir: Arc<LogDir>,
    directory: std::path::PathBuf,
    segments: Arc<Vec<Arc<Segment>>>,
    snapshots: std::collections::BTreeSet<Offset>,
    quarantine: Arc<Vec<Quarantined>>,
    epochs: Arc<LeaderEpochs>,
}

/// All there is of a segment.
#[derive(Clone, Debug)]
pub struct SegmentParts {
    /// The file of batches.
    pub log: Arc<dyn DiskFile>,
    /// How much of it counts, in bytes.
    pub log_len: u64,
    /// Kafka's offset index.
    pub offset_index: Bytes,
    /// Kafka's time index.
    pub time_index: Bytes,
    /// Kafka's index of aborted transactions, by their markers in this segment.
    pub transaction_index: Bytes,
    /// Kafka's producer snapshot as of the segment's end.
    pub producer_snapshot: Bytes,
    /// The leader epochs up to the segment's end.
    pub epochs: Vec<EpochStart>,
}

impl Log {
    /// The sealed segments, oldest first.
    pub fn sealed_segments(&self) -> Vec<SealedSegment> {
        let source = Arc::new(Source {
            dir: self.dir.clone(),
            directory: self.path().to_owned(),
            segments: self.segments.clone(),
            snapshots: self.snapshots.clone(),
            quarantine: self.quarantine.clone(),
            epochs: self.epochs.clone(),
        });
        let sealed = &self.segments[..self.segments.len() - 1];
        sealed.iter().map(|segment| self.describe(segment, &source)).collect()
    }

    fn describe(&self, segment: &Arc<Segment>, source: &Arc<Source>) -> SealedSegment {
        let facts = segment.facts();
        let touches = |q: &Quarantined| q.offsets.start < facts.next_offset && q.offsets.end > segment.base;
        SealedSegment {
            base_offset: segment.base,
            next_offset: facts.next_offset,
            size: facts.size,
            max_timestamp: facts.max_timestamp,
            modified_ms: segment.log.get().and_then(|file| file.modified_ms()).unwrap_or(0),
            synced: facts.next_offset <= self.positions.durable_end,
            damaged: segment.sparse || self.quarantine.iter().any(touches),
            segment: segment.clone(),
            log: source.clone(),
        }
    }
}

impl SealedSegment {
    /// Opens and reads what belongs to the segment. Blocks; hold no lock.
    ///
    /// # Errors
    /// The disk's; `NotFound` once the segment was deleted.
    pub fn parts(&self) -> io::Result<SegmentParts> {
        let log = self.segment.log.get()?;
        let Source { dir, directory, segments, snapshots, quarantine, epochs } = &*self.log;
        // The clock decides expiry only, and nothing expires here.
        let now = TimestampMs(0);
        let source =
            ProducerSource { disk: &*dir.disk, directory, segments, quarantined: quarantine, snapshots, now };
        let producers = source.at(self.next_offset, self.next_offset)?;
        Ok(SegmentParts {
            log,
            log_len: self.size,
            offset_index: self.segment.offset_index.bytes()?.into(),
            time_index: self.segment.time_index.bytes()?.into(),
            transaction_index: self.segment.transaction_index.bytes()?.into(),
            producer_snapshot: encode_kafka(&producers).into(),
            epochs: epochs.up_to(self.next_offset),
        })
    }
}

impl std::fmt::Debug for SealedSegment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedSegment")
            .field("base_offset", &self.base_offset)
            .field("next_offset", &self.next_offset)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}
