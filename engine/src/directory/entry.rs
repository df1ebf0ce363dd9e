//! What a directory knows of each of its logs, open or not.

use std::path::PathBuf;

use highwater_records::{Offset, TopicId};
use parking_lot::Mutex;

use crate::name::LogName;

/// One log of a directory.
#[derive(Debug)]
pub(crate) struct LogEntry {
    pub(crate) name: LogName,
    pub(crate) topic_id: TopicId,
    pub(crate) path: PathBuf,
    pub(crate) state: Mutex<EntryState>,
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
}
