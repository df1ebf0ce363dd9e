//! Produce within a transaction: the coordinator must know of every partition before its first record, or nobody would
//! ever write the marker that ends it there (KIP-890).

use highwater_env::BoxFuture;
use std::{collections::BTreeMap, sync::Arc};

use highwater_coordinator::{AddPartitions, TransactionError};
use highwater_records::{ProducerEpoch, ProducerId, batch::BatchView};

use crate::{
    Node, PendingProduce,
    partition::Partition,
    produce::{Pending, find_error},
    request::{Caller, Produce, ProduceError, ProducePartition},
};

/// A promise that the coordinator was asked about a producer's transaction in a partition, and that no marker has
/// come there since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) producer: ProducerId,
    pub(crate) number: u64,
}

/// The promises of one partition that were given and not used. What they cost is bounded by the requests under way.
#[derive(Default)]
pub(crate) struct Verifications {
    given: BTreeMap<ProducerId, u64>,
    next: u64,
}

impl Verifications {
    /// Before the coordinator is asked.
    pub(crate) fn begin(&mut self, producer: ProducerId) -> Verified {
        let next = &mut self.next;
        let number = *self.given.entry(producer).or_insert_with(|| {
            *next += 1;
            *next
        });
        Verified { producer, number }
    }

    /// Whether the promise still holds; it is used up then.
    pub(crate) fn use_up(&mut self, verified: Verified) -> bool {
        let holds = self.given.get(&verified.producer) == Some(&verified.number);
        if holds {
            self.given.remove(&verified.producer);
        }
        holds
    }

    /// A marker was appended: what was asked before it does not count any more.
    pub(crate) fn ended(&mut self, producer: ProducerId) {
        self.given.remove(&producer);
    }
}

/// A partition of the request while its coordinator is asked.
enum Asked {
    /// It has records of this transaction already.
    Known,
    /// The coordinator is to say.
    New(Arc<Partition>, Verified),
    Refused(ProduceError),
}

impl Node {
    /// Like [`Node::produce`], for a producer with a transactional id. With `joins` the partitions join its transaction,
    /// as newer clients expect; those of older ones must be in it already.
    pub fn produce_transactional<'a>(
        &'a self,
        caller: &'a Caller,
        id: &'a str,
        joins: bool,
        request: Produce,
    ) -> BoxFuture<'a, PendingProduce> {
        Box::pin(async move {
            let deadline = self.env.now().plus(request.timeout);
            let mut asked = Vec::with_capacity(request.partitions.len());
            let mut unknown = Vec::new();
            let mut producer = None;
            for wanted in &request.partitions {
                asked.push(match self.look_up(wanted).await {
                    Err(error) => Asked::Refused(error),
                    Ok((_, None)) => Asked::Known,
                    Ok((partition, Some((owner, epoch, verified)))) => {
                        producer.get_or_insert((owner, epoch));
                        unknown.push((partition.name.topic.clone(), wanted.partition));
                        Asked::New(partition, verified)
                    }
                });
            }
            let mut answers = match producer {
                None => Vec::new(),
                Some((owner, epoch)) => {
                    let join = AddPartitions {
                        id: id.to_owned(),
                        producer_id: owner.0.cast_signed(),
                        producer_epoch: epoch.0.cast_signed(),
                        partitions: unknown.clone(),
                        verify_only: !joins,
                    };
                    match self.join_transaction(caller, join).await {
                        Ok(answers) => answers,
                        Err(error) => vec![Err(error); unknown.len()],
                    }
                }
            }
            .into_iter();
            let mut partitions = Vec::with_capacity(asked.len());
            for (wanted, asked) in request.partitions.into_iter().zip(asked) {
                let done = match asked {
                    Asked::Refused(error) => Err(error),
                    Asked::Known => self.produce_one(wanted, request.acks, true, None).await,
                    Asked::New(partition, verified) => {
                        match answers.next().unwrap_or(Err(TransactionError::NotAvailable)) {
                            Ok(()) => self.produce_one(wanted, request.acks, true, Some(verified)).await,
                            Err(error) => {
                                let _ =
                                    partition.with(move |state| state.verifications.use_up(verified)).await;
                                Err(ProduceError::Transaction(error))
                            }
                        }
                    }
                };
                partitions.push(self.pending(done));
            }
            PendingProduce::new(self.env.clone(), deadline, partitions)
        })
    }

    /// The partition, and what its coordinator is to be asked unless the transaction has records there already.
    async fn look_up(&self, wanted: &ProducePartition) -> Result<LookedUp, ProduceError> {
        let partition = self.partitions.find(&wanted.topic, wanted.partition).await.map_err(find_error)?;
        let producer = BatchView::parse(&wanted.records)
            .ok()
            .filter(BatchView::is_transactional)
            .and_then(|batch| batch.producer());
        // A batch that is part of no transaction, or none at all, is for the log to refuse.
        let Some(producer) = producer else { return Ok((partition, None)) };
        let (id, epoch) = (producer.id, producer.epoch);
        let verified = partition
            .with(move |state| {
                let known = state.log.producer(id);
                let open =
                    known.is_some_and(|known| known.transaction_start.is_some() && known.epoch == epoch);
                (!open).then(|| state.verifications.begin(id))
            })
            .await
            .map_err(|_| ProduceError::NotLeader)?;
        Ok((partition, verified.map(|verified| (id, epoch, verified))))
    }

    fn pending(&self, done: Result<Pending, ProduceError>) -> Pending {
        done.unwrap_or_else(|error| {
            self.counters.failed_produces.add(1);
            Pending::Done(Err(error))
        })
    }
}

type LookedUp = (Arc<Partition>, Option<(ProducerId, ProducerEpoch, Verified)>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_takes_back_what_was_asked_before_it() {
        let mut given = Verifications::default();
        let (one, other) = (ProducerId(1), ProducerId(2));
        let first = given.begin(one);
        assert_eq!(given.begin(one), first, "requests of one transaction share it");
        given.begin(other);
        given.ended(one);
        assert!(!given.use_up(first));
        let second = given.begin(one);
        assert!(!given.use_up(first) && given.use_up(second) && !given.use_up(second));
    }
}
