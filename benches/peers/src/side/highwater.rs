//! This project's engine, by its embedding layer: records in, records out.

use std::path::Path;

use highwater_engine::{
    LogConfig,
    embed::{Logs, NewRecord, Options, SharedLog},
};
use highwater_records::Durability;

use super::Side;
use crate::Result;

pub(super) struct Highwater {
    dir: Logs,
    logs: Vec<SharedLog>,
}

impl Highwater {
    pub(super) fn open(place: &Path, logs: usize, synced: bool) -> Result<Highwater> {
        let durability = if synced { Durability::Synced } else { Durability::Replicated };
        let options = Options::default();
        let config = LogConfig { durability, ..options.config };
        let dir = Logs::open_with(place, Options { config, ..options })?;
        let logs: std::result::Result<_, _> = (0..logs).map(|log| dir.log(&log.to_string())).collect();
        Ok(Highwater { dir, logs: logs? })
    }
}

impl Side for Highwater {
    fn append(&self, log: usize, records: &[&[u8]]) -> Result<()> {
        match records {
            [record] => self.logs[log].append(*record)?,
            records => self.logs[log].append_all(records.iter().map(|record| NewRecord::new(*record)))?,
        };
        Ok(())
    }

    fn read(&self, log: usize, all: bool) -> Result<(usize, usize)> {
        let snapshot = self.logs[log].snapshot()?;
        let (mut records, mut bytes) = (0, 0);
        for record in snapshot.records().take(if all { usize::MAX } else { 1 }) {
            records += 1;
            bytes += record?.bytes().len();
        }
        Ok((records, bytes))
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.dir.close()?)
    }
}
