//! A client's way to the broker that leads: it knows what some broker's metadata said last, and is told when that is
//! wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use highwater_coordinator::partition_of;
use highwater_env::{BoxFuture, Env, EnvExt, Lane};
use highwater_metadata::Image;
use highwater_node::{
    Node,
    request::{
        Caller, CreateTopic, CreateTopicError, DeleteTopicError, Fetch, FetchError, Fetched,
        FetchedPartition, InitProducerIdError, ListOffset, ListOffsetsError, ListedOffset, Produce,
        ProduceError, Produced, TopicRef,
    },
};
use highwater_records::{BrokerId, ProducerEpoch, ProducerId, TopicId, TopicIdPartition};
use highwater_replication::Acks;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::network::{CLIENTS, Network, Up};
use crate::{
    broker::{Broker, Errand, Whom},
    executor::SimEnv,
};

/// All brokers as one, as a client library makes them look.
pub(super) struct Router {
    pub(super) network: Arc<Network>,
    /// The clients' process.
    pub(super) env: Arc<SimEnv>,
    pub(super) replicas: u32,
    pub(super) min_isr: u32,
    /// The newest leader epoch that was heard of: a client that carries it is refused by leaders of the past.
    pub(super) epochs: Heard,
    /// Topics that clients asked to delete: a broker whose metadata is old may still know them.
    pub(super) deleted: Mutex<BTreeSet<TopicId>>,
}

/// The newest leader epoch of each partition that any client has heard of.
pub(super) type Heard = Arc<Mutex<BTreeMap<TopicIdPartition, i32>>>;

/// Where a request goes.
struct Target {
    broker: BrokerId,
    leader_epoch: i32,
    at: TopicIdPartition,
}

impl Router {
    /// The metadata of some broker that a client reaches.
    fn some_node(&self) -> Option<Up> {
        self.network.some_node_for(CLIENTS)
    }

    fn target(&self, topic: &TopicRef, partition: i32) -> Option<Target> {
        let image: Arc<Image> = self.some_node()?.node.image();
        let topic = match topic {
            TopicRef::Name(name) => image.topic_named(name)?,
            TopicRef::Id(id) => image.topic(*id)?,
        };
        let index = highwater_records::PartitionIndex(u32::try_from(partition).ok()?);
        let state = topic.partition(index)?;
        let at = TopicIdPartition { topic_id: topic.id, partition: index };
        let mut epochs = self.epochs.lock();
        let newest = epochs.entry(at).or_default();
        let told = image.leader_epoch(state).as_i32();
        if told < *newest {
            // Older than what was heard before: a client does not go back (KIP-320).
            return None;
        }
        *newest = told;
        Some(Target { broker: state.leader?, leader_epoch: *newest, at })
    }

    /// Which partition of a coordinators' topic keeps what is known of a key.
    fn shard(&self, topic: &str, key: &str) -> Option<u32> {
        let image = self.some_node()?.node.image();
        let count = image.topic_named(topic)?.partitions.len();
        Some(partition_of(key, u32::try_from(count).ok()?))
    }

    /// Runs a request in the broker's process; `None` if no answer comes back.
    async fn ask<T: Send + 'static>(
        &self,
        broker: BrokerId,
        request: impl FnOnce(Arc<Node>) -> BoxFuture<'static, T> + Send + 'static,
    ) -> Option<T> {
        if !self.network.reaches(CLIENTS, broker) {
            self.env.sleep(Duration::from_secs(1)).await;
            return None;
        }
        let Up { env, node, .. } = self.network.reached(broker)?;
        let (reply, answer) = oneshot::channel();
        let task = async move {
            let _ = reply.send(request(node).await);
        };
        env.spawn(Lane::Connections, Box::pin(task));
        drop(env);
        let answer = answer.await.ok()?;
        self.network.reaches(broker, CLIENTS).then_some(answer)
    }

    /// Reads one partition from its leader, or from the replica that it names, and from the leader after all if that one
    /// does not have it (yet).
    async fn fetch_one(&self, leader: BrokerId, request: Fetch) -> Option<FetchedPartition> {
        let first = self.fetch_from(leader, request.clone()).await?;
        let Ok(Fetched { preferred_replica: Some(nearer), .. }) = first.result else { return Some(first) };
        match self.fetch_from(nearer, request.clone()).await {
            Some(answer @ FetchedPartition { result: Ok(_) }) => Some(answer),
            _ => self.fetch_from(leader, Fetch { rack: None, ..request }).await,
        }
    }

    async fn fetch_from(&self, broker: BrokerId, request: Fetch) -> Option<FetchedPartition> {
        let answer = self
            .ask(broker, move |node| Box::pin(async move { node.fetch(&Router::caller(), request).await }));
        answer.await?.into_iter().next()
    }

    fn caller() -> Caller {
        Caller { client_id: "simulated".into(), address: "simulated".into() }
    }
}

