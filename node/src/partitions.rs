//! The partitions that are open here; the others are opened when somebody asks for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use highwater_engine::{Compaction, Log, LogConfig, LogDir, LogName, RecoveryReport, Watermark};
use highwater_env::{Env, EnvExt, Lane};
use highwater_metadata::{
    Image, Topic,
    config::{self, BrokerConfig, TopicConfig},
};
use highwater_records::{
    BrokerId, PartitionIndex, TimestampMs, TopicId, TopicIdPartition, batch::TimestampType,
};
use highwater_tiering::Tier;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    cluster::Cluster,
    live_config::LiveConfig,
    metrics::TopicCounters,
    parked::Parked,
    partition::{Assigned, Assumed, ChangeListener, Partition, State},
    replicate::moment,
    request::TopicRef,
};

/// Why a partition cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FindError {
    #[error("unknown topic or partition")]
    UnknownTopicOrPartition,
    #[error("unknown topic id")]
    UnknownTopicId,
    #[error("not the leader")]
    NotLeader,
    #[error("{0}")]
    Storage(String),
}

/// The partitions of one data directory.
pub(crate) struct Partitions {
    pub(crate) env: Arc<dyn Env>,
    pub(crate) broker: BrokerId,
    config: Arc<LiveConfig>,
    pub(crate) cluster: Arc<Cluster>,
    directory: Arc<LogDir>,
    tier: Option<Arc<Tier>>,
    /// Whether the last stop of this directory was clean, so that local logs are known to be complete.
    clean_start: bool,
    pub(crate) open: Mutex<Open>,
    /// One opening at a time per share of the partitions; whoever waits for the same one finds it open.
    opening: [Arc<tokio::sync::Mutex<()>>; OPENINGS],
    /// Tells that there is a partition whose head is unknown.
    unknown: Notify,
    pub(crate) listener: ChangeListener,
}

#[derive(Default)]
pub(crate) struct Open {
    pub(crate) partitions: BTreeMap<TopicIdPartition, Arc<Partition>>,
    topics: BTreeMap<TopicId, Arc<TopicCounters>>,
    /// Topics that were created by this process, so that nothing of them can have been lost or copied before.
    created: BTreeSet<TopicId>,
    /// Partitions that this process added to older topics: the same holds for them.
    grown: BTreeSet<TopicIdPartition>,
    /// Partitions that were open and are closed.
    pub(crate) parked: BTreeMap<TopicIdPartition, Parked>,
    /// Partitions whose head must be read before they take appends.
    unknown: Vec<Arc<Partition>>,
    closed: bool,
}

/// How many partitions may be opened (and after a crash recovered) at once.
const OPENINGS: usize = crate::join_all::AT_ONCE;

impl Partitions {
    pub(crate) fn new(
        env: Arc<dyn Env>,
        broker: BrokerId,
        config: Arc<LiveConfig>,
        cluster: Arc<Cluster>,
        directory: Arc<LogDir>,
        tier: Option<Arc<Tier>>,
        clean_start: bool,
    ) -> Partitions {
        Partitions {
            env,
            broker,
            config,
            cluster,
            directory,
            tier,
            clean_start,
            open: Mutex::default(),
            opening: Default::default(),
            unknown: Notify::new(),
            listener: ChangeListener::default(),
        }
    }

    /// The partition that a request names, opened if need be.
    pub(crate) async fn find(&self, topic: &TopicRef, partition: i32) -> Result<Arc<Partition>, FindError> {
        let image = self.cluster.image();
        let (topic, index) = named(&image, topic, partition)?;
        self.get(&image, topic, index).await
    }

    /// The partition that a request names, if this broker has a replica of it, opened if need be.
    pub(crate) async fn find_replica(
        &self,
        topic: &TopicRef,
        partition: i32,
    ) -> Result<Arc<Partition>, FindError> {
        let image = self.cluster.image();
        let (topic, index) = named(&image, topic, partition)?;
        let assigned = topic.partition(index).ok_or(FindError::UnknownTopicOrPartition)?;
        if !assigned.replicas.contains(&self.broker) {
            return Err(FindError::NotLeader);
        }
        self.get_replica(&image, topic, index).await
    }

