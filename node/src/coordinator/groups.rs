//! The group coordinator as the shell calls it.

use highwater_env::BoxFuture;
use std::marker::PhantomData;

use highwater_coordinator::{
    Ask, CommitOffsets, GroupConfig, GroupError, GroupReply, GroupShard, ListGroups, ListedGroup,
};
use highwater_metadata::config::GroupSettings;
use highwater_records::BrokerId;
use tokio::sync::oneshot;

use super::{
    Unavailable,
    topic::{InternalTopic, OFFSETS},
    transactions::transactions_topic,
};
use crate::{Endpoint, Node, request::Caller};

/// What a client looks for the coordinator of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoordinatorKey {
    /// A group.
    Group(String),
    /// A transactional id.
    Transaction(String),
}

/// A request that a group's shard has, and whose answer may be long in coming.
#[must_use = "the answer tells whether it was done"]
pub struct PendingGroup<R: Ask> {
    reply: Result<oneshot::Receiver<GroupReply>, GroupError>,
    kind: PhantomData<fn() -> R>,
}

impl<R: Ask> PendingGroup<R> {
    /// The answer.
    ///
    /// # Errors
    /// [`GroupError::NotCoordinator`], [`GroupError::NotAvailable`] and [`GroupError::Loading`]: look for the
    /// coordinator again. A request of unknown outcome ends so too.
    pub fn wait(self) -> BoxFuture<'static, Result<R::Answer, GroupError>> {
        Box::pin(async move {
            let reply = self.reply?.await.map_err(|_| GroupError::NotCoordinator)?;
            // A shard answers a request with the reply of the same name.
            R::answer(reply).ok_or(GroupError::NotAvailable)
        })
    }
}

impl Node {
    /// Puts a request before the coordinator of `group`. The order of calls is the order of handling.
    pub fn ask_group<R: Ask>(&self, caller: &Caller, group: &str, request: R) -> PendingGroup<R> {
        let _ = caller;
        let reply = self.groups.ask(group, request.into()).map_err(group_error);
        PendingGroup { reply, kind: PhantomData }
    }

    /// Keeps offsets: [`Node::ask_group`] for a commit.
    pub fn commit_offsets(&self, caller: &Caller, request: CommitOffsets) -> PendingGroup<CommitOffsets> {
        let group = request.group.clone();
        self.ask_group(caller, &group, request)
    }

    /// The groups that this broker coordinates.
    ///
    /// # Errors
    /// [`GroupError::Loading`] while any of them are not known yet.
    pub fn list_groups<'a>(
        &'a self,
        caller: &'a Caller,
    ) -> BoxFuture<'a, Result<Vec<ListedGroup>, GroupError>> {
        Box::pin(async move {
            let _ = caller;
            let mut asked = Vec::new();
            for partition in self.groups.led() {
                asked.push(self.groups.ask_partition(partition, ListGroups.into()).map_err(group_error)?);
            }
            let mut groups = Vec::new();
            for reply in asked {
                let reply = reply.await.map_err(|_| GroupError::NotCoordinator)?;
                groups.extend(ListGroups::answer(reply).unwrap_or_default());
            }
            groups.sort_by(|a, b| a.group.cmp(&b.group));
            Ok(groups)
        })
    }

    /// The broker that coordinates each key, and where it is found. The first question creates the coordinator's
    /// topic.
    pub fn find_coordinators<'a>(
        &'a self,
        caller: &'a Caller,
        keys: &'a [CoordinatorKey],
    ) -> BoxFuture<'a, Vec<Result<(BrokerId, Endpoint), GroupError>>> {
        Box::pin(async move {
            let _ = caller;
            let of_groups = keys.iter().any(|key| matches!(key, CoordinatorKey::Group(_)));
            let of_transactions = keys.iter().any(|key| matches!(key, CoordinatorKey::Transaction(_)));
            let topics = [
                of_groups.then(|| offsets_topic(&self.config.groups)),
                of_transactions.then(|| transactions_topic(&self.config.transactions)),
            ];
            for topic in topics.into_iter().flatten() {
                let name = topic.name;
                if let Err(error) = self.ensure_internal_topic(topic).await {
                    tracing::warn!(%error, "topic {name} cannot be created now");
                }
            }
            keys.iter().map(|key| self.coordinator_of(key)).collect()
        })
    }

    fn coordinator_of(&self, key: &CoordinatorKey) -> Result<(BrokerId, Endpoint), GroupError> {
        let leader = match key {
            CoordinatorKey::Group(group) => self.groups.leader_of(group),
            CoordinatorKey::Transaction(id) => self.transactions.leader_of(id),
        };
        // To a client a partition without leader is a coordinator that will come.
        let leader = leader.map_err(|_| GroupError::NotAvailable)?;
        let image = self.image();
        let found = image.brokers().get(&leader).and_then(|broker| broker.endpoints.first());
        let found = found.ok_or(GroupError::NotAvailable)?;
        Ok((leader, Endpoint { host: found.host.clone(), port: found.port }))
    }
}

pub(super) fn offsets_topic(settings: &GroupSettings) -> InternalTopic {
    InternalTopic {
        name: OFFSETS,
        partitions: settings.topic_partitions,
        replicas: settings.topic_replicas,
        segment_bytes: settings.topic_segment_bytes,
        configs: Vec::new(),
    }
}

fn group_error(unavailable: Unavailable) -> GroupError {
    match unavailable {
        Unavailable::NoTopic => GroupError::NotAvailable,
        Unavailable::Loading => GroupError::Loading,
        Unavailable::NotCoordinator => GroupError::NotCoordinator,
    }
}

/// What the shards are configured with.
pub(crate) fn group_shard(settings: &GroupSettings) -> GroupShard {
    GroupShard::new(GroupConfig {
        session_timeout_min_ms: settings.session_timeout_min_ms,
        session_timeout_max_ms: settings.session_timeout_max_ms,
        initial_rebalance_delay_ms: settings.initial_rebalance_delay_ms,
        size_max: settings.size_max as usize,
        offset_metadata_bytes_max: settings.offset_metadata_bytes_max as usize,
        offsets_retention_ms: i64::from(settings.offsets_retention_minutes) * 60_000,
        offsets_retention_check_ms: settings.offsets_retention_check_ms,
        consumer_session_timeout_ms: settings.consumer_session_timeout_ms,
        consumer_heartbeat_interval_ms: settings.consumer_heartbeat_interval_ms,
        consumer_assignment_interval_ms: settings.consumer_assignment_interval_ms,
        consumer_size_max: settings.consumer_size_max as usize,
        upgrades: settings.consumer_migration.0,
        downgrades: settings.consumer_migration.1,
    })
}
