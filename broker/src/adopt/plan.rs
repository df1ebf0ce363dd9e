//! What adopting a directory would mean, and what stands against it.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use highwater_engine::{
    LogDir, LogName, OpenDirError, SparseSegment,
    disk::RealDisk,
    inspect::{Contents, InspectError, LogContents, SegmentContents, inspect},
};
use highwater_metadata::{
    ConfigResource, MetadataRecord,
    config::{self, BrokerConfig, ConfigError, Settings, TopicConfig},
};
use highwater_records::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId};

use super::kafka_image::{KafkaImage, KafkaMetadataError, KafkaPartition, METADATA_LOG};

/// What adopting a directory would mean.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The data directory.
    pub directory: PathBuf,
    /// Where our metadata log will be.
    pub metadata_log_dir: PathBuf,
    /// The cluster, whose id stays.
    pub cluster_id: String,
    /// The broker, whose id stays.
    pub node_id: BrokerId,
    /// Topics, and how many partitions each has.
    pub topics: Vec<(String, usize)>,
    /// Why it cannot be done. Empty if it can.
    pub refusals: Vec<String>,
    /// What will be different, and no reason not to.
    pub notes: Vec<String>,
    /// Our metadata, from the first record on.
    pub(super) records: Vec<MetadataRecord>,
    /// The logs, and the leader epoch that Kafka knows of each.
    pub(super) logs: Vec<(LogName, LeaderEpoch)>,
    /// Directories of logs that Kafka compacted, and where it left offsets without a batch.
    pub(super) gaps: Vec<(PathBuf, Vec<SparseSegment>)>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Fix the call: it is no data directory.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// Fix the call: it does not say whose it is.
    #[error(transparent)]
    Directory(#[from] OpenDirError),
    /// It is no data directory, or not a whole one.
    #[error("{0} is not a broker's data directory: it has no meta.properties, or is a single log")]
    NoDirectory(PathBuf),
    /// Kafka's metadata log cannot be read.
    #[error(transparent)]
    Metadata(#[from] KafkaMetadataError),
    /// The place for our metadata log makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The disk's error.
    #[error("cannot read {path}: {error}")]
    Disk {
        /// What was being read.
        path: PathBuf,
        /// What the disk said.
        error: io::Error,
    },
}

impl Plan {
    /// Looks at `directory` and at Kafka's metadata log, in `kafka_metadata` or in the directory itself. Changes nothing.
    ///
    /// # Errors
    /// When too little can be read to say anything. What stands against adopting it is no error:
    /// [`Plan::refusals`].
    pub fn of(
        directory: &Path,
        kafka_metadata: Option<&Path>,
        metadata_log_dir: Option<&Path>,
    ) -> Result<Plan, PlanError> {
        let directory = std::path::absolute(directory)
            .map_err(|error| PlanError::Disk { path: directory.to_owned(), error })?;
        let identity = LogDir::identity(&RealDisk, &directory)?;
        let (Some(identity), Contents::Directory(contents)) = (identity, inspect(&RealDisk, &directory)?)
        else {
            return Err(PlanError::NoDirectory(directory));
        };
        let broker = broker_config(&directory, metadata_log_dir, identity.node_id)?;
        let image = KafkaImage::read(kafka_metadata.unwrap_or(&directory))?;
        let mut planner = Planner {
            logs: contents.logs.iter().filter_map(|log| Some((log.name.clone()?, log))).collect(),
            image: &image,
            broker: &broker,
            plan: Plan {
                metadata_log_dir: PathBuf::from(&broker.metadata_log_dir),
                cluster_id: identity.cluster_id.clone(),
                node_id: identity.node_id,
                topics: Vec::new(),
                refusals: Vec::new(),
                notes: Vec::new(),
                records: vec![MetadataRecord::ClusterCreated { cluster_id: identity.cluster_id }],
                logs: Vec::new(),
                gaps: Vec::new(),
                directory,
            },
        };
        planner.state(contents.clean)?;
        planner.security();
        planner.topics();
        planner.broker_configs();
        planner.group_configs();
        planner.producer_ids();
        planner.strays();
        Ok(planner.plan)
    }
}

fn broker_config(
    directory: &Path,
    metadata_log_dir: Option<&Path>,
    node: BrokerId,
) -> Result<BrokerConfig, ConfigError> {
    let mut settings = Settings::new();
    settings.give("log.dirs", &directory.to_string_lossy())?;
    settings.give("node.id", &node.to_string())?;
    if let Some(path) = metadata_log_dir {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        settings.give("metadata.log.dir", &path.to_string_lossy())?;
    }
    BrokerConfig::new(settings)
}

struct Planner<'a> {
    logs: BTreeMap<LogName, &'a LogContents>,
    image: &'a KafkaImage,
    broker: &'a BrokerConfig,
    plan: Plan,
}

