//! The roles of one partition: leader and follower, the in-sync set, the high watermark, acknowledgements.
//!
//! This room is a core: plain values in, plain values out, no clock, no I/O, no lock. [`Leader`] counts what its
//! followers fetch and decides what is committed; [`Follower`] decides what to fetch and where to cut. Every
//! acknowledgement and every move of the watermark goes through here, on one broker as on many.
#![no_std]
extern crate alloc;

mod acks;
mod divergence;
mod follower;
mod isr;
mod leader;
mod moment;
pub mod museum;
mod nearest;
mod position;

pub use acks::{AckState, Acks, NotEnoughReplicas};
pub use divergence::{Comparison, EpochEnd, compare, cut_at};
pub use follower::{FetchFrom, Follower, FollowerStart, Truncation};
pub use highwater_records::Durability;
pub use isr::{IsrProposal, IsrState};
pub use leader::{CommittedIsr, FetchOutcome, FetchRefused, FollowerFetch, Leader, LeaderStart};
pub use moment::Moment;
pub use nearest::{Candidate, Place, nearest};
pub use position::LocalPositions;
