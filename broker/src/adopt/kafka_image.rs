//! What Kafka's metadata log adds up to.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use highwater_records::{
    Offset, TopicId,
    batch::{BatchView, split},
};

use super::kafka_record::KafkaRecord;

/// The directory of Kafka's metadata log.
pub(super) const METADATA_LOG: &str = "__cluster_metadata-0";
/// Most bytes that one of its batches may decompress to.
const DECOMPRESSED_MAX: usize = 256 << 20;
/// Of a configuration record: what it configures.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;

/// The cluster, as Kafka's metadata log tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KafkaImage {
    pub(super) topics: BTreeMap<TopicId, KafkaTopic>,
    /// By topic name.
    pub(super) topic_configs: BTreeMap<String, BTreeMap<String, String>>,
    /// By broker; `""` for all.
    pub(super) broker_configs: BTreeMap<String, BTreeMap<String, String>>,
    /// By group.
    pub(super) group_configs: BTreeMap<String, BTreeMap<String, String>>,
    /// Configurations of anything else, and client quotas.
    pub(super) other_settings: u64,
    pub(super) next_producer_id: u64,
    /// ACLs, credentials and tokens there are, by kind.
    pub(super) security: BTreeMap<&'static str, i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KafkaTopic {
    pub(super) name: String,
    pub(super) partitions: BTreeMap<i32, KafkaPartition>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KafkaPartition {
    pub(super) replicas: Vec<i32>,
    pub(super) leader_epoch: i32,
}

/// Why the metadata log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum KafkaMetadataError {
    /// It is not where it was looked for.
    #[error(
        "there is no {METADATA_LOG} in {0}: if metadata.log.dir is another directory, name it with --kafka-metadata"
    )]
    Missing(PathBuf),
    /// The disk's error.
    #[error("cannot read {path}: {error}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        error: io::Error,
    },
    /// Something in it makes no sense.
    #[error("{path}, offset {offset}: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The record, or where its batch was due.
        offset: Offset,
        /// What is wrong.
        reason: String,
    },
}

impl KafkaImage {
    /// Reads the newest snapshot and the log behind it.
    pub(super) fn read(directory: &Path) -> Result<KafkaImage, KafkaMetadataError> {
        let folder = directory.join(METADATA_LOG);
        let mut names: Vec<String> = Vec::new();
        let listed = fs::read_dir(&folder).map_err(|_| KafkaMetadataError::Missing(directory.to_owned()))?;
        for entry in listed {
            let entry = entry.map_err(|error| KafkaMetadataError::Disk { path: folder.clone(), error })?;
            names.extend(entry.file_name().into_string());
        }
        names.sort();
        let mut replay = Replay::default();
        let snapshot = names.iter().rev().find_map(|name| Some((name, snapshot_end(name)?)));
        if let Some((name, end)) = snapshot {
            replay.file(&folder.join(name), None)?;
            replay.next = end;
        }
        let segments: Vec<(Offset, &String)> =
            names.iter().filter_map(|name| Some((base_of(name)?, name))).collect();
        for (at, (_, name)) in segments.iter().enumerate() {
            let ends_before = segments.get(at + 1).is_some_and(|(next, _)| *next <= replay.next);
            if !ends_before {
                replay.file(&folder.join(name), Some(replay.next))?;
            }
        }
        Ok(replay.image)
    }

