//! Names of things: topics, partitions, brokers, producers, and the epochs that fence them.

use std::{cmp::Ordering, fmt, str::FromStr};

/// A topic's identity. Never reused, unlike its name. Printed as Kafka prints it: URL-safe base64, 22 characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TopicId([u8; 16]);

/// As the bytes are ordered, compared as one number: it is the key of most maps.
impl Ord for TopicId {
    fn cmp(&self, other: &TopicId) -> Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for TopicId {
    fn partial_cmp(&self, other: &TopicId) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl TopicId {
    /// Kafka's "no topic id" (all zero). Never a topic's identity.
    pub const ZERO: TopicId = TopicId([0; 16]);

    /// The id with these sixteen bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> TopicId {
        TopicId(bytes)
    }

    /// A version 4 (random) UUID from 128 random bits, as Kafka makes topic and cluster ids.
    ///
    /// Kafka never issues an id whose text form starts with `-`, since tools would take it for an option;
    /// nor does this: it flips the leading bit then.
    pub const fn from_random(high: u64, low: u64) -> TopicId {
        let mut bytes = (((high as u128) << 64) | low as u128).to_be_bytes();
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        if bytes[0] >> 2 == 62 {
            bytes[0] &= 0x7f;
        }
        TopicId(bytes)
    }

    /// The sixteen bytes, as they travel on the wire.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether this is [`TopicId::ZERO`].
    pub const fn is_zero(&self) -> bool {
        u128::from_be_bytes(self.0) == 0
    }
}

const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = u128::from_be_bytes(self.0);
        for index in 0..22u32 {
            // 22 digits of six bits are 132 bits: the value stands at the top, four zero bits at the bottom.
            let digit = if index == 21 { (value << 4) & 0x3f } else { (value >> (122 - 6 * index)) & 0x3f };
            fmt::Write::write_char(f, BASE64_URL[digit as usize] as char)?;
        }
        Ok(())
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no topic id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTopicId(String);

impl fmt::Display for InvalidTopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a topic id (22 characters of URL-safe base64)", self.0)
    }
}

impl std::error::Error for InvalidTopicId {}

impl FromStr for TopicId {
    type Err = InvalidTopicId;

    fn from_str(text: &str) -> Result<TopicId, InvalidTopicId> {
        let invalid = || InvalidTopicId(text.chars().take(64).collect());
        if text.len() != 22 {
            return Err(invalid());
        }
        let mut value: u128 = 0;
        for (index, byte) in text.bytes().enumerate() {
            let digit = BASE64_URL.iter().position(|b| *b == byte).ok_or_else(invalid)? as u128;
            if index == 21 {
                if digit & 0xf != 0 {
                    return Err(invalid());
                }
                value = (value << 2) | (digit >> 4);
            } else {
                value = (value << 6) | digit;
            }
        }
        Ok(TopicId(value.to_be_bytes()))
    }
}

/// A partition's number within its topic, from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PartitionIndex(pub u32);

impl fmt::Display for PartitionIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A partition by its topic's identity: the key under which everything durable is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicIdPartition {
    /// The topic.
    pub topic_id: TopicId,
    /// The partition's number within it.
    pub partition: PartitionIndex,
}

impl fmt::Display for TopicIdPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.topic_id, self.partition)
    }
}

/// A broker's number (`node.id`). Never negative: Kafka's `-1` exists on the wire only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerId(pub u32);

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Fencing between leaders of one partition; grows with each new leader, never goes backwards for a topic id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LeaderEpoch(pub u32);

impl LeaderEpoch {
    /// Kafka's signed form; always non-negative below 2^31.
    pub const fn as_i32(self) -> i32 {
        self.0 as i32
    }
}

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One registration of a broker; grows with each, so that a former life of the same broker can be told apart (KIP-903).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BrokerEpoch(pub u64);

impl fmt::Display for BrokerEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Identity of an idempotent or transactional producer session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub u64);

/// Fencing between incarnations of one [`ProducerId`]; 0 to 32767.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerEpoch(pub u16);

/// A producer's number for a record in one partition; wraps from 2^31 - 1 to 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sequence(u32);

impl Sequence {
    /// What an incarnation starts with.
    pub const ZERO: Sequence = Sequence(0);

    /// The sequence number, or `None` for a negative one.
    pub const fn from_i32(value: i32) -> Option<Sequence> {
        if value < 0 { None } else { Some(Sequence(value as u32)) }
    }

    /// The number `count` records later, wrapping past 2^31 - 1 to 0.
    pub const fn plus(self, count: u32) -> Sequence {
        Sequence(((self.0 as u64 + count as u64) % (1 << 31)) as u32)
    }

    /// Kafka's signed form; always non-negative.
    pub const fn as_i32(self) -> i32 {
        self.0 as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_ids_print_as_kafka_prints_them() {
        // Kafka: new Uuid(0x0102030405060708L, 0x090a0b0c0d0e0f10L).toString()
        let id = TopicId::from_bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        assert_eq!(id.to_string(), "AQIDBAUGBwgJCgsMDQ4PEA");
        assert_eq!("AQIDBAUGBwgJCgsMDQ4PEA".parse(), Ok(id));
        assert!("AQIDBAUGBwgJCgsMDQ4PEB".parse::<TopicId>().is_err());
        assert!("short".parse::<TopicId>().is_err());
    }

    #[test]
    fn random_topic_ids_never_look_like_options() {
        let id = TopicId::from_random(0xf8ff_ffff_ffff_ffff, u64::MAX);
        assert!(!id.to_string().starts_with('-'));
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn sequences_wrap() {
        let last = Sequence::from_i32(i32::MAX).unwrap();
        assert_eq!(last.plus(1), Sequence::ZERO);
        assert_eq!(last.plus(3).as_i32(), 2);
    }
}
