//! The room as a whole: against a model, through every crash, under every failing operation, with every bit flipped.

mod allocations;
mod crash;
mod crash_transactions;
mod failing;
mod flips;
mod journal;
mod model;
#[cfg(feature = "museum")]
mod museum;
mod random;
mod table;
