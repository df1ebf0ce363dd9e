use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use highwater_coordinator::{Shard, partition_of};
use highwater_env::{Env, Lane};
use highwater_metadata::{Image, config::GroupBounds};
#[cfg(test)]
use highwater_records::LeaderEpoch;
use highwater_records::{BrokerId, PartitionIndex, TopicIdPartition};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::running::{Command, Life, Running};
use crate::{
    cluster::Cluster,
    commit::Committer,
    partitions::Partitions,
    request::{EndTransaction, ProduceError},
    tasks::Tasks,
};

/// What hosts stand on.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) env: Arc<dyn Env>,
    pub(crate) broker: BrokerId,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) partitions: Arc<Partitions>,
    pub(crate) committer: Arc<Committer>,
    pub(crate) bounds: GroupBounds,
}

/// What is done with a shard's effects: called with the life that the shard is in, once the effect's records count. Must
/// not block.
pub(super) type EffectOf<S> = Arc<dyn Fn(&Life, <S as Shard>::Effect) + Send + Sync>;

/// The shards of one coordinator topic that this broker leads.
///
/// A shard is loaded when its partition comes to this broker, or when it is first asked, and dropped when the partition
/// goes or an append fails.
pub(crate) struct Host<S: Shard> {
    pub(super) ground: Ground,
    pub(super) topic: &'static str,
    make: Box<dyn Fn(u32) -> S + Send + Sync>,
    effect: EffectOf<S>,
    pub(super) shards: Mutex<Shards<S>>,
    pub(super) closing: Notify,
    /// A shard has ended, perhaps although this broker leads its partition, or again does.
    pub(super) ended: Notify,
    /// Whether it was an error that ended one.
    pub(super) failed: AtomicBool,
    tasks: Tasks,
}

pub(super) struct Shards<S: Shard> {
    pub(super) running: BTreeMap<u32, Arc<Running<S>>>,
    pub(super) closed: bool,
}

/// Why a shard cannot be asked. The caller tries again, the last but one a little later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unavailable {
    /// The topic does not exist yet.
    #[error("the coordinator's topic does not exist")]
    NoTopic,
    /// The partition is being replayed.
    #[error("the coordinator is loading")]
    Loading,
    /// Another broker leads the partition, or this one no longer.
    #[error("not the coordinator")]
    NotCoordinator,
}

impl<S: Shard> Host<S> {
    /// A host of the shards of `topic`, which `make` makes empty by partition.
    pub(crate) fn new(
        ground: Ground,
        topic: &'static str,
        make: impl Fn(u32) -> S + Send + Sync + 'static,
        effect: impl Fn(&Life, S::Effect) + Send + Sync + 'static,
    ) -> Arc<Host<S>> {
        Arc::new(Host {
            ground,
            topic,
            make: Box::new(make),
            effect: Arc::new(effect),
            shards: Mutex::new(Shards { running: BTreeMap::new(), closed: false }),
            closing: Notify::new(),
            ended: Notify::new(),
            failed: AtomicBool::new(false),
            tasks: Tasks::default(),
        })
    }

    /// The partition that keeps what is known of `key`.
    pub(crate) fn partition_of(&self, key: &str) -> Result<u32, Unavailable> {
        let image = self.ground.cluster.image();
        let topic = image.topic_named(self.topic).ok_or(Unavailable::NoTopic)?;
        match u32::try_from(topic.partitions.len()) {
            Ok(count @ 1..) => Ok(partition_of(key, count)),
            _ => Err(Unavailable::NoTopic),
        }
    }

    /// Who coordinates `key`.
    pub(crate) fn leader_of(&self, key: &str) -> Result<BrokerId, Unavailable> {
        let partition = self.partition_of(key)?;
        let image = self.ground.cluster.image();
        let topic = image.topic_named(self.topic).ok_or(Unavailable::NoTopic)?;
        let partition = topic.partition(PartitionIndex(partition)).ok_or(Unavailable::NoTopic)?;
        partition.leader.ok_or(Unavailable::NotCoordinator)
    }

    /// Puts a request before the shard of `key`. The order of calls is the order of handling; the reply may be long in
    /// coming, and never comes if the shard ends: look for the coordinator again.
    pub(crate) fn ask(
        self: &Arc<Self>,
        key: &str,
        request: S::Request,
    ) -> Result<oneshot::Receiver<S::Reply>, Unavailable> {
        self.ask_partition(self.partition_of(key)?, request)
    }

