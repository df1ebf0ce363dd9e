//! The partitions that are closed because nobody uses them, and what they are owed.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use highwater_env::{EnvExt, Lane};
use highwater_metadata::config::TopicConfig;
use highwater_records::{TimestampMs, TopicId, TopicIdPartition};
use highwater_tiering::planner::{Retention, local_start};

use crate::{
    partition::Partition,
    partitions::{FindError, Partitions},
    upkeep::{newest_ms, planned},
};

impl Partitions {
    /// Open partitions that nobody has asked for since this was last asked.
    pub(crate) fn idle(&self) -> Vec<TopicIdPartition> {
        let open = self.open.lock();
        let idle = open.partitions.iter().filter(|(_, partition)| !partition.was_used());
        idle.map(|(id, _)| *id).collect()
    }

    /// The partitions that this broker leads, that are closed, and to which something may be owed at `now`: a time has
    /// come that was known when they were closed, or they were not open yet.
    pub(crate) fn owed(&self, now: TimestampMs) -> Vec<TopicIdPartition> {
        let image = self.cluster.image();
        let open = self.open.lock();
        let mut owed = Vec::new();
        for topic in image.topics() {
            for (partition, assigned) in topic.numbered() {
                let id = TopicIdPartition { topic_id: topic.id, partition };
                let due = match open.parked.get(&id) {
                    Some(parked) => parked.due.is_some_and(|due| due <= now),
                    None => true,
                };
                if assigned.leader == Some(self.broker) && due && !open.partitions.contains_key(&id) {
                    owed.push(id);
                }
            }
        }
        owed
    }

    /// Configurations may have changed: what the closed partitions of a topic are owed by its new one nobody knows, so that
    /// they are visited.
    pub(crate) fn forget_dues(&self) {
        let image = self.cluster.image();
        let mut open = self.open.lock();
        let mut known: Option<(TopicId, Option<u64>)> = None;
        for (id, parked) in &mut open.parked {
            let config = match known {
                Some((topic, config)) if topic == id.topic_id => config,
                _ => image.topic(id.topic_id).and_then(|topic| Some(fingerprint(&self.config_of(topic)?))),
            };
            known = Some((id.topic_id, config));
            if config != Some(parked.config) {
                parked.due = Some(TimestampMs(i64::MIN));
            }
        }
    }

    /// Opens a partition for upkeep, which is no use of it. `None` if it is not led any more.
    pub(crate) async fn open_unused(
        &self,
        id: TopicIdPartition,
    ) -> Result<Option<Arc<Partition>>, FindError> {
        let image = self.cluster.image();
        let Some(topic) = image.topic(id.topic_id) else { return Ok(None) };
        if topic.partition(id.partition).is_none_or(|assigned| assigned.leader != Some(self.broker)) {
            return Ok(None);
        }
        self.get_replica(&image, topic, id.partition).await.map(Some)
    }

    /// Closes a partition unless somebody has it in hand or it has something to do, and remembers when it is owed
    /// something. Waits for syncs.
    pub(crate) async fn park(&self, id: TopicIdPartition, now: TimestampMs, rounds: Rounds) {
        // Whoever wants to open it waits until it is closed.
        let _turn = self.opening_turn(id).await;
        let Some(found) = self.if_open(id) else { return };
        let Rest::Until(due_of_tier) = rest(&found, now, rounds).await else { return };
        let config = fingerprint(&found.config());
        drop(found);
        let partition = {
            let mut open = self.open.lock();
            let found = open.partitions.get(&id).filter(|found| !found.in_use());
            // Handles come from this map, under this lock: with no other one there is none to come.
            let Some(1) = found.map(Arc::strong_count) else { return };
            // What is known of it is not known of a log that cannot be closed.
            open.parked.insert(id, Parked { due: Some(now), tier_known: false, config });
            open.partitions.remove(&id)
        };
        let Some(partition) = partition else { return };
        let Some(log) = partition.close().await else {
            self.open.lock().parked.remove(&id);
            return;
        };
        let cleaner = if rounds.cleans { log.compaction_next_due(now) } else { None };
        let due = [log.next_due(now), cleaner, due_of_tier].into_iter().flatten().min();
        let closed = self.env.run_blocking(Lane::Background, move || log.close(now)).await;
        match closed {
            Ok(Ok(())) if self.cluster.image().topic(id.topic_id).is_some() => {
                self.open.lock().parked.insert(id, Parked { due, tier_known: true, config });
            }
            Ok(Ok(())) => {
                self.open.lock().parked.remove(&id);
            }
            // It is recovered when it is opened next.
            Ok(Err(error)) => tracing::warn!(partition = %partition.name, %error, "could not be closed"),
            Err(error) => tracing::error!(partition = %partition.name, %error, "closing died"),
        }
    }
}

