//! Everything a broker does except sockets: runs the cores against the logs, the bucket and the metadata log.
//!
//! Requests come in as plain values ([`request`]) and know nothing of Kafka's wire format. [`Node::start`] takes every
//! part from outside ([`NodeParts`]): time, disk and bucket are the caller's, so that the same code serves clients and
//! runs in a simulation.

mod changes;
mod cluster;
#[cfg(test)]
mod cluster_tests;
mod combine;
mod commit;
mod configs;
mod controller;
mod coordinator;
mod delete_records;
mod describe;
mod detached;
mod fetch;
mod first_of;
mod found;
mod grow;
mod join;
mod join_all;
mod leader_epochs;
mod leadership;
mod list_offsets;
mod live_config;
mod metrics;
pub mod museum;
mod node;
mod parked;
mod partition;
mod partitions;
pub mod peers;
mod produce;
mod producer_ids;
mod purge;
mod quotas;
mod replica_view;
mod replicate;
pub mod request;
mod scrape;
mod sessions;
mod start;
mod stop;
mod tasks;
mod topics;
mod transactional_produce;
mod upkeep;

pub use changes::Changes;
pub use coordinator::{CommittedOffsets, CoordinatorKey, PendingGroup};
pub use found::{FoundError, found};
pub use highwater_engine::MarkerEpoch;
pub use leadership::LeadershipError;
pub use metrics::{Counter, MetricsSnapshot, PartitionMetrics, TopicMetrics};
pub use node::{Endpoint, Node, NodeParts};
pub use produce::PendingProduce;
pub use quotas::Measured;
pub use replica_view::{LeadingView, ReplicaNews, ReplicaState, ReplicaView};
pub use replicate::ClusterParts;
pub use start::StartError;
pub use stop::{EndedByItself, StopError};
