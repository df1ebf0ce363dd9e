//! What a directory knows of each of its logs, open or not.

use std::{io, path::PathBuf};

use highwater_records::{Offset, TopicId, TopicIdPartition};

use super::meta::PartitionMetadata;
use crate::{
    name::LogName,
    sync::{AtomicBool, AtomicU64, Mutex},
};

/// One log of a directory.
#[derive(Debug)]
pub(crate) struct LogEntry {
    pub(crate) name: LogName,
    pub(crate) topic_id: TopicId,
    /// Whether a checksum, or somebody who knows, vouches for the topic's id.
    pub(crate) vouched: AtomicBool,
    pub(crate) path: PathBuf,
    pub(crate) state: Mutex<EntryState>,
    /// How often the log was truncated, begun anew or deleted. Changed under a lock of the journal.
    pub(crate) truncations: AtomicU64,
    /// Whether the journal of this run may have something of it.
    pub(crate) journaled: AtomicBool,
}

impl LogEntry {
    pub(crate) fn new(
        name: LogName,
        metadata: PartitionMetadata,
        path: PathBuf,
        state: EntryState,
    ) -> LogEntry {
        LogEntry {
            name,
            topic_id: metadata.topic_id,
            vouched: AtomicBool::new(metadata.vouched),
            path,
            state: Mutex::new(state),
            truncations: AtomicU64::new(0),
            journaled: AtomicBool::new(false),
        }
    }

    pub(crate) fn id(&self) -> TopicIdPartition {
        TopicIdPartition { topic_id: self.topic_id, partition: self.name.partition }
    }

    /// Whether something of the log is not there because the log was deleted meanwhile. Its directory has another name
    /// then, so that a sync that finds nothing says nothing of the media; and nobody waits for what the log had.
    pub(crate) fn is_gone(&self, error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::NotFound && self.state.lock().deleted
    }
}

/// What the checkpoints say of a log, or will say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EntryState {
    /// Whether a [`Log`](crate::Log) exists.
    pub(crate) open: bool,
    /// Whether the log was recovered, or closed, since the directory was opened.
    pub(crate) settled: bool,
    /// Whether files may have been written that are not synced: the [`Log`](crate::Log) was not closed.
    pub(crate) dirty: bool,
    pub(crate) deleted: bool,
    /// Everything is to be read when the log is opened, and what lies below this was promised.
    pub(crate) reread: Option<Offset>,
    /// As last written, or as read from a checkpoint that can be trusted.
    pub(crate) recovery_point: Option<Offset>,
    /// What the next recovery checkpoint will say. `None` if nothing may be promised.
    pub(crate) durable_end: Option<Offset>,
    pub(crate) log_start: Option<Offset>,
    pub(crate) high_watermark: Option<Offset>,
    /// Everything below is decided by markers below `durable_end`.
    pub(crate) decided: Offset,
    /// The same of the recovery point.
    pub(crate) decided_at_point: Offset,
    /// Up to where the log was compacted (exclusive).
    pub(crate) compacted_to: Option<Offset>,
}
