//! Coordinators as state machines: a request goes in, records to append and replies to release come out.
//!
//! This room is a core: no clock, no lock, no file, no socket. A [`Shard`] is one partition of a coordinator's topic;
//! it is rebuilt by replaying that partition, and whoever runs it appends what it says and releases its replies once
//! that counts (design decision 10: there is no undo, a shard whose append failed is dropped and replayed).
//!
//! [`GroupShard`] is the group coordinator: membership, assignments and committed offsets, persisted in Kafka's own
//! record formats ([`format`](mod@format)). [`TransactionShard`] is the transaction coordinator.
#![no_std]
extern crate alloc;

mod classic;
mod consumer;
mod deadlines;
mod expiry;
pub mod format;
mod group;
mod group_config;
mod group_error;
mod group_request;
mod group_shard;
mod java_hash;
pub mod museum;
mod offsets;
mod shard;
mod subscription;
mod transaction;

pub use consumer::{Assignment, Pattern};
pub use group_config::{GroupConfig, GroupConfigs, GroupOverrides};
pub use group_error::GroupError;
pub use group_request::{
    Ask, Caller, CommitOffsets, CommitPartition, CommitTopic, Committed, ConsumerBeat, ConsumerHeartbeat,
    DeleteGroup, DeleteOffsets, DescribeConsumers, DescribeGroup, DescribedConsumer, DescribedConsumerGroup,
    DescribedGroup, DescribedMember, FetchOffsets, FetchedOffset, FetchedTopic, GroupKind, GroupReply,
    GroupRequest, Heartbeat, JoinGroup, JoinRefused, Joined, JoinedMember, LeaveGroup, Leaving, Left,
    ListGroups, ListedGroup, Protocol, SyncGroup, Synced,
};
pub use group_shard::GroupShard;
pub use java_hash::partition_of;
pub use shard::{Logged, Marker, Moment, NewRecord, ReplyTo, Shard, Step, TopicFacts, Topics, Transaction};
pub use transaction::{
    AddPartitions, BeginProducer, DescribedTransaction, EndMarkers, EndTransaction, ListedTransaction,
    TransactionConfig, TransactionError, TransactionReply, TransactionRequest, TransactionShard,
};
