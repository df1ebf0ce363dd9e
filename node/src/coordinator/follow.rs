//! Following the cluster: shards begin where leadership comes and end where it goes.

use std::sync::Arc;

use highwater_coordinator::Shard;
use highwater_records::PartitionIndex;

use super::host::Host;
use crate::first_of::{First, first_of};

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
                // An error says that it is not the time yet; whoever asks tries again.
                let _ = self.running(id.partition.0);
            }
            let changed = self.ground.cluster.wait_after(seen);
            if let First::Left(()) = first_of(closing.as_mut(), changed).await {
                return;
            }
        }
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
