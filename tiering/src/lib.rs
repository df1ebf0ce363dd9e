//! Sealed segments to objects in a bucket and back.

pub mod bucket;
