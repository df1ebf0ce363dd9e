//! `<base>.timeindex`: how old the segment was, batch by batch.

use super::IndexEntry;

/// The largest timestamp of the segment up to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    /// Milliseconds since the Unix epoch.
    pub(crate) timestamp: i64,
    /// Last offset, minus the segment's base, of the batch that has it.
    pub(crate) relative: u32,
}

impl IndexEntry for TimeEntry {
    const SIZE: usize = 12;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.relative.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> TimeEntry {
        let (mut timestamp, mut relative) = ([0; 8], [0; 4]);
        timestamp.copy_from_slice(&bytes[..8]);
        relative.copy_from_slice(&bytes[8..12]);
        TimeEntry { timestamp: i64::from_be_bytes(timestamp), relative: u32::from_be_bytes(relative) }
    }

    fn follows(&self, previous: &TimeEntry) -> bool {
        self.timestamp > previous.timestamp && self.relative > previous.relative
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{decode, encode};

    #[test]
    fn round_trip_and_wrong_shapes() {
        let entries = [TimeEntry { timestamp: -5, relative: 2 }, TimeEntry { timestamp: 7, relative: 9 }];
        let bytes = encode(&entries);
        assert_eq!(bytes.len(), 24);
        assert_eq!(decode(&bytes), Some(entries.to_vec()));
        assert_eq!(decode::<TimeEntry>(&bytes[..23]), None);
        assert_eq!(decode::<TimeEntry>(&[&bytes[12..], &bytes[..12]].concat()), None);
    }
}
