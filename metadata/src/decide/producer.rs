//! Blocks of producer ids.

use crate::{Image, MetadataRecord};
use alloc::{vec, vec::Vec};
use highwater_records::{BrokerId, ProducerId};

/// How many ids a block has. A broker that restarts forgets the rest of its block: ids are plenty.
pub const PRODUCER_ID_BLOCK_SIZE: u64 = 1000;

/// Producer ids that belong to one broker alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// The first, inclusive.
    pub first: ProducerId,
    /// The end, exclusive.
    pub end: ProducerId,
}

/// All 2^63 producer ids are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all producer ids are used up")]
pub struct ProducerIdsExhausted;

/// Gives the next block of ids to `broker`. The block is its own once the entry has taken effect, and not before.
pub fn allocate_producer_ids(
    image: &Image,
    broker: BrokerId,
) -> Result<(Vec<MetadataRecord>, ProducerIdBlock), ProducerIdsExhausted> {
    let first = image.next_producer_id();
    let end = first.0.checked_add(PRODUCER_ID_BLOCK_SIZE).filter(|end| *end <= i64::MAX as u64);
    let end = ProducerId(end.ok_or(ProducerIdsExhausted)?);
    Ok((vec![MetadataRecord::ProducerIdsAllocated { broker, next: end }], ProducerIdBlock { first, end }))
}
