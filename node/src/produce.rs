//! Produce: append now, acknowledge when the durability asked for is reached.

use std::{sync::Arc, time::Duration};

use highwater_env::{BoxFuture, Env, EnvExt, Instant, Lane};
use highwater_records::TimestampMs;
use highwater_replication::Acks;
use tokio::sync::oneshot;

use crate::{
    Node,
    coordinator::is_internal,
    first_of::{First, first_of},
    partition::{AppendOutcome, Partition, check_batch},
    partitions::FindError,
    request::{Caller, EndTransaction, Produce, ProduceError, ProducePartition, Produced},
    transactional_produce::Verified,
};

/// Appends that are done, and acknowledgements that may not be yet.
#[must_use = "the acknowledgement tells whether the records are kept"]
pub struct PendingProduce {
    env: Arc<dyn Env>,
    deadline: Instant,
    partitions: Vec<Pending>,
}

pub(crate) enum Pending {
    Done(Result<Produced, ProduceError>),
    Waiting(Produced, oneshot::Receiver<Result<(), ProduceError>>),
}

impl Node {
    /// Appends the batches of each partition and returns once all are appended or refused; the caller may start
    /// its next request then. [`PendingProduce::wait`] gives the acknowledgements.
    ///
    /// Dropping the future may leave the batches of some partitions appended and others not.
    pub fn produce<'a>(&'a self, caller: &'a Caller, request: Produce) -> BoxFuture<'a, PendingProduce> {
        Box::pin(async move {
            let _ = caller;
            let deadline = self.env.now().plus(request.timeout);
            let mut partitions = Vec::with_capacity(request.partitions.len());
            for partition in request.partitions {
                partitions.push(
                    match self.produce_one(partition, request.acks, request.transactional, None).await {
                        Ok(pending) => pending,
                        Err(error) => {
                            self.counters.failed_produces.add(1);
                            Pending::Done(Err(error))
                        }
                    },
                );
            }
            PendingProduce { env: self.env.clone(), deadline, partitions }
        })
    }

    pub(crate) async fn produce_one(
        &self,
        request: ProducePartition,
        acks: Acks,
        transactional: bool,
        verified: Option<Verified>,
    ) -> Result<Pending, ProduceError> {
        let partition = self.partitions.find(&request.topic, request.partition).await.map_err(find_error)?;
        if is_internal(&partition.name.topic) {
            return Err(ProduceError::InternalTopic);
        }
        let config = partition.config();
        let batch = match config.compression {
            None => check_batch(request.records, &config, transactional)?,
            // Much work: not on a thread that serves connections.
            Some(_) => {
                let records = request.records;
                let work = move || check_batch(records, &config, transactional);
                let checked = self.env.run_blocking(Lane::ColdRead, work).await;
                checked.map_err(|_| ProduceError::Storage("the broker failed to compress".into()))??
            }
        };
        let now = TimestampMs(self.env.wall_ms());
        let appended = partition
            .with(move |state| {
                // Used up by the first batch of the transaction; the ones behind it find it open.
                if let Some(verified) = verified
                    && !state.verifications.use_up(verified)
                    && !state.has_open_transaction(&batch)
                {
                    return Err(ProduceError::InvalidTxnState("the transaction has ended meanwhile".into()));
                }
                state.append(batch, acks, now)
            })
            .await;
        let outcome = appended.map_err(|_| ProduceError::NotLeader)??;
        Ok(self.after_append(&partition, outcome))
    }

    /// Appends the markers that end transactions in partitions, as their coordinator decided, and returns once all are
    /// appended or refused. A marker counts once [`PendingProduce::wait`] says so.
    pub fn end_transactions<'a>(
        &'a self,
        caller: &'a Caller,
        timeout: Duration,
        requests: Vec<EndTransaction>,
    ) -> BoxFuture<'a, PendingProduce> {
        Box::pin(async move {
            let _ = caller;
            let deadline = self.env.now().plus(timeout);
            let mut partitions = Vec::with_capacity(requests.len());
            for request in requests {
                partitions
                    .push(self.end_one(request).await.unwrap_or_else(|error| Pending::Done(Err(error))));
            }
            PendingProduce { env: self.env.clone(), deadline, partitions }
        })
    }

    async fn end_one(&self, request: EndTransaction) -> Result<Pending, ProduceError> {
        let partition = self.partitions.find(&request.topic, request.partition).await.map_err(find_error)?;
        let now = TimestampMs(self.env.wall_ms());
        let appended = partition.with(move |state| state.end_transaction(&request, now)).await;
        let outcome = appended.map_err(|_| ProduceError::NotLeader)??;
        Ok(self.after_append(&partition, outcome))
    }

    fn after_append(&self, partition: &Arc<Partition>, outcome: AppendOutcome) -> Pending {
        if outcome.wants_commit {
            self.committer.ask(partition);
        }
        if let Some(appended) = outcome.appended {
            partition.counters.bytes_in.add(appended.bytes);
            partition.counters.records_in.add(appended.records);
        }
        match outcome.waiting {
            None => Pending::Done(Ok(outcome.produced)),
            Some(answer) => Pending::Waiting(outcome.produced, answer),
        }
    }
}

impl PendingProduce {
    pub(crate) fn new(env: Arc<dyn Env>, deadline: Instant, partitions: Vec<Pending>) -> PendingProduce {
        PendingProduce { env, deadline, partitions }
    }

    /// The acknowledgements, in the order of the request's partitions, at the latest at its deadline.
    pub fn wait(self) -> BoxFuture<'static, Vec<Result<Produced, ProduceError>>> {
        Box::pin(async move {
            let mut answers = Vec::with_capacity(self.partitions.len());
            for pending in self.partitions {
                answers.push(match pending {
                    Pending::Done(answer) => answer,
                    Pending::Waiting(produced, answer) => {
                        match first_of(answer, self.env.sleep_until(self.deadline)).await {
                            First::Left(Ok(acknowledged)) => acknowledged.map(|()| produced),
                            // The partition went away with its waiters.
                            First::Left(Err(_)) => Err(ProduceError::NotLeader),
                            First::Right(()) => Err(ProduceError::TimedOut),
                        }
                    }
                });
            }
            answers
        })
    }
}

pub(crate) fn find_error(error: FindError) -> ProduceError {
    match error {
        FindError::UnknownTopicOrPartition => ProduceError::UnknownTopicOrPartition,
        FindError::UnknownTopicId => ProduceError::UnknownTopicId,
        FindError::NotLeader => ProduceError::NotLeader,
        FindError::Storage(detail) => ProduceError::Storage(detail),
    }
}
