use highwater_node::request::{CreateTopic, TopicRef};
use highwater_records::{PartitionIndex, TopicId, TopicIdPartition};

use crate::{history::Promise, random::Random};

/// A topic as the clients know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its identity.
    pub id: TopicId,
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// What it promises.
    pub promise: Promise,
    /// Whether its segments go to the bucket.
    pub tiered: bool,
    /// Whether it stays for the whole run; others are deleted and made again under the same name.
    pub lasting: bool,
}

impl Topic {
    /// One of its partitions.
    pub fn partition(&self, index: u32) -> TopicIdPartition {
        TopicIdPartition { topic_id: self.id, partition: PartitionIndex(index) }
    }

    /// How a request names it.
    pub fn reference(&self, random: &mut Random) -> TopicRef {
        // A name may come to mean another topic, and its records would be taken for this one's.
        if self.lasting && random.chance(1, 2) {
            TopicRef::Name(self.name.clone())
        } else {
            TopicRef::Id(self.id)
        }
    }
}

/// A segment takes every batch that clients send.
const SEGMENT_BYTES_MIN: u64 = 2_000;

/// A topic to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPlan {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: u32,
    /// What it promises.
    pub promise: Promise,
    /// Whether its segments go to the bucket.
    pub tiered: bool,
    /// Whether it stays.
    pub lasting: bool,
    /// `segment.bytes`.
    pub segment_bytes: u64,
    /// `segment.ms`.
    pub segment_ms: u64,
    /// `retention.bytes`, if it is limited.
    pub retention_bytes: Option<u64>,
    /// `retention.ms`, if it is less than forever.
    pub retention_ms: Option<u64>,
    /// `local.retention.bytes`.
    pub local_retention_bytes: u64,
}

impl TopicPlan {
    /// A random plan.
    pub fn draw(random: &mut Random, name: String, bucket: bool, lasting: bool) -> TopicPlan {
        let segment_bytes = random.between(SEGMENT_BYTES_MIN, 8_000);
        TopicPlan {
            name,
            partitions: random.between(1, 3) as u32,
            promise: if random.chance(2, 3) { Promise::Synced } else { Promise::Replicated },
            tiered: bucket && random.chance(3, 4),
            lasting,
            segment_bytes,
            segment_ms: random.between(2_000, 30_000),
            retention_bytes: random.chance(1, 3).then(|| random.between(20_000, 60_000)),
            retention_ms: None,
            local_retention_bytes: random.between(0, 2 * segment_bytes),
        }
    }

    /// The request that makes it.
    pub fn request(&self) -> CreateTopic {
        let durability = match self.promise {
            Promise::Synced => "synced",
            Promise::Replicated => "replicated",
        };
        let mut configs = vec![
            ("highwater.durability", durability.to_owned()),
            ("remote.storage.enable", self.tiered.to_string()),
            ("internal.segment.bytes", self.segment_bytes.to_string()),
            ("segment.ms", self.segment_ms.to_string()),
            ("index.interval.bytes", "300".to_owned()),
        ];
        if let Some(bytes) = self.retention_bytes {
            configs.push(("retention.bytes", bytes.to_string()));
        }
        if let Some(ms) = self.retention_ms {
            configs.push(("retention.ms", ms.to_string()));
        }
        if self.tiered {
            configs.push(("local.retention.bytes", self.local_retention_bytes.to_string()));
        }
        CreateTopic {
            name: self.name.clone(),
            partitions: Some(self.partitions as i32),
            replication_factor: Some(1),
            assignments: Default::default(),
            configs: configs.into_iter().map(|(key, value)| (key.to_owned(), Some(value))).collect(),
        }
    }

    /// The topic once it exists.
    pub fn topic(&self, id: TopicId) -> Topic {
        Topic {
            id,
            name: self.name.clone(),
            partitions: self.partitions,
            promise: self.promise,
            tiered: self.tiered,
            lasting: self.lasting,
        }
    }
}
