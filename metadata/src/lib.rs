//! What the cluster agrees on: controller decisions as records, the image they add up to, and the
//! [`MetadataLog`] trait through which every decision goes.
//!
//! The circle of every change: [`decide`] turns the current [`Image`] and a wish into records, or refuses;
//! [`MetadataLog::propose`] commits them as one [`Entry`]; every broker applies entries in order
//! ([`Image::apply`]). Nothing else changes an image, and no other place stores cluster state. An entry names
//! the image that it was decided on, and applying drops it whole when that image is no longer current: the
//! decision is made again then. So a decision is atomic and never based on a stale image, whatever the log does
//! between proposing and committing.
//!
//! This room is a core: no clock, no randomness, no I/O.
#![no_std]
extern crate alloc;

pub mod config;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod decide;
mod entry;
mod image;
mod log;
pub mod museum;
mod quota;
mod record;
mod replication_record;
mod sessions;
mod shared;

pub use entry::{Entry, EntryError, EntryId};
pub use image::{Applied, Broker, Image, Partition, Partitions, PartitionsIter, Registration, Topic};
pub use log::{BoxFuture, ConfirmError, Leadership, MetadataLog, News, NextError, ProposeError, Term};
pub use quota::{QuotaEntity, QuotaName, QuotaRecord, QuotaValue};
pub use record::{ConfigResource, Endpoint, MetadataRecord, RecordError};
pub use replication_record::{BrokerState, FeatureRange, ReplicationRecord};
pub use sessions::Sessions;
pub use shared::SharedMap;
