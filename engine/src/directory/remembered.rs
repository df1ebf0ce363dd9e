//! What the files of a directory remember of its logs, for all of them in the order of their names: one step for each, where
//! looking each up costs as much as all the rest of opening a directory of many.

use std::{
    collections::{BTreeMap, btree_map},
    iter::Peekable,
};

use highwater_records::Offset;

use super::{
    EntryState,
    checkpoint::{Checkpoint, Reading},
};
use crate::name::LogName;

/// Goes through a table beside names that ascend.
#[derive(Debug)]
pub(super) struct Beside<'a, V>(Peekable<btree_map::Iter<'a, LogName, V>>);

impl<'a, V: Copy> Beside<'a, V> {
    pub(super) fn new(table: &'a BTreeMap<LogName, V>) -> Beside<'a, V> {
        Beside(table.iter().peekable())
    }

    /// What the table says of `name`, which is above all that were asked for before.
    pub(super) fn at(&mut self, name: &LogName) -> Option<V> {
        while self.0.next_if(|(known, _)| *known < name).is_some() {}
        self.0.next_if(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// What the checkpoints say, as far as they can be trusted.
#[derive(Debug)]
pub(super) struct Remembered<'a> {
    recovery_point: Option<Beside<'a, Offset>>,
    log_start: Option<Beside<'a, Offset>>,
    high_watermark: Option<Beside<'a, Offset>>,
    compacted_to: Option<Beside<'a, Offset>>,
    /// What the recovery points do not name was promised nothing.
    complete: bool,
}

impl<'a> Remembered<'a> {
    pub(super) fn new(readings: &'a BTreeMap<Checkpoint, Reading>) -> Remembered<'a> {
        let trusted = |checkpoint| match &readings[&checkpoint] {
            Reading::Trusted(offsets) => Some(Beside::new(offsets)),
            _ => None,
        };
        // A file that is as we wrote it, or that we have not written yet, promises nothing of a log it does not name.
        let written = |checkpoint| matches!(readings[&checkpoint], Reading::Trusted(_));
        let missing = matches!(readings[&Checkpoint::RecoveryPoint], Reading::Missing);
        Remembered {
            recovery_point: trusted(Checkpoint::RecoveryPoint),
            log_start: trusted(Checkpoint::LogStart),
            high_watermark: trusted(Checkpoint::HighWatermark),
            compacted_to: trusted(Checkpoint::Compacted),
            complete: written(Checkpoint::RecoveryPoint) || missing && written(Checkpoint::LogStart),
        }
    }

    /// Of a log whose name is above all that were asked for before.
    pub(super) fn of(&mut self, name: &LogName) -> EntryState {
        let at = |table: &mut Option<Beside<'a, Offset>>| table.as_mut().and_then(|table| table.at(name));
        let recovery_point = at(&mut self.recovery_point).or(self.complete.then_some(Offset::ZERO));
        EntryState {
            recovery_point,
            durable_end: recovery_point,
            log_start: at(&mut self.log_start),
            high_watermark: at(&mut self.high_watermark),
            compacted_to: at(&mut self.compacted_to),
            ..EntryState::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use highwater_records::PartitionIndex;

    use super::*;

    #[test]
    fn each_name_finds_its_own() {
        let name = |n: u32| LogName::new(if n < 5 { "a" } else { "b" }, PartitionIndex(n));
        let table: BTreeMap<LogName, u32> = [1, 2, 3, 7, 9].map(|n| (name(n), n)).into();
        let asked = [0, 2, 3, 4, 6, 9, 10];
        let mut beside = Beside::new(&table);
        let found = asked.map(|n| beside.at(&name(n)));
        assert_eq!(found, [None, Some(2), Some(3), None, None, Some(9), None]);
    }
}
