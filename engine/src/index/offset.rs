//! `<base>.index`: where batches lie.

use super::IndexEntry;

/// A batch by its last offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    /// The batch's last offset minus the segment's base.
    pub(crate) relative: u32,
    /// Where the batch begins.
    pub(crate) position: u32,
}

impl IndexEntry for OffsetEntry {
    const SIZE: usize = 8;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.relative.to_be_bytes());
        out.extend_from_slice(&self.position.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> OffsetEntry {
        let number = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        OffsetEntry { relative: number(0), position: number(4) }
    }

    fn follows(&self, previous: &OffsetEntry) -> bool {
        self.relative > previous.relative && self.position > previous.position
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{decode, encode};

    #[test]
    fn round_trip_and_wrong_shapes() {
        let entries =
            [OffsetEntry { relative: 1, position: 2 }, OffsetEntry { relative: u32::MAX, position: 3 }];
        let bytes = encode(&entries);
        assert_eq!(bytes[..8], [0, 0, 0, 1, 0, 0, 0, 2]);
        assert_eq!(decode(&bytes), Some(entries.to_vec()));
        assert_eq!(decode::<OffsetEntry>(&bytes[..15]), None);
        assert_eq!(decode::<OffsetEntry>(&[&bytes[8..], &bytes[..8]].concat()), None);
    }
}
