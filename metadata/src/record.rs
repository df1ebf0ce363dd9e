//! One fact of the cluster: layout, encoding, decoding.
//!
//! | Bytes | Meaning |
//! |---|---|
//! | 1 | kind |
//! | 1 | version of the kind, now 0 for all |
//! | rest | fields in the order of declaration |
//!
//! Integers are unsigned varints where nothing else is said, ids of sixteen bytes stand as they are, text is a length
//! and UTF-8, a list is a count and its members, an optional value is 0 or 1 and the value. A record ends with its
//! last field: its length stands outside, and bytes too many are an error like bytes too few. A kind or a version
//! from the future is refused: a broker that cannot understand a decision must not go on beside it.

use crate::{QuotaRecord, ReplicationRecord, quota};
use alloc::{string::String, vec::Vec};
use highwater_records::{
    BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId,
    primitive::{ReadError, Reader, write},
};

/// One fact of the cluster, as the controller decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataRecord {
    /// The first fact: which cluster this is.
    ClusterCreated {
        /// Twenty-two characters, as Kafka's cluster ids.
        cluster_id: String,
    },
    /// A broker joined, or came back with other properties.
    BrokerRegistered {
        /// The broker.
        broker: BrokerId,
        /// Where clients and peers reach it.
        endpoints: Vec<Endpoint>,
        /// `broker.rack`.
        rack: Option<String>,
    },
    /// A topic exists from here on; its partitions follow in the same entry.
    TopicCreated {
        /// Its identity.
        id: TopicId,
        /// Its name, free again once it is deleted.
        name: String,
    },
    /// A partition exists from here on. Partitions of a topic are created in order from zero.
    PartitionCreated {
        /// The topic.
        topic: TopicId,
        /// The partition's number.
        partition: PartitionIndex,
        /// Assigned replicas, the preferred leader first.
        replicas: Vec<BrokerId>,
        /// In-sync replicas.
        isr: Vec<BrokerId>,
        /// The leader; `None` while nobody may lead.
        leader: Option<BrokerId>,
        /// Stored leader epoch; see [`Image::leader_epoch`](crate::Image::leader_epoch) for the one in force.
        leader_epoch: LeaderEpoch,
    },
    /// The whole new state of a partition's leadership.
    PartitionChanged {
        /// The topic.
        topic: TopicId,
        /// The partition's number.
        partition: PartitionIndex,
        /// In-sync replicas.
        isr: Vec<BrokerId>,
        /// The leader; `None` while nobody may lead.
        leader: Option<BrokerId>,
        /// Stored leader epoch.
        leader_epoch: LeaderEpoch,
        /// Version of the in-sync set: one more than before.
        partition_epoch: u32,
    },
    /// A topic is no more, with its partitions and configuration. What it has stored is still to be removed.
    TopicDeleted {
        /// The topic.
        id: TopicId,
    },
    /// Nothing that a deleted topic has stored is left to be removed, on any disk or in the bucket.
    TopicPurged {
        /// The topic.
        id: TopicId,
    },
    /// A configuration key was set, or unset so that the default holds again.
    ConfigSet {
        /// Whose configuration.
        resource: ConfigResource,
        /// The key.
        key: String,
        /// The value, validated; `None` unsets.
        value: Option<String>,
    },
    /// A broker stopped uncleanly: every partition it leads has at least this leader epoch now.
    EpochFloorRaised {
        /// The broker.
        broker: BrokerId,
        /// The floor, inclusive.
        floor: LeaderEpoch,
    },
    /// A block of producer ids belongs to a broker.
    ProducerIdsAllocated {
        /// The broker.
        broker: BrokerId,
        /// End of the block, exclusive: the first id that is still free.
        next: ProducerId,
    },
    /// Who is alive and who may lead.
    Replication(ReplicationRecord),
    /// A client quota.
    Quota(QuotaRecord),
}

