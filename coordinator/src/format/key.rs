//! Keys: the version in front says which kind of record it is.

use alloc::{string::String, vec::Vec};
use bytes::BufMut;

use super::fields::{Fields, FormatError, put_string};

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A committed offset (versions 0 and 1).
    Offset {
        /// The group.
        group: String,
        /// The topic's name.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// A classic group (version 2).
    Group {
        /// The group.
        group: String,
    },
    /// A kind of record that this program does not know.
    Unknown {
        /// Its number.
        kind: i16,
    },
}

impl Key {
    /// Reads a key.
    ///
    /// # Errors
    /// When the bytes are not a key of the kind they say.
    pub fn decode(bytes: &[u8]) -> Result<Key, FormatError> {
        let mut fields = Fields::new(bytes);
        let key = match fields.reader.i16()? {
            0 | 1 => Key::Offset {
                group: fields.string()?,
                topic: fields.string()?,
                partition: fields.reader.i32()?,
            },
            2 => Key::Group { group: fields.string()? },
            kind => return Ok(Key::Unknown { kind }),
        };
        fields.end()?;
        Ok(key)
    }

    /// The key of a committed offset.
    pub fn offset(group: &str, topic: &str, partition: i32) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 + 2 + group.len() + 2 + topic.len() + 4);
        out.put_i16(1);
        put_string(&mut out, group);
        put_string(&mut out, topic);
        out.put_i32(partition);
        out
    }

    /// The key of a classic group.
    pub fn group(group: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + group.len());
        out.put_i16(2);
        put_string(&mut out, group);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn as_kafka_writes_them() {
        let offset = Key::offset("g", "to", 3);
        assert_eq!(offset, [0, 1, 0, 1, b'g', 0, 2, b't', b'o', 0, 0, 0, 3]);
        let key = Key::Offset { group: "g".into(), topic: "to".into(), partition: 3 };
        assert_eq!(Key::decode(&offset), Ok(key));
        assert_eq!(Key::group("g"), [0, 2, 0, 1, b'g']);
        assert_eq!(Key::decode(&[0, 2, 0, 1, b'g']), Ok(Key::Group { group: "g".into() }));
        assert_eq!(Key::decode(&[0, 99, 7]), Ok(Key::Unknown { kind: 99 }));
    }

    #[test]
    fn damaged_keys_are_refused() {
        let offset = Key::offset("group", "topic", 3);
        for length in 0..offset.len() {
            assert!(Key::decode(&offset[..length]).is_err(), "{length}");
        }
        let longer = [offset, vec![0]].concat();
        assert_eq!(Key::decode(&longer), Err(FormatError::Trailing(1)));
        assert_eq!(Key::decode(&[0, 2, 0xff, 0xff]), Err(FormatError::Missing));
    }
}
