//! What clients asked and saw, what happened to the broker, and what lay on its disk: the events that every
//! invariant reads. Their order is real time.

use std::fmt;

use highwater_records::{TopicId, TopicIdPartition};

use crate::batch::Batches;

/// A client's operation. An idempotent batch keeps its number over all tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// What a topic promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Promise {
    /// An acknowledged record survives a power cut.
    Synced,
    /// With one replica: an acknowledged record survives the process; a loss by power cut is reported.
    Replicated,
}

/// One thing that happened.
#[derive(Clone, Debug, Hash)]
pub enum Event {
    /// A topic exists from now on.
    TopicCreated {
        /// Its identity.
        topic: TopicId,
        /// What it promises.
        promise: Promise,
        /// Whether its segments go to the bucket.
        tiered: bool,
    },
    /// Somebody asked to delete a topic: nothing is promised any more.
    TopicDeleting {
        /// Its identity.
        topic: TopicId,
    },
    /// A client begins to append a batch.
    ProduceInvoked {
        /// The operation.
        op: OpId,
        /// Where.
        at: TopicIdPartition,
        /// [`SeenBatch::content`](crate::batch::SeenBatch::content) of the batch.
        content: u64,
    },
    /// It was acknowledged (`acks` 1 or all).
    ProduceAcked {
        /// The operation.
        op: OpId,
        /// Where.
        at: TopicIdPartition,
        /// Offset of the first record.
        base: u64,
        /// Offset of the last record.
        last: u64,
        /// [`SeenBatch::content`](crate::batch::SeenBatch::content) of the batch.
        content: u64,
        /// The log start that came with the answer.
        log_start: u64,
    },
    /// It was refused in a way that says it is not in the log and never will be.
    ProduceRefused {
        /// The operation.
        op: OpId,
        /// Where.
        at: TopicIdPartition,
        /// [`SeenBatch::content`](crate::batch::SeenBatch::content) of the batch.
        content: u64,
    },
    /// A client begins to read, or to ask for positions.
    ReadInvoked {
        /// The operation.
        op: OpId,
        /// Where.
        at: TopicIdPartition,
    },
    /// It got batches and positions.
    Fetched {
        /// The operation.
        op: OpId,
        /// Where.
        at: TopicIdPartition,
        /// The offset asked for.
        from: u64,
        /// The positions in the answer.
        positions: Positions,
        /// Whether a follower answered: its positions may lag behind what leaders told.
        by_follower: bool,
        /// The batches.
        batches: Batches,
    },
    /// It was told that the offset is out of range, with the range.
    OutOfRange {
        /// The operation.
        op: OpId,
        /// Where.
        at: TopicIdPartition,
        /// The offset asked for.
        from: u64,
        /// The lowest readable offset.
        log_start: u64,
        /// The end of what is readable.
        watermark: u64,
    },
    /// It was told the latest offset.
    ListedLatest {
        /// The operation.
        op: OpId,
        /// Where.
        at: TopicIdPartition,
        /// The watermark.
        watermark: u64,
    },
    /// It was told the earliest offset.
    ListedEarliest {
        /// The operation.
        op: OpId,
        /// Where.
        at: TopicIdPartition,
        /// The log start.
        log_start: u64,
    },
    /// Somebody was told that everything below is deleted.
    RecordsDeleted {
        /// Where.
        at: TopicIdPartition,
        /// Where the log starts now (inclusive).
        start: u64,
    },
    /// The broker is gone, with everything it had in memory.
    Stopped {
        /// How.
        how: Stop,
    },
    /// After a stop that was not clean, recovery ends a partition here: what was beyond is lost.
    LossReported {
        /// Where.
        at: TopicIdPartition,
        /// The first offset that may be lost.
        lost_from: u64,
    },
    /// A partition's files were read behind the broker's back: after a clean stop as they are, after any other one as
    /// recovery leaves them.
    Scanned {
        /// Where.
        at: TopicIdPartition,
        /// What they hold.
        files: LogFiles,
        /// Whether they are as a clean stop leaves them.
        settled: bool,
    },
    /// The broker has just said something (the answer is still on its way), and this is what a power cut would leave
    /// at this instant if it took everything that it may.
    PowerProbed {
        /// Where.
        at: TopicIdPartition,
        /// What was said.
        said: Said,
        /// One past the highest offset that it was about.
        end: u64,
        /// One past the last offset that would be left.
        survives: u64,
    },
    /// Where a partition's records are, by its files and by the bucket itself, not by what the broker says.
    Placed {
        /// Where.
        at: TopicIdPartition,
        /// The first offset in local files; `None` while there are none.
        local_start: Option<u64>,
        /// The offsets that the head in the bucket names, end exclusive; `None` without a head.
        tiered: Option<(u64, u64)>,
        /// Whether every object that the head names is there.
        objects_there: bool,
    },
}

/// What a broker says of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Said {
    /// They are acknowledged.
    Acknowledged,
    /// They are there to be read.
    Shown,
}

/// How a broker stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    /// As asked; everything was synced.
    Clean,
    /// The process was killed; the machine lives.
    Process,
    /// The power was cut.
    Power,
}

