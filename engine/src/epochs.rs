//! Which leader epoch began where (`leader-epoch-checkpoint`).

use highwater_records::{LeaderEpoch, Offset};

use crate::text::{self, Damaged, plain_number};

/// Where a leader epoch began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// The first offset that was appended in it (inclusive).
    pub start: Offset,
}

/// The leader epochs of a log, oldest first; both epoch and start grow from entry to entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderEpochs {
    entries: Vec<EpochStart>,
}

pub(crate) const FILE_NAME: &str = "leader-epoch-checkpoint";

impl LeaderEpochs {
    /// The entries, oldest first.
    pub fn entries(&self) -> &[EpochStart] {
        &self.entries
    }

    /// The newest epoch, if any batch was ever appended.
    pub fn latest(&self) -> Option<EpochStart> {
        self.entries.last().copied()
    }

    /// The epoch in which the record at `offset` was appended; `None` before the first known epoch.
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|entry| entry.start <= offset);
        Some(self.entries[after.checked_sub(1)?].epoch)
    }

    /// The largest epoch not above `epoch`, and where it ended: where the next one began, or `log_end`. `None` if
    /// `epoch` is older than everything known.
    pub fn end_offset_for(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        let after = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let found = self.entries[after.checked_sub(1)?].epoch;
        Some((found, self.entries.get(after).map_or(log_end, |next| next.start)))
    }

    /// These entries, which must grow and begin below `end`.
    pub(crate) fn from_entries(entries: &[EpochStart], end: Offset) -> Option<LeaderEpochs> {
        let grow =
            entries.windows(2).all(|pair| pair[0].epoch < pair[1].epoch && pair[0].start < pair[1].start);
        let below = entries.last().is_none_or(|last| last.start < end);
        (grow && below).then(|| LeaderEpochs { entries: entries.to_vec() })
    }

    /// Notes that a batch of `epoch` begins at `start`. Returns whether that is a new entry.
    ///
    /// # Panics
    /// When epoch or start goes backwards: the caller checks.
    pub(crate) fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        // An epoch that would begin where this one does has no records left: the log start took them all.
        while self.latest().is_some_and(|latest| latest.start >= start && latest.epoch < epoch) {
            self.entries.pop();
        }
        match self.latest() {
            Some(latest) if latest.epoch == epoch => false,
            latest => {
                assert!(
                    latest.is_none_or(|latest| latest.epoch < epoch && latest.start < start),
                    "leader epoch {epoch} at {start} does not follow {latest:?}"
                );
                self.entries.push(EpochStart { epoch, start });
                true
            }
        }
    }

    /// Forgets what began at or above `end`. Returns whether anything did.
    pub(crate) fn truncate_to(&mut self, end: Offset) -> bool {
        let keep = self.entries.partition_point(|entry| entry.start < end);
        let changed = keep < self.entries.len();
        self.entries.truncate(keep);
        changed
    }

    /// Forgets what ended at or below `start`; the epoch that holds `start` now begins there. Returns whether
    /// anything changed.
    pub(crate) fn advance_start_to(&mut self, start: Offset) -> bool {
        let after = self.entries.partition_point(|entry| entry.start <= start);
        let Some(holding) = after.checked_sub(1) else { return false };
        let changed = holding > 0 || self.entries[0].start < start;
        self.entries.drain(..holding);
        self.entries[0].start = start;
        changed
    }

    /// What holds below `end`.
    pub(crate) fn up_to(&self, end: Offset) -> Vec<EpochStart> {
        self.entries.iter().copied().filter(|entry| entry.start < end).collect()
    }

    /// What holds at or above `start`, as if the log began there.
    pub(crate) fn encode(&self) -> String {
        text::encode(self.entries.iter().map(|entry| format!("{} {}", entry.epoch, entry.start)))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<LeaderEpochs, Damaged> {
        const SHAPE: Damaged = Damaged("a line is not <epoch> <offset>");
        let mut entries: Vec<EpochStart> = Vec::new();
        for line in text::decode(bytes)? {
            let (epoch, start) = line.split_once(' ').ok_or(SHAPE)?;
            let epoch = plain_number(epoch).filter(|epoch| *epoch <= i32::MAX as u32).ok_or(SHAPE)?;
            let start = plain_number(start).and_then(Offset::new).ok_or(SHAPE)?;
            let entry = EpochStart { epoch: LeaderEpoch(epoch), start };
            if entries.last().is_some_and(|last| last.epoch >= entry.epoch || last.start >= entry.start) {
                return Err(Damaged("its entries do not grow"));
            }
            entries.push(entry);
        }
        Ok(LeaderEpochs { entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(value: u64) -> Offset {
        Offset::new(value).unwrap()
    }

    fn epochs(entries: &[(u32, u64)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (epoch, start) in entries {
            assert!(epochs.assign(LeaderEpoch(*epoch), offset(*start)));
        }
        epochs
    }

    #[test]
    fn questions() {
        let epochs = epochs(&[(2, 10), (5, 20)]);
        assert_eq!(epochs.epoch_of(offset(9)), None);
        assert_eq!(epochs.epoch_of(offset(19)), Some(LeaderEpoch(2)));
        assert_eq!(epochs.epoch_of(offset(20)), Some(LeaderEpoch(5)));
        let end = offset(30);
        assert_eq!(epochs.end_offset_for(LeaderEpoch(1), end), None);
        assert_eq!(epochs.end_offset_for(LeaderEpoch(2), end), Some((LeaderEpoch(2), offset(20))));
        assert_eq!(epochs.end_offset_for(LeaderEpoch(4), end), Some((LeaderEpoch(2), offset(20))));
        assert_eq!(epochs.end_offset_for(LeaderEpoch(9), end), Some((LeaderEpoch(5), end)));
    }

    #[test]
    fn trimming() {
        let mut trimmed = epochs(&[(2, 10), (5, 20), (7, 30)]);
        assert!(!trimmed.clone().truncate_to(offset(31)));
        assert!(trimmed.truncate_to(offset(30)));
        assert_eq!(trimmed, epochs(&[(2, 10), (5, 20)]));
        assert!(!trimmed.clone().advance_start_to(offset(10)));
        assert!(trimmed.clone().advance_start_to(offset(15)));
        assert!(trimmed.advance_start_to(offset(25)));
        assert_eq!(trimmed, epochs(&[(5, 25)]));
    }

    #[test]
    fn round_trip_and_damage() {
        let epochs = epochs(&[(0, 0), (1, 10), (3, 200)]);
        let text = epochs.encode();
        assert_eq!(text, "0\n3\n0 0\n1 10\n3 200\n");
        assert_eq!(LeaderEpochs::decode(text.as_bytes()), Ok(epochs));
        for len in 0..text.len() {
            assert!(LeaderEpochs::decode(&text.as_bytes()[..len]).is_err());
        }
        for bad in [
            "0\n2\n1 5\n1 6\n",
            "0\n2\n1 5\n2 5\n",
            "0\n1\n-1 5\n",
            "0\n1\n1 05\n",
            "1\n0\n",
            "0\n1\n1 5 6\n",
        ] {
            assert!(LeaderEpochs::decode(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_epoch_without_records_gives_way() {
        let mut trimmed = epochs(&[(2, 10), (5, 20)]);
        trimmed.advance_start_to(offset(30));
        assert_eq!(trimmed.latest().map(|latest| latest.epoch), Some(LeaderEpoch(5)));
        assert!(trimmed.assign(LeaderEpoch(6), offset(30)));
        assert_eq!(trimmed, epochs(&[(6, 30)]));
    }

    #[test]
    #[should_panic(expected = "does not follow")]
    fn epochs_never_go_backwards() {
        epochs(&[(3, 10)]).assign(LeaderEpoch(2), offset(11));
    }
}
