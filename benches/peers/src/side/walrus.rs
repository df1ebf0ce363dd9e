//! `walrus-rust`: topics in blocks of 10 MiB in files of a thousand. A topic has one reader, who consumes it.

use walrus_rust::{FsyncSchedule, ReadConsistency, Walrus};

use super::Side;
use crate::Result;

/// Its directory is told by the environment.
pub(super) struct Topics {
    walrus: Walrus,
}

impl Topics {
    pub(super) fn open(synced: bool) -> Result<Topics> {
        let schedule = if synced { FsyncSchedule::SyncEach } else { FsyncSchedule::NoFsync };
        // As seldom as it goes: nobody else writes down how far a reader has come.
        let reading = ReadConsistency::AtLeastOnce { persist_every: u32::MAX };
        Ok(Topics { walrus: Walrus::with_consistency_and_schedule(reading, schedule)? })
    }
}

impl Side for Topics {
    fn append(&self, log: usize, records: &[&[u8]]) -> Result<()> {
        let topic = log.to_string();
        // `batch_append_for_topic` syncs whatever the schedule says, which would be another thing.
        for record in records {
            self.walrus.append_for_topic(&topic, record)?;
        }
        Ok(())
    }

    fn read(&self, log: usize, all: bool) -> Result<(usize, usize)> {
        let topic = log.to_string();
        let (mut records, mut bytes) = (0, 0);
        // `batch_read_for_topic` leaves out some of what lies in the last block, so one by one.
        while all || records == 0 {
            let Some(entry) = self.walrus.read_next(&topic, true)? else { break };
            records += 1;
            bytes += entry.data.len();
        }
        Ok((records, bytes))
    }
}
