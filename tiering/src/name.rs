//! Names: fences, object ids, digests, and the keys they add up to (`docs/format/bucket.md`).

use std::fmt;

use highwater_env::Env;
use highwater_records::{LeaderEpoch, Offset, TopicIdPartition};

/// Who may change a head: the cluster's incarnation first, then the leader epoch. Of two writers the one with the
/// higher fence wins, whatever arrives when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Fence {
    /// Grows with each restore of a cluster from its bucket.
    pub incarnation: u32,
    /// The writer's leader epoch for the partition.
    pub epoch: LeaderEpoch,
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "incarnation {}, leader epoch {}", self.incarnation, self.epoch)
    }
}

/// A BLAKE3-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A name drawn for one attempt and never again: 48 bits of wall clock in milliseconds, 80 random bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ObjectId(pub [u8; 16]);

impl ObjectId {
    /// A fresh id.
    pub(crate) fn draw(env: &dyn Env) -> ObjectId {
        let time = env.wall_ms().clamp(0, (1 << 48) - 1) as u128;
        let random = (u128::from(env.random()) << 64) | u128::from(env.random());
        ObjectId(((time << 80) | (random >> 48)).to_be_bytes())
    }

    /// The wall clock of whoever drew it, in milliseconds since 1970.
    pub(crate) fn drawn_ms(self) -> i64 {
        (u128::from_be_bytes(self.0) >> 80) as i64
    }

    fn parse(text: &str) -> Option<ObjectId> {
        if text.len() != 32 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        Some(ObjectId(u128::from_str_radix(text, 16).ok()?.to_be_bytes()))
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The owner object.
pub(crate) const OWNER: &str = "owner";
/// What every head's key begins with.
pub(crate) const HEADS: &str = "heads/";
/// What every probe's key begins with.
pub(crate) const PROBES: &str = "probe/";

pub(crate) fn head_key(partition: TopicIdPartition) -> String {
    format!("{HEADS}{}/{}", partition.topic_id, partition.partition)
}

/// The partition whose head has this key.
pub(crate) fn parse_head_key(key: &str) -> Option<TopicIdPartition> {
    let (topic, partition) = key.strip_prefix(HEADS)?.split_once('/')?;
    let partition = highwater_records::PartitionIndex(partition.parse().ok()?);
    let name = TopicIdPartition { topic_id: topic.parse().ok()?, partition };
    (head_key(name) == key).then_some(name)
}

/// The two kinds of immutable objects of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Segment,
    Page,
}

impl Kind {
    pub(crate) const ALL: [Kind; 2] = [Kind::Segment, Kind::Page];

    /// What the keys of this kind begin with, for one partition.
    pub(crate) fn prefix(self, partition: TopicIdPartition) -> String {
        let folder = match self {
            Kind::Segment => "segments",
            Kind::Page => "pages",
        };
        format!("{folder}/{}/{}/", partition.topic_id, partition.partition)
    }
}

/// The parts of an immutable object's name below its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    /// The first offset it is about.
    pub base: Offset,
    /// Who wrote it.
    pub fence: Fence,
    /// Drawn for the attempt.
    pub id: ObjectId,
}

impl ObjectName {
    pub(crate) fn key(self, kind: Kind, partition: TopicIdPartition) -> String {
        let Fence { incarnation, epoch } = self.fence;
        let prefix = kind.prefix(partition);
        format!("{prefix}{:020}-{incarnation:08x}-{:08x}-{}", self.base.get(), epoch.0, self.id)
    }

    /// The name in a key that begins with `prefix`; `None` for a key that is not ours.
    pub(crate) fn parse(key: &str, prefix: &str) -> Option<ObjectName> {
        let mut parts = key.strip_prefix(prefix)?.split('-');
        let (base, incarnation, epoch, id) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str| (text.len() == 8).then(|| u32::from_str_radix(text, 16).ok()).flatten();
        if parts.next().is_some() || base.len() != 20 {
            return None;
        }
        Some(ObjectName {
            base: Offset::new(base.parse().ok()?)?,
            fence: Fence { incarnation: hex(incarnation)?, epoch: LeaderEpoch(hex(epoch)?) },
            id: ObjectId::parse(id)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use highwater_records::{PartitionIndex, TopicId};

    #[test]
    fn keys_are_what_the_format_page_says_and_parse_back() {
        let partition =
            TopicIdPartition { topic_id: TopicId::from_bytes([1; 16]), partition: PartitionIndex(12) };
        let name = ObjectName {
            base: Offset::new(77).unwrap(),
            fence: Fence { incarnation: 1, epoch: LeaderEpoch(0x2a) },
            id: ObjectId([0xab; 16]),
        };
        let key = name.key(Kind::Segment, partition);
        assert_eq!(
            key,
            "segments/AQEBAQEBAQEBAQEBAQEBAQ/12/00000000000000000077-00000001-0000002a-\
             abababababababababababababababab"
        );
        assert_eq!(ObjectName::parse(&key, &Kind::Segment.prefix(partition)), Some(name));
        assert_eq!(ObjectName::parse(&key[..key.len() - 1], &Kind::Segment.prefix(partition)), None);
        assert_eq!(parse_head_key(&head_key(partition)), Some(partition));
        assert_eq!(parse_head_key("heads/AQEBAQEBAQEBAQEBAQEBAQ/012"), None);
    }
}
