//! DescribeLogDirs and DescribeProducers: what there is on this broker.

use std::{collections::BTreeMap, path::Path};

use highwater_env::{BoxFuture, EnvExt, Lane};
use highwater_metadata::Topic;

use crate::{
    Node,
    request::{ActiveProducer, Caller, LogDirectory, LogSize, OfPartition, PartitionError},
};

impl Node {
    /// The data directory and the logs in it: of the partitions asked for by topic, or all. Unknown ones are left out.
    pub fn describe_log_directory<'a>(
        &'a self,
        caller: &'a Caller,
        asked: Option<BTreeMap<String, Vec<i32>>>,
    ) -> BoxFuture<'a, LogDirectory> {
        Box::pin(async move {
            let _ = caller;
            let image = self.image();
            let mut logs = Vec::new();
            for topic in image.topics() {
                let wanted = match &asked {
                    None => None,
                    Some(asked) => match asked.get(&topic.name) {
                        None => continue,
                        Some(partitions) => Some(partitions),
                    },
                };
                for (index, _) in topic.numbered() {
                    let partition = index.0.cast_signed();
                    if wanted.is_none_or(|wanted| wanted.contains(&partition))
                        && let Some(bytes) = self.local_bytes(topic, partition).await
                    {
                        logs.push(LogSize { topic: topic.name.clone(), partition, bytes });
                    }
                }
            }
            let (disk, path) = (self.disk.clone(), self.config.log_dir.clone());
            let space = self
                .env
                .run_blocking(Lane::Background, move || disk.space(Path::new(&path)).ok().flatten())
                .await;
            LogDirectory {
                path: self.config.log_dir.clone(),
                space: space.ok().flatten().map(|space| (space.total, space.usable)),
                logs,
            }
        })
    }

    async fn local_bytes(&self, topic: &Topic, partition: i32) -> Option<u64> {
        let found = self.partitions.find(&crate::request::TopicRef::Id(topic.id), partition).await.ok()?;
        found.see(|state| state.log.size_bytes()).await.ok()
    }

    /// The producers that each partition remembers, answered in order.
    pub fn describe_producers<'a>(
        &'a self,
        caller: &'a Caller,
        requests: Vec<OfPartition<()>>,
    ) -> BoxFuture<'a, Vec<Result<Vec<ActiveProducer>, PartitionError>>> {
        Box::pin(async move {
            let _ = caller;
            let mut answers = Vec::with_capacity(requests.len());
            for request in requests {
                answers.push(self.producers_of(&request).await);
            }
            answers
        })
    }

    async fn producers_of(&self, request: &OfPartition<()>) -> Result<Vec<ActiveProducer>, PartitionError> {
        let partition = self.partitions.find(&request.topic, request.partition).await?;
        let producers = partition.see(|state| {
            let active = state.log.producers().map(|(id, producer)| ActiveProducer {
                id,
                epoch: producer.epoch.0.cast_signed(),
                last_sequence: producer.last_sequence().map(|sequence| sequence.as_i32()),
                last_timestamp: producer.last_timestamp,
                coordinator_epoch: producer.coordinator_epoch,
                transaction_start: producer.transaction_start,
            });
            active.collect()
        });
        producers.await.map_err(|_| PartitionError::NotLeader)
    }
}