    /// One partition of a topic, opened if need be.
    pub(crate) async fn get(
        &self,
        image: &Image,
        topic: &Arc<Topic>,
        index: PartitionIndex,
    ) -> Result<Arc<Partition>, FindError> {
        let id = TopicIdPartition { topic_id: topic.id, partition: index };
        let assigned = topic.partition(index).ok_or(FindError::UnknownTopicOrPartition)?;
        if assigned.leader != Some(self.broker) {
            return Err(FindError::NotLeader);
        }
        let partition = match self.opened(id)? {
            Some(open) => open,
            None => self.get_replica(image, topic, index).await?,
        };
        partition.mark_used();
        Ok(partition)
    }

    /// One partition of a topic that this broker has a replica of, opened if need be. Whatever its role is by then, it is
    /// the one that the image of that moment gives it.
    pub(crate) async fn get_replica(
        &self,
        image: &Image,
        topic: &Arc<Topic>,
        index: PartitionIndex,
    ) -> Result<Arc<Partition>, FindError> {
        let id = TopicIdPartition { topic_id: topic.id, partition: index };
        if let Some(open) = self.opened(id)? {
            return Ok(open);
        }
        let turn = self.opening_turn(id).await;
        if let Some(open) = self.opened(id)? {
            return Ok(open);
        }
        let (partition, tier_known, _turn) = self.open(image, topic, index, turn).await?;
        if self.cluster.image().topic(topic.id).is_none() {
            // Deleted while it was being opened, by a request with an older image: whoever deletes topics may have
            // passed already.
            self.discard(&partition).await;
            return Err(FindError::UnknownTopicOrPartition);
        }
        let stopped = {
            let mut open = self.open.lock();
            if !open.closed {
                open.partitions.insert(id, partition.clone());
                open.parked.remove(&id);
                if !tier_known {
                    open.unknown.push(partition.clone());
                    self.unknown.notify_one();
                }
            }
            open.closed
        };
        partition.tell_listener();
        if stopped {
            // What was opened meanwhile must not make the node's stop an unclean one.
            if let Some(log) = partition.close().await {
                let now = TimestampMs(self.env.wall_ms());
                let _ = self.env.run_blocking(Lane::Background, move || log.close(now)).await;
            }
            return Err(FindError::NotLeader);
        }
        // Configurations and roles that changed while it was being opened have passed it by.
        if let Some(topic) = self.cluster.image().topic(topic.id) {
            self.reconfigure(&partition, topic).await;
        }
        self.update_role(&partition).await;
        Ok(partition)
    }

    /// Opening and closing wait for each other.
    pub(crate) async fn opening_turn(&self, id: TopicIdPartition) -> Turn {
        let share = (id.partition.0 as usize + id.topic_id.as_bytes()[15] as usize) % OPENINGS;
        self.opening[share].clone().lock_owned().await
    }

    /// Waits until nothing is being opened or closed. For a stop, once nobody asks for partitions any more.
    pub(crate) async fn settled(&self) {
        for turn in &self.opening {
            drop(turn.lock().await);
        }
    }

    /// The partition, if it is open.
    pub(crate) fn if_open(&self, id: TopicIdPartition) -> Option<Arc<Partition>> {
        self.open.lock().partitions.get(&id).cloned()
    }

    /// Takes one partition out, so that nobody finds it any more.
    pub(crate) fn take_one(&self, id: TopicIdPartition) -> Option<Arc<Partition>> {
        let taken = self.open.lock().partitions.remove(&id);
        if let Some(partition) = &taken {
            partition.tell_listener();
        }
        taken
    }

    /// Gives an open partition the role that the image gives it now.
    pub(crate) async fn update_role(&self, partition: &Arc<Partition>) {
        let image = self.cluster.image();
        let Some(topic) = image.topic(partition.id.topic_id) else { return };
        let min_isr = partition.config().min_insync_replicas;
        let assigned = Assigned::of(&image, topic, partition.id.partition, self.broker, min_isr);
        let Some(assigned) = assigned else { return };
        let now = moment(&*self.env);
        let assumed = partition.with(move |state| (state.assume(&assigned, now), state.tier_known)).await;
        if let Ok((Assumed::Leads, false)) = assumed {
            self.open.lock().unknown.push(partition.clone());
            self.unknown.notify_one();
        }
    }

    /// Removes the log of a partition that nobody has found yet.
    async fn discard(&self, partition: &Partition) {
        let Some(log) = partition.close().await else { return };
        let directory = self.directory.clone();
        let deleted = self.env.run_blocking(Lane::Background, move || directory.delete_log(log)).await;
        if !matches!(deleted, Ok(Ok(()))) {
            tracing::warn!(partition = %partition.name, ?deleted, "its local log could not be deleted now");
        }
    }

