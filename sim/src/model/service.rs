use std::{
    collections::BTreeMap,
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use highwater_engine::disk::{
    Disk, Open,
    memory::{Loss, MemoryDisk},
    read_exact_at,
};
use highwater_env::{BoxFuture, Env, EnvExt, Lane};
use highwater_node::request::{
    CreateTopic, CreateTopicError, DeleteTopicError, Fetch, FetchError, FetchPartition, Fetched,
    FetchedPartition, InitProducerIdError, ListOffset, ListOffsetsError, ListedOffset, OffsetSpec, Produce,
    ProduceError, ProducePartition, Produced, TopicRef,
};
use highwater_records::{Offset, PartitionIndex, ProducerEpoch, ProducerId, TopicId, TopicIdPartition};
use highwater_replication::Acks;
use parking_lot::Mutex;

use super::{
    Bug,
    log::{ModelLog, Refusal},
};
use crate::{
    batch::Batches,
    broker::{Broker, System},
    executor::SimEnv,
    history::{Event, Promise, Stop},
    world::World,
};

/// Starts [`ModelBroker`]s on a disk.
pub struct ModelSystem {
    /// The disk.
    pub disk: MemoryDisk,
    /// What they do wrong.
    pub bug: Option<Bug>,
}

impl System for ModelSystem {
    fn boot(&self, env: Arc<SimEnv>) -> BoxFuture<'static, Result<Arc<dyn Broker>, String>> {
        let (disk, bug) = (self.disk.clone(), self.bug);
        Box::pin(async move {
            let inside = env.clone();
            let opened = env.run_blocking(Lane::Control, move || ModelBroker::open(inside, disk, bug)).await;
            let broker = opened.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
            Ok(Arc::new(broker) as Arc<dyn Broker>)
        })
    }

    fn survives_power_cut(&self, at: TopicIdPartition) -> Option<u64> {
        let copy = self.disk.fork();
        copy.crash_with(Loss::Everything);
        let bytes = copy.contents(&log_of(at)).unwrap_or_default();
        Some(Batches::parse(&bytes).good.last().map_or(0, |batch| batch.last + 1))
    }

    fn inspect(&self, world: &World, how: Stop) {
        if how != Stop::Power {
            return;
        }
        // What the next start will find and say, found on a copy.
        let Ok(state) = State::open(&self.disk.fork(), None) else { return };
        for topic in world.topics().iter().filter(|topic| topic.promise == Promise::Replicated) {
            for index in 0..topic.partitions {
                let at = topic.partition(index);
                let lost_from = state.logs.get(&(topic.id, index)).map_or(0, ModelLog::end);
                world.event(&Event::LossReported { at, lost_from });
            }
        }
    }
}

fn log_of(at: TopicIdPartition) -> PathBuf {
    PathBuf::from(format!("/data/{}-{}", at.topic_id, at.partition))
}

/// See the module.
pub struct ModelBroker {
    env: Arc<SimEnv>,
    disk: MemoryDisk,
    bug: Option<Bug>,
    state: Mutex<State>,
    hangs: AtomicBool,
    /// A failed sync: nobody knows what is on the media.
    offline: AtomicBool,
}

#[derive(Default)]
struct State {
    topics: BTreeMap<String, (TopicId, u32, Promise)>,
    logs: BTreeMap<(TopicId, u32), ModelLog>,
    next_id: u64,
    stale_end: u64,
}

const TOPICS: &str = "/data/topics";

impl State {
    fn open(disk: &dyn Disk, bug: Option<Bug>) -> io::Result<State> {
        disk.create_dir_all(Path::new("/data"))?;
        disk.sync_dir(Path::new("/"))?;
        let mut state = State::default();
        let file = match disk.open(Path::new(TOPICS), Open::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(state),
            Err(error) => return Err(error),
        };
        let mut text = vec![0; file.len()? as usize];
        read_exact_at(&*file, &mut text, 0)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        for line in text.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            match fields[..] {
                ["ids", next] => state.next_id = next.parse().unwrap_or(0),
                [name, id, partitions, promise] => {
                    let promise = if promise == "Synced" { Promise::Synced } else { Promise::Replicated };
                    let id = id.parse().map_err(io::Error::other)?;
                    let partitions = partitions.parse().map_err(io::Error::other)?;
                    state.add_topic(disk, name.to_owned(), id, partitions, promise, bug)?;
                }
                _ => {}
            }
        }
        Ok(state)
    }

    fn add_topic(
        &mut self,
        disk: &dyn Disk,
        name: String,
        id: TopicId,
        partitions: u32,
        promise: Promise,
        bug: Option<Bug>,
    ) -> io::Result<()> {
        for index in 0..partitions {
            let path = log_of(TopicIdPartition { topic_id: id, partition: PartitionIndex(index) });
            self.logs.insert((id, index), ModelLog::open(disk, &path, promise, bug)?);
        }
        self.topics.insert(name, (id, partitions, promise));
        Ok(())
    }

    /// Writes the topics and the next producer id, and makes them durable.
    fn save(&self, disk: &dyn Disk) -> io::Result<()> {
        let mut text = format!("ids {}\n", self.next_id);
        for (name, (id, partitions, promise)) in &self.topics {
            text.push_str(&format!("{name} {id} {partitions} {promise:?}\n"));
        }
        let next = Path::new("/data/topics.next");
        let file = disk.open(next, Open::Create)?;
        file.set_len(0)?;
        file.write_at(&[IoSlice::new(text.as_bytes())], 0)?;
        file.sync_all()?;
        disk.rename(next, Path::new(TOPICS))?;
        disk.sync_dir(Path::new("/data"))
    }

    fn log(&mut self, topic: &TopicRef, index: i32) -> Option<((TopicId, u32), &mut ModelLog)> {
        let id = match topic {
            TopicRef::Id(id) => *id,
            TopicRef::Name(name) => self.topics.get(name)?.0,
        };
        let key = (id, u32::try_from(index).ok()?);
        Some((key, self.logs.get_mut(&key)?))
    }
}

