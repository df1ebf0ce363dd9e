//! Whole clusters: several real nodes, each with a disk that lies, one bucket that fails, a metadata log that loses and
//! reorders, and a network between them that does all of it, on one thread from one seed.
//!
//! A run has a safety phase, in which faults strike, and a liveness phase, in which they are over and everything must
//! come right in bounded simulated time. Two observers look on: the one of the clients' histories
//! ([`crate::observer`]), and one that sees every replica ([`watch`]).

mod faults;
pub mod invariant;
mod keyed;
mod known;
mod look;
mod machine;
pub mod marks;
#[cfg(feature = "museum")]
pub mod museum;
mod network;
mod plan;
mod quorum;
mod router;
mod run;
pub mod shrink;
#[cfg(test)]
mod tests;
mod tiered;
pub mod watch;
mod work;

pub use keyed::{
    KeyedPlan, Tombstones,
    batch::{KeyedBatch, KeyedRecord},
};
pub use plan::{ClusterFault, ClusterPlan};
pub use quorum::Quorum;
pub use run::{run_cluster, run_plan};
pub use work::WorkPlan;
