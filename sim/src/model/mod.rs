//! A small broker of our own, right or wrong on purpose: what proves that the machinery around it finds bugs.
//!
//! It keeps one file per partition on the same lying disk, answers the same requests, and knows nothing of
//! segments, indexes or buckets.

mod bug;
mod log;
mod service;
#[cfg(test)]
mod tests;

pub use bug::Bug;
pub use service::{ModelBroker, ModelSystem};
