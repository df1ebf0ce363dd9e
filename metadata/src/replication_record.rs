//! Facts about who is alive and who may lead: layout, encoding, decoding. The frame is that of `record.rs`; the page
//! `docs/format/metadata.md` lists every kind.

use alloc::{string::String, vec::Vec};
use highwater_records::{
    BrokerEpoch, BrokerId, LeaderEpoch, PartitionIndex, TopicId,
    primitive::{Reader, write},
};

use crate::record::{
    RecordError, broker_id, leader_epoch, length, list, optional, put_brokers, put_leader, put_text, start,
    text, topic_id,
};

/// A fact about a broker's life or a partition's replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplicationRecord {
    /// A broker's process registered. The id of the entry is its broker epoch; it is fenced until it has caught up.
    BrokerStarted {
        /// The broker.
        broker: BrokerId,
        /// Drawn at random by the process: asking again is no second registration.
        incarnation: [u8; 16],
        /// The identity of its data directory: another one than before has nothing of what the broker had.
        directory: [u8; 16],
        /// Features that it supports.
        features: Vec<FeatureRange>,
    },
    /// A broker's state is another.
    BrokerStateChanged {
        /// The broker.
        broker: BrokerId,
        /// The registration that is meant; of another one it says nothing.
        epoch: BrokerEpoch,
        /// The new state.
        state: BrokerState,
    },
    /// The assigned replicas of a partition, and the reassignment that is under way.
    ReplicasAssigned {
        /// The topic.
        topic: TopicId,
        /// The partition's number.
        partition: PartitionIndex,
        /// Assigned replicas, the preferred leader first; during a reassignment the old and the new ones.
        replicas: Vec<BrokerId>,
        /// Of those, the ones to be added; empty without a reassignment.
        adding: Vec<BrokerId>,
        /// Of those, the ones that go at its end.
        removing: Vec<BrokerId>,
    },
    /// Replicas that are not in sync and yet have everything that was committed (KIP-966).
    EligibleLeaders {
        /// The topic.
        topic: TopicId,
        /// The partition's number.
        partition: PartitionIndex,
        /// The replicas.
        replicas: Vec<BrokerId>,
        /// Who led last, while nobody leads.
        last_known: Option<BrokerId>,
    },
    /// A replica that may lack committed records leads, because somebody asked for it. Follows the change of leader.
    LeaderElectedUncleanly {
        /// The topic.
        topic: TopicId,
        /// The partition's number.
        partition: PartitionIndex,
        /// The leader.
        leader: BrokerId,
        /// The leader epoch that begins with it: records of older epochs may be missing.
        leader_epoch: LeaderEpoch,
    },
    /// A feature's level is final: brokers that do not support it may not register any more.
    FeatureLevelSet {
        /// The feature.
        feature: String,
        /// Its level; zero for off.
        level: u16,
    },
}

/// Whether a broker takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BrokerState {
    /// Registered, but it leads nothing and is in no in-sync set: it has not caught up, or does not answer.
    Fenced,
    /// It takes part.
    Active,
    /// It asked to stop: it serves what it leads until others do.
    Stopping,
}

/// Levels of a feature that a broker supports, both inclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureRange {
    /// The feature.
    pub feature: String,
    /// The lowest level.
    pub min: u16,
    /// The highest level.
    pub max: u16,
}

pub(crate) const BROKER_STARTED: u8 = 32;
pub(crate) const BROKER_STATE_CHANGED: u8 = 33;
pub(crate) const REPLICAS_ASSIGNED: u8 = 34;
pub(crate) const ELIGIBLE_LEADERS: u8 = 35;
pub(crate) const LEADER_ELECTED_UNCLEANLY: u8 = 36;
pub(crate) const FEATURE_LEVEL_SET: u8 = 37;

