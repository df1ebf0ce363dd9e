//! What a partition is owed from time to time: rolling, copying to the bucket, retention, checkpoints.

mod compaction;
mod heads;
mod mend;
mod offload;
mod parking;
mod retention;
mod scrub;

pub(crate) use offload::{OffloadError, newest_ms, planned};

use std::{sync::Arc, time::Duration};

use highwater_engine::{CheckpointError, LogDir};
use highwater_env::{BoxFuture, EnvExt, Instant, Lane};
use highwater_metadata::config::TopicConfig;

use crate::{
    Node,
    first_of::first_of,
    join_all::{AT_ONCE, join_all},
    partition::{Closed, Partition},
};

/// When each duty is due next.
struct Due {
    retention: Instant,
    offload: Instant,
    checkpoints: Instant,
}

/// What is done to every partition at its interval.
#[derive(Clone, Copy)]
enum Duty {
    Offload,
    Retain,
}

impl Node {
    /// Does what is due until the node stops. One task per data directory.
    ///
    /// A stop does not wait for the bucket: what was under way there is dropped, as in a crash, and taken up again by
    /// the next start.
    pub(crate) async fn upkeep(self: Arc<Self>) {
        first_of(self.stops(), self.do_what_is_due()).await;
    }

    async fn do_what_is_due(&self) {
        let retention_interval = Duration::from_millis(self.config.retention_check_interval_ms);
        let offload_interval = Duration::from_millis(self.config.offload_interval_ms);
        let checkpoint_interval = Duration::from_millis(self.config.checkpoint_interval_ms);
        let now = self.env.now();
        let mut due = Due {
            retention: now.plus(retention_interval),
            offload: now.plus(offload_interval),
            checkpoints: now.plus(checkpoint_interval),
        };
        loop {
            let next = due.retention.min(due.offload).min(due.checkpoints);
            self.env.sleep_until(next).await;
            let now = self.env.now();
            if now >= due.offload {
                self.for_each_led(Duty::Offload).await;
                due.offload = self.env.now().plus(offload_interval);
            }
            if now >= due.retention {
                // Of synced topics only what lies in its own files may be deleted.
                self.settle(LogDir::settle).await;
                self.for_each_led(Duty::Retain).await;
                self.for_each_followed().await;
                self.purge_deleted_topics().await;
                due.retention = self.env.now().plus(retention_interval);
            }
            if now >= due.checkpoints {
                self.write_checkpoints().await;
                due.checkpoints = self.env.now().plus(checkpoint_interval);
            }
        }
    }

    /// Several partitions at once, so that one that waits for the bucket does not hold up the others.
    async fn for_each_led(&self, duty: Duty) {
        // Closed ones without a bucket, and those that were closed again, are visited when something is owed to them:
        // `parking`.
        let all = self.membership.is_some();
        let wanted = |config: &TopicConfig| all || config.remote_storage;
        for some in self.partitions.led(wanted).await.chunks(AT_ONCE) {
            let work =
                some.iter().map(|partition| Box::pin(self.do_one(duty, partition)) as BoxFuture<'_, ()>);
            join_all(work.collect()).await;
        }
    }

    async fn for_each_followed(&self) {
        for partition in self.all_followed().await {
            self.retain_followed(&partition).await;
        }
    }

    /// The partitions that this broker has a replica of and does not lead.
    async fn all_followed(&self) -> Vec<Arc<Partition>> {
        let mut followed = Vec::new();
        if self.membership.is_some() {
            for partition in self.partitions.all_open() {
                if matches!(partition.see(|state| state.leading()).await, Ok(Err(Closed))) {
                    followed.push(partition);
                }
            }
        }
        followed
    }

    async fn do_one(&self, duty: Duty, partition: &Arc<Partition>) {
        let _turn = partition.upkeep.lock().await;
        self.roll_if_due(partition).await;
        match duty {
            Duty::Offload => self.offload(partition).await,
            Duty::Retain => self.retain(partition).await,
        }
    }

    /// Seals the active segment where its time is over, also when nothing is appended any more.
    async fn roll_if_due(&self, partition: &Arc<Partition>) {
        let now = self.wall();
        // Few are due at any time, and a thread is needed only for those.
        let is_due = partition.see(move |state| state.log.roll_due().is_some_and(|due| due <= now)).await;
        if !matches!(is_due, Ok(true)) {
            return;
        }
        let moved = partition.clone();
        let rolled = self
            .env
            .run_blocking(Lane::Background, move || {
                moved.with_blocking(|state| match state.log.roll_due() {
                    Some(due) if due <= now => state.log.roll(now),
                    _ => Ok(false),
                })
            })
            .await;
        let rolled = match rolled {
            Ok(Ok(rolled)) => Ok(rolled),
            // Nothing is owed to a partition that is closed.
            Ok(Err(Closed)) => return,
            Err(error) => Err(error),
        };
        match rolled {
            Ok(Ok(true)) => tracing::debug!(partition = %partition.name, "rolled by time"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::warn!(partition = %partition.name, %error, "could not roll"),
            Err(error) => tracing::error!(partition = %partition.name, %error, "rolling died"),
        }
    }

    /// Makes room in the journal before it is needed, until the node stops.
    pub(crate) async fn settle_when_asked(self: Arc<Self>) {
        while !first_of(self.stops(), self.committer.pressed.notified()).await.is_left() {
            self.settle(LogDir::relieve).await;
        }
    }

    async fn settle(&self, how: fn(&LogDir) -> Result<(), CheckpointError>) {
        let directory = self.directory.clone();
        match self.env.run_blocking(Lane::Background, move || how(&directory)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the journal could not be settled"),
            Err(error) => tracing::error!(%error, "settling the journal died"),
        }
    }

    /// Writes the positions that changed to the checkpoint files.
    pub(crate) async fn write_checkpoints(&self) {
        let directory = self.directory.clone();
        // Where no topic is synced, these are the only disk operations that somebody waits for.
        let _under_way = self.committer.begin();
        match self.env.run_blocking(Lane::Background, move || directory.write_checkpoints()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "could not write checkpoints"),
            Err(error) => tracing::error!(%error, "writing checkpoints died"),
        }
    }
}
