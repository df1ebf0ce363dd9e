//! A leader's part in ending transactions, and the coordinator's part in taking partitions in.

use std::time::Duration;

use highwater_engine::MarkerEpoch;
use highwater_env::{BoxFuture, EnvExt};
use highwater_records::{BrokerEpoch, BrokerId, TopicIdPartition, batch::EndTxnMarker};

use super::{
    Unavailable,
    counted::until_counted,
    topic::{OFFSETS, TRANSACTIONS},
};
use crate::{
    Node,
    first_of::{First, first_of},
    museum::{Bug, has},
    peers::{MarkerRefusal, TransactionAnswer, TransactionCall, TransactionCallError, WriteMarkers},
    request::{Caller, EndTransaction, MarkerAttempt, ProduceError, TopicRef},
};

/// How long one attempt waits for markers to count.
const PATIENCE: Duration = Duration::from_secs(30);

impl Node {
    /// Does what another broker asks for the sake of a transaction.
    ///
    /// # Errors
    /// [`TransactionCallError`]: nothing was done.
    pub fn serve_transaction(
        &self,
        call: TransactionCall,
    ) -> BoxFuture<'_, Result<TransactionAnswer, TransactionCallError>> {
        Box::pin(async move {
            match call {
                TransactionCall::Markers(markers) => {
                    self.is_heard(markers.from, markers.broker_epoch)?;
                    Ok(TransactionAnswer::Markers(self.end_here(markers).await))
                }
                TransactionCall::Join(join) => {
                    self.is_heard(join.from, join.broker_epoch)?;
                    Ok(TransactionAnswer::Join(self.add_to_transaction(&join.caller, join.partitions).await))
                }
            }
        })
    }

    fn is_heard(&self, from: BrokerId, broker_epoch: BrokerEpoch) -> Result<(), TransactionCallError> {
        if self.membership.is_none() || self.is_stopping() {
            return Err(TransactionCallError::NotServing);
        }
        match self.image().registration(from).map(|latest| latest.epoch) {
            Some(registered) if registered == broker_epoch => Ok(()),
            Some(registered) if registered > broker_epoch => Err(TransactionCallError::StaleBroker),
            _ => Err(TransactionCallError::UnknownBroker),
        }
    }

    /// Writes the markers of partitions that this broker leads, answered in order once they count.
    pub(super) async fn end_here(&self, markers: WriteMarkers) -> Vec<Result<(), MarkerRefusal>> {
        let image = self.image();
        let shard = image.topic_named(TRANSACTIONS).and_then(|topic| topic.partition(markers.coordinator));
        let is_former = shard.is_some_and(|shard| image.leader_epoch(shard).0 > markers.coordinator_epoch);
        if is_former && !has(Bug::FormerCoordinatorEnds) {
            return vec![Err(MarkerRefusal::Fenced); markers.partitions.len()];
        }
        let (committed, coordinator_epoch) = (markers.committed, markers.coordinator_epoch);
        let rule = if markers.epoch_is_newer { MarkerEpoch::Newer } else { MarkerEpoch::SameOrNewer };
        let asked = markers.partitions.iter().map(|(at, leader_epoch)| EndTransaction {
            topic: match image.topic(at.topic_id) {
                Some(topic) if topic.name == OFFSETS => TopicRef::Name(OFFSETS.to_owned()),
                _ => TopicRef::Id(at.topic_id),
            },
            partition: at.partition.0.cast_signed(),
            producer_id: markers.producer_id,
            producer_epoch: markers.producer_epoch,
            marker: EndTxnMarker { committed, coordinator_epoch },
            rule,
            attempt: Some(MarkerAttempt { leader_epoch: *leader_epoch, number: markers.attempt }),
        });
        let caller = Caller { client_id: String::new(), address: "transaction coordinator".into() };
        let written = self.write_markers(&caller, asked.collect()).await;
        let mut answers = Vec::with_capacity(written.len());
        for ((at, _), answer) in markers.partitions.iter().zip(written) {
            answers.push(match answer {
                Ok(()) => Ok(()),
                // What makes this one late may itself not count yet.
                Err(ProduceError::InvalidProducerEpoch(_)) => match self.all_counts(*at).await {
                    true => Err(MarkerRefusal::Ended),
                    false => Err(MarkerRefusal::Later("its marker does not count yet".into())),
                },
                Err(ProduceError::CoordinatorFenced(_)) => Err(MarkerRefusal::Fenced),
                Err(
                    ProduceError::NotLeader
                    | ProduceError::UnknownTopicOrPartition
                    | ProduceError::UnknownTopicId,
                ) => Err(MarkerRefusal::NotLeader),
                // A marker that came twice, too: the answer to the other copy may be lost.
                Err(error) => Err(MarkerRefusal::Later(error.to_string())),
            });
        }
        answers
    }

    /// Whoever asked waits no longer than for any answer: it is to hear that this took too long.
    fn marker_patience(&self) -> Duration {
        self.membership.as_ref().map_or(PATIENCE, |own| (own.times.answer / 2).min(PATIENCE))
    }

    /// Waits until everything that a partition has now counts; `false` if it does not in time.
    async fn all_counts(&self, at: TopicIdPartition) -> bool {
        let Some(partition) = self.partitions.if_open(at) else { return false };
        let Ok(Ok((epoch, end))) =
            partition.see(|state| state.leading().map(|epoch| (epoch, state.log.positions().log_end))).await
        else {
            return false;
        };
        let counted = until_counted(&partition, epoch, end);
        matches!(first_of(counted, self.env.sleep(self.marker_patience())).await, First::Left(true))
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
            let patience = self.marker_patience();
            let mut others = self.end_transactions(caller, patience, others).await.wait().await.into_iter();
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
