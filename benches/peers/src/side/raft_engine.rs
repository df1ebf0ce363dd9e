//! `raft-engine`: all logs in one file, an index of every entry in memory, group commit. Its entries are protocol
//! buffers that know their number, as a raft library has them.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use protobuf::well_known_types::BytesValue;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};

use super::{READ_BYTES, Side};
use crate::Result;

pub(super) struct RaftEngine {
    engine: Engine,
    /// The last number of each log.
    last: Vec<AtomicU64>,
    synced: bool,
}

/// An entry whose number are its first eight bytes.
struct Numbered;

impl MessageExt for Numbered {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        entry.value.first_chunk().map_or(0, |number| u64::from_le_bytes(*number))
    }
}

fn entry(number: u64, record: &[u8]) -> BytesValue {
    let mut entry = BytesValue::new();
    entry.value = [&number.to_le_bytes(), record].concat();
    entry
}

impl RaftEngine {
    pub(super) fn open(place: &Path, logs: usize, synced: bool) -> Result<RaftEngine> {
        let engine = Engine::open(Config {
            dir: place.to_str().ok_or("a path that is text")?.to_owned(),
            // Nobody else compresses here.
            batch_compression_threshold: ReadableSize(0),
            ..Config::default()
        })?;
        let last = |log: usize| AtomicU64::new(engine.last_index(log as u64).unwrap_or(0));
        let last = (0..logs).map(last).collect();
        Ok(RaftEngine { engine, last, synced })
    }
}

impl Side for RaftEngine {
    fn append(&self, log: usize, records: &[&[u8]]) -> Result<()> {
        let first = self.last[log].fetch_add(records.len() as u64, Ordering::Relaxed) + 1;
        let entries: Vec<BytesValue> = (first..).zip(records).map(|(n, record)| entry(n, record)).collect();
        let mut batch = LogBatch::with_capacity(1);
        batch.add_entries::<Numbered>(log as u64, &entries)?;
        self.engine.write(&mut batch, self.synced)?;
        Ok(())
    }

    fn read(&self, log: usize, all: bool) -> Result<(usize, usize)> {
        let end = self.last[log].load(Ordering::Relaxed) + 1;
        let (mut next, mut bytes) = (1, 0);
        while next < end {
            let mut entries = Vec::new();
            let to = if all { end } else { next + 1 };
            next += self.engine.fetch_entries_to::<Numbered>(
                log as u64,
                next,
                to,
                Some(READ_BYTES),
                &mut entries,
            )? as u64;
            bytes += entries.iter().map(|entry| entry.value.len() - 8).sum::<usize>();
            if !all {
                break;
            }
        }
        Ok((next as usize - 1, bytes))
    }
}
