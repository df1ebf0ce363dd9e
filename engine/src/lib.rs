//! One partition's log on local disk and the directory of many, in Kafka's own file layout.
//!
//! Synchronous and embeddable alone: no runtime, no network, no thread unless asked.

pub mod disk;
