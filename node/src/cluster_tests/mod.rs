//! Several nodes in one process, each on a disk in memory, over a network that is a function call: what one broker
//! makes of what another one says.

mod bad_input;
mod compaction;
mod full;
mod log_start;
mod nearest;
mod offline;
mod rot;
mod tail;
mod transactions;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use highwater_engine::disk::memory::MemoryDisk;
use highwater_env::{BoxFuture, EnvExt, TokioEnv};
use highwater_metadata::{
    ConfirmError, Entry, EntryId, Leadership, MetadataLog, MetadataRecord, News, NextError, ProposeError,
    Term,
    config::{BrokerConfig, Settings},
};
use highwater_records::{
    BrokerId, Offset, PartitionIndex, TimestampMs, TopicIdPartition,
    batch::{BatchBuilder, Record},
    compression::Codec,
};
use highwater_replication::Acks;
use highwater_tiering::bucket::SharedBucket;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    ClusterParts, Endpoint, Node, NodeParts, StartError,
    peers::{ClusterTimes, InProcess, MetadataSource},
    request::{
        Caller, CreateTopic, Fetch, FetchError, FetchPartition, Fetched, Isolation, Produce, ProduceError,
        ProducePartition, TopicRef,
    },
};

/// Nothing here depends on how fast the machine is: nobody is late, what failed is tried again soon.
const TIMES: ClusterTimes = ClusterTimes {
    session: Duration::from_secs(600),
    heartbeat: Duration::from_millis(50),
    replica_lag_max: Duration::from_secs(600),
    fetch_wait_max: Duration::from_millis(500),
    fetch_backoff: Duration::from_millis(20),
    answer: Duration::from_secs(600),
    balance: Duration::from_secs(36_000),
    registration: Duration::from_millis(200),
    io_patience: Duration::from_secs(600),
    directory_failure: Duration::from_secs(600),
};

/// The metadata log, in memory; every broker sees all of it at once.
pub(super) struct SharedLog {
    entries: Mutex<Vec<Entry>>,
    leader: BrokerId,
    news: Notify,
}

struct LogOf {
    log: Arc<SharedLog>,
    broker: BrokerId,
}

impl MetadataLog for LogOf {
    fn propose(
        &self,
        expects: Option<EntryId>,
        records: Vec<MetadataRecord>,
    ) -> BoxFuture<'_, Result<EntryId, ProposeError>> {
        let outcome = match self.log.leader == self.broker {
            false => Err(ProposeError::NotLeader { leader: Some(self.log.leader) }),
            true => {
                let mut entries = self.log.entries.lock();
                let id = EntryId::after(entries.last().map(|entry| entry.id)).expect("few entries");
                entries.push(Entry { id, expects, records });
                self.log.news.notify_waiters();
                Ok(id)
            }
        };
        Box::pin(async move { outcome })
    }

    fn next_after(&self, after: Option<EntryId>) -> BoxFuture<'_, Result<News, NextError>> {
        Box::pin(async move {
            loop {
                let mut news = std::pin::pin!(self.log.news.notified());
                news.as_mut().enable();
                let next = self.log.entries.lock().iter().find(|entry| Some(entry.id) > after).cloned();
                match next {
                    Some(entry) => return Ok(News::Entry(entry)),
                    None => news.await,
                }
            }
        })
    }

    fn committed(&self) -> Option<EntryId> {
        self.log.entries.lock().last().map(|entry| entry.id)
    }

    fn confirm_leadership(&self) -> BoxFuture<'_, Result<Term, ConfirmError>> {
        Box::pin(async {
            match self.log.leader == self.broker {
                true => Ok(Term(1)),
                false => Err(ConfirmError::NotLeader),
            }
        })
    }

    fn leadership(&self) -> Leadership {
        let is_local = self.log.leader == self.broker;
        Leadership { term: Term(1), leader: Some(self.log.leader), is_local }
    }

    fn leadership_changed(&self, known: Leadership) -> BoxFuture<'_, Leadership> {
        let now = self.leadership();
        Box::pin(async move {
            match now == known {
                true => std::future::pending().await,
                false => now,
            }
        })
    }
}

/// The nodes of a cluster; the first one is the controller.
pub(super) struct TestCluster {
    pub(super) env: Arc<TokioEnv>,
    pub(super) log: Arc<SharedLog>,
    wires: InProcess,
    disks: BTreeMap<BrokerId, MemoryDisk>,
    nodes: BTreeMap<BrokerId, Arc<Node>>,
    settings: Vec<(&'static str, &'static str)>,
    /// Brokers that have no metadata log of their own from their next start on: they follow the controller's.
    pub(super) followers: BTreeSet<BrokerId>,
    pub(super) records_kept: usize,
    bucket: Option<SharedBucket>,
}

