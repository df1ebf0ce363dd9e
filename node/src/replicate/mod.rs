//! Replication between brokers: this node as a member of a cluster.

mod confirm;
mod fetcher;
mod forward;
mod heartbeat;
mod membership;
mod proposals;
mod ready;
mod roles;
mod serve;
mod serve_tail;
mod session;
mod tail;
mod transactions;

pub(crate) use confirm::AskController;
pub(crate) use fetcher::ANSWER_BYTES_MAX;
pub(crate) use forward::ForwardingLog;
pub(crate) use heartbeat::register;
pub use membership::ClusterParts;
pub(crate) use membership::{Membership, moment};
pub(crate) use ready::{Ready, Watcher};
pub(crate) use roles::Touched;
pub(crate) use serve::epoch_end;
pub(crate) use tail::TailingLog;