impl ReplicationRecord {
    /// Whether records of this kind are decoded here.
    pub(crate) fn has_kind(kind: u8) -> bool {
        (BROKER_STARTED..=FEATURE_LEVEL_SET).contains(&kind)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            ReplicationRecord::BrokerStarted { broker, incarnation, directory, features } => {
                start(out, BROKER_STARTED);
                write::uvarint(out, broker.0);
                out.extend_from_slice(incarnation);
                out.extend_from_slice(directory);
                write::uvarint(out, length(features.len()));
                for range in features {
                    put_text(out, &range.feature);
                    write::uvarint(out, u32::from(range.min));
                    write::uvarint(out, u32::from(range.max));
                }
            }
            ReplicationRecord::BrokerStateChanged { broker, epoch, state } => {
                start(out, BROKER_STATE_CHANGED);
                write::uvarint(out, broker.0);
                out.extend_from_slice(&epoch.0.to_be_bytes());
                out.push(*state as u8);
            }
            ReplicationRecord::ReplicasAssigned { topic, partition, replicas, adding, removing } => {
                start(out, REPLICAS_ASSIGNED);
                put_partition(out, *topic, *partition);
                put_brokers(out, replicas);
                put_brokers(out, adding);
                put_brokers(out, removing);
            }
            ReplicationRecord::EligibleLeaders { topic, partition, replicas, last_known } => {
                start(out, ELIGIBLE_LEADERS);
                put_partition(out, *topic, *partition);
                put_brokers(out, replicas);
                put_leader(out, *last_known);
            }
            ReplicationRecord::LeaderElectedUncleanly { topic, partition, leader, leader_epoch } => {
                start(out, LEADER_ELECTED_UNCLEANLY);
                put_partition(out, *topic, *partition);
                write::uvarint(out, leader.0);
                write::uvarint(out, leader_epoch.0);
            }
            ReplicationRecord::FeatureLevelSet { feature, level } => {
                start(out, FEATURE_LEVEL_SET);
                put_text(out, feature);
                write::uvarint(out, u32::from(*level));
            }
        }
    }

    /// The fields of a record of `kind`, which is one of ours.
    pub(crate) fn decode(kind: u8, reader: &mut Reader<'_>) -> Result<ReplicationRecord, RecordError> {
        Ok(match kind {
            BROKER_STARTED => ReplicationRecord::BrokerStarted {
                broker: broker_id(reader)?,
                incarnation: *topic_id(reader)?.as_bytes(),
                directory: *topic_id(reader)?.as_bytes(),
                features: list(reader, feature_range)?,
            },
            BROKER_STATE_CHANGED => ReplicationRecord::BrokerStateChanged {
                broker: broker_id(reader)?,
                epoch: BrokerEpoch(reader.u64()?),
                state: match reader.u8()? {
                    0 => BrokerState::Fenced,
                    1 => BrokerState::Active,
                    2 => BrokerState::Stopping,
                    other => return Err(RecordError::BadChoice(other)),
                },
            },
            REPLICAS_ASSIGNED => ReplicationRecord::ReplicasAssigned {
                topic: topic_id(reader)?,
                partition: PartitionIndex(reader.uvarint()?),
                replicas: list(reader, broker_id)?,
                adding: list(reader, broker_id)?,
                removing: list(reader, broker_id)?,
            },
            ELIGIBLE_LEADERS => ReplicationRecord::EligibleLeaders {
                topic: topic_id(reader)?,
                partition: PartitionIndex(reader.uvarint()?),
                replicas: list(reader, broker_id)?,
                last_known: optional(reader, broker_id)?,
            },
            LEADER_ELECTED_UNCLEANLY => ReplicationRecord::LeaderElectedUncleanly {
                topic: topic_id(reader)?,
                partition: PartitionIndex(reader.uvarint()?),
                leader: broker_id(reader)?,
                leader_epoch: leader_epoch(reader)?,
            },
            _ => ReplicationRecord::FeatureLevelSet { feature: text(reader)?, level: number16(reader)? },
        })
    }
}

fn put_partition(out: &mut Vec<u8>, topic: TopicId, partition: PartitionIndex) {
    out.extend_from_slice(topic.as_bytes());
    write::uvarint(out, partition.0);
}

fn number16(reader: &mut Reader<'_>) -> Result<u16, RecordError> {
    u16::try_from(reader.uvarint()?).map_err(|_| RecordError::OutOfRange)
}

fn feature_range(reader: &mut Reader<'_>) -> Result<FeatureRange, RecordError> {
    Ok(FeatureRange { feature: text(reader)?, min: number16(reader)?, max: number16(reader)? })
}
