//! The partitions that are closed because nobody uses them, and what they are owed.

use std::sync::Arc;

use highwater_env::{EnvExt, Lane};
use highwater_records::{TimestampMs, TopicIdPartition};

use crate::{
    partition::Partition,
    partitions::{FindError, Partitions},
};

impl Partitions {
    /// Open partitions that nobody has asked for since this was last asked, as far as they may be closed: those with
    /// remote storage wait for the bucket's round, those that compact for the cleaner's.
    pub(crate) fn idle(&self) -> Vec<TopicIdPartition> {
        let open = self.open.lock();
        let idle =
            open.partitions.iter().filter(|(_, partition)| may_park(partition) && !partition.was_used());
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
                    Some(due) => due.is_some_and(|due| due <= now),
                    None => true,
                };
                if assigned.leader == Some(self.broker) && due && !open.partitions.contains_key(&id) {
                    owed.push(id);
                }
            }
        }
        owed
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

    /// Closes a partition unless somebody has it in hand, and remembers when it is owed something. Waits for syncs.
    pub(crate) async fn park(&self, id: TopicIdPartition, now: TimestampMs) {
        // Whoever wants to open it waits until it is closed.
        let _turn = self.opening_turn(id).await;
        let partition = {
            let mut open = self.open.lock();
            let found = open.partitions.get(&id).filter(|found| may_park(found) && !found.in_use());
            // Handles come from this map, under this lock: with no other one there is none to come.
            let Some(1) = found.map(Arc::strong_count) else { return };
            open.partitions.remove(&id)
        };
        let Some(partition) = partition else { return };
        let Some(log) = partition.close().await else { return };
        let due = log.next_due(now);
        let closed = self.env.run_blocking(Lane::Background, move || log.close(now)).await;
        match closed {
            Ok(Ok(())) if self.cluster.image().topic(id.topic_id).is_some() => {
                self.open.lock().parked.insert(id, due);
            }
            Ok(Ok(())) => {}
            // It is recovered when it is opened next.
            Ok(Err(error)) => tracing::warn!(partition = %partition.name, %error, "could not be closed"),
            Err(error) => tracing::error!(partition = %partition.name, %error, "closing died"),
        }
    }
}

fn may_park(partition: &Partition) -> bool {
    partition.tier.is_none() && partition.config().compaction.is_none()
}
