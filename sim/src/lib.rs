//! A broker, its disk, its bucket and its clients on one thread from one seed.
//!
//! The same seed gives the same trace, bit for bit, in every process and build.

pub mod batch;
pub mod executor;
pub mod ghost;
pub mod history;
pub mod invariant;
/// Checks what happened.
pub mod observer;
/// Seeded numbers.
pub mod random;
/// What happened, hashed and readable.
pub mod trace;
