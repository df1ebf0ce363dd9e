//! Partitions that nobody uses have no descriptor and next to no memory: their logs are closed again, and opened when
//! somebody asks for them or something is owed to them.

use std::{sync::Arc, time::Duration};

use highwater_env::{BoxFuture, EnvExt};
use highwater_records::TopicIdPartition;

use crate::{
    Node,
    first_of::first_of,
    join_all::{AT_ONCE, join_all},
    parked::Rounds,
    partition::Partition,
};

impl Node {
    /// Closes the logs that nobody has used for a round of retention, and visits the closed ones to which something is
    /// owed, until the node stops. A task of its own, which looks out for the stop between two logs: none is left half
    /// closed.
    ///
    /// After a stop that was not clean every log is visited at once, so that it is recovered: several side by side.
    pub(crate) async fn parking(self: Arc<Self>) {
        let interval = Duration::from_millis(self.config.retention_check_interval_ms);
        if self.membership.is_some() {
            // A replica's leader or its followers talk to it all the time.
            return;
        }
        if !self.directory.clean_at_open() {
            self.visit_closed(false).await;
        }
        while !self.is_stopping() {
            first_of(self.stops(), self.env.sleep(interval)).await;
            self.park_idle().await;
            self.visit_closed(true).await;
        }
    }

    async fn park_idle(&self) {
        for id in self.partitions.idle() {
            if self.is_stopping() {
                return;
            }
            if let Some(partition) = self.partitions.if_open(id)
                && partition.tier.is_some()
            {
                // What the bucket is owed of it is done first, so that nothing is forgotten until its next time.
                self.give_what_is_owed(&partition).await;
            }
            self.park(id).await;
        }
    }

    async fn park(&self, id: TopicIdPartition) {
        let rounds =
            Rounds { cleans: self.config.compaction_enabled, history_ms: self.config.history_retention_ms };
        self.partitions.park(id, self.wall(), rounds).await;
    }

    /// Until the node stops: that does not wait for the bucket.
    async fn give_what_is_owed(&self, partition: &Arc<Partition>) {
        let giving = async {
            let _turn = partition.upkeep.lock().await;
            self.roll_if_due(partition).await;
            self.offload(partition).await;
            self.retain(partition).await;
        };
        first_of(self.stops(), giving).await;
    }

    /// What is closed is opened, gets what it is owed if it is `due`, and is closed again, a few at a time.
    async fn visit_closed(&self, due: bool) {
        let owed = self.partitions.owed(self.wall());
        for some in owed.chunks(AT_ONCE) {
            if self.is_stopping() {
                return;
            }
            let visits = some.iter().map(|id| Box::pin(self.visit(*id, due)) as BoxFuture<'_, ()>);
            join_all(visits.collect()).await;
        }
    }

    async fn visit(&self, id: TopicIdPartition, due: bool) {
        match self.partitions.open_unused(id).await {
            Ok(Some(partition)) if due => self.give_what_is_owed(&partition).await,
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(topic = ?id.topic_id, partition = %id.partition, %error, "cannot open");
                return;
            }
        }
        self.park(id).await;
    }
}
