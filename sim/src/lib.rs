//! A broker, its disk, its bucket and its clients on one thread from one seed.
//!
//! The same seed gives the same trace, bit for bit, in every process and build.

pub mod batch;
/// What clients ask of a broker.
pub mod broker;
pub mod campaign;
pub mod client;
pub mod cluster;
pub mod coordinator;
pub mod executor;
pub mod ghost;
pub mod history;
/// A machine with one broker.
pub mod host;
#[cfg(feature = "museum")]
pub mod hunt;
pub mod invariant;
#[cfg(test)]
mod kept;
pub mod model;
pub mod nemesis;
/// Checks what happened.
pub mod observer;
pub mod plan;
/// Seeded numbers.
pub mod random;
pub mod real;
pub mod scan;
pub mod scenario;
/// One run, from a seed to an outcome.
pub mod simulation;
/// What happened, in numbers.
pub mod stats;
pub mod store;
/// Topics as clients know and make them.
pub mod topic;
/// What happened, hashed and readable.
pub mod trace;
/// What the driver and the clients share.
pub mod world;
