//! Reading the heads of partitions that may not be appended to before that.

use std::{sync::Arc, time::Duration};

use highwater_env::EnvExt;

use crate::{
    Node,
    first_of::first_of,
    partition::{Closed, Partition, State},
    upkeep::OffloadError,
};

/// How soon a bucket that did not answer is asked again; doubled each time.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// How late at most.
const LAST_RETRY: Duration = Duration::from_secs(5);

impl Node {
    /// Looks out for partitions that were opened without knowing their head, until the node stops.
    pub(crate) async fn read_heads(self: Arc<Self>) {
        loop {
            if first_of(self.stops(), self.partitions.wait_for_unknown()).await.is_left() {
                return;
            }
            for partition in self.partitions.take_unknown() {
                let node = self.clone();
                self.tasks.spawn(&self.env, highwater_env::Lane::Background, async move {
                    first_of(node.stops(), node.read_head(&partition)).await;
                });
            }
        }
    }

    /// Asks the bucket until it answers: producers of this partition wait for it.
    async fn read_head(&self, partition: &Arc<Partition>) {
        let Some(tier) = partition.tier.clone() else {
            // After an unclean election every log counts as unknown; without a bucket there is nothing to compare it with.
            let _ = partition.with(State::tier_is_known).await;
            return;
        };
        let mut retry = FIRST_RETRY;
        loop {
            match self.learn_tier(partition, &tier).await {
                Ok(_) | Err(OffloadError::Closed(Closed)) => return,
                Err(error) => {
                    tracing::warn!(partition = %partition.name, %error, "its head could not be read yet");
                }
            }
            self.env.sleep(retry).await;
            retry = LAST_RETRY.min(retry * 2);
        }
    }
}
