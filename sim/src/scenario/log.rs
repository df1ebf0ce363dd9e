//! A log as a list.

use highwater_records::{LeaderEpoch, Offset};
use highwater_replication::{EpochEnd, LocalPositions};

/// Records, each with the leader epoch it was appended in.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    pub(super) records: Vec<(String, LeaderEpoch)>,
    /// How many of them are on stable storage.
    pub(super) durable: usize,
}

pub(super) fn offset(index: usize) -> Offset {
    Offset::new(index as u64).expect("a scenario is short")
}

impl Log {
    pub(super) fn end(&self) -> Offset {
        offset(self.records.len())
    }

    pub(super) fn positions(&self) -> LocalPositions {
        LocalPositions { log_end: self.end(), durable_end: offset(self.durable) }
    }

    pub(super) fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.records.last().map(|(_, epoch)| *epoch)
    }

    /// The largest epoch not above `epoch`, and its end.
    pub(super) fn epoch_end(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        let end = self.records.iter().take_while(|(_, other)| *other <= epoch).count();
        let (_, found) = self.records.get(end.checked_sub(1)?)?;
        Some(EpochEnd { epoch: *found, end: offset(end) })
    }

    pub(super) fn from(&self, start: Offset) -> Vec<(String, LeaderEpoch)> {
        self.records.get(start.get() as usize..).unwrap_or_default().to_vec()
    }

    pub(super) fn cut(&mut self, to: Offset) {
        self.records.truncate(to.get() as usize);
        self.durable = self.durable.min(self.records.len());
    }

    /// `a/0 b/1`: records and their epochs.
    pub(super) fn show(records: &[(String, LeaderEpoch)]) -> String {
        let texts: Vec<String> = records.iter().map(|(text, epoch)| format!("{text}/{epoch}")).collect();
        if texts.is_empty() { "nothing".to_owned() } else { texts.join(" ") }
    }
}