    fn apply(&mut self, record: KafkaRecord) {
        match record {
            KafkaRecord::Topic { name, id } => {
                self.topics.insert(id, KafkaTopic { name, partitions: BTreeMap::new() });
            }
            KafkaRecord::Partition { topic, partition, replicas, leader_epoch } => {
                if let Some(topic) = self.topics.get_mut(&topic) {
                    topic.partitions.insert(partition, KafkaPartition { replicas, leader_epoch });
                }
            }
            KafkaRecord::PartitionChange { topic, partition, leader, replicas } => {
                let found =
                    self.topics.get_mut(&topic).and_then(|topic| topic.partitions.get_mut(&partition));
                if let Some(found) = found {
                    found.leader_epoch = found.leader_epoch.saturating_add(i32::from(leader.is_some()));
                    found.replicas = replicas.unwrap_or_else(|| found.replicas.clone());
                }
            }
            KafkaRecord::RemoveTopic { id } => {
                if let Some(topic) = self.topics.remove(&id) {
                    self.topic_configs.remove(&topic.name);
                }
            }
            KafkaRecord::Config { resource_type, resource, key, value } => {
                let configs = match resource_type {
                    TOPIC => &mut self.topic_configs,
                    BROKER => &mut self.broker_configs,
                    GROUP => &mut self.group_configs,
                    _ => {
                        self.other_settings += 1;
                        return;
                    }
                };
                let of = configs.entry(resource).or_default();
                match value {
                    Some(value) => of.insert(key, value),
                    None => of.remove(&key),
                };
            }
            KafkaRecord::ProducerIds { next } => {
                self.next_producer_id = self.next_producer_id.max(u64::try_from(next).unwrap_or(0));
            }
            KafkaRecord::Security(kind, added) => {
                *self.security.entry(kind).or_default() += if added { 1 } else { -1 };
            }
            KafkaRecord::Quota => self.other_settings += 1,
            KafkaRecord::BeginTransaction
            | KafkaRecord::EndTransaction
            | KafkaRecord::AbortTransaction
            | KafkaRecord::Other => {}
        }
    }
}

/// The names of the topics that a file of Kafka's metadata log tells of, a snapshot or a segment from offset 0 on, in the
/// order of their ids. `path` is for errors only.
///
/// # Errors
/// [`KafkaMetadataError::Damaged`].
pub fn topics_in(path: &Path, batches: Bytes) -> Result<Vec<String>, KafkaMetadataError> {
    let mut replay = Replay::default();
    replay.batches(path, batches, Some(Offset::ZERO))?;
    Ok(replay.image.topics.into_values().map(|topic| topic.name).collect())
}

#[derive(Default)]
struct Replay {
    image: KafkaImage,
    next: Offset,
    /// Records of a transaction that has not ended: it counts whole or not at all.
    open: Option<Vec<KafkaRecord>>,
}

impl Replay {
    /// The records of a snapshot, or those of a segment from an offset on.
    fn file(&mut self, path: &Path, from: Option<Offset>) -> Result<(), KafkaMetadataError> {
        let read =
            fs::read(path).map_err(|error| KafkaMetadataError::Disk { path: path.to_owned(), error })?;
        self.batches(path, read.into(), from)
    }

    fn batches(
        &mut self,
        path: &Path,
        batches: Bytes,
        from: Option<Offset>,
    ) -> Result<(), KafkaMetadataError> {
        for bytes in split(batches) {
            let damaged = |reason: String| KafkaMetadataError::Damaged {
                path: path.to_owned(),
                offset: self.next,
                reason,
            };
            let bytes = bytes.map_err(|error| damaged(error.to_string()))?;
            let view = BatchView::parse(&bytes).map_err(|error| damaged(error.to_string()))?;
            view.verify_crc().map_err(|error| damaged(error.to_string()))?;
            if let Some(from) = from {
                if view.next_offset() <= from {
                    continue;
                }
                if view.base_offset() > self.next {
                    return Err(damaged(format!("the next batch begins at offset {}", view.base_offset())));
                }
            }
            if !view.is_control() {
                let mut records =
                    view.records(DECOMPRESSED_MAX).map_err(|error| damaged(error.to_string()))?;
                let mut found = Vec::new();
                while let Some(record) = records.next_record().map_err(|error| damaged(error.to_string()))? {
                    if from.is_none_or(|from| record.offset >= from) {
                        let value = record.value.unwrap_or_default();
                        found.push(KafkaRecord::decode(value).map_err(|error| damaged(error.to_string()))?);
                    }
                }
                found.into_iter().for_each(|record| self.take(record));
            }
            if from.is_some() {
                self.next = view.next_offset();
            }
        }
        Ok(())
    }

