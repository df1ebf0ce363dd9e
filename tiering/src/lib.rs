//! Sealed segments to objects in a bucket and back.
//!
//! A [`Tier`] is a bucket as one cluster uses it, a [`PartitionTier`] one partition in it: `copy` uploads sealed
//! segments and names them in the partition's head, `read` brings records back, verified. The head is the only truth
//! and the only object that ever changes; `docs/format/head.md` argues why that is safe. [`planner`] decides, without
//! any I/O, what to copy and what is due.
//!
//! Async code over [`highwater_env::Env`] and [`bucket::Bucket`]: it starts no task and needs no runtime.

pub mod bucket;
mod cache;
mod encoding;
mod error;
mod head;
mod name;
mod object;
mod owner;
mod partition;
pub mod planner;
mod tier;

pub use cache::CacheFigures;
pub use encoding::FormatError;
pub use error::TierError;
pub use head::{HEAD_BYTES_MAX, TierState, dropped::DropReason, head_fence};
pub use name::{Digest, Fence, ObjectId, ObjectName};
pub use object::upload::SegmentSource;
pub use owner::Owner;
pub use partition::{Collected, EndState, PartitionTier, TierAborted, TierRead, TierSummary, divergence};
pub use tier::{ConfirmLeadership, HeadLimits, Tier, TierOptions};

#[cfg(test)]
mod tests;
