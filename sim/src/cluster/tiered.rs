//! What the bucket has of each partition, looked at behind the brokers' backs: what is stored, not what was answered.

use std::{collections::BTreeMap, sync::Arc};

use highwater_env::BoxFuture;
use highwater_metadata::Image;
use highwater_records::{Offset, TopicIdPartition};
use highwater_tiering::{Owner, PartitionTier, Tier, TierError, TierOptions, TierSummary};

use crate::{
    batch::{Batches, SeenBatch},
    real::bucket::{AtOnce, at_once},
    store::Store,
    world::World,
};

fn tier(world: &World, store: Option<&Store>, image: &Image) -> Option<Arc<Tier>> {
    let owner = Owner { cluster_id: image.cluster_id()?.to_owned() };
    let env = Arc::new(AtOnce::of(world));
    Some(Tier::new(env, Arc::new(store?.memory().clone()), owner, TierOptions::default()))
}

/// What somebody is told who asks the bucket about each tiered partition; `None` where the answer takes time.
pub(super) fn each<T>(
    world: &World,
    store: Option<&Store>,
    image: &Image,
    ask: impl for<'a> Fn(&'a PartitionTier) -> BoxFuture<'a, T>,
) -> BTreeMap<TopicIdPartition, Option<T>> {
    let mut found = BTreeMap::new();
    let Some(tier) = tier(world, store, image) else { return found };
    for topic in image.topics() {
        if topic.configs.get("remote.storage.enable").is_none_or(|set| set != "true") {
            continue;
        }
        for (partition, _) in topic.numbered() {
            let at = TopicIdPartition { topic_id: topic.id, partition };
            found.insert(at, at_once(ask(&tier.partition(at, &topic.name, 0))));
        }
    }
    found
}

/// What each tiered partition has there: from (inclusive) and to (exclusive).
pub(super) fn look(
    world: &World,
    store: Option<&Store>,
    image: &Image,
) -> BTreeMap<TopicIdPartition, (u64, u64)> {
    let loaded = each(world, store, image, |tier| tier.load()).into_iter();
    let there = |(at, loaded): (_, Option<Result<Option<TierSummary>, TierError>>)| {
        let summary = loaded?.ok()??;
        Some((at, (summary.start.get(), summary.end.get())))
    };
    loaded.filter_map(there).collect()
}

/// Everything that each tiered partition has there, as somebody reads it who knows nothing but the bucket.
pub(super) fn batches(
    world: &World,
    store: Option<&Store>,
    image: &Image,
) -> BTreeMap<TopicIdPartition, Result<Vec<SeenBatch>, String>> {
    let mut found = BTreeMap::new();
    for (at, (start, end)) in look(world, store, image) {
        let (Some(tier), Some(topic)) = (tier(world, store, image), image.topic(at.topic_id)) else {
            continue;
        };
        let tier = tier.partition(at, &topic.name, 0);
        let summary = at_once(tier.load()).and_then(|loaded| loaded.ok().flatten());
        let from = summary.map_or(start, |summary| summary.log_start.get().max(start));
        found.insert(at, read(&tier, from, end));
    }
    found
}

fn read(tier: &PartitionTier, mut next: u64, end: u64) -> Result<Vec<SeenBatch>, String> {
    let mut all = Vec::new();
    while next < end {
        let from = Offset::new(next).ok_or("an offset beyond all bounds")?;
        match at_once(tier.read(from, 1 << 20, true)) {
            Some(Ok(some)) if some.next_offset > from => {
                all.extend(Batches::skim(&some.bytes));
                next = some.next_offset.get();
            }
            other => return Err(format!("of [.., {end}) nothing is read from {next} on: {other:?}")),
        }
    }
    Ok(all)
}
