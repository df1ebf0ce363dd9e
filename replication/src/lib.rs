//! The roles of one partition: leader, in-sync set, high watermark, acknowledgements.
//!
//! This room is a core: plain values in, plain values out, no clock, no I/O, no lock. [`Leader`] is the whole of
//! it today; the follower's side arrives with replica fetch. Every acknowledgement and every move of the
//! watermark goes through here, on one broker as on many.
#![no_std]
extern crate alloc;

mod acks;
mod isr;
mod leader;
mod position;

pub use acks::{AckState, Acks, NotEnoughReplicas};
pub use highwater_records::Durability;
pub use isr::IsrState;
pub use leader::{Leader, LeaderStart};
pub use position::LocalPositions;