/// Positions that came with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Positions {
    /// Inclusive.
    pub log_start: u64,
    /// Exclusive.
    pub last_stable: u64,
    /// Exclusive.
    pub watermark: u64,
}

/// A partition's segments on disk, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogFiles {
    /// The segments.
    pub segments: Vec<SegmentFiles>,
}

/// One segment's files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SegmentFiles {
    /// The offset in the file's name.
    pub name: u64,
    /// The batches.
    pub batches: Batches,
    /// Offset index: (offset, position).
    pub offsets: Vec<(u64, u64)>,
    /// Time index: (timestamp, offset).
    pub times: Vec<(i64, u64)>,
}

impl Event {
    /// The partition it is about, if it is about one.
    pub fn partition(&self) -> Option<TopicIdPartition> {
        match self {
            Event::TopicCreated { .. } | Event::TopicDeleting { .. } | Event::Stopped { .. } => None,
            Event::ProduceInvoked { at, .. }
            | Event::ProduceAcked { at, .. }
            | Event::ProduceRefused { at, .. }
            | Event::ReadInvoked { at, .. }
            | Event::Fetched { at, .. }
            | Event::OutOfRange { at, .. }
            | Event::ListedLatest { at, .. }
            | Event::ListedEarliest { at, .. }
            | Event::RecordsDeleted { at, .. }
            | Event::LossReported { at, .. }
            | Event::Scanned { at, .. }
            | Event::PowerProbed { at, .. }
            | Event::Placed { at, .. } => Some(*at),
        }
    }

    /// The watermark that a client learns from it.
    pub fn watermark(&self) -> Option<(OpId, u64)> {
        match self {
            Event::Fetched { op, positions, by_follower: false, .. } => Some((*op, positions.watermark)),
            Event::OutOfRange { op, watermark, .. } | Event::ListedLatest { op, watermark, .. } => {
                Some((*op, *watermark))
            }
            _ => None,
        }
    }

    /// The log start that a client learns from it.
    pub fn log_start(&self) -> Option<(OpId, u64)> {
        match self {
            Event::Fetched { op, positions, by_follower: false, .. } => Some((*op, positions.log_start)),
            Event::OutOfRange { op, log_start, .. }
            | Event::ListedEarliest { op, log_start, .. }
            | Event::ProduceAcked { op, log_start, .. } => Some((*op, *log_start)),
            _ => None,
        }
    }
}

impl LogFiles {
    /// One past the last offset of the last valid batch, or the name of the last segment if it has none; `None`
    /// without segments.
    pub fn end(&self) -> Option<u64> {
        let last = self.segments.last()?;
        Some(last.batches.good.last().map_or(last.name, |batch| batch.last + 1))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::TopicCreated { topic, promise, tiered } => {
                write!(f, "topic {topic} exists, {promise:?}{}", if *tiered { ", tiered" } else { "" })
            }
            Event::TopicDeleting { topic } => write!(f, "topic {topic} is being deleted"),
            Event::ProduceInvoked { op, at, content } => write!(f, "{op} {at}: append {content:016x}"),
            Event::ProduceAcked { op, at, base, last, content, log_start } => {
                write!(f, "{op} {at}: {content:016x} acknowledged at {base}..={last}, log start {log_start}")
            }
            Event::ProduceRefused { op, at, content } => write!(f, "{op} {at}: {content:016x} refused"),
            Event::ReadInvoked { op, at } => write!(f, "{op} {at}: ask"),
            Event::Fetched { op, at, from, positions, by_follower, batches } => {
                let Positions { log_start, last_stable, watermark } = positions;
                let whose = if *by_follower { "a follower's " } else { "" };
                write!(
                    f,
                    "{op} {at}: from {from} of {whose}[{log_start}, {last_stable}, {watermark}):{batches}"
                )
            }
            Event::OutOfRange { op, at, from, log_start, watermark } => {
                write!(f, "{op} {at}: {from} is out of range [{log_start}, {watermark})")
            }
            Event::ListedLatest { op, at, watermark } => write!(f, "{op} {at}: latest is {watermark}"),
            Event::ListedEarliest { op, at, log_start } => write!(f, "{op} {at}: earliest is {log_start}"),
            Event::RecordsDeleted { at, start } => write!(f, "{at}: everything below {start} is deleted"),
            Event::Stopped { how } => write!(f, "the broker stops: {how:?}"),
            Event::LossReported { at, lost_from } => write!(f, "{at}: loss reported from {lost_from}"),
            Event::Scanned { at, files, .. } => {
                write!(f, "{at}: files")?;
                for segment in &files.segments {
                    let (offsets, times) = (segment.offsets.len(), segment.times.len());
                    write!(f, " {}({offsets}, {times}):{}", segment.name, segment.batches)?;
                }
                Ok(())
            }
            Event::PowerProbed { at, said, end, survives } => {
                write!(f, "{at}: {said:?} up to {end}; a power cut now leaves {survives}")
            }
            Event::Placed { at, local_start, tiered, objects_there } => {
                write!(
                    f,
                    "{at}: local from {local_start:?}, bucket {tiered:?}, objects there: {objects_there}"
                )
            }
        }
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "op {}", self.0)
    }
}