impl TestCluster {
    /// Brokers 1 to `count`, broker `n` in rack `rack-n`.
    pub(super) async fn start(
        env: &Arc<TokioEnv>,
        count: u32,
        settings: &[(&'static str, &'static str)],
    ) -> TestCluster {
        TestCluster::start_with(env, count, settings, None).await
    }

    /// The same, with a bucket.
    pub(super) async fn start_with(
        env: &Arc<TokioEnv>,
        count: u32,
        settings: &[(&'static str, &'static str)],
        bucket: Option<SharedBucket>,
    ) -> TestCluster {
        let entries = Mutex::default();
        let log = Arc::new(SharedLog { entries, leader: BrokerId(1), news: Notify::new() });
        let mut cluster = TestCluster {
            env: env.clone(),
            log,
            wires: InProcess::default(),
            disks: BTreeMap::new(),
            nodes: BTreeMap::new(),
            settings: settings.to_vec(),
            followers: BTreeSet::new(),
            records_kept: 30,
            bucket,
        };
        for broker in 1..=count {
            cluster.boot(broker, MemoryDisk::new()).await.expect("a new broker is welcome");
        }
        for broker in 1..=count {
            cluster.until(|| cluster.node(1).image().is_active(BrokerId(broker)).then_some(())).await;
        }
        cluster
    }

    /// Starts a process of a broker on a disk.
    pub(super) async fn boot(&mut self, broker: u32, disk: MemoryDisk) -> Result<(), StartError> {
        let mut settings = Settings::new();
        let (number, rack) = (broker.to_string(), format!("rack-{broker}"));
        let own = [
            ("node.id", number.as_str()),
            ("broker.rack", &rack),
            ("log.dirs", "/data"),
            ("metadata.log.dir", "/metadata"),
            ("highwater.journal.bytes", "1048576"),
        ];
        for (key, value) in own.iter().chain(&self.settings) {
            settings.give(key, value).expect("a valid setting");
        }
        let broker = BrokerId(broker);
        let parts = NodeParts {
            env: self.env.clone(),
            disk: Arc::new(disk.clone()),
            bucket: self.bucket.clone(),
            config: Arc::new(BrokerConfig::new(settings).expect("valid settings")),
            endpoint: Endpoint { host: format!("broker-{broker}"), port: 9092 },
        };
        let metadata = match self.followers.contains(&broker) {
            true => MetadataSource::Tail(vec![BrokerId(1)]),
            false => MetadataSource::Log(Arc::new(LogOf { log: self.log.clone(), broker })),
        };
        let (peers, times) = (Arc::new(self.wires.clone()), TIMES);
        let cluster = ClusterParts { metadata, peers, times, records_kept: self.records_kept };
        let node = Node::start_in_cluster(parts, cluster).await?;
        self.wires.connect(broker, &node);
        self.disks.insert(broker, disk);
        self.nodes.insert(broker, node);
        Ok(())
    }

    /// Stops a broker cleanly; its disk.
    pub(super) async fn stop(&mut self, broker: u32) -> MemoryDisk {
        let broker = BrokerId(broker);
        let node = self.nodes.remove(&broker).expect("it runs");
        node.stop().await.expect("a clean stop");
        self.wires.disconnect(broker);
        let gone = Arc::downgrade(&node);
        drop(node);
        // Whoever has just asked it something lets go of it first, and of its directory.
        self.until(|| (gone.strong_count() == 0).then_some(())).await;
        self.disks.remove(&broker).expect("it has a disk")
    }

    /// From here on nobody hears anything of a broker that asks it; whom it asks itself answers.
    pub(super) fn mute(&self, broker: u32) {
        self.wires.disconnect(BrokerId(broker));
    }

    /// A broker's process is gone; its disk.
    pub(super) fn lose(&mut self, broker: u32) -> MemoryDisk {
        let broker = BrokerId(broker);
        self.wires.disconnect(broker);
        drop(self.nodes.remove(&broker));
        let disk = self.disks.remove(&broker).expect("it has a disk");
        disk.kill();
        disk
    }

    pub(super) fn disk(&self, broker: u32) -> &MemoryDisk {
        &self.disks[&BrokerId(broker)]
    }

    /// The last entry of the metadata log.
    pub(super) fn committed(&self) -> Option<EntryId> {
        self.log.entries.lock().last().map(|entry| entry.id)
    }

    /// Commits a decision that nobody made.
    pub(super) fn append(&self, record: MetadataRecord) {
        self.append_all(vec![record]);
    }

    /// Commits a decision that nobody made, on the image of the controller.
    pub(super) fn append_all(&self, records: Vec<MetadataRecord>) {
        let expects = self.node(1).image().last_effective();
        let mut entries = self.log.entries.lock();
        let id = EntryId::after(entries.last().map(|entry| entry.id)).expect("few entries");
        entries.push(Entry { id, expects, records });
        self.log.news.notify_waiters();
    }

    pub(super) fn node(&self, broker: u32) -> &Arc<Node> {
        &self.nodes[&BrokerId(broker)]
    }

