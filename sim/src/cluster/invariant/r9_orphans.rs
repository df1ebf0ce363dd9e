//! R9: what a copy that was cut short left in the bucket goes once all is well: in the end no object lies there that its
//! partition's head does not name and that a writer before the head's left. Who wrote the head last has looked for those
//! after its first own change, as every leader does; where the head is a former leader's, there was none yet.
//!
//! That look is the only one while it leads: an object that comes after it, of a former leader who was cut off and has not
//! heard, stays until the next leader looks. It costs money, not data, as `docs/format/head.md` says.
//!
//! That nothing goes that a head names is R6 (`r10_bucket_alone`). What the head's own writer left is told from what it is
//! about to name by its age alone, which is more than a run has.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use highwater_metadata::Image;
use highwater_tiering::head_fence;

use crate::{cluster::tiered, store::Store, world::World};

/// Whether no orphan is left, as far as the bucket can be read. Looks at every object of every partition.
pub(in crate::cluster) fn are_gone(world: &World, store: Option<&Store>, image: &Image) -> bool {
    let Some(store) = store else { return true };
    tiered::each(world, Some(store), image, |tier| tier.orphans()).into_iter().all(|(at, orphans)| {
        let Some(Ok(orphans)) = orphans else { return false };
        let leads = image.partition(at).map(|partition| image.leader_epoch(partition));
        store.head_epoch(at) != leads || orphans.iter().all(|key| store.came_late(key))
    })
}

/// Which objects came when a later leader had written.
#[derive(Default)]
pub(crate) struct Late {
    /// Of each partition, the newest fence of any object, its head included.
    newest: BTreeMap<String, String>,
    keys: BTreeSet<String>,
}

impl Late {
    /// Notes an object that was written.
    pub(crate) fn written(&mut self, key: &str, bytes: &Bytes) {
        let mut parts = key.splitn(4, '/').skip(1);
        let (Some(topic), Some(partition)) = (parts.next(), parts.next()) else { return };
        // Digits enough that they sort as what they say.
        let of_head =
            || head_fence(bytes).ok().map(|by| format!("{:08x}-{:08x}", by.incarnation, by.epoch.0));
        let fence = match parts.next() {
            Some(name) => name.get(21..38).map(str::to_owned),
            None => of_head(),
        };
        let Some(fence) = fence else { return };
        let newest = self.newest.entry(format!("{topic}/{partition}")).or_default();
        if fence < *newest {
            self.keys.insert(key.to_owned());
        } else {
            *newest = fence;
        }
    }

    /// Whether it did.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.keys.contains(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_former_leader_sends_after_a_later_one() {
        let mut late = Late::default();
        let key = |kind: &str, base: u64, epoch: u32, id: u32| {
            format!("{kind}/topic/0/{base:020}-00000001-{epoch:08x}-{id:032x}")
        };
        let all =
            [("segments", 0, 1, 1), ("segments", 10, 12, 2), ("pages", 0, 1, 3), ("segments", 20, 12, 4)];
        let keys = all.map(|(kind, base, epoch, id)| key(kind, base, epoch, id));
        keys.iter().for_each(|key| late.written(key, &Bytes::new()));
        late.written("heads/topic/0", &Bytes::from_static(b"no head"));
        late.written("owner", &Bytes::new());
        assert_eq!(keys.map(|key| late.has(&key)), [false, false, true, false]);
    }
}
