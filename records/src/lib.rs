//! The words of Highwater: offsets, epochs and ids, each its own type, Kafka's record batch v2, and the
//! primitive encodings of Kafka's protocol.
//!
//! This room is a core: it decides and computes, and knows neither files nor sockets nor clocks.

pub mod batch;
pub mod compression;
mod durability;
mod id;
mod museum;
mod offset;
pub mod primitive;

pub use durability::{Durability, UnknownDurability};
pub use id::{
    BrokerEpoch, BrokerId, LeaderEpoch, PartitionIndex, ProducerEpoch, ProducerId, Sequence, TopicId,
    TopicIdPartition,
};
pub use offset::{Offset, OffsetOutOfRange, TimestampMs};