impl ModelBroker {
    fn open(env: Arc<SimEnv>, disk: MemoryDisk, bug: Option<Bug>) -> io::Result<ModelBroker> {
        let state = Mutex::new(State::open(&disk, bug)?);
        Ok(ModelBroker {
            env,
            disk,
            bug,
            state,
            hangs: AtomicBool::default(),
            offline: AtomicBool::default(),
        })
    }

    async fn produce_one(
        self: Arc<Self>,
        acks: Acks,
        request: ProducePartition,
    ) -> Result<Produced, ProduceError> {
        self.online().map_err(ProduceError::Storage)?;
        let (key, base, end) = {
            let mut state = self.state.lock();
            let (key, log) =
                state.log(&request.topic, request.partition).ok_or(ProduceError::UnknownTopicOrPartition)?;
            let (base, end) = log.append(&request.records).map_err(|refusal| match refusal {
                Refusal::Sequence(next) => ProduceError::OutOfOrderSequence(format!("expected {next}")),
                Refusal::Disk(error) => {
                    let full = error.kind() == io::ErrorKind::StorageFull;
                    if full && self.bug == Some(Bug::HangAfterDiskFull) {
                        self.hangs.store(true, Ordering::Relaxed);
                    }
                    ProduceError::Storage(error.to_string())
                }
            })?;
            (key, base, end)
        };
        let early = acks == Acks::None || self.bug == Some(Bug::AckBeforeSync);
        let work = self.clone().sync(key);
        if early {
            self.env.spawn(Lane::Commit, Box::pin(async move { drop(work.await) }));
        } else {
            work.await.map_err(ProduceError::Storage)?;
        }
        debug_assert!(base < end);
        let base_offset = Offset::new(base).unwrap_or(Offset::MAX);
        Ok(Produced { base_offset, append_time: None, log_start: Offset::ZERO })
    }

    /// Makes what is in the log now durable, where that is promised.
    async fn sync(self: Arc<Self>, key: (TopicId, u32)) -> Result<(), String> {
        let (file, end) = {
            let state = self.state.lock();
            let Some(log) = state.logs.get(&key) else { return Err("deleted".into()) };
            if log.promise() == Promise::Replicated || log.durable() >= log.end() {
                return Ok(());
            }
            (log.file(), log.end())
        };
        let synced = self.env.run_blocking(Lane::Commit, move || file.sync_data()).await;
        let synced = synced.map_err(|error| error.to_string())?;
        if let Err(error) = synced
            && self.bug != Some(Bug::IgnoreFailedSync)
        {
            self.offline.store(true, Ordering::Relaxed);
            return Err(error.to_string());
        }
        self.online()?;
        if let Some(log) = self.state.lock().logs.get_mut(&key) {
            log.synced_to(end);
        }
        Ok(())
    }

    fn fetch_one(&self, request: &FetchPartition) -> Result<Fetched, FetchError> {
        let mut state = self.state.lock();
        let (_, log) =
            state.log(&request.topic, request.partition).ok_or(FetchError::UnknownTopicOrPartition)?;
        let watermark = Offset::new(log.watermark()).unwrap_or(Offset::MAX);
        let end = log.end();
        match u64::try_from(request.offset) {
            Ok(from) if from <= end => Ok(Fetched {
                high_watermark: watermark,
                last_stable: watermark,
                log_start: Offset::ZERO,
                aborted: Vec::new(),
                preferred_replica: None,
                by_follower: false,
                records: log.read(from, request.max_bytes),
            }),
            _ => Err(FetchError::OffsetOutOfRange { log_start: Offset::ZERO, high_watermark: watermark }),
        }
    }

