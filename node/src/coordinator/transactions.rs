//! The transaction coordinator as the shell calls it.

use std::sync::atomic::{AtomicU64, Ordering};

use highwater_coordinator::{
    AddPartitions, BeginProducer, CommitOffsets, DescribedTransaction, EndMarkers, EndTransaction,
    GroupError, ListedTransaction, TransactionConfig, TransactionError, TransactionReply, TransactionRequest,
    TransactionShard,
};
use highwater_env::BoxFuture;
use highwater_metadata::config::TransactionSettings;
use highwater_records::{ProducerEpoch, ProducerId};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    Unavailable,
    groups::offsets_topic,
    running::Life,
    topic::{InternalTopic, OFFSETS, TRANSACTIONS},
};
use crate::{Node, request::Caller};

/// Markers that shards want written, until the task that writes them takes them.
#[derive(Default)]
pub(crate) struct MarkerQueue {
    /// With the life of the shard that decided.
    waiting: Mutex<Vec<(Life, EndMarkers)>>,
    added: Notify,
    attempts: AtomicU64,
}

impl MarkerQueue {
    pub(crate) fn push(&self, life: &Life, markers: EndMarkers) {
        self.waiting.lock().push((life.clone(), markers));
        self.added.notify_one();
    }

    /// A number for an attempt to write markers, larger than any before.
    pub(super) fn next_attempt(&self) -> u64 {
        self.attempts.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Everything that waits, once something does.
    pub(super) async fn take(&self) -> Vec<(Life, EndMarkers)> {
        loop {
            let waiting = std::mem::take(&mut *self.waiting.lock());
            if !waiting.is_empty() {
                return waiting;
            }
            self.added.notified().await;
        }
    }
}

/// What became of a commit of offsets: of each partition, in the order of the request, or of all.
pub type CommittedOffsets = Result<Vec<Result<(), GroupError>>, GroupError>;

impl Node {
    /// A producer with a transactional id begins: every earlier one is fenced, and a transaction that one of them left
    /// open is aborted first.
    ///
    /// # Errors
    /// [`TransactionError`].
    pub fn begin_transactional<'a>(
        &'a self,
        caller: &'a Caller,
        mut request: BeginProducer,
    ) -> BoxFuture<'a, Result<(ProducerId, ProducerEpoch), TransactionError>> {
        Box::pin(async move {
            loop {
                let answer = match self
                    .ask_transaction(&request.id, TransactionRequest::Begin(request.clone()))
                    .await?
                {
                    TransactionReply::Begin(answer) => answer,
                    _ => return Err(TransactionError::NotAvailable),
                };
                match answer {
                    Err(TransactionError::NeedsProducerId) => {
                        request.fresh = Some(self.fresh_id(caller).await?)
                    }
                    answer => return answer,
                }
            }
        })
    }

    /// Partitions join a transaction, answered in order; all of them, or none.
    ///
    /// # Errors
    /// [`TransactionError`], for all of them.
    pub fn add_to_transaction<'a>(
        &'a self,
        caller: &'a Caller,
        request: AddPartitions,
    ) -> BoxFuture<'a, Result<Vec<Result<(), TransactionError>>, TransactionError>> {
        Box::pin(async move {
            let _ = caller;
            let id = request.id.clone();
            match self.ask_transaction(&id, TransactionRequest::Add(request)).await? {
                TransactionReply::Add(answer) => answer,
                _ => Err(TransactionError::NotAvailable),
            }
        })
    }

    /// Like [`Node::add_to_transaction`], of whichever broker coordinates it.
    pub(crate) async fn join_transaction(
        &self,
        caller: &Caller,
        request: AddPartitions,
    ) -> Result<Vec<Result<(), TransactionError>>, TransactionError> {
        let coordinator = self.transactions.leader_of(&request.id).map_err(transaction_error)?;
        match &self.membership {
            Some(membership) if coordinator != self.broker => {
                membership.join_transaction(coordinator, caller, request).await
            }
            _ => self.add_to_transaction(caller, request).await,
        }
    }

    /// The offsets of a group join a transaction: the partition that keeps them does. Only whether it has joined is
    /// looked at with [`AddPartitions::verify_only`]; the partitions of `request` do not matter.
    ///
    /// # Errors
    /// [`TransactionError`].
    pub fn add_offsets_to_transaction<'a>(
        &'a self,
        caller: &'a Caller,
        group: &'a str,
        mut request: AddPartitions,
    ) -> BoxFuture<'a, Result<(), TransactionError>> {
        Box::pin(async move {
            request.partitions = vec![self.partition_of_offsets(group).await?];
            let answers = self.add_to_transaction(caller, request).await?;
            answers.into_iter().collect()
        })
    }

    /// The partition that keeps a group's offsets. The first question creates its topic.
    async fn partition_of_offsets(&self, group: &str) -> Result<(String, i32), TransactionError> {
        if let Err(error) = self.ensure_internal_topic(offsets_topic(&self.config.groups)).await {
            tracing::warn!(%error, "the topic of groups cannot be created now");
        }
        let partition = self.groups.partition_of(group).map_err(transaction_error)?;
        Ok((OFFSETS.to_owned(), partition.cast_signed()))
    }

    /// Ends a transaction. The decision counts on return; markers follow, and nobody reads past the transaction before
    /// they are there.
    ///
    /// # Errors
    /// [`TransactionError`].
    pub fn end_transaction<'a>(
        &'a self,
        caller: &'a Caller,
        mut request: EndTransaction,
    ) -> BoxFuture<'a, Result<(ProducerId, ProducerEpoch), TransactionError>> {
        Box::pin(async move {
            loop {
                let answer = match self
                    .ask_transaction(&request.id, TransactionRequest::End(request.clone()))
                    .await?
                {
                    TransactionReply::End(answer) => answer,
                    _ => return Err(TransactionError::NotAvailable),
                };
                match answer {
                    Err(TransactionError::NeedsProducerId) => {
                        request.fresh = Some(self.fresh_id(caller).await?)
                    }
                    answer => return answer,
                }
            }
        })
    }

    /// Keeps offsets as part of a transaction: they count once it is committed. The group's partition joins the
    /// transaction, or is looked for in it with [`AddPartitions::verify_only`].
    ///
    /// # Errors
    /// [`GroupError`] of all partitions, or [`TransactionError`].
    pub fn commit_transactional_offsets<'a>(
        &'a self,
        caller: &'a Caller,
        mut join: AddPartitions,
        request: CommitOffsets,
    ) -> BoxFuture<'a, Result<CommittedOffsets, TransactionError>> {
        Box::pin(async move {
            join.partitions = vec![self.partition_of_offsets(&request.group).await?];
            // This broker coordinates the group; whoever coordinates the transaction may be another one.
            self.join_transaction(caller, join)
                .await?
                .into_iter()
                .collect::<Result<(), TransactionError>>()?;
            Ok(self.commit_offsets(caller, request).wait().await.flatten())
        })
    }

    /// The transactions that this broker coordinates, by id.
    ///
    /// # Errors
    /// [`TransactionError::Loading`] while any of them are not known yet.
    pub fn list_transactions<'a>(
        &'a self,
        caller: &'a Caller,
    ) -> BoxFuture<'a, Result<Vec<ListedTransaction>, TransactionError>> {
        Box::pin(async move {
            let _ = caller;
            let mut asked = Vec::new();
            for partition in self.transactions.led() {
                let reply = self.transactions.ask_partition(partition, TransactionRequest::List);
                asked.push(reply.map_err(transaction_error)?);
            }
            let mut listed = Vec::new();
            for reply in asked {
                match reply.await {
                    Ok(TransactionReply::List(some)) => listed.extend(some),
                    _ => return Err(TransactionError::NotCoordinator),
                }
            }
            listed.sort_by(|a, b| a.id.cmp(&b.id));
            Ok(listed)
        })
    }

    /// One transaction in full.
    ///
    /// # Errors
    /// [`TransactionError`].
    pub fn describe_transaction<'a>(
        &'a self,
        caller: &'a Caller,
        id: &'a str,
    ) -> BoxFuture<'a, Result<DescribedTransaction, TransactionError>> {
        Box::pin(async move {
            let _ = caller;
            match self.ask_transaction(id, TransactionRequest::Describe(id.to_owned())).await? {
                TransactionReply::Describe(answer) => answer,
                _ => Err(TransactionError::NotAvailable),
            }
        })
    }

    pub(super) async fn ask_transaction(
        &self,
        id: &str,
        request: TransactionRequest,
    ) -> Result<TransactionReply, TransactionError> {
        if id.is_empty() {
            return Err(TransactionError::InvalidRequest);
        }
        let reply = self.transactions.ask(id, request).map_err(transaction_error)?;
        // The shard ended with the request in it.
        reply.await.map_err(|_| TransactionError::NotCoordinator)
    }

    async fn fresh_id(&self, caller: &Caller) -> Result<ProducerId, TransactionError> {
        match self.init_producer_id(caller).await {
            Ok((id, _)) => Ok(id),
            Err(error) => {
                tracing::warn!(%error, "no producer id for a transactional producer");
                Err(TransactionError::Loading)
            }
        }
    }
}

pub(super) fn transactions_topic(settings: &TransactionSettings) -> InternalTopic {
    InternalTopic {
        name: TRANSACTIONS,
        partitions: settings.topic_partitions,
        replicas: settings.topic_replicas,
        segment_bytes: settings.topic_segment_bytes,
        configs: vec![("min.insync.replicas", settings.topic_min_isr.to_string())],
    }
}

fn transaction_error(unavailable: Unavailable) -> TransactionError {
    match unavailable {
        Unavailable::NoTopic => TransactionError::NotAvailable,
        Unavailable::Loading => TransactionError::Loading,
        Unavailable::NotCoordinator => TransactionError::NotCoordinator,
    }
}

/// What the shards are configured with.
pub(crate) fn transaction_shard(settings: &TransactionSettings) -> TransactionShard {
    TransactionShard::new(TransactionConfig {
        timeout_max_ms: i32::try_from(settings.timeout_max_ms).unwrap_or(i32::MAX),
        id_expiration_ms: i64::from(settings.id_expiration_ms),
        expiration_check_ms: settings.expiration_check_ms,
    })
}