/// Whose configuration a key belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    /// One topic.
    Topic(TopicId),
    /// One broker.
    Broker(BrokerId),
    /// Every broker that has no value of its own.
    Brokers,
    /// One group, whether there is one of this name or not.
    Group(String),
}

/// Where a broker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name.
    pub listener: String,
    /// Host name or address, as advertised.
    pub host: String,
    /// Port, as advertised.
    pub port: u16,
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end early or a field is malformed.
    #[error("malformed metadata record: {0}")]
    Malformed(#[from] ReadError),
    /// A kind this program does not know, or a version of it.
    #[error("metadata record of kind {kind}, version {version} is unknown to this program")]
    Unknown {
        /// The kind's number.
        kind: u8,
        /// The version's number.
        version: u8,
    },
    /// A choice with more than its values.
    #[error("metadata record holds {0} where a choice was expected")]
    BadChoice(u8),
    /// A number is larger than its type allows.
    #[error("metadata record holds a number out of range")]
    OutOfRange,
    /// There are bytes behind the last field.
    #[error("metadata record has {0} bytes too many")]
    Trailing(usize),
}

const CLUSTER_CREATED: u8 = 1;
const BROKER_REGISTERED: u8 = 2;
const TOPIC_CREATED: u8 = 3;
const PARTITION_CREATED: u8 = 4;
const PARTITION_CHANGED: u8 = 5;
const TOPIC_DELETED: u8 = 6;
const CONFIG_SET: u8 = 7;
const EPOCH_FLOOR_RAISED: u8 = 8;
const PRODUCER_IDS_ALLOCATED: u8 = 9;
const TOPIC_PURGED: u8 = 10;
const VERSION: u8 = 0;

