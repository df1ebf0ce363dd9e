//! The same few things, done by each library as its documentation says.

mod commitlog;
mod files;
mod highwater;
mod raft_engine;
mod walrus;

use std::path::Path;

use crate::Result;

/// Highwater first: the others are compared with it.
pub(crate) const SIDES: [&str; 5] = ["highwater", "system calls", "commitlog", "raft-engine", "walrus-rust"];

/// Bytes asked for at once when a log is read.
const READ_BYTES: usize = 1 << 20;

/// Some logs in one directory.
pub(crate) trait Side: Sync {
    /// Appends records, together if they are several; durable on return where the side was opened so.
    fn append(&self, log: usize, records: &[&[u8]]) -> Result<()>;

    /// Reads records from the start, all of them or the first only; their number and bytes.
    fn read(&self, log: usize, all: bool) -> Result<(usize, usize)>;

    /// Ends the use in order, where there is such a thing.
    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// Opens or creates `logs` logs.
pub(crate) fn open(name: &str, place: &Path, logs: usize, synced: bool) -> Result<Box<dyn Side>> {
    Ok(match name {
        "highwater" => Box::new(highwater::Highwater::open(place, logs, synced)?),
        "system calls" => Box::new(files::Files::open(place, logs, synced)?),
        "commitlog" => Box::new(commitlog::CommitLogs::open(place, logs, synced)?),
        "raft-engine" => Box::new(raft_engine::RaftEngine::open(place, logs, synced)?),
        "walrus-rust" => Box::new(walrus::Topics::open(synced)?),
        _ => return Err(format!("there is no {name}").into()),
    })
}
