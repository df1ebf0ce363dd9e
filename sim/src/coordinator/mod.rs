//! Coordinators under simulation: groups of both protocols and transactions, with members and producers that sleep, die
//! and come back late, against a broker that crashes on a disk that lies.
//!
//! A run has a safety phase, in which faults strike and clients misbehave, and a liveness phase, in which both are over:
//! every group must settle, use up its input, and leave no transaction open, in bounded simulated time. Then everything
//! is read ([`audit`]), the broker is stopped cleanly and started again, and must say the same.

pub mod audit;
mod batch;
mod chain;
mod classic;
mod consumer;
pub(crate) mod hall;
pub mod happening;
pub mod invariant;
#[cfg(feature = "museum")]
pub mod museum;
mod plan;
pub(crate) mod producer;
mod reader;
mod run;
mod state_log;
#[cfg(test)]
mod tests;
mod worker;

pub use plan::{CoordinatorPlan, GroupPlan, Work};
pub(crate) use run::{SETTINGS, start};
pub use run::{run_coordinator, run_plan};
