//! Forgetting what nobody needs any more: old offsets, empty groups, offsets of deleted topics.

use alloc::{sync::Arc, vec::Vec};

use crate::{
    GroupShard,
    group::Timer,
    museum::{self, Bug},
    offsets::tombstone,
    shard::{Moment, Step},
};

/// How many tombstones one step writes at most; the rest follows in the next one.
const TOMBSTONES_MAX: usize = 2_000;

impl GroupShard {
    /// Forgets offsets whose retention is over (KIP-211) and groups that have neither members nor offsets.
    pub(crate) fn expire(&mut self, at: &Moment<'_>, step: &mut Step<GroupShard>) {
        let ids: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        for id in ids {
            self.expire_group(&id, at, step);
            if step.records.len() >= TOMBSTONES_MAX {
                return self.deadlines.set(Timer::Expiry, at.elapsed_ms);
            }
        }
        let next = at.elapsed_ms.saturating_add(self.config.offsets_retention_check_ms);
        self.deadlines.set(Timer::Expiry, next);
    }

    fn expire_group(&mut self, id: &Arc<str>, at: &Moment<'_>, step: &mut Step<GroupShard>) {
        let Some(group) = self.groups.get(id) else { return };
        let mut expired = Vec::new();
        for (topic, partitions) in self.offsets.of_group(id) {
            let is_read = group.is_subscribed_to(topic) && !group.is_empty();
            if is_read && !museum::has(Bug::OffsetsOfMembersExpire) {
                continue;
            }
            for (partition, stored) in partitions {
                let Some(since) = group.retention_since(stored.committed_at()) else { return };
                if stored.is_expired(since, at.wall.0, self.config.offsets_retention_ms)
                    && !self.offsets.is_pending(id, topic, *partition)
                {
                    expired.push((topic.clone(), *partition));
                }
            }
        }
        let may_go = group.is_empty();
        for (topic, partition) in expired {
            step.record(tombstone(id, &topic, partition));
            self.offsets.remove(id, &topic, partition);
        }
        if may_go && !self.offsets.has_any(id) {
            for record in group.tombstones(id) {
                step.record(record);
            }
            self.groups.remove(id);
        }
    }

    /// Forgets the offsets of topics that were deleted.
    pub(crate) fn forget_deleted_topics(&mut self, at: &Moment<'_>, step: &mut Step<GroupShard>) {
        for (group, topic, partition) in self.offsets.of_deleted_topics(at.topics) {
            step.record(tombstone(&group, &topic, partition));
            self.offsets.remove(&group, &topic, partition);
        }
    }
}