impl Broker for Router {
    fn produce(self: Arc<Self>, request: Produce) -> BoxFuture<'static, Vec<Result<Produced, ProduceError>>> {
        Box::pin(async move {
            let mut answers = Vec::new();
            let (acks, timeout, transactional) = (request.acks, request.timeout, request.transactional);
            // What only the leader has may go with it: such an acknowledgement promises nothing here.
            let acks = if acks == Acks::Leader { Acks::All } else { acks };
            for partition in request.partitions {
                let Some(target) = self.target(&partition.topic, partition.partition) else {
                    answers.push(Err(ProduceError::NotLeader));
                    continue;
                };
                let request = Produce { acks, timeout, transactional, partitions: vec![partition] };
                let network = self.network.clone();
                let answer = self
                    .ask(target.broker, move |node| {
                        let is_newest = network.is_newest(&node);
                        Box::pin(async move {
                            let answers = node.produce(&Router::caller(), request).await.wait().await;
                            (answers.into_iter().next(), is_newest)
                        })
                    })
                    .await;
                let (answer, is_newest) = answer.map_or((None, true), |(answer, newest)| (answer, newest));
                answers.push(match answer {
                    // The older process of a broker judges by what there was when it still led, until it hears of the other;
                    // a client asks again. What it acknowledges counts like any other acknowledgement.
                    Some(Err(
                        ProduceError::OutOfOrderSequence(_)
                        | ProduceError::DuplicateSequence
                        | ProduceError::InvalidProducerEpoch(_),
                    )) if !is_newest => Err(ProduceError::NotLeader),
                    // A broker may not have heard of the topic yet, or have too few replicas for a while.
                    Some(Err(
                        ProduceError::UnknownTopicOrPartition
                        | ProduceError::UnknownTopicId
                        | ProduceError::NotEnoughReplicas,
                    )) => Err(ProduceError::NotLeader),
                    Some(answer) => answer,
                    None => Err(ProduceError::TimedOut),
                });
            }
            answers
        })
    }

    fn fetch(self: Arc<Self>, request: Fetch) -> BoxFuture<'static, Vec<FetchedPartition>> {
        Box::pin(async move {
            let mut answers = Vec::new();
            let Fetch { max_wait, min_bytes, max_bytes, isolation, rack, partitions } = request;
            for mut partition in partitions {
                let refused = || FetchedPartition { result: Err(FetchError::NotLeader) };
                let Some(target) = self.target(&partition.topic, partition.partition) else {
                    answers.push(refused());
                    continue;
                };
                partition.current_leader_epoch = Some(target.leader_epoch);
                let rack = rack.clone();
                let request =
                    Fetch { max_wait, min_bytes, max_bytes, isolation, rack, partitions: vec![partition] };
                answers.push(match self.fetch_one(target.broker, request).await {
                    Some(FetchedPartition {
                        result: Err(FetchError::UnknownTopicOrPartition | FetchError::UnknownTopicId),
                    })
                    | None => refused(),
                    Some(answer) => answer,
                });
            }
            answers
        })
    }

    fn list_offsets(
        self: Arc<Self>,
        requests: Vec<ListOffset>,
    ) -> BoxFuture<'static, Vec<Result<ListedOffset, ListOffsetsError>>> {
        Box::pin(async move {
            let mut answers = Vec::new();
            for mut request in requests {
                let Some(target) = self.target(&request.topic, request.partition) else {
                    answers.push(Err(ListOffsetsError::NotLeader));
                    continue;
                };
                request.current_leader_epoch = Some(target.leader_epoch);
                let answer = self
                    .ask(target.broker, move |node| {
                        Box::pin(async move { node.list_offsets(&Router::caller(), vec![request]).await })
                    })
                    .await;
                answers.push(match answer.and_then(|answers| answers.into_iter().next()) {
                    Some(Err(ListOffsetsError::UnknownTopicOrPartition)) | None => {
                        Err(ListOffsetsError::NotLeader)
                    }
                    Some(answer) => answer,
                });
            }
            answers
        })
    }

    fn init_producer_id(
        self: Arc<Self>,
    ) -> BoxFuture<'static, Result<(ProducerId, ProducerEpoch), InitProducerIdError>> {
        Box::pin(async move {
            let lost = || InitProducerIdError::Unavailable("no answer".into());
            let broker = self.some_node().map(|up| up.node.broker_id()).ok_or_else(lost)?;
            let answer = self
                .ask(broker, |node| Box::pin(async move { node.init_producer_id(&Router::caller()).await }));
            answer.await.ok_or_else(lost)?
        })
    }

    fn create_topic(
        self: Arc<Self>,
        mut request: CreateTopic,
    ) -> BoxFuture<'static, Result<TopicId, CreateTopicError>> {
        Box::pin(async move {
            let lost = || CreateTopicError::Unavailable("no answer".into());
            let broker = self.some_node().map(|up| up.node.broker_id()).ok_or_else(lost)?;
            request.replication_factor = i16::try_from(self.replicas).ok();
            request.configs.push(("min.insync.replicas".into(), Some(self.min_isr.to_string())));
            let answer = self.ask(broker, |node| {
                Box::pin(async move { node.create_topics(&Router::caller(), vec![request], false).await })
            });
            match answer.await.and_then(|mut answers| answers.pop()).ok_or_else(lost)? {
                Ok(created) => Ok(created.id),
                // Too few brokers take part now.
                Err(CreateTopicError::InvalidReplicationFactor(_)) => Err(lost()),
                Err(error) => Err(error),
            }
        })
    }

    fn delete_topic(self: Arc<Self>, topic: TopicRef) -> BoxFuture<'static, Result<(), DeleteTopicError>> {
        Box::pin(async move {
            let lost = || DeleteTopicError::Unavailable("no answer".into());
            if let TopicRef::Id(id) = &topic {
                self.deleted.lock().insert(*id);
            }
            let broker = self.some_node().map(|up| up.node.broker_id()).ok_or_else(lost)?;
            let answer = self.ask(broker, |node| {
                Box::pin(async move { node.delete_topics(&Router::caller(), vec![topic]).await })
            });
            match answer.await.and_then(|mut answers| answers.pop()).ok_or_else(lost)? {
                Ok(_) => Ok(()),
                // Another broker may know it.
                Err(DeleteTopicError::UnknownTopic | DeleteTopicError::UnknownTopicId) => Err(lost()),
                Err(error) => Err(error),
            }
        })
    }

    fn on_node(self: Arc<Self>, whom: Whom, errand: Errand) -> BoxFuture<'static, bool> {
        Box::pin(async move {
            let (topic, partition) = match &whom {
                Whom::Anybody => {
                    let Some(up) = self.some_node() else { return false };
                    return self.ask(up.node.broker_id(), errand).await.is_some();
                }
                Whom::Leader(topic, partition) => (*topic, Some(*partition)),
                Whom::Group(key) => ("__consumer_offsets", self.shard("__consumer_offsets", key)),
                Whom::Transaction(key) => ("__transaction_state", self.shard("__transaction_state", key)),
            };
            let (name, Some(partition)) = (TopicRef::Name(topic.to_owned()), partition) else { return false };
            let Some(target) = self.target(&name, partition.cast_signed()) else { return false };
            let done = self.ask(target.broker, errand).await.is_some();
            // Nobody listens to a coordinator of the past once anybody has heard of the next one: what a client was
            // told by the one and what by the other could not be compared.
            done && self.epochs.lock().get(&target.at) == Some(&target.leader_epoch)
        })
    }

    fn topic_named(&self, name: &str) -> Option<TopicId> {
        let known = self.some_node()?.node.image().topic_named(name).map(|topic| topic.id)?;
        (!self.deleted.lock().contains(&known)).then_some(known)
    }

    fn stop(self: Arc<Self>) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async { Err("a cluster is stopped broker by broker".into()) })
    }
}
