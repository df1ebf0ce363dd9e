//! The room as a whole: against a model, through every crash, under every failing operation, with every bit flipped.

mod allocations;
mod batches;
mod batches_random;
mod crash;
mod crash_transactions;
mod crashes;
mod failing;
mod flights;
mod flips;
mod flips_journal;
mod flips_kinds;
#[cfg(target_os = "linux")]
mod idle;
mod journal;
mod model;
#[cfg(feature = "museum")]
mod museum;
mod points;
mod pressure;
pub(crate) mod random;
#[cfg(schedules)]
mod schedules;
mod table;