impl MetadataRecord {
    /// Appends the record's bytes to `out`.
    ///
    /// # Panics
    /// If a text or list is longer than `u32::MAX`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            MetadataRecord::ClusterCreated { cluster_id } => {
                start(out, CLUSTER_CREATED);
                put_text(out, cluster_id);
            }
            MetadataRecord::BrokerRegistered { broker, endpoints, rack } => {
                start(out, BROKER_REGISTERED);
                write::uvarint(out, broker.0);
                write::uvarint(out, length(endpoints.len()));
                for endpoint in endpoints {
                    put_text(out, &endpoint.listener);
                    put_text(out, &endpoint.host);
                    write::uvarint(out, u32::from(endpoint.port));
                }
                put_optional_text(out, rack.as_deref());
            }
            MetadataRecord::TopicCreated { id, name } => {
                start(out, TOPIC_CREATED);
                out.extend_from_slice(id.as_bytes());
                put_text(out, name);
            }
            MetadataRecord::PartitionCreated { topic, partition, replicas, isr, leader, leader_epoch } => {
                start(out, PARTITION_CREATED);
                out.extend_from_slice(topic.as_bytes());
                write::uvarint(out, partition.0);
                put_brokers(out, replicas);
                put_brokers(out, isr);
                put_leader(out, *leader);
                write::uvarint(out, leader_epoch.0);
            }
            MetadataRecord::PartitionChanged {
                topic,
                partition,
                isr,
                leader,
                leader_epoch,
                partition_epoch,
            } => {
                start(out, PARTITION_CHANGED);
                out.extend_from_slice(topic.as_bytes());
                write::uvarint(out, partition.0);
                put_brokers(out, isr);
                put_leader(out, *leader);
                write::uvarint(out, leader_epoch.0);
                write::uvarint(out, *partition_epoch);
            }
            MetadataRecord::TopicDeleted { id } => {
                start(out, TOPIC_DELETED);
                out.extend_from_slice(id.as_bytes());
            }
            MetadataRecord::TopicPurged { id } => {
                start(out, TOPIC_PURGED);
                out.extend_from_slice(id.as_bytes());
            }
            MetadataRecord::ConfigSet { resource, key, value } => {
                start(out, CONFIG_SET);
                match resource {
                    ConfigResource::Topic(id) => {
                        out.push(0);
                        out.extend_from_slice(id.as_bytes());
                    }
                    ConfigResource::Broker(id) => {
                        out.push(1);
                        write::uvarint(out, id.0);
                    }
                    ConfigResource::Brokers => out.push(2),
                    ConfigResource::Group(name) => {
                        out.push(3);
                        put_text(out, name);
                    }
                }
                put_text(out, key);
                put_optional_text(out, value.as_deref());
            }
            MetadataRecord::EpochFloorRaised { broker, floor } => {
                start(out, EPOCH_FLOOR_RAISED);
                write::uvarint(out, broker.0);
                write::uvarint(out, floor.0);
            }
            MetadataRecord::ProducerIdsAllocated { broker, next } => {
                start(out, PRODUCER_IDS_ALLOCATED);
                write::uvarint(out, broker.0);
                out.extend_from_slice(&next.0.to_be_bytes());
            }
            MetadataRecord::Replication(record) => record.encode(out),
            MetadataRecord::Quota(record) => record.encode(out),
        }
    }

    /// The record that `bytes` are, from the first to the last of them. Total: any bytes give a record or an error,
    /// and what is allocated is a small multiple of `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<MetadataRecord, RecordError> {
        let mut reader = Reader::new(bytes);
        let (kind, version) = (reader.u8()?, reader.u8()?);
        if version != VERSION {
            return Err(RecordError::Unknown { kind, version });
        }
        let record = match kind {
            CLUSTER_CREATED => MetadataRecord::ClusterCreated { cluster_id: text(&mut reader)? },
            BROKER_REGISTERED => MetadataRecord::BrokerRegistered {
                broker: BrokerId(reader.uvarint()?),
                endpoints: list(&mut reader, endpoint)?,
                rack: optional(&mut reader, text)?,
            },
            TOPIC_CREATED => {
                MetadataRecord::TopicCreated { id: topic_id(&mut reader)?, name: text(&mut reader)? }
            }
            PARTITION_CREATED => MetadataRecord::PartitionCreated {
                topic: topic_id(&mut reader)?,
                partition: PartitionIndex(reader.uvarint()?),
                replicas: list(&mut reader, broker_id)?,
                isr: list(&mut reader, broker_id)?,
                leader: optional(&mut reader, broker_id)?,
                leader_epoch: leader_epoch(&mut reader)?,
            },
            PARTITION_CHANGED => MetadataRecord::PartitionChanged {
                topic: topic_id(&mut reader)?,
                partition: PartitionIndex(reader.uvarint()?),
                isr: list(&mut reader, broker_id)?,
                leader: optional(&mut reader, broker_id)?,
                leader_epoch: leader_epoch(&mut reader)?,
                partition_epoch: reader.uvarint()?,
            },
            TOPIC_DELETED => MetadataRecord::TopicDeleted { id: topic_id(&mut reader)? },
            TOPIC_PURGED => MetadataRecord::TopicPurged { id: topic_id(&mut reader)? },
            CONFIG_SET => MetadataRecord::ConfigSet {
                resource: match reader.u8()? {
                    0 => ConfigResource::Topic(topic_id(&mut reader)?),
                    1 => ConfigResource::Broker(broker_id(&mut reader)?),
                    2 => ConfigResource::Brokers,
                    3 => ConfigResource::Group(text(&mut reader)?),
                    other => return Err(RecordError::BadChoice(other)),
                },
                key: text(&mut reader)?,
                value: optional(&mut reader, text)?,
            },
            EPOCH_FLOOR_RAISED => MetadataRecord::EpochFloorRaised {
                broker: broker_id(&mut reader)?,
                floor: leader_epoch(&mut reader)?,
            },
            PRODUCER_IDS_ALLOCATED => MetadataRecord::ProducerIdsAllocated {
                broker: broker_id(&mut reader)?,
                next: producer_id(&mut reader)?,
            },
            quota::QUOTA_SET => MetadataRecord::Quota(QuotaRecord::decode(&mut reader)?),
            kind if ReplicationRecord::has_kind(kind) => {
                MetadataRecord::Replication(ReplicationRecord::decode(kind, &mut reader)?)
            }
            kind => return Err(RecordError::Unknown { kind, version }),
        };
        match reader.remaining() {
            0 => Ok(record),
            extra => Err(RecordError::Trailing(extra)),
        }
    }
}