    fn opened(&self, id: TopicIdPartition) -> Result<Option<Arc<Partition>>, FindError> {
        let open = self.open.lock();
        if open.closed {
            return Err(FindError::NotLeader);
        }
        Ok(open.partitions.get(&id).cloned())
    }

    async fn open(
        &self,
        image: &Image,
        topic: &Arc<Topic>,
        index: PartitionIndex,
        turn: Turn,
    ) -> Result<(Arc<Partition>, bool, Turn), FindError> {
        let id = TopicIdPartition { topic_id: topic.id, partition: index };
        let assigned = topic.partition(index).ok_or(FindError::UnknownTopicOrPartition)?;
        let config = Arc::new(topic_config(&self.config.get(), topic, assigned.replicas.len())?);
        let name = LogName { topic: topic.name.clone(), partition: index };
        let (opened, turn) = self.open_log(id, &name, &config, turn).await?;
        let (log, found) = opened.taken();
        let role = Assigned::of(image, topic, index, self.broker, config.min_insync_replicas)
            .ok_or(FindError::UnknownTopicOrPartition)?
            .role(&log, moment(&*self.env));
        let tier = match (&self.tier, config.remote_storage) {
            (Some(tier), true) => Some(tier.partition(id, &topic.name, 0)),
            _ => None,
        };
        // A log that was stopped cleanly is complete. Any other one may be shorter than what the bucket holds.
        let (is_new, parked) = {
            let open = self.open.lock();
            (open.created.contains(&topic.id) || open.grown.contains(&id), open.parked.get(&id).copied())
        };
        // What this process had open before, the bucket may have by now.
        let is_new = is_new && parked.is_none();
        let was_known = parked.map(|parked| parked.tier_known);
        let tier_known = tier.is_none() || was_known.unwrap_or((self.clean_start && found) || is_new);
        let counters = self.topic_counters(id.topic_id);
        let state = State::new(log, role, tier_known, is_new);
        Ok((
            Arc::new(Partition::new(id, name, config, tier, counters, self.listener.clone(), state)),
            tier_known,
            turn,
        ))
    }

    /// Remembers that a topic was created by this process.
    pub(crate) fn created(&self, id: TopicId) {
        self.open.lock().created.insert(id);
    }

    /// Remembers that partitions of a topic were added by this process.
    pub(crate) fn grown(&self, id: TopicId, added: impl Iterator<Item = PartitionIndex>) {
        let added = added.map(|partition| TopicIdPartition { topic_id: id, partition });
        self.open.lock().grown.extend(added);
    }

    /// Opens the log. Whoever asks may give up meanwhile: it is opened all the same, and closed again before the turn is
    /// over, so that a stop stays a clean one.
    async fn open_log(
        &self,
        id: TopicIdPartition,
        name: &LogName,
        config: &TopicConfig,
        turn: Turn,
    ) -> Result<(Opened, Turn), FindError> {
        let directory = self.directory.clone();
        let name = name.clone();
        let config = self.log_config(config);
        let now = TimestampMs(self.env.wall_ms());
        let work = move || open_or_create(&directory, id, name, config, now).map(|opened| (opened, turn));
        self.env
            .run_blocking(Lane::ColdRead, work)
            .await
            .map_err(|error| FindError::Storage(error.to_string()))?
            .map_err(FindError::Storage)
    }

    /// Gives an open partition the configuration that its topic has now.
    pub(crate) async fn reconfigure(&self, partition: &Arc<Partition>, topic: &Topic) {
        let Some(assigned) = topic.partition(partition.id.partition) else { return };
        let config = match topic_config(&self.config.get(), topic, assigned.replicas.len()) {
            Ok(config) => Arc::new(config),
            Err(error) => {
                tracing::error!(partition = %partition.name, %error, "keeps the configuration it had");
                return;
            }
        };
        let for_log = self.log_config(&config);
        let min_isr = config.min_insync_replicas;
        partition.set_config(config);
        let changed = partition.with(move |state| {
            if *state.log.config() != for_log {
                state.log.set_config(for_log);
            }
            state.set_min_isr(min_isr);
        });
        // One that was closed meanwhile has no log to configure.
        let _ = changed.await;
    }

    fn log_config(&self, config: &TopicConfig) -> LogConfig {
        log_config(config, self.tier.is_some(), self.config.get().producer_expiration_ms)
    }