    fn take(&mut self, record: KafkaRecord) {
        match (record, &mut self.open) {
            (KafkaRecord::BeginTransaction, open) => *open = Some(Vec::new()),
            (KafkaRecord::AbortTransaction, open) => *open = None,
            (KafkaRecord::EndTransaction, open) => {
                let records = open.take().unwrap_or_default();
                records.into_iter().for_each(|record| self.image.apply(record));
            }
            (record, Some(open)) => open.push(record),
            (record, None) => self.image.apply(record),
        }
    }
}

/// `<end>-<epoch>.checkpoint`: everything below `end` is in it.
fn snapshot_end(name: &str) -> Option<Offset> {
    let (end, epoch) = name.strip_suffix(".checkpoint")?.split_once('-')?;
    (end.len() == 20 && epoch.len() == 10).then_some(())?;
    Offset::new(end.parse().ok()?)
}

fn base_of(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 20).then_some(())?;
    Offset::new(digits.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(n: u8) -> TopicId {
        TopicId::from_bytes([n; 16])
    }

    #[test]
    fn records_add_up() {
        let mut replay = Replay::default();
        let partition =
            |n| KafkaRecord::Partition { topic: topic(n), partition: 0, replicas: vec![1], leader_epoch: 3 };
        let config = |value: Option<&str>| KafkaRecord::Config {
            resource_type: TOPIC,
            resource: "a".into(),
            key: "retention.ms".into(),
            value: value.map(str::to_owned),
        };
        let change =
            |leader| KafkaRecord::PartitionChange { topic: topic(1), partition: 0, leader, replicas: None };
        for record in [
            KafkaRecord::Topic { name: "a".into(), id: topic(1) },
            partition(1),
            change(Some(-1)),
            change(None),
            config(Some("5")),
            KafkaRecord::ProducerIds { next: 2000 },
            KafkaRecord::BeginTransaction,
            KafkaRecord::Topic { name: "b".into(), id: topic(2) },
            KafkaRecord::AbortTransaction,
            KafkaRecord::BeginTransaction,
            KafkaRecord::Topic { name: "c".into(), id: topic(3) },
            partition(3),
            KafkaRecord::EndTransaction,
            KafkaRecord::Security("ACL", true),
            KafkaRecord::Security("ACL", false),
            KafkaRecord::BeginTransaction,
            KafkaRecord::RemoveTopic { id: topic(1) },
        ] {
            replay.take(record);
        }
        let image = replay.image;
        assert_eq!(image.topics.values().map(|topic| topic.name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(image.topics[&topic(1)].partitions[&0].leader_epoch, 4);
        assert_eq!(image.topic_configs["a"]["retention.ms"], "5");
        assert_eq!((image.next_producer_id, image.security["ACL"]), (2000, 0));
        let mut image = image;
        image.apply(config(None));
        assert!(image.topic_configs["a"].is_empty());
        image.apply(KafkaRecord::RemoveTopic { id: topic(1) });
        assert!(!image.topic_configs.contains_key("a"));
        image.apply(KafkaRecord::Config {
            resource_type: GROUP,
            resource: "g".into(),
            key: "consumer.session.timeout.ms".into(),
            value: Some("50000".into()),
        });
        assert_eq!((image.group_configs["g"].len(), image.other_settings), (1, 0));
    }

    #[test]
    fn names_of_files() {
        assert_eq!(snapshot_end("00000000000000000012-0000000003.checkpoint"), Offset::new(12));
        for other in ["12-3.checkpoint", "bootstrap.checkpoint", "00000000000000000012.log"] {
            assert_eq!(snapshot_end(other), None);
        }
        assert_eq!(base_of("00000000000000000012.log"), Offset::new(12));
    }
}
