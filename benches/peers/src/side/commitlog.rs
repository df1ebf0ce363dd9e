//! `commitlog`: segments and mapped indexes, one directory for each log. It checks a record when it is read, and
//! believes its files when it opens them.

use std::{path::Path, sync::Mutex};

use commitlog::{
    CommitLog, LogOptions, ReadLimit,
    message::{MessageBuf, MessageSet},
};

use super::{READ_BYTES, Side};
use crate::Result;

pub(super) struct CommitLogs {
    logs: Vec<Mutex<CommitLog>>,
    synced: bool,
}

impl CommitLogs {
    pub(super) fn open(place: &Path, logs: usize, synced: bool) -> Result<CommitLogs> {
        let log = |log: usize| -> Result<Mutex<CommitLog>> {
            let mut options = LogOptions::new(place.join(log.to_string()));
            options.message_max_bytes(8 << 20);
            // Enough for a segment, if it is one log: an index that is full grows by copying.
            options.index_max_items(if logs == 1 { 1 << 20 } else { 1 << 12 });
            Ok(Mutex::new(CommitLog::new(options)?))
        };
        Ok(CommitLogs { logs: (0..logs).map(log).collect::<Result<_>>()?, synced })
    }
}

impl Side for CommitLogs {
    fn append(&self, log: usize, records: &[&[u8]]) -> Result<()> {
        let mut log = self.logs[log].lock().map_err(|_| "a thread died")?;
        match records {
            [record] => drop(log.append_msg(record)?),
            records => {
                let mut messages = MessageBuf::default();
                for record in records {
                    messages.push(record).map_err(|error| format!("{error:?}"))?;
                }
                log.append(&mut messages)?;
            }
        }
        if self.synced {
            log.flush()?;
        }
        Ok(())
    }

    fn read(&self, log: usize, all: bool) -> Result<(usize, usize)> {
        let log = self.logs[log].lock().map_err(|_| "a thread died")?;
        let (mut next, mut bytes) = (0, 0);
        while next < log.next_offset() {
            // `MessageBuf::from_bytes` has compared each record's checksum.
            for message in log.read(next, ReadLimit::max_bytes(READ_BYTES))?.iter() {
                next = message.offset() + 1;
                bytes += message.payload().to_vec().len();
            }
            if !all {
                break;
            }
        }
        Ok((next as usize, bytes))
    }
}
