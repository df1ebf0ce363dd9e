//! A transactional producer, step by step, each again and again until it is answered.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use highwater_coordinator::{
    AddPartitions, BeginProducer, CommitOffsets, EndTransaction, Transaction, TransactionError,
};
use highwater_env::{BoxFuture, Env};
use highwater_node::{
    CoordinatorKey, Node,
    request::{Produce, ProduceError, ProducePartition, TopicRef},
};
use highwater_records::{ProducerEpoch, ProducerId};
use highwater_replication::Acks;

use super::{
    batch,
    hall::{Hall, OUTPUT, TXN_TIMEOUT_MS, caller, is_elsewhere, producer_name as name},
    happening::{Happening, Incarnation, Part, Txn, Used, Write},
};
use crate::{broker::Whom, random::Random};

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// It was done.
    Yes,
    /// It was not: the transaction is to be aborted, by beginning anew.
    No,
    /// Nobody knows, because it is time to end.
    Unknown,
}

/// The producer as its client knows it.
pub(super) struct Producer {
    id: u64,
    incarnation: Incarnation,
    /// Whether its epoch is raised with each transaction and partitions join by their first batch (KIP-890).
    pub(super) bumps: bool,
    producer: ProducerId,
    epoch: ProducerEpoch,
    next: BTreeMap<Part, i32>,
}

/// How often a step is tried before the client gives up: longer than a broker is down.
const TRIES: usize = 200;

