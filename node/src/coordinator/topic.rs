//! The topics that coordinators keep their records in.

use std::collections::BTreeMap;

use highwater_env::BoxFuture;
use highwater_metadata::decide;
use highwater_records::TopicId;

use crate::{
    Node,
    cluster::ChangeError,
    join_all::{AT_ONCE, join_all},
};

/// Groups and their offsets.
pub(crate) const OFFSETS: &str = "__consumer_offsets";

/// Transactions.
pub(crate) const TRANSACTIONS: &str = "__transaction_state";

/// Whether clients may read a topic and not write it.
pub(crate) fn is_internal(name: &str) -> bool {
    matches!(name, OFFSETS | TRANSACTIONS | "__share_group_state")
}

/// The largest batch of a coordinator's topic. A group of ten thousand members is one record of several MB.
const BATCH_BYTES_MAX: u32 = 32 << 20;

/// What a coordinator's topic is to be.
pub(crate) struct InternalTopic {
    pub(crate) name: &'static str,
    pub(crate) partitions: u32,
    /// Replicas, or as many as there are brokers.
    pub(crate) replicas: u32,
    pub(crate) segment_bytes: u32,
    /// More configuration.
    pub(crate) configs: Vec<(&'static str, String)>,
}

impl Node {
    /// Creates a coordinator's topic if it does not exist. Its empty logs are durable on return.
    ///
    /// # Errors
    /// What the metadata log says; the caller tries again.
    pub(crate) async fn ensure_internal_topic(&self, topic: InternalTopic) -> Result<(), String> {
        if self.image().topic_named(topic.name).is_some() {
            return Ok(());
        }
        let id = TopicId::from_random(self.env.random(), self.env.random());
        self.partitions.created(id);
        let changed = self.cluster.change(|image| {
            let replicas = usize::try_from(topic.replicas).unwrap_or(usize::MAX).min(image.brokers().len());
            let mut configs = BTreeMap::from([
                ("cleanup.policy".to_owned(), "compact".to_owned()),
                ("max.message.bytes".to_owned(), BATCH_BYTES_MAX.to_string()),
                ("remote.storage.enable".to_owned(), "false".to_owned()),
                ("segment.bytes".to_owned(), topic.segment_bytes.to_string()),
            ]);
            configs.extend(topic.configs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
            let wish = decide::CreateTopic {
                name: topic.name.to_owned(),
                partitions: Some(topic.partitions),
                replication_factor: u32::try_from(replicas).ok(),
                assignments: BTreeMap::new(),
                configs,
            };
            decide::create_topic(image, &wish, &self.config, id)
        });
        let image = match changed.await {
            Ok(image) => image,
            // Somebody else was first.
            Err(ChangeError::Refused(decide::CreateTopicError::Exists(_))) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        let Some(created) = image.topic(id) else { return Ok(()) };
        let led: Vec<_> = created
            .numbered()
            .filter(|(_, partition)| partition.leader == Some(self.broker))
            .map(|(index, _)| index)
            .collect();
        for some in led.chunks(AT_ONCE) {
            let work = some
                .iter()
                .map(|index| Box::pin(self.create_log(&image, created, *index)) as BoxFuture<'_, ()>);
            join_all(work.collect()).await;
        }
        Ok(())
    }
}
