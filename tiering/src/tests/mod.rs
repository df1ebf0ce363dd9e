//! Tests of the room as a whole; what is about one file stands in that file.

mod buckets;
mod conformance;
pub(crate) mod env;
mod logs;
mod model;
