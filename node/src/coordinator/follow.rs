//! Following the cluster: shards begin where leadership comes and end where it goes.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use highwater_coordinator::Shard;
use highwater_env::EnvExt;
use highwater_records::PartitionIndex;

use super::host::Host;
use crate::first_of::{First, first_of};

/// Before a shard is loaded again that an error has ended, whose partition this broker still leads.
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// The same where it ended since leadership had moved: the partition may not have heard of that yet.
const AFTER_LOSS: Duration = Duration::from_millis(20);

impl<S: Shard> Host<S> {
    /// Loads what this broker leads, drops what it leads no more, and tells shards of changed topics, until
    /// [`Host::close`].
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut closing = std::pin::pin!(self.closing.notified());
        closing.as_mut().enable();
        let mut seen = None;
        loop {
            if self.shards.lock().closed {
                return;
            }
            let image = self.ground.cluster.image();
            seen = image.applied().max(seen);
            self.drop_lost(&image);
            for id in self.led_in(&image) {
                // An error says that it is not the time yet: the one of an epoch before has not ended. Nobody need ask for
                // this one then, and transactions wait in it for their markers.
                let _ = self.running(id.partition.0);
            }
            let changed = self.ground.cluster.wait_after(seen);
            if let First::Left(()) = first_of(closing.as_mut(), first_of(changed, self.ended())).await {
                return;
            }
        }
    }

    /// Waits until a shard has ended, and a little longer.
    async fn ended(&self) {
        self.ended.notified().await;
        let pause = if self.failed.swap(false, Ordering::Relaxed) { AFTER_ERROR } else { AFTER_LOSS };
        self.ground.env.sleep(pause).await;
    }

    fn drop_lost(&self, image: &highwater_metadata::Image) {
        let running: Vec<_> = self.shards.lock().running.values().cloned().collect();
        for shard in running {
            let assigned = image
                .topic(shard.id.topic_id)
                .and_then(|topic| topic.partition(PartitionIndex(shard.id.partition.0)));
            let stays = assigned.is_some_and(|partition| {
                partition.leader == Some(self.ground.broker) && image.leader_epoch(partition) == shard.epoch
            });
            if stays { shard.topics_changed() } else { shard.lose() }
        }
    }
}