    fn list_one(&self, request: &ListOffset) -> Result<ListedOffset, ListOffsetsError> {
        let mut state = self.state.lock();
        let stale = state.stale_end;
        let (_, log) =
            state.log(&request.topic, request.partition).ok_or(ListOffsetsError::UnknownTopicOrPartition)?;
        let watermark = log.watermark();
        let offset = match request.spec {
            OffsetSpec::Latest if self.bug == Some(Bug::StaleLatest) => Some(stale.min(watermark)),
            OffsetSpec::Latest | OffsetSpec::EarliestPendingUpload => Some(watermark),
            OffsetSpec::At(timestamp) => log.at_time(timestamp.0),
            _ => Some(0),
        };
        if request.spec == OffsetSpec::Latest {
            state.stale_end = watermark;
        }
        Ok(ListedOffset { offset: offset.and_then(Offset::new), timestamp: None, leader_epoch: None })
    }

    /// Nobody knows what a restart will find after the topics could not be saved, unless it failed at once.
    fn doubt(&self, error: &io::Error) {
        if error.kind() != io::ErrorKind::StorageFull {
            self.offline.store(true, Ordering::Relaxed);
        }
    }

    fn online(&self) -> Result<(), String> {
        if self.offline.load(Ordering::Relaxed) { Err("offline".into()) } else { Ok(()) }
    }

    async fn hang(&self) {
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

impl Broker for ModelBroker {
    fn produce(self: Arc<Self>, request: Produce) -> BoxFuture<'static, Vec<Result<Produced, ProduceError>>> {
        Box::pin(async move {
            let mut answers = Vec::new();
            for partition in request.partitions {
                self.hang().await;
                answers.push(self.clone().produce_one(request.acks, partition).await);
            }
            answers
        })
    }

    fn fetch(self: Arc<Self>, request: Fetch) -> BoxFuture<'static, Vec<FetchedPartition>> {
        Box::pin(async move {
            self.hang().await;
            request.partitions.iter().map(|one| FetchedPartition { result: self.fetch_one(one) }).collect()
        })
    }

    fn list_offsets(
        self: Arc<Self>,
        request: Vec<ListOffset>,
    ) -> BoxFuture<'static, Vec<Result<ListedOffset, ListOffsetsError>>> {
        Box::pin(async move { request.iter().map(|one| self.list_one(one)).collect() })
    }

    fn init_producer_id(
        self: Arc<Self>,
    ) -> BoxFuture<'static, Result<(ProducerId, ProducerEpoch), InitProducerIdError>> {
        Box::pin(async move {
            let mut state = self.state.lock();
            state.next_id += 1;
            let id = state.next_id;
            state.save(&self.disk).map_err(|error| InitProducerIdError::Unavailable(error.to_string()))?;
            Ok((ProducerId(id), ProducerEpoch(0)))
        })
    }

    fn create_topic(
        self: Arc<Self>,
        request: CreateTopic,
    ) -> BoxFuture<'static, Result<TopicId, CreateTopicError>> {
        Box::pin(async move {
            self.online().map_err(CreateTopicError::Unavailable)?;
            let mut state = self.state.lock();
            if state.topics.contains_key(&request.name) {
                return Err(CreateTopicError::AlreadyExists(request.name));
            }
            let id = TopicId::from_random(self.env.random(), self.env.random());
            let synced = |(key, value): &(String, Option<String>)| {
                key == "highwater.durability" && value.as_deref() == Some("synced")
            };
            let promise =
                if request.configs.iter().any(synced) { Promise::Synced } else { Promise::Replicated };
            let partitions = request.partitions.unwrap_or(1) as u32;
            let made = state
                .add_topic(&self.disk, request.name.clone(), id, partitions, promise, self.bug)
                .and_then(|()| state.save(&self.disk));
            if let Err(error) = made {
                state.topics.remove(&request.name);
                self.doubt(&error);
                return Err(CreateTopicError::Unavailable(error.to_string()));
            }
            Ok(id)
        })
    }

    fn delete_topic(self: Arc<Self>, topic: TopicRef) -> BoxFuture<'static, Result<(), DeleteTopicError>> {
        Box::pin(async move {
            let mut state = self.state.lock();
            let TopicRef::Id(id) = topic else { return Err(DeleteTopicError::UnknownTopic) };
            self.online().map_err(DeleteTopicError::Unavailable)?;
            let Some(name) =
                state.topics.iter().find(|(_, (other, ..))| *other == id).map(|(name, _)| name.clone())
            else {
                return Err(DeleteTopicError::UnknownTopicId);
            };
            let removed = state.topics.remove(&name);
            if let Err(error) = state.save(&self.disk) {
                self.doubt(&error);
                state.topics.extend(removed.map(|topic| (name, topic)));
                return Err(DeleteTopicError::Unavailable(error.to_string()));
            }
            state.logs.retain(|(other, _), _| *other != id);
            Ok(())
        })
    }

    fn topic_named(&self, name: &str) -> Option<TopicId> {
        self.state.lock().topics.get(name).map(|(id, ..)| *id)
    }

    fn stop(self: Arc<Self>) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async move {
            self.offline.store(true, Ordering::Relaxed);
            let files: Vec<_> = self.state.lock().logs.values().map(ModelLog::file).collect();
            let synced = self
                .env
                .run_blocking(Lane::Commit, move || files.iter().try_for_each(|file| file.sync_data()));
            synced.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
        })
    }
}