    /// Like [`Host::ask`], for one partition.
    pub(crate) fn ask_partition(
        self: &Arc<Self>,
        partition: u32,
        request: S::Request,
    ) -> Result<oneshot::Receiver<S::Reply>, Unavailable> {
        let (sender, reply) = oneshot::channel();
        self.running(partition)?.push(Command::Ask(request, sender))?;
        Ok(reply)
    }

    /// Like [`Host::ask_partition`], of the shard in this life and in no other.
    pub(crate) fn ask_in(
        self: &Arc<Self>,
        life: &Life,
        request: S::Request,
    ) -> Result<oneshot::Receiver<S::Reply>, Unavailable> {
        let running = self.running(life.partition)?;
        if !running.is(life) {
            return Err(Unavailable::NotCoordinator);
        }
        let (sender, reply) = oneshot::channel();
        running.push(Command::Ask(request, sender))?;
        Ok(reply)
    }

    /// Appends the end of a transaction to a partition and applies it. The answer comes once the marker counts, or
    /// says why the log refused it; none comes if the shard ends before: the marker may be in the log all the same.
    pub(crate) fn mark(
        self: &Arc<Self>,
        partition: u32,
        request: EndTransaction,
    ) -> Result<oneshot::Receiver<Result<(), ProduceError>>, Unavailable> {
        let (sender, done) = oneshot::channel();
        let running = self.running(partition)?;
        if request.attempt.is_some_and(|attempt| attempt.leader_epoch != running.epoch) {
            return Err(Unavailable::NotCoordinator);
        }
        running.push(Command::Mark(request, sender))?;
        Ok(done)
    }

    /// In which leader epoch the shard of a partition serves, if it does.
    #[cfg(test)]
    pub(crate) fn serves_in(&self, partition: u32) -> Option<LeaderEpoch> {
        self.shards.lock().running.get(&partition).filter(|shard| shard.serves()).map(|shard| shard.epoch)
    }

    /// The partitions that this broker leads.
    pub(crate) fn led(&self) -> Vec<u32> {
        let image = self.ground.cluster.image();
        self.led_in(&image).into_iter().map(|id| id.partition.0).collect()
    }

    pub(super) fn led_in(&self, image: &Image) -> Vec<TopicIdPartition> {
        let Some(topic) = image.topic_named(self.topic) else { return Vec::new() };
        topic
            .numbered()
            .filter(|(_, partition)| partition.leader == Some(self.ground.broker))
            .map(|(index, _)| TopicIdPartition { topic_id: topic.id, partition: index })
            .collect()
    }

    /// The shard of a partition, which begins to load if it does not run.
    pub(super) fn running(self: &Arc<Self>, partition: u32) -> Result<Arc<Running<S>>, Unavailable> {
        let image = self.ground.cluster.image();
        let topic = image.topic_named(self.topic).ok_or(Unavailable::NoTopic)?;
        let assigned = topic.partition(PartitionIndex(partition)).ok_or(Unavailable::NoTopic)?;
        if assigned.leader != Some(self.ground.broker) {
            return Err(Unavailable::NotCoordinator);
        }
        let id = TopicIdPartition { topic_id: topic.id, partition: PartitionIndex(partition) };
        let epoch = image.leader_epoch(assigned);
        let mut shards = self.shards.lock();
        if shards.closed {
            return Err(Unavailable::NotCoordinator);
        }
        if let Some(running) = shards.running.get(&partition)
            && !running.has_ended()
        {
            if running.id == id && running.epoch == epoch {
                return Ok(running.clone());
            }
            // Of an epoch that is over. It must have ended before the next one is loaded, or two would append.
            running.lose();
            return Err(Unavailable::Loading);
        }
        let running = Arc::new(Running::new(id, epoch));
        shards.running.insert(partition, running.clone());
        drop(shards);
        let task = running.clone().run(self.ground.clone(), (self.make)(partition), self.effect.clone());
        let host = self.clone();
        self.tasks.spawn(&self.ground.env, Lane::Control, async move {
            if task.await.is_err() {
                host.failed.store(true, Ordering::Relaxed);
            }
            host.ended.notify_one();
        });
        Ok(running)
    }

    /// Ends every shard and loads none any more. Whoever waits is told to look for the coordinator again.
    pub(crate) async fn close(&self) {
        let running = {
            let mut shards = self.shards.lock();
            shards.closed = true;
            std::mem::take(&mut shards.running)
        };
        for shard in running.values() {
            shard.lose();
        }
        self.closing.notify_waiters();
        self.tasks.ended().await;
    }
}