    /// The counters of a topic, shared by its partitions.
    fn topic_counters(&self, id: TopicId) -> Arc<TopicCounters> {
        self.open.lock().topics.entry(id).or_default().clone()
    }

    /// Completes when there may be partitions whose head must be read.
    pub(crate) async fn wait_for_unknown(&self) {
        self.unknown.notified().await;
    }

    /// Takes the partitions whose head must be read.
    pub(crate) fn take_unknown(&self) -> Vec<Arc<Partition>> {
        std::mem::take(&mut self.open.lock().unknown)
    }

    /// Every partition that is open.
    pub(crate) fn all_open(&self) -> Vec<Arc<Partition>> {
        self.open.lock().partitions.values().cloned().collect()
    }

    /// The partitions that this broker leads: those that are open, and, opened for it, those of topics with a
    /// configuration that is `wanted`; not those that are closed since they have nothing to do.
    pub(crate) async fn led(&self, wanted: impl Fn(&TopicConfig) -> bool) -> Vec<Arc<Partition>> {
        let image = self.cluster.image();
        let mut led = Vec::new();
        for topic in image.topics() {
            // Most are open: only the others' configuration is asked for, once for each topic.
            let mut open_all = None;
            for (index, partition) in topic.numbered() {
                if partition.leader != Some(self.broker) {
                    continue;
                }
                let id = TopicIdPartition { topic_id: topic.id, partition: index };
                if let Some(open) = self.if_open(id) {
                    led.push(open);
                } else if !self.is_parked(id)
                    && *open_all.get_or_insert_with(|| self.is_configured(topic, &wanted))
                {
                    match self.get_replica(&image, topic, index).await {
                        Ok(partition) => led.push(partition),
                        Err(error) => {
                            tracing::warn!(topic = %topic.name, partition = %index, %error, "cannot open");
                        }
                    }
                }
            }
        }
        led
    }

    /// The configuration of a topic; `None` where it does not resolve.
    pub(crate) fn config_of(&self, topic: &Topic) -> Option<TopicConfig> {
        let replicas = topic.partitions.first().map_or(1, |first| first.replicas.len());
        topic_config(&self.config.get(), topic, replicas).ok()
    }

    fn is_parked(&self, id: TopicIdPartition) -> bool {
        self.open.lock().parked.contains_key(&id)
    }

    fn is_configured(&self, topic: &Topic, wanted: impl Fn(&TopicConfig) -> bool) -> bool {
        self.config_of(topic).is_some_and(|config| wanted(&config))
    }

    /// Takes the partitions of a topic out, so that nobody finds them any more.
    pub(crate) fn take_topic(&self, id: TopicId) -> Vec<Arc<Partition>> {
        let mut open = self.open.lock();
        open.topics.remove(&id);
        open.created.remove(&id);
        open.grown.retain(|grown| grown.topic_id != id);
        open.parked.retain(|parked, _| parked.topic_id != id);
        let ids: Vec<_> = open.partitions.keys().filter(|key| key.topic_id == id).copied().collect();
        let taken: Vec<_> = ids.into_iter().filter_map(|id| open.partitions.remove(&id)).collect();
        taken.iter().for_each(|partition| partition.tell_listener());
        taken
    }

    /// Takes every partition out and opens none any more.
    pub(crate) fn close(&self) -> Vec<Arc<Partition>> {
        let mut open = self.open.lock();
        open.closed = true;
        open.unknown.clear();
        let taken: Vec<_> = std::mem::take(&mut open.partitions).into_values().collect();
        taken.iter().for_each(|partition| partition.tell_listener());
        taken
    }
}

/// The topic and the partition that a request names.
fn named<'a>(
    image: &'a Image,
    topic: &TopicRef,
    partition: i32,
) -> Result<(&'a Arc<Topic>, PartitionIndex), FindError> {
    let topic = match topic {
        TopicRef::Name(name) => image.topic_named(name).ok_or(FindError::UnknownTopicOrPartition)?,
        TopicRef::Id(id) => image.topic(*id).ok_or(FindError::UnknownTopicId)?,
    };
    let index = u32::try_from(partition).map_err(|_| FindError::UnknownTopicOrPartition)?;
    Ok((topic, PartitionIndex(index)))
}

/// The right to open or close some of the partitions, alone.
pub(crate) type Turn = tokio::sync::OwnedMutexGuard<()>;