pub(crate) fn start(out: &mut Vec<u8>, kind: u8) {
    out.extend_from_slice(&[kind, VERSION]);
}

pub(crate) fn length(value: usize) -> u32 {
    u32::try_from(value).expect("lists and texts of metadata are far below 4 GiB")
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    write::uvarint(out, length(text.len()));
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn put_optional_text(out: &mut Vec<u8>, text: Option<&str>) {
    out.push(u8::from(text.is_some()));
    if let Some(text) = text {
        put_text(out, text);
    }
}

pub(crate) fn put_brokers(out: &mut Vec<u8>, brokers: &[BrokerId]) {
    write::uvarint(out, length(brokers.len()));
    for broker in brokers {
        write::uvarint(out, broker.0);
    }
}

pub(crate) fn put_leader(out: &mut Vec<u8>, leader: Option<BrokerId>) {
    out.push(u8::from(leader.is_some()));
    if let Some(leader) = leader {
        write::uvarint(out, leader.0);
    }
}

pub(crate) fn text(reader: &mut Reader<'_>) -> Result<String, RecordError> {
    let length = reader.uvarint()? as usize;
    Ok(String::from(reader.text(length)?))
}

pub(crate) fn optional<T>(
    reader: &mut Reader<'_>,
    read: fn(&mut Reader<'_>) -> Result<T, RecordError>,
) -> Result<Option<T>, RecordError> {
    match reader.u8()? {
        0 => Ok(None),
        1 => read(reader).map(Some),
        other => Err(RecordError::BadChoice(other)),
    }
}

/// Grows with what was really read: the count is only a claim.
pub(crate) fn list<T>(
    reader: &mut Reader<'_>,
    read: fn(&mut Reader<'_>) -> Result<T, RecordError>,
) -> Result<Vec<T>, RecordError> {
    let count = reader.uvarint()?;
    let mut members = Vec::new();
    for _ in 0..count {
        members.push(read(reader)?);
    }
    Ok(members)
}

fn endpoint(reader: &mut Reader<'_>) -> Result<Endpoint, RecordError> {
    Ok(Endpoint {
        listener: text(reader)?,
        host: text(reader)?,
        port: u16::try_from(reader.uvarint()?).map_err(|_| RecordError::OutOfRange)?,
    })
}

pub(crate) fn topic_id(reader: &mut Reader<'_>) -> Result<TopicId, RecordError> {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(reader.take(16)?);
    Ok(TopicId::from_bytes(bytes))
}

pub(crate) fn broker_id(reader: &mut Reader<'_>) -> Result<BrokerId, RecordError> {
    Ok(BrokerId(reader.uvarint()?))
}

/// Kafka carries leader epochs in a signed field.
pub(crate) fn leader_epoch(reader: &mut Reader<'_>) -> Result<LeaderEpoch, RecordError> {
    match reader.uvarint()? {
        epoch if epoch <= i32::MAX as u32 => Ok(LeaderEpoch(epoch)),
        _ => Err(RecordError::OutOfRange),
    }
}

/// Kafka carries producer ids in a signed field.
fn producer_id(reader: &mut Reader<'_>) -> Result<ProducerId, RecordError> {
    match reader.u64()? {
        id if id <= i64::MAX as u64 => Ok(ProducerId(id)),
        _ => Err(RecordError::OutOfRange),
    }
}
