//! Writing the markers that end transactions, until every partition has its own.

use std::{sync::Arc, time::Duration};

use highwater_coordinator::{EndMarkers, TransactionRequest};
use highwater_engine::MarkerEpoch;
use highwater_env::{BoxFuture, Lane};
use highwater_records::{PartitionIndex, batch::EndTxnMarker};

use super::{
    Unavailable,
    topic::{OFFSETS, TRANSACTIONS},
};
use crate::{
    Node,
    first_of::first_of,
    request::{Caller, EndTransaction, ProduceError, TopicRef},
};

/// Between attempts at partitions that do not take their marker now.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long one attempt waits for markers to count.
const PATIENCE: Duration = Duration::from_secs(30);

impl Node {
    /// Writes what shards ask for, each transaction by itself, until the node stops. What is left then is asked for
    /// again by whoever coordinates next.
    pub(crate) async fn write_asked_markers(self: Arc<Self>) {
        let work = async {
            loop {
                for (partition, markers) in self.markers.take().await {
                    let node = self.clone();
                    self.tasks.spawn(&self.env, Lane::Control, async move {
                        first_of(node.stops(), node.end_everywhere(partition, markers)).await;
                    });
                }
            }
        };
        first_of(self.stops(), work).await;
    }

    async fn end_everywhere(&self, shard: u32, markers: EndMarkers) {
        let Some(coordinator_epoch) = self.coordinator_epoch(shard) else { return };
        let mut left: Vec<(String, i32)> = markers
            .partitions
            .iter()
            .flat_map(|(topic, partitions)| partitions.iter().map(|partition| (topic.clone(), *partition)))
            .collect();
        let mut pause = PAUSE;
        loop {
            left = self.end_in(&markers, coordinator_epoch, left).await;
            if left.is_empty() {
                break;
            }
            self.env.sleep_until(self.env.now().plus(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
            if self.coordinator_epoch(shard) != Some(coordinator_epoch) {
                // Whoever coordinates now has read the decision, and writes the markers.
                return;
            }
        }
        let request = TransactionRequest::Marked {
            id: markers.id.clone(),
            producer_id: markers.producer_id,
            producer_epoch: markers.producer_epoch,
        };
        if let Err(error) = self.ask_transaction(&markers.id, request).await {
            tracing::debug!(id = markers.id, %error, "the next coordinator writes its markers again");
        }
    }

    /// The leader epoch of a shard's partition while this broker leads it.
    fn coordinator_epoch(&self, shard: u32) -> Option<u32> {
        let image = self.image();
        let partition = image.topic_named(TRANSACTIONS)?.partition(PartitionIndex(shard))?;
        (partition.leader == Some(self.broker)).then(|| image.leader_epoch(partition).0)
    }

    /// Writes the markers of some partitions; answers those that do not have theirs yet.
    async fn end_in(
        &self,
        markers: &EndMarkers,
        coordinator_epoch: u32,
        partitions: Vec<(String, i32)>,
    ) -> Vec<(String, i32)> {
        let asked = partitions
            .iter()
            .map(|(topic, partition)| EndTransaction {
                topic: TopicRef::Name(topic.clone()),
                partition: *partition,
                producer_id: markers.producer_id,
                producer_epoch: markers.producer_epoch,
                marker: EndTxnMarker { committed: markers.committed, coordinator_epoch },
                rule: if markers.epoch_is_newer { MarkerEpoch::Newer } else { MarkerEpoch::SameOrNewer },
            })
            .collect();
        let caller = Caller { client_id: String::new(), address: "transaction coordinator".into() };
        let answers = self.write_markers(&caller, asked).await;
        let mut left = Vec::new();
        for ((topic, partition), answer) in partitions.into_iter().zip(answers) {
            match answer {
                Ok(()) => {}
                Err(ProduceError::UnknownTopicOrPartition) if self.image().topic_named(&topic).is_none() => {
                    tracing::debug!(
                        id = markers.id,
                        topic,
                        partition,
                        "deleted before its transaction ended"
                    );
                }
                // It has its marker, from an attempt whose answer was lost.
                Err(ProduceError::InvalidProducerEpoch(_) | ProduceError::CoordinatorFenced(_)) => {}
                Err(error) => {
                    tracing::debug!(id = markers.id, topic, partition, %error, "no marker yet");
                    left.push((topic, partition));
                }
            }
        }
        left
    }

    /// Ends transactions in partitions that this broker leads, as their coordinator decided or an operator wants,
    /// answered in order. A marker counts once it is answered.
    pub fn write_markers<'a>(
        &'a self,
        caller: &'a Caller,
        requests: Vec<EndTransaction>,
    ) -> BoxFuture<'a, Vec<Result<(), ProduceError>>> {
        Box::pin(async move {
            let is_offsets = |request: &EndTransaction| request.topic == TopicRef::Name(OFFSETS.to_owned());
            let others = requests.iter().filter(|request| !is_offsets(request)).cloned().collect();
            let mut others = self.end_transactions(caller, PATIENCE, others).await.wait().await.into_iter();
            let mut answers = Vec::with_capacity(requests.len());
            for request in requests {
                answers.push(if is_offsets(&request) {
                    self.mark_group_offsets(request).await
                } else {
                    others.next().unwrap_or(Err(ProduceError::TimedOut)).map(drop)
                });
            }
            answers
        })
    }

    /// The partitions that keep offsets are marked by whoever applies the marker to the offsets too.
    async fn mark_group_offsets(&self, request: EndTransaction) -> Result<(), ProduceError> {
        let partition =
            u32::try_from(request.partition).map_err(|_| ProduceError::UnknownTopicOrPartition)?;
        let marked = self.groups.mark(partition, request).map_err(|unavailable| match unavailable {
            Unavailable::NoTopic => ProduceError::UnknownTopicOrPartition,
            Unavailable::Loading | Unavailable::NotCoordinator => ProduceError::NotLeader,
        })?;
        // The shard ended with the marker in it.
        marked.await.unwrap_or(Err(ProduceError::NotLeader))
    }
}