    /// Ends all processes.
    pub(super) async fn end(mut self) {
        for node in std::mem::take(&mut self.nodes).into_values() {
            node.abandon().await;
        }
    }

    /// Waits for something to be there.
    pub(super) async fn until<T>(&self, look: impl Fn() -> Option<T>) -> T {
        loop {
            match look() {
                Some(found) => return found,
                None => self.env.sleep(Duration::from_millis(2)).await,
            }
        }
    }

    /// A topic with one partition on these brokers, the first of which leads.
    pub(super) async fn topic(
        &self,
        name: &str,
        replicas: &[u32],
        configs: &[(&str, &str)],
    ) -> TopicIdPartition {
        let topic = CreateTopic {
            name: name.into(),
            partitions: None,
            replication_factor: None,
            assignments: BTreeMap::from([(0, replicas.iter().map(|broker| *broker as i32).collect())]),
            configs: configs.iter().map(|(key, value)| (key.to_string(), Some(value.to_string()))).collect(),
        };
        let created = self.node(1).create_topics(&caller(), vec![topic], false).await.remove(0);
        let topic_id = created.expect("a new topic").id;
        for node in self.nodes.values() {
            self.until(|| node.image().topic(topic_id).map(drop)).await;
        }
        TopicIdPartition { topic_id, partition: PartitionIndex(0) }
    }

    /// Appends one record to a partition, with acks=all, and answers with its offset.
    pub(super) async fn produce(&self, broker: u32, at: TopicIdPartition, key: &str, value: &str) -> Offset {
        self.try_produce(broker, at, key, value).await.expect("a leader takes records")
    }

    pub(super) async fn try_produce(
        &self,
        broker: u32,
        at: TopicIdPartition,
        key: &str,
        value: &str,
    ) -> Result<Offset, ProduceError> {
        self.try_append(broker, at, batch(&[(key, value)])).await
    }

    /// Appends records to a partition as one batch, with acks=all.
    pub(super) async fn produce_all(&self, broker: u32, at: TopicIdPartition, values: &[&str]) -> Offset {
        let records: Vec<_> = values.iter().map(|value| ("key", *value)).collect();
        self.try_append(broker, at, batch(&records)).await.expect("a leader takes records")
    }

    /// Appends one record to a partition, with acks=1, and answers with its offset.
    pub(super) async fn produce_here(&self, broker: u32, at: TopicIdPartition, value: &str) -> Offset {
        let appended = self.try_append_with(broker, at, batch(&[("key", value)]), Acks::Leader).await;
        appended.expect("a leader takes records")
    }

    async fn try_append(
        &self,
        broker: u32,
        at: TopicIdPartition,
        records: Bytes,
    ) -> Result<Offset, ProduceError> {
        self.try_append_with(broker, at, records, Acks::All).await
    }

    async fn try_append_with(
        &self,
        broker: u32,
        at: TopicIdPartition,
        records: Bytes,
        acks: Acks,
    ) -> Result<Offset, ProduceError> {
        let request = Produce {
            acks,
            timeout: Duration::from_secs(600),
            transactional: false,
            partitions: vec![ProducePartition {
                topic: TopicRef::Id(at.topic_id),
                partition: at.partition.0 as i32,
                records,
            }],
        };
        let answer = self.node(broker).produce(&caller(), request).await.wait().await.remove(0);
        answer.map(|produced| produced.base_offset)
    }

    /// Reads what a broker has at an offset, without waiting.
    pub(super) async fn fetch(
        &self,
        broker: u32,
        at: TopicIdPartition,
        offset: i64,
        rack: Option<&str>,
    ) -> Result<Fetched, FetchError> {
        let request = Fetch {
            max_wait: Duration::ZERO,
            min_bytes: 1,
            max_bytes: 1 << 20,
            isolation: Isolation::ReadUncommitted,
            rack: rack.map(str::to_owned),
            partitions: vec![FetchPartition {
                topic: TopicRef::Id(at.topic_id),
                partition: at.partition.0 as i32,
                offset,
                max_bytes: 1 << 20,
                current_leader_epoch: None,
            }],
        };
        self.node(broker).fetch(&caller(), request).await.remove(0).result
    }
}

pub(super) fn caller() -> Caller {
    Caller { client_id: "test".into(), address: "here".into() }
}

fn batch(records: &[(&str, &str)]) -> Bytes {
    let mut builder = BatchBuilder::new(Codec::None);
    for (key, value) in records {
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        let record = Record { timestamp: TimestampMs(1_000), key, value, headers: &[] };
        builder.push(record).expect("a small record");
    }
    builder.build(Offset::ZERO, None).expect("a small batch")
}

/// Runs a story on threads of its own.
pub(super) fn run<T>(story: impl AsyncFnOnce(Arc<TokioEnv>) -> T) -> T {
    let env = Arc::new(TokioEnv::start().expect("threads"));
    env.clone().connections().block_on(story(env))
}
