//! R9: what a copy that was cut short left in the bucket goes once all is well: in the end no object lies there that its
//! partition's head does not name and that a writer before the head's left. Who wrote the head last has looked for those
//! after its first own change, as every leader does.
//!
//! That nothing goes that a head names is R6 (`r10_bucket_alone`). What the head's own writer left is told from what it is
//! about to name by its age alone, which is more than a run has.

use highwater_metadata::Image;

use crate::{cluster::tiered, store::Store, world::World};

/// Whether no orphan is left, as far as the bucket can be read. Looks at every object of every partition.
pub(in crate::cluster) fn are_gone(world: &World, store: Option<&Store>, image: &Image) -> bool {
    tiered::each(world, store, image, |tier| tier.orphans()).into_values().all(|orphans| {
        let Some(Ok(orphans)) = orphans else { return false };
        orphans.is_empty()
    })
}
