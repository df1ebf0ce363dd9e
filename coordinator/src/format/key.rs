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
    /// A consumer group's epoch (3).
    ConsumerGroup {
        /// The group.
        group: String,
    },
    /// A member of a consumer group (5).
    ConsumerMember {
        /// The group.
        group: String,
        /// The member.
        member: String,
    },
    /// The epoch of a consumer group's targets (6).
    TargetEpoch {
        /// The group.
        group: String,
    },
    /// What a member of a consumer group is to have (7).
    Target {
        /// The group.
        group: String,
        /// The member.
        member: String,
    },
    /// What a member of a consumer group has (8).
    Current {
        /// The group.
        group: String,
        /// The member.
        member: String,
    },
    /// Topics that a regular expression matches (16).
    Regex {
        /// The group.
        group: String,
        /// The expression.
        regex: String,
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
            3 => Key::ConsumerGroup { group: fields.string()? },
            5 => Key::ConsumerMember { group: fields.string()?, member: fields.string()? },
            6 => Key::TargetEpoch { group: fields.string()? },
            7 => Key::Target { group: fields.string()?, member: fields.string()? },
            8 => Key::Current { group: fields.string()?, member: fields.string()? },
            16 => Key::Regex { group: fields.string()?, regex: fields.string()? },
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

    /// The key of a consumer group's epoch.
    pub fn consumer_group(group: &str) -> Vec<u8> {
        of_strings(3, &[group])
    }

    /// The key of a member of a consumer group.
    pub fn consumer_member(group: &str, member: &str) -> Vec<u8> {
        of_strings(5, &[group, member])
    }

    /// The key of the epoch of a consumer group's targets.
    pub fn target_epoch(group: &str) -> Vec<u8> {
        of_strings(6, &[group])
    }

    /// The key of what a member is to have.
    pub fn target(group: &str, member: &str) -> Vec<u8> {
        of_strings(7, &[group, member])
    }

    /// The key of what a member has.
    pub fn current(group: &str, member: &str) -> Vec<u8> {
        of_strings(8, &[group, member])
    }

    /// The key of the topics that a regular expression matches.
    pub fn regex(group: &str, regex: &str) -> Vec<u8> {
        of_strings(16, &[group, regex])
    }

    /// The key of a classic group.
    pub fn group(group: &str) -> Vec<u8> {
        of_strings(2, &[group])
    }
}

fn of_strings(kind: i16, parts: &[&str]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 + parts.iter().map(|part| 2 + part.len()).sum::<usize>());
    out.put_i16(kind);
    for part in parts {
        put_string(&mut out, part);
    }
    out
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
        let current = Key::Current { group: "g".into(), member: "m".into() };
        assert_eq!(Key::decode(&Key::current("g", "m")), Ok(current));
        assert_eq!(Key::regex("g", "r"), [0, 16, 0, 1, b'g', 0, 1, b'r']);
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
