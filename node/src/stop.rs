//! A clean stop: everything durable, then the marker that says so.

use std::sync::{Arc, atomic::Ordering};

use highwater_engine::Offline;
use highwater_env::{BoxFuture, EnvExt, Lane};
use parking_lot::Mutex;

use crate::{
    Node,
    join_all::{AT_ONCE, join_all},
    partition::Partition,
};

/// A node that could not be stopped cleanly: the next start recovers.
#[derive(Debug, thiserror::Error)]
#[error("not a clean stop: {0}")]
pub struct StopError(String);

/// Why a member of a cluster ended although nobody asked it to. It leads and serves nothing any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndedByItself {
    /// Another process has registered with its number.
    #[error("another process has taken this broker's place")]
    Superseded,
    /// A sync failed in its only data directory, and the controller knows, or could not be told in time (KIP-858). What is
    /// on the media is found out by starting it again.
    #[error(transparent)]
    DirectoryOffline(#[from] Offline),
}

impl Node {
    /// Completes once the node ends: with the reason if it ended by itself, as [`Node::abandon`] would end it, and with
    /// `None` if it was asked to.
    pub fn ends(&self) -> BoxFuture<'_, Option<EndedByItself>> {
        Box::pin(async move {
            self.stops().await;
            self.ended_by_itself.get().cloned()
        })
    }

    /// Stops serving, makes everything durable, closes the logs and marks the stop as clean. Whoever still waits for
    /// an acknowledgement is told that this broker leads no more. A second call does nothing.
    ///
    /// A member of a cluster first hands its leaderships over, as far as others can take them.
    ///
    /// # Errors
    /// [`StopError`] if anything could not be made durable, or if the node has ended by itself: there is no clean marker
    /// then.
    pub fn stop(&self) -> BoxFuture<'_, Result<(), StopError>> {
        Box::pin(async move {
            let superseded = self.cluster.is_superseded().then_some(EndedByItself::Superseded);
            if let Some(why) = superseded.or_else(|| self.ended_by_itself.get().cloned()) {
                self.tasks.ended().await;
                return Err(StopError(why.to_string()));
            }
            if let Some(membership) = self.membership.as_ref().filter(|_| !self.is_stopping()) {
                self.hand_over(membership).await;
            }
            if self.stopped.swap(true, Ordering::AcqRel) {
                return Ok(());
            }
            self.stopping.notify_waiters();
            self.groups.close().await;
            self.transactions.close().await;
            let partitions = self.partitions.close();
            for partition in &partitions {
                self.committer.ask(partition);
            }
            self.committer.stop();
            self.cluster.end();
            let closed_metadata = match &self.metadata {
                Some(metadata) => metadata.close().await,
                None => Ok(()),
            };
            // The tasks look out for the stop, and drop what they wait for from the bucket. Commits are never dropped: one
            // that still ran would write beside the closing of its log.
            self.tasks.ended().await;
            // Some of them were opening a log, which goes on without them.
            self.partitions.settled().await;
            let failure = Mutex::new(None);
            for some in partitions.chunks(AT_ONCE) {
                let work = some.iter().map(|partition| {
                    let failure = &failure;
                    Box::pin(async move {
                        if let Err(error) = self.close_partition(partition).await {
                            tracing::error!(partition = %partition.name, %error, "could not be closed");
                            failure.lock().get_or_insert(error);
                        }
                    }) as BoxFuture<'_, ()>
                });
                join_all(work.collect()).await;
            }
            if let Some(error) = failure.into_inner() {
                return Err(StopError(error));
            }
            let (directory, now) = (self.directory.clone(), self.wall());
            let closed = self
                .env
                .run_blocking(Lane::Background, move || directory.close(now))
                .await
                .map_err(|error| StopError(error.to_string()))?
                .map_err(|error| StopError(error.to_string()))?;
            if !closed.clean {
                tracing::warn!(
                    "a log is as an earlier crash left it: the next start reads what it has not read"
                );
            }
            closed_metadata.map_err(StopError)
        })
    }

    /// Ends the node as a crash would: nothing is synced, nothing is marked as clean, whoever waits is told that this
    /// broker leads no more. The directories are released once the last handle to the node is dropped.
    pub fn abandon(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if self.stopped.swap(true, Ordering::AcqRel) {
                return;
            }
            self.let_go().await;
            self.tasks.ended().await;
        })
    }

    /// Leads and serves nothing any more, and leaves the directories as a crash would.
    pub(crate) async fn end_by_itself(&self, why: EndedByItself) {
        tracing::error!(broker = %self.broker, %why, "this broker ends");
        let _ = self.ended_by_itself.set(why);
        if !self.stopped.swap(true, Ordering::AcqRel) {
            self.let_go().await;
        }
    }

    async fn let_go(&self) {
        self.stopping.notify_waiters();
        self.groups.close().await;
        self.transactions.close().await;
        for partition in self.partitions.close() {
            drop(partition.close().await);
        }
        self.committer.stop();
        self.cluster.end();
        if let Some(metadata) = &self.metadata {
            metadata.abandon();
        }
    }

    async fn close_partition(&self, partition: &Arc<Partition>) -> Result<(), String> {
        let Some(log) = partition.close().await else { return Ok(()) };
        let now = self.wall();
        self.env
            .run_blocking(Lane::Commit, move || log.close(now))
            .await
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())
    }
}
