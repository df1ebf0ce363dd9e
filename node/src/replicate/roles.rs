//! From the image to roles: which partitions this broker leads, follows or has nothing to do with any more.

use std::{collections::BTreeSet, sync::Arc};

use highwater_env::{EnvExt, Lane};
use highwater_metadata::{Entry, Image, MetadataRecord, ReplicationRecord, Topic};
use highwater_records::{BrokerId, PartitionIndex, TopicId, TopicIdPartition};

use super::{Membership, Ready, Watcher};
use crate::{Node, first_of::first_of, partition::Partition, stop::EndedByItself};

/// What entries have touched since somebody looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    /// Single partitions.
    pub(crate) partitions: BTreeSet<TopicIdPartition>,
    /// Topics that are no more.
    pub(crate) deleted: BTreeSet<TopicId>,
    /// Whether anything may have changed.
    pub(crate) everything: bool,
}

impl Touched {
    /// Adds what an entry touches.
    pub(crate) fn add(&mut self, entry: &Entry) {
        for record in &entry.records {
            match record {
                MetadataRecord::PartitionCreated { topic, partition, .. }
                | MetadataRecord::PartitionChanged { topic, partition, .. }
                | MetadataRecord::Replication(
                    ReplicationRecord::ReplicasAssigned { topic, partition, .. }
                    | ReplicationRecord::LeaderElectedUncleanly { topic, partition, .. },
                ) => {
                    let at = TopicIdPartition { topic_id: *topic, partition: *partition };
                    self.partitions.insert(at);
                }
                MetadataRecord::TopicDeleted { id } => drop(self.deleted.insert(*id)),
                // Rare, and what it touches depends on who leads what.
                MetadataRecord::EpochFloorRaised { .. } => self.everything = true,
                _ => {}
            }
        }
    }

    fn is_empty(&self) -> bool {
        *self == Touched::default()
    }
}

impl Node {
    /// Takes on roles as the image changes, until the node stops. What an entry does not touch is not looked at.
    pub(crate) async fn follow_image(self: Arc<Self>, membership: Arc<Membership>) {
        self.cluster.touch_everything();
        loop {
            let touched = self.cluster.take_touched();
            if self.cluster.is_superseded() {
                return self.end_by_itself(EndedByItself::Superseded).await;
            }
            if touched.is_empty() {
                let news = first_of(self.cluster.has_ended(), self.cluster.wait_touched());
                if first_of(self.stops(), news).await.is_left() {
                    return;
                }
                continue;
            }
            if first_of(self.stops(), self.take_roles(&membership, touched)).await.is_left() {
                return;
            }
        }
    }

    async fn take_roles(self: &Arc<Self>, membership: &Arc<Membership>, touched: Touched) {
        let image = self.image();
        if touched.everything {
            self.remove_strays(&image).await;
            for topic in image.topics() {
                for (index, _) in topic.numbered() {
                    self.take_role(membership, &image, topic, index).await;
                }
            }
        }
        for id in &touched.deleted {
            self.close_partitions(*id).await;
        }
        for at in touched.partitions {
            if let Some(topic) = image.topic(at.topic_id) {
                self.take_role(membership, &image, topic, at.partition).await;
            }
        }
    }

    async fn take_role(
        self: &Arc<Self>,
        membership: &Arc<Membership>,
        image: &Image,
        topic: &Arc<Topic>,
        index: PartitionIndex,
    ) {
        let id = TopicIdPartition { topic_id: topic.id, partition: index };
        let Some(assigned) = topic.partition(index) else { return };
        if !assigned.replicas.contains(&self.broker) {
            self.remove_replica(id).await;
            return;
        }
        // What this broker leads is opened when somebody asks for it.
        let open = self.partitions.if_open(id);
        if assigned.leader == Some(self.broker) && open.is_none() {
            return;
        }
        match self.partitions.get_replica(image, topic, index).await {
            Ok(partition) => {
                self.partitions.update_role(&partition).await;
                self.fetch_from_leader(membership, &partition).await;
            }
            Err(error) => {
                tracing::warn!(topic = %topic.name, partition = %index, %error, "its replica cannot be opened");
                self.try_role_again(membership, id);
            }
        }
    }

    /// Looks at one partition again after a while.
    fn try_role_again(self: &Arc<Self>, membership: &Arc<Membership>, id: TopicIdPartition) {
        let (node, backoff) = (self.clone(), membership.times.fetch_backoff);
        self.tasks.spawn(&self.env, Lane::Control, async move {
            if !first_of(node.stops(), node.env.sleep(backoff)).await.is_left() {
                node.cluster.touch(id);
            }
        });
    }

    /// Has the partition fetched from whoever it follows.
    pub(super) async fn fetch_from_leader(
        self: &Arc<Self>,
        membership: &Arc<Membership>,
        partition: &Arc<Partition>,
    ) {
        let Ok(Some(position)) = partition.see(|state| state.fetch_position()).await else { return };
        let due = self.fetcher_of(membership, position.from.leader);
        let watcher = Watcher::new(partition.id, &due);
        let _ = partition.with(move |state| state.report_to(watcher)).await;
        due.urgent(partition.id);
    }

    /// The partitions that are due at one leader, with a task that fetches them.
    fn fetcher_of(self: &Arc<Self>, membership: &Arc<Membership>, leader: BrokerId) -> Arc<Ready> {
        let mut following = membership.following.lock();
        if let Some(due) = following.get(&leader) {
            return due.clone();
        }
        let due = Arc::new(Ready::default());
        following.insert(leader, due.clone());
        drop(following);
        let task = self.clone().fetch_replicas(membership.clone(), leader, due.clone());
        self.tasks.spawn(&self.env, Lane::Control, task);
        due
    }

    /// Another broker has this replica now.
    async fn remove_replica(&self, id: TopicIdPartition) {
        self.delete_logs(self.partitions.take_one(id).into_iter().collect()).await;
    }

    /// Logs of partitions that went elsewhere, or of topics that were deleted, while this broker was away. The image is
    /// at least as new as this broker's registration, so what it does not name is no more.
    async fn remove_strays(&self, image: &Arc<Image>) {
        for (name, topic_id) in self.directory.logs() {
            let assigned = image.topic(topic_id).and_then(|topic| topic.partition(name.partition));
            if assigned.is_some_and(|assigned| assigned.replicas.contains(&self.broker)) {
                continue;
            }
            if !self.directory.is_vouched(&name) {
                tracing::warn!(
                    log = %name,
                    %topic_id,
                    "it belongs to no topic that has a replica here, and no checksum says that its partition.metadata is \
                     right: it is left alone"
                );
                continue;
            }
            let id = TopicIdPartition { topic_id, partition: name.partition };
            if self.partitions.if_open(id).is_some() {
                self.remove_replica(id).await;
                continue;
            }
            let (directory, gone) = (self.directory.clone(), name.clone());
            let deleted =
                self.env.run_blocking(Lane::Background, move || directory.delete_closed_log(&gone)).await;
            tracing::info!(log = %name, ?deleted, "a log without a partition here was removed");
        }
    }
}
