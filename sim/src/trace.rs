use std::{
    collections::VecDeque,
    fmt::Write as _,
    hash::{Hash, Hasher},
};

use crate::random::mix;

/// What happened, in order: always as a running hash, and as readable lines where somebody wants to read them.
///
/// Two runs of one seed have the same hash exactly if every step, every drawn delay and every answer was the same.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    events: u64,
    lines: Option<VecDeque<String>>,
    lines_max: usize,
}

impl Trace {
    /// A trace that is only hashed.
    pub fn hashed() -> Trace {
        Trace { hash: 0, events: 0, lines: None, lines_max: 0 }
    }

    /// A trace that also keeps its last `lines_max` lines. Its hash is the one of [`Trace::hashed`].
    pub fn readable(lines_max: usize) -> Trace {
        Trace { lines: Some(VecDeque::new()), lines_max, ..Trace::hashed() }
    }

    /// The hash of everything so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The lines that were kept, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().flatten().map(String::as_str)
    }

    /// Adds an event to the hash alone: steps of the machinery, too many to read.
    pub fn count(&mut self, words: &[u64]) {
        self.events += 1;
        for word in words {
            self.hash = mix(self.hash.rotate_left(5) ^ word);
        }
    }

    /// Adds an event to the hash, and its line where lines are kept. `line` must follow from `words`.
    pub fn note(&mut self, at_nanos: u64, words: &[u64], line: impl FnOnce() -> String) {
        self.count(words);
        let Some(lines) = &mut self.lines else { return };
        if lines.len() == self.lines_max {
            lines.pop_front();
        }
        let mut text = String::new();
        let _ = write!(text, "{:>12.6}s  {}", at_nanos as f64 / 1e9, line());
        lines.push_back(text);
    }
}

/// A hash of bytes, for ghost state and traces. Not for secrets.
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = mix(bytes.len() as u64);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = mix(hash.rotate_left(7) ^ u64::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |last, byte| last << 8 | u64::from(*byte));
        hash = mix(hash.rotate_left(7) ^ last);
    }
    hash
}

/// A hash of a value's parts, for traces: what two values differ in makes two hashes.
pub fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = PartsHasher(0);
    value.hash(&mut hasher);
    hasher.0
}

struct PartsHasher(u64);

impl Hasher for PartsHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.write_u64(hash_bytes(bytes));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = mix(self.0.rotate_left(7) ^ word);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }

    fn write_i64(&mut self, word: i64) {
        self.write_u64(word.cast_unsigned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_do_not_change_the_hash_and_order_does() {
        let mut quiet = Trace::hashed();
        let mut loud = Trace::readable(1);
        for trace in [&mut quiet, &mut loud] {
            trace.note(0, &[1, 2], || "first".into());
            trace.note(1_500_000_000, &[3], || "second".into());
        }
        assert_eq!(quiet.hash(), loud.hash());
        assert_eq!(loud.lines().collect::<Vec<_>>(), ["    1.500000s  second"]);
        let mut other = Trace::hashed();
        other.count(&[2, 1]);
        other.count(&[3]);
        assert_ne!(other.hash(), quiet.hash());
    }

    #[test]
    fn values_that_differ_hash_differently() {
        assert_eq!(hash_of(&(1u64, Some("a"))), hash_of(&(1u64, Some("a"))));
        assert_ne!(hash_of(&(1u64, Some("a"))), hash_of(&(1u64, Some("b"))));
        assert_ne!(hash_of(&(1u64, 2u64)), hash_of(&(2u64, 1u64)));
        assert_ne!(hash_of(&None::<i64>), hash_of(&Some(0i64)));
    }

    #[test]
    fn bytes_that_differ_hash_differently() {
        assert_ne!(hash_bytes(b"a"), hash_bytes(b"a\0"));
        assert_ne!(hash_bytes(b"12345678"), hash_bytes(b"12345679"));
    }
}
