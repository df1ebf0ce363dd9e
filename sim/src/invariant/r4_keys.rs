//! R4: no key of the bucket is ever written twice with different bytes, not even after what was there is gone. Heads are
//! the exception: they are replaced, each time in place of what the writer has seen (R5).

use std::collections::BTreeMap;

use crate::trace::hash_bytes;

/// Its number and a few words.
pub const NAME: &str = "R4 keys are never used again";

/// Every key that was ever written, and with what.
#[derive(Debug, Default)]
pub struct Keys {
    written: BTreeMap<String, u64>,
}

impl Keys {
    /// A key is there after it was written.
    ///
    /// # Errors
    /// What does not hold, for people.
    pub fn written(&mut self, key: &str, bytes: &[u8]) -> Result<(), String> {
        let hash = hash_bytes(bytes);
        match self.written.get(key) {
            Some(known) if *known != hash => Err(format!("{key} was written before, with other bytes")),
            Some(_) => Ok(()),
            None => {
                self.written.insert(key.to_owned(), hash);
                Ok(())
            }
        }
    }

    /// What is at a key was replaced, by somebody who knew what was there.
    pub fn replaced(&mut self, key: &str, bytes: &[u8]) {
        self.written.insert(key.to_owned(), hash_bytes(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bytes_at_a_key() {
        let mut keys = Keys::default();
        assert_eq!(keys.written("a", b"1"), Ok(()));
        assert_eq!(keys.written("a", b"1"), Ok(()), "the same again");
        assert!(keys.written("a", b"2").unwrap_err().contains("with other bytes"));
        keys.replaced("head", b"1");
        keys.replaced("head", b"2");
        assert_eq!(keys.written("head", b"2"), Ok(()));
    }
}
