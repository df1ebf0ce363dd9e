//! Tests of the room as a whole; what is about one file stands in that file.

mod buckets;
mod conformance;
mod crash;
pub(crate) mod env;
mod grace;
mod logs;
mod model;
#[cfg(feature = "s3-server")]
mod s3;
mod size;
mod trust;
