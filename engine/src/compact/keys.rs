//! Where each key was last written, in a fixed amount of memory.

use highwater_records::Offset;

/// Bytes of a key's digest: two keys with the same one would be taken for one key, and nobody can find two.
const DIGEST: usize = 16;

/// A table of digests of keys and the offsets of their last records, which grows up to a budget.
///
/// The digest is BLAKE3, cut to 128 bits: a producer must not be able to make a record disappear by a record with
/// another key.
#[derive(Debug)]
pub(crate) struct KeyMap {
    /// Open addressing with linear probing; an offset of `u64::MAX` is a free slot.
    slots: Vec<Slot>,
    len: usize,
    slots_max: usize,
    /// The offset up to which records were looked at (inclusive).
    latest: Option<Offset>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    digest: [u8; DIGEST],
    offset: u64,
}

const FREE: Slot = Slot { digest: [0; DIGEST], offset: u64::MAX };
const SLOTS_MIN: usize = 64;

impl KeyMap {
    /// A table of at most `bytes`, while it grows half as much again.
    pub(crate) fn with_budget(bytes: usize) -> KeyMap {
        let slots_max = (bytes / size_of::<Slot>()).max(SLOTS_MIN);
        KeyMap { slots: vec![FREE; SLOTS_MIN], len: 0, slots_max, latest: None }
    }

    /// Notes that `key` was written at `offset`, which is above every offset before. `false`, and nothing is noted, where
    /// there is no room for another key.
    #[must_use]
    pub(crate) fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let digest = digest(key);
        let mut at = self.find(&digest);
        if self.slots[at].offset == FREE.offset {
            if (self.len + 1) * 4 > self.slots.len() * 3 {
                if self.slots.len() >= self.slots_max {
                    return false;
                }
                self.grow();
                at = self.find(&digest);
            }
            self.len += 1;
        }
        self.slots[at] = Slot { digest, offset: offset.get() };
        self.latest = Some(offset);
        true
    }

    /// Everything up to `offset` (inclusive) was looked at.
    pub(crate) fn reached(&mut self, offset: Offset) {
        self.latest = self.latest.max(Some(offset));
    }

    /// Up to where records were looked at (inclusive).
    pub(crate) fn latest(&self) -> Option<Offset> {
        self.latest
    }

    /// Where `key` was last written, as far as was looked at.
    pub(crate) fn last_of(&self, key: &[u8]) -> Option<Offset> {
        Offset::new(self.slots[self.find(&digest(key))].offset)
    }

    /// The slot of a digest, or the free one where it would go. A quarter of the slots is free, so there is one.
    fn find(&self, digest: &[u8; DIGEST]) -> usize {
        let mut start = [0; 8];
        start.copy_from_slice(&digest[..8]);
        let mut at = (u64::from_le_bytes(start) % self.slots.len() as u64) as usize;
        while self.slots[at].offset != FREE.offset && self.slots[at].digest != *digest {
            at = (at + 1) % self.slots.len();
        }
        at
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).min(self.slots_max);
        let before = std::mem::replace(&mut self.slots, vec![FREE; size]);
        for slot in before.into_iter().filter(|slot| slot.offset != FREE.offset) {
            let at = self.find(&slot.digest);
            self.slots[at] = slot;
        }
    }
}

fn digest(key: &[u8]) -> [u8; DIGEST] {
    let mut digest = [0; DIGEST];
    digest.copy_from_slice(&blake3::hash(key).as_bytes()[..DIGEST]);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(value: u64) -> Offset {
        Offset::new(value).unwrap()
    }

    #[test]
    fn the_last_offset_of_each_key_is_found() {
        let mut map = KeyMap::with_budget(1 << 20);
        for n in 0..10_000u64 {
            assert!(map.put(&(n % 3000).to_be_bytes(), offset(n)));
        }
        for key in 0..3000u64 {
            let last = (0..10_000).rev().find(|n| n % 3000 == key).unwrap();
            assert_eq!(map.last_of(&key.to_be_bytes()), Some(offset(last)));
        }
        assert_eq!(map.last_of(b"another"), None);
        assert_eq!(map.latest(), Some(offset(9_999)));
        map.reached(offset(5));
        assert_eq!(map.latest(), Some(offset(9_999)));
        map.reached(offset(10_005));
        assert_eq!(map.latest(), Some(offset(10_005)));
    }

    #[test]
    fn a_full_table_takes_known_keys_only() {
        let mut map = KeyMap::with_budget(100 * size_of::<Slot>());
        let taken = (0..1000u64).take_while(|n| map.put(&n.to_be_bytes(), offset(*n))).count() as u64;
        assert_eq!(taken, 75);
        assert_eq!(map.slots.len(), 100);
        assert!(map.put(&3u64.to_be_bytes(), offset(75)));
        assert!(!map.put(b"new", offset(76)));
        assert_eq!(map.latest(), Some(offset(75)));
        assert_eq!(map.last_of(&3u64.to_be_bytes()), Some(offset(75)));
        assert_eq!(map.last_of(&4u64.to_be_bytes()), Some(offset(4)));
    }
}