/// A log that was opened and that nobody has yet: dropped, it is closed in order.
struct Opened {
    log: Option<Log>,
    /// Whether it was there, or has been made just now.
    found: bool,
    now: TimestampMs,
}

impl Opened {
    fn taken(mut self) -> (Log, bool) {
        let log = self.log.take().unwrap_or_else(|| unreachable!("it is taken here alone, and once"));
        (log, self.found)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // On the thread that has opened it. What cannot be closed is recovered when it is opened next.
        if let Some(log) = self.log.take()
            && let Err(error) = log.close(self.now)
        {
            tracing::warn!(%error, "could not be closed");
        }
    }
}

/// Opens a partition's log, or makes it. A directory of that name that belongs to another topic is what a deleted
/// topic left behind: its deletion is finished first.
fn open_or_create(
    directory: &Arc<LogDir>,
    id: TopicIdPartition,
    name: LogName,
    config: LogConfig,
    now: TimestampMs,
) -> Result<Opened, String> {
    match directory.topic_id_of(&name) {
        Some(found) if found == id.topic_id => {
            let (log, report) = directory.open_log(&name, config, now).map_err(|error| error.to_string())?;
            report_recovery(&name, &report);
            directory.vouch(&name).map_err(|error| error.to_string())?;
            return Ok(Opened { log: Some(log), found: true, now });
        }
        Some(found) if !directory.is_vouched(&name) => {
            return Err(format!(
                "{name} belongs to topic {found}, not to {}, by a partition.metadata without a checksum; move it away, \
                 or correct that",
                id.topic_id
            ));
        }
        Some(_) => directory.delete_closed_log(&name).map_err(|error| error.to_string())?,
        None => {}
    }
    let log = directory.create_log(name, id.topic_id, config, now).map_err(|error| error.to_string())?;
    Ok(Opened { log: Some(log), found: false, now })
}

/// Says what recovery found, where it is more than nothing: what was cut may have been acknowledged on a replicated
/// topic, and is never lost silently.
fn report_recovery(name: &LogName, report: &RecoveryReport) {
    for cut in &report.cut {
        tracing::warn!(
            partition = %name,
            at = %cut.at,
            bytes = cut.bytes,
            kept_in = cut.file.as_deref().unwrap_or("nothing, they were zero"),
            reason = %cut.reason,
            "the end of the log was cut"
        );
    }
    for range in &report.quarantined {
        tracing::error!(partition = %name, ?range, "a range of the log is damaged and cannot be read");
    }
    for note in &report.notes {
        tracing::warn!(partition = %name, %note, "recovered");
    }
}

fn topic_config(broker: &BrokerConfig, topic: &Topic, replicas: usize) -> Result<TopicConfig, FindError> {
    TopicConfig::resolve(&topic.configs, broker, replicas)
        .map_err(|error| FindError::Storage(format!("configuration of topic {}: {error}", topic.name)))
}

/// What the engine needs to know of a topic's configuration.
fn log_config(config: &TopicConfig, bucket: bool, producer_expiry_ms: u64) -> LogConfig {
    LogConfig {
        segment_bytes: config.segment_bytes,
        segment_ms: config.segment_ms,
        segment_index_bytes: config.segment_index_bytes,
        index_interval_bytes: config.index_interval_bytes,
        // Some for each segment, however small it is.
        point_bytes: (config.segment_bytes / 4).clamp(4 << 10, 1 << 20),
        retention_ms: config.retention_ms,
        retention_bytes: config.retention_bytes,
        local_retention_ms: config.local_retention_ms,
        local_retention_bytes: config.local_retention_bytes,
        tiered: bucket && config.remote_storage,
        timestamp_type: match config.timestamp_type {
            config::TimestampType::CreateTime => TimestampType::CreateTime,
            config::TimestampType::LogAppendTime => TimestampType::LogAppendTime,
        },
        max_message_bytes: config.max_message_bytes,
        timestamp_before_max_ms: config.timestamp_before_max_ms,
        timestamp_after_max_ms: config.timestamp_after_max_ms,
        producer_expiry_ms,
        compaction: config.compaction.map(|compaction| Compaction {
            min_lag_ms: compaction.min_lag_ms,
            max_lag_ms: compaction.max_lag_ms,
            min_dirty_millionths: compaction.min_dirty_millionths,
            delete_retention_ms: compaction.delete_retention_ms,
        }),
        durability: config.durability,
        watermark: Watermark::Told,
    }
}