impl Producer {
    /// A new one under this transactional id; `None` when it is time to end.
    pub(super) async fn begin(hall: &Hall, id: u64, bumps: bool) -> Option<Producer> {
        let incarnation = Incarnation(hall.number());
        hall.tell(Happening::ProducerAsks { incarnation, id });
        while !hall.is_over() {
            let begin = BeginProducer {
                id: name(id),
                timeout_ms: TXN_TIMEOUT_MS as i32,
                expected: None,
                fresh: None,
            };
            let answer = hall
                .call(coordinator(id), move |node| -> BoxFuture<'static, _> {
                    Box::pin(async move { node.begin_transactional(&caller(), begin).await })
                })
                .await;
            match answer {
                Some(Ok((producer, epoch))) => {
                    let identity = (producer.0, epoch.0);
                    hall.tell(Happening::ProducerBegan { incarnation, identity });
                    hall.world.stats.progress("transactional producers");
                    return Some(Producer { id, incarnation, bumps, producer, epoch, next: BTreeMap::new() });
                }
                Some(Err(TransactionError::NotAvailable)) => {
                    hall.find(CoordinatorKey::Transaction(name(id))).await;
                }
                Some(Err(_)) | None => {}
            }
            hall.pause(20, 200).await;
        }
        None
    }

    pub(super) fn begin_transaction(&self, hall: &Hall) -> Txn {
        let txn = Txn(hall.number());
        let (incarnation, timeout) = (self.incarnation, hall.txn_lasts);
        hall.tell(Happening::TxnBegins { txn, incarnation, timeout });
        txn
    }

    /// Adds a batch to the transaction.
    pub(super) async fn write(
        &mut self,
        hall: &Hall,
        txn: Txn,
        part: Part,
        used: Option<Used>,
        random: &mut Random,
    ) -> Done {
        if !self.bumps {
            let joined = self.add(hall, OUTPUT, part).await;
            if joined != Done::Yes {
                return joined;
            }
        }
        let (write, count) = (Write(hall.number()), random.between(1, 3) as u32);
        hall.tell(Happening::WriteAsked { write, txn, part, used });
        let sequence = self.next.get(&part).copied().unwrap_or(0);
        let records = batch::transactional(
            write,
            count,
            hall.world.clients.wall_ms(),
            (self.producer.0, self.epoch.0, sequence),
        );
        for _ in 0..TRIES {
            if hall.is_over() {
                return Done::Unknown;
            }
            let partition = ProducePartition {
                topic: TopicRef::Name(OUTPUT.to_owned()),
                partition: part.cast_signed(),
                records: records.clone(),
            };
            let timeout = Duration::from_secs(10);
            let produce =
                Produce { acks: Acks::All, timeout, transactional: true, partitions: vec![partition] };
            let (id, joins) = (name(self.id), self.bumps);
            let answer = hall
                .call(Whom::Leader(OUTPUT, part), move |node| -> BoxFuture<'static, _> {
                    Box::pin(async move {
                        node.produce_transactional(&caller(), &id, joins, produce).await.wait().await
                    })
                })
                .await;
            match answer.and_then(|answers| answers.into_iter().next()) {
                Some(Ok(produced)) => {
                    hall.tell(Happening::WriteAnswered { write, base: produced.base_offset.get() });
                    hall.world.stats.progress("transactional batches");
                    self.next.insert(part, sequence + count.cast_signed());
                    return Done::Yes;
                }
                Some(Err(error)) if is_passing(&error) => {}
                Some(Err(_)) => return Done::No,
                None => {}
            }
            hall.pause(20, 300).await;
        }
        Done::No
    }

    /// A partition joins the transaction, as the older protocol wants it.
    async fn add(&self, hall: &Hall, topic: &'static str, part: Part) -> Done {
        let add = self.join(vec![(topic.to_owned(), part.cast_signed())]);
        self.until_answered(hall, coordinator(self.id), move |node| {
            let add = add.clone();
            Box::pin(async move {
                let answers = node.add_to_transaction(&caller(), add).await?;
                answers.into_iter().collect::<Result<(), TransactionError>>()
            })
        })
        .await
        .0
    }

    /// Offsets of a group become part of the transaction.
    pub(super) async fn commit_offsets(&self, hall: &Hall, request: CommitOffsets) -> Done {
        let group = request.group.clone();
        if !self.bumps {
            let add = self.join(Vec::new());
            let (joined, _) = self
                .until_answered(hall, coordinator(self.id), move |node| {
                    let (group, add) = (group.clone(), add.clone());
                    Box::pin(async move { node.add_offsets_to_transaction(&caller(), &group, add).await })
                })
                .await;
            if joined != Done::Yes {
                return joined;
            }
        }
        let coordinates_group = Whom::Group(request.group.clone());
        let join = AddPartitions { verify_only: !self.bumps, ..self.join(Vec::new()) };
        let transaction = Some(Transaction { producer: self.producer, epoch: self.epoch });
        let request = CommitOffsets { transaction, ..request };
        let (done, answer) = self
            .until_answered(hall, coordinates_group, move |node| {
                let (join, request) = (join.clone(), request.clone());
                Box::pin(async move {
                    let answer = node.commit_transactional_offsets(&caller(), join, request).await?;
                    match answer {
                        Err(error) if is_elsewhere(error) => Err(TransactionError::NotAvailable),
                        answer => Ok(answer),
                    }
                })
            })
            .await;
        match answer {
            Some(Ok(each)) if each.iter().all(Result::is_ok) => done,
            Some(_) => Done::No,
            None => done,
        }
    }

    fn join(&self, partitions: Vec<(String, i32)>) -> AddPartitions {
        AddPartitions {
            id: name(self.id),
            producer_id: self.producer.0.cast_signed(),
            producer_epoch: self.epoch.0.cast_signed(),
            partitions,
            verify_only: false,
        }
    }

    /// Ends the transaction.
    pub(super) async fn end(&mut self, hall: &Hall, txn: Txn, committed: bool) -> Done {
        hall.tell(Happening::EndAsked { txn, committed });
        let end = EndTransaction {
            id: name(self.id),
            producer_id: self.producer.0.cast_signed(),
            producer_epoch: self.epoch.0.cast_signed(),
            committed,
            bumps_epoch: self.bumps,
            fresh: None,
        };
        let (done, next) = self
            .until_answered(hall, coordinator(self.id), move |node| {
                let end = end.clone();
                Box::pin(async move { node.end_transaction(&caller(), end).await })
            })
            .await;
        if let (Done::Yes, Some((producer, epoch))) = (done, next) {
            hall.tell(Happening::EndAnswered { txn });
            hall.world.stats.progress(if committed {
                "transactions committed"
            } else {
                "transactions aborted"
            });
            if self.bumps && (producer, epoch) != (self.producer, self.epoch) {
                (self.producer, self.epoch) = (producer, epoch);
                self.next.clear();
            }
        }
        done
    }

    /// Puts the question until it is answered by whoever coordinates this producer.
    async fn until_answered<T: Send + 'static>(
        &self,
        hall: &Hall,
        whom: Whom,
        ask: impl Fn(Arc<Node>) -> BoxFuture<'static, Result<T, TransactionError>> + Clone + Send + 'static,
    ) -> (Done, Option<T>) {
        for _ in 0..TRIES {
            if hall.is_over() {
                return (Done::Unknown, None);
            }
            match hall.call(whom.clone(), ask.clone()).await {
                Some(Ok(answer)) => return (Done::Yes, Some(answer)),
                Some(Err(TransactionError::NotAvailable)) => {
                    hall.find(CoordinatorKey::Transaction(name(self.id))).await;
                }
                Some(Err(error)) if is_retriable(error) => {}
                Some(Err(_)) => return (Done::No, None),
                None => {}
            }
            hall.pause(20, 300).await;
        }
        (Done::No, None)
    }
}

fn coordinator(id: u64) -> Whom {
    Whom::Transaction(name(id))
}

/// Whether the same may be asked again.
pub(crate) fn is_retriable(error: TransactionError) -> bool {
    matches!(
        error,
        TransactionError::Concurrent
            | TransactionError::NotCoordinator
            | TransactionError::Loading
            | TransactionError::NotAvailable
            | TransactionError::UnknownTopicOrPartition
    )
}

/// Whether the batch may be sent again.
pub(crate) fn is_passing(error: &ProduceError) -> bool {
    match error {
        ProduceError::Transaction(error) => is_retriable(*error),
        ProduceError::NotLeader
        | ProduceError::TimedOut
        | ProduceError::Storage(_)
        | ProduceError::NotEnoughReplicas
        | ProduceError::NotEnoughReplicasAfterAppend
        | ProduceError::UnknownTopicOrPartition => true,
        _ => false,
    }
}