impl Planner<'_> {
    fn refuse(&mut self, why: impl Into<String>) {
        self.plan.refusals.push(why.into());
    }

    fn note(&mut self, what: impl Into<String>) {
        self.plan.notes.push(what.into());
    }

    /// How the directory was left, and whether there is room beside it.
    fn state(&mut self, clean: bool) -> Result<(), PlanError> {
        if !clean {
            self.refuse("the last stop was not clean, or the broker still runs: stop Kafka cleanly first");
        }
        let directory = self.plan.directory.clone();
        let failed = |error| PlanError::Disk { path: directory.clone(), error };
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with("-future") {
                self.refuse(format!(
                    "{name} is being moved between directories: let Kafka finish that first"
                ));
            } else if name.ends_with("-stray") {
                self.note(format!("{name} is left alone: Kafka had set it aside"));
            } else if name.ends_with("-delete") {
                self.note(format!("{name} goes: Kafka had deleted it"));
            }
        }
        let place = self.plan.metadata_log_dir.clone();
        if fs::read_dir(&place).is_ok_and(|mut listed| listed.next().is_some()) {
            self.refuse(format!(
                "{} is not empty: this directory was adopted before, or name another with --metadata-log-dir",
                place.display()
            ));
        }
        Ok(())
    }

    fn security(&mut self) {
        for (kind, count) in self.image.security.iter().filter(|(_, count)| **count > 0) {
            self.refuse(format!("there are {count} {kind}s, and this program would let everybody in"));
        }
        if self.image.other_settings > 0 {
            let count = self.image.other_settings;
            self.note(format!(
                "{count} settings of clients, groups or quotas are not taken over: set them again"
            ));
        }
    }

    fn topics(&mut self) {
        let image = self.image;
        for (id, topic) in &image.topics {
            self.plan.topics.push((topic.name.clone(), topic.partitions.len()));
            self.plan.records.push(MetadataRecord::TopicCreated { id: *id, name: topic.name.clone() });
            for (at, (number, partition)) in topic.partitions.iter().enumerate() {
                if *number != at as i32 {
                    self.refuse(format!("{}-{at} is missing from Kafka's metadata", topic.name));
                    break;
                }
                self.partition(*id, &topic.name, PartitionIndex(at as u32), partition);
            }
            self.topic_configs(*id, &topic.name);
            match topic.name.as_str() {
                "__transaction_state" => self.note(
                    "transactions that were open stay open until their producer comes back or their time is up",
                ),
                "__share_group_state" => self.note("share groups are not served"),
                _ => {}
            }
        }
        self.plan.topics.sort();
    }

    fn partition(&mut self, id: TopicId, topic: &str, partition: PartitionIndex, known: &KafkaPartition) {
        let name = LogName::new(topic, partition);
        let node = self.plan.node_id;
        if known.replicas != [node.0 as i32] {
            self.refuse(format!(
                "{name} has its replicas on brokers {:?}: only a cluster of this one broker can be adopted",
                known.replicas
            ));
        }
        match self.logs.get(&name).copied() {
            None => {
                self.refuse(format!("{name} has no directory here: all log.dirs of the broker must be one"))
            }
            Some(log) if log.topic_id != Some(id) => {
                self.refuse(format!("{name} is of another topic of that name, or does not say of which"));
            }
            Some(log) => {
                let sparse = sparse(&log.segments);
                if !sparse.is_empty() {
                    self.plan.gaps.push((log.path.clone(), sparse));
                }
                if let Some(bad) = log.segments.iter().find(|segment| segment.unread > 0) {
                    self.refuse(format!(
                        "{name}, segment {}: {} bytes do not read (highwater log verify {}); format v0 and v1 are not read",
                        bad.base,
                        bad.unread,
                        log.path.display()
                    ));
                }
            }
        }
        // One more than any that Kafka has used: no epoch has two leaders.
        let kafka = LeaderEpoch(u32::try_from(known.leader_epoch).unwrap_or(0));
        self.plan.records.push(MetadataRecord::PartitionCreated {
            topic: id,
            partition,
            replicas: vec![node],
            isr: vec![node],
            leader: Some(node),
            leader_epoch: LeaderEpoch(kafka.0.saturating_add(1)),
        });
        self.plan.logs.push((name, kafka));
    }

    fn topic_configs(&mut self, id: TopicId, topic: &str) {
        let set = self.image.topic_configs.get(topic).cloned().unwrap_or_default();
        if set.get("remote.storage.enable").is_some_and(|value| value.trim() == "true") {
            self.refuse(format!(
                "{topic} has remote.storage.enable=true: Kafka's remote segments cannot be read"
            ));
            return;
        }
        let (unused, used): (BTreeMap<String, String>, BTreeMap<String, String>) = set
            .into_iter()
            .partition(|(key, _)| config::is_known_but_unused(key) && config::topic_key(key).is_none());
        for (key, value) in unused {
            self.note(format!("{topic}: {key}={value} has no effect here"));
        }
        let mut wished = used;
        // What lies here is here; a bucket is for its owner to ask for.
        wished.entry("remote.storage.enable".to_owned()).or_insert_with(|| "false".to_owned());
        match TopicConfig::complete(wished, self.broker, 1) {
            Err(error) => self.refuse(format!("{topic}: {error}")),
            Ok(configs) => {
                let resource = ConfigResource::Topic(id);
                let set = |(key, value)| MetadataRecord::ConfigSet {
                    resource: resource.clone(),
                    key,
                    value: Some(value),
                };
                self.plan.records.extend(configs.into_iter().map(set));
            }
        }
    }

    fn broker_configs(&mut self) {
        for (broker, configs) in &self.image.broker_configs {
            let resource = match broker.as_str() {
                "" => ConfigResource::Brokers,
                id if id == self.plan.node_id.to_string() => ConfigResource::Broker(self.plan.node_id),
                _ => continue,
            };
            for (key, value) in configs {
                match config::check_dynamic(key, value) {
                    Ok(()) => self.plan.records.push(MetadataRecord::ConfigSet {
                        resource: resource.clone(),
                        key: key.clone(),
                        value: Some(value.clone()),
                    }),
                    Err(error) => self.plan.notes.push(format!("broker setting not taken over: {error}")),
                }
            }
        }
    }

    fn group_configs(&mut self) {
        for (group, configs) in &self.image.group_configs {
            for (key, value) in configs {
                match config::check_group(key, value) {
                    Ok(()) => self.plan.records.push(MetadataRecord::ConfigSet {
                        resource: ConfigResource::Group(group.clone()),
                        key: key.clone(),
                        value: Some(value.clone()),
                    }),
                    Err(error) => {
                        self.plan.notes.push(format!("setting of group {group:?} not taken over: {error}"));
                    }
                }
            }
        }
    }

    fn producer_ids(&mut self) {
        if self.image.next_producer_id > 0 {
            let next = ProducerId(self.image.next_producer_id);
            self.plan.records.push(MetadataRecord::ProducerIdsAllocated { broker: self.plan.node_id, next });
        }
    }

    /// Logs that Kafka's metadata do not know.
    fn strays(&mut self) {
        let known: Vec<&LogName> = self.plan.logs.iter().map(|(name, _)| name).collect();
        let strays: Vec<String> = self
            .logs
            .keys()
            .filter(|name| !known.contains(name))
            .map(LogName::to_string)
            .filter(|name| name != METADATA_LOG)
            .collect();
        for name in strays {
            self.note(format!("{name} is left alone: Kafka's metadata do not know it"));
        }
    }
}

/// Segments in or behind which compaction has left offsets without a batch.
fn sparse(segments: &[SegmentContents]) -> Vec<SparseSegment> {
    let with_next = segments.iter().enumerate().map(|(at, segment)| {
        let next_base = segments.get(at + 1).map_or(segment.next_offset, |next| next.base);
        (segment, SparseSegment { base: segment.base, end: segment.next_offset, next_base })
    });
    with_next
        .filter(|(segment, sparse)| segment.gaps > 0 || sparse.next_base > sparse.end)
        .map(|(_, sparse)| sparse)
        .collect()
}
