//! What the bucket has of each partition, looked at behind the brokers' backs: what is stored, not what was answered.

use std::{collections::BTreeMap, sync::Arc};

use highwater_metadata::Image;
use highwater_records::TopicIdPartition;
use highwater_tiering::{Owner, Tier, TierOptions};

use crate::{
    real::bucket::{AtOnce, at_once},
    store::Store,
    world::World,
};

/// What each tiered partition has there: from (inclusive) and to (exclusive).
pub(super) fn look(
    world: &World,
    store: Option<&Store>,
    image: &Image,
) -> BTreeMap<TopicIdPartition, (u64, u64)> {
    let mut found = BTreeMap::new();
    let (Some(store), Some(cluster_id)) = (store, image.cluster_id()) else { return found };
    let env = Arc::new(AtOnce::of(world));
    let owner = Owner { cluster_id: cluster_id.to_owned() };
    let tier = Tier::new(env, Arc::new(store.memory().clone()), owner, TierOptions::default());
    for topic in image.topics() {
        if topic.configs.get("remote.storage.enable").is_none_or(|set| set != "true") {
            continue;
        }
        for (partition, _) in topic.numbered() {
            let at = TopicIdPartition { topic_id: topic.id, partition };
            if let Some(Ok(Some(summary))) = at_once(tier.partition(at, &topic.name, 0).load()) {
                found.insert(at, (summary.start.get(), summary.end.get()));
            }
        }
    }
    found
}
