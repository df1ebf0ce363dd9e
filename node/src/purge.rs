//! Removing what deleted topics have stored: local logs at once, objects in the bucket after their grace period.
//!
//! A deleted topic stays in the metadata log until nothing of it is left, so that a crash, or a bucket that is away,
//! leaks nothing: whoever starts next goes on.

use std::sync::Arc;

use highwater_engine::LogName;
use highwater_env::{EnvExt, Lane};
use highwater_metadata::{Topic, config::TopicConfig, decide};
use highwater_records::{PartitionIndex, TopicId, TopicIdPartition};
use tokio::sync::oneshot;

use crate::{Node, partition::Partition, upkeep::OffloadError};

impl Node {
    /// Goes on with every deleted topic.
    pub(crate) async fn purge_deleted_topics(&self) {
        let deleted: Vec<_> = self.image().deleted_topics().cloned().collect();
        for topic in deleted {
            self.purge_topic(&topic).await;
        }
    }

    /// Removes what can be removed of one deleted topic now.
    pub(crate) async fn purge_topic(&self, topic: &Arc<Topic>) {
        self.close_topic(topic).await;
        // One broker speaks to the bucket for all.
        if self.membership.is_some() && !self.cluster.log().leadership().is_local {
            return;
        }
        match self.purge_partitions(topic).await {
            Ok(true) => {
                let purged = self
                    .cluster
                    .change(|image| Ok::<_, std::convert::Infallible>(decide::purge_topic(image, topic.id)))
                    .await;
                if let Err(error) = purged {
                    tracing::warn!(topic = %topic.name, %error, "could not record that it is purged");
                }
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(topic = %topic.name, %error, "cannot be removed yet, will be tried again");
            }
        }
    }

    /// Closes the partitions of a deleted topic and removes their local logs, so that its name can be used again.
    pub(crate) async fn close_topic(&self, topic: &Arc<Topic>) {
        self.close_partitions(topic.id).await;
    }

    /// Closes the partitions of a topic that is no more and removes their local logs.
    pub(crate) async fn close_partitions(&self, topic: TopicId) {
        self.delete_logs(self.partitions.take_topic(topic)).await;
    }

    /// Closes partitions that were taken out and removes their local logs, whatever becomes of the caller: a stop waits
    /// for it, for a log that nobody closed would be found as after a crash, and not it alone.
    pub(crate) async fn delete_logs(&self, taken: Vec<Arc<Partition>>) {
        if taken.is_empty() {
            return;
        }
        let (env, directory) = (self.env.clone(), self.directory.clone());
        let (ended, end) = oneshot::channel();
        self.tasks.spawn(&self.env, Lane::Background, async move {
            for partition in taken {
                let Some(log) = partition.close().await else { continue };
                let directory = directory.clone();
                let deleted = env.run_blocking(Lane::Background, move || directory.delete_log(log)).await;
                if !matches!(deleted, Ok(Ok(()))) {
                    tracing::warn!(partition = %partition.name, ?deleted, "its local log could not be deleted now");
                }
            }
            let _ = ended.send(());
        });
        let _ = end.await;
    }

    /// Whether nothing is left of any partition.
    async fn purge_partitions(&self, topic: &Arc<Topic>) -> Result<bool, OffloadError> {
        let mut nothing_left = true;
        for (index, partition) in topic.numbered() {
            self.delete_local(topic, index).await?;
            let tiered = TopicConfig::resolve(&topic.configs, &self.live.get(), partition.replicas.len())
                .is_ok_and(|config| config.remote_storage);
            if let (Some(tier), true) = (&self.tier, tiered) {
                let id = TopicIdPartition { topic_id: topic.id, partition: index };
                let tier = tier.partition(id, &topic.name, 0);
                let epoch = self.image().leader_epoch(partition);
                tier.delete(epoch).await?;
                nothing_left &=
                    tier.collect(epoch, self.wall().0, self.config.history_retention_ms).await?.forgotten;
            }
        }
        Ok(nothing_left)
    }

    async fn delete_local(&self, topic: &Arc<Topic>, partition: PartitionIndex) -> Result<(), OffloadError> {
        let name = LogName { topic: topic.name.clone(), partition };
        let (directory, id) = (self.directory.clone(), topic.id);
        self.env
            .run_blocking(Lane::Background, move || match directory.topic_id_of(&name) {
                // The name may belong to a new topic by now.
                Some(found) if found == id => directory.delete_closed_log(&name),
                _ => Ok(()),
            })
            .await
            .map_err(|error| OffloadError::Local(error.to_string()))?
            .map_err(|error| OffloadError::Local(error.to_string()))
    }
}
