//! Coordinators at work: shards of `coordinator` on the partitions of their topics.
//!
//! [`Host`] is the same for every kind of shard: it replays a partition, runs requests through the shard one after the
//! other, appends what they say, and releases replies once that counts (design decision 10).

mod batches;
mod counted;
mod end_here;
mod follow;
mod groups;
mod host;
mod load;
mod markers;
mod running;
mod topic;
mod topics_view;
mod transactions;

pub(crate) use groups::group_shard;
pub use groups::{CoordinatorKey, PendingGroup};
pub(crate) use host::{Ground, Host, Unavailable};
pub(crate) use topic::{OFFSETS, TRANSACTIONS, is_internal};
pub use transactions::CommittedOffsets;
pub(crate) use transactions::{MarkerQueue, transaction_shard};