/// A partition that was open in this process and is closed.
#[derive(Clone, Copy)]
pub(crate) struct Parked {
    /// When it is owed something, if ever.
    due: Option<TimestampMs>,
    /// Whether its log was compared with the bucket and is closed in order.
    pub(crate) tier_known: bool,
    /// Tells the configuration that it had from others.
    config: u64,
}

fn fingerprint(config: &TopicConfig) -> u64 {
    let mut hasher = DefaultHasher::new();
    config.hash(&mut hasher);
    hasher.finish()
}

/// What a node's rounds go by, beside a partition's configuration.
#[derive(Clone, Copy)]
pub(crate) struct Rounds {
    /// Whether there is a cleaner.
    pub(crate) cleans: bool,
    /// How long what a head drops stays in the bucket, in milliseconds.
    pub(crate) history_ms: u64,
}

/// Whether a partition has something to do by itself.
enum Rest {
    /// Now, or soon.
    None,
    /// Not before this time, beside what its log owes anyway; `None` if never.
    Until(Option<TimestampMs>),
}

/// Looks whether a partition may be closed: not while the cleaner or the bucket has, or waits for, something of it.
async fn rest(partition: &Arc<Partition>, now: TimestampMs, Rounds { cleans, history_ms }: Rounds) -> Rest {
    let tier = partition.tier.clone();
    let config = partition.config();
    let found = partition.see(move |state| {
        if cleans && state.log.compaction_next_due(now) == Some(now) {
            return Rest::None;
        }
        let Some(tier) = tier else { return Rest::Until(None) };
        if !state.tier_known || !state.head_read {
            return Rest::None;
        }
        let summary = tier.summary();
        let tiered_end = summary.as_ref().map(|summary| summary.end);
        let sealed = state.log.sealed_segments();
        let uncopied = sealed.iter().any(|segment| Some(segment.next_offset) > tiered_end);
        // How old the first segment is that a page names, the head does not say.
        let unclear = summary.as_ref().is_some_and(|tier| tier.segments > 0 && tier.oldest_ms.is_none());
        if uncopied || (unclear && config.retention_ms.is_some()) {
            return Rest::None;
        }
        // Local copies that are too many, or too old, and are still here: the next round drops them.
        let planned: Vec<_> = sealed.iter().map(|segment| (planned(segment), newest_ms(segment))).collect();
        let sealed_bytes: u64 = sealed.iter().map(|segment| segment.size).sum();
        let active_bytes = state.log.size_bytes().saturating_sub(sealed_bytes);
        let limits = Retention { ms: config.local_retention_ms, bytes: config.local_retention_bytes };
        if let Some(end) = tiered_end
            && local_start(now.0, &limits, end, &planned, active_bytes).is_some()
        {
            return Rest::None;
        }
        let after = |from: i64, ms: Option<u64>| {
            Some(from.saturating_add(i64::try_from(ms?).unwrap_or(i64::MAX)).saturating_add(1))
        };
        let local = sealed.iter().filter_map(|segment| after(newest_ms(segment), config.local_retention_ms));
        let remote = summary.and_then(|tier| after(tier.oldest_ms?, config.retention_ms));
        match local.chain(remote).chain(tier.collect_due(history_ms)).min() {
            // Not done though it is time: something holds it up.
            Some(at) if at <= now.0 => Rest::None,
            at => Rest::Until(at.map(TimestampMs)),
        }
    });
    found.await.unwrap_or(Rest::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_partition_costs_next_to_nothing() {
        assert!(size_of::<Parked>() <= 32, "{}", size_of::<Parked>());
        assert!(size_of::<TopicIdPartition>() <= 20, "{}", size_of::<TopicIdPartition>());
    }
}
