//! Whose directory it is (`meta.properties`), whose log it is (`partition.metadata`), and whether the last stop was
//! clean (`.kafka_cleanshutdown`).

use std::{fmt, io, path::PathBuf, sync::Arc};

use highwater_records::{BrokerId, TopicId};

use crate::{
    disk::{Disk, replace_file},
    text::{self, Damaged, plain_number},
};

pub(crate) const META_PROPERTIES: &str = "meta.properties";
pub(crate) const PARTITION_METADATA: &str = "partition.metadata";
pub(crate) const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";

/// How the line begins that has our checksum of the lines of `meta.properties` before it; a comment to Kafka.
const SUM: &str = "#crc ";

/// What Kafka writes when it does not know its broker epoch.
pub(crate) const CLEAN_SHUTDOWN_TEXT: &str = r#"{"version":0,"brokerEpoch":-1}"#;

/// The content of `meta.properties`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) cluster_id: String,
    pub(crate) node_id: BrokerId,
    pub(crate) directory_id: TopicId,
    /// Whether there is a journal.
    pub(crate) journal: bool,
}

/// A `meta.properties` that does not open the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BadMeta {
    Version(String),
    Damaged(Damaged),
}

impl Meta {
    /// Kafka reads version 1. It refuses version 2: there is a journal, at which it would not look.
    pub(crate) fn encode(&self) -> String {
        let Meta { cluster_id, node_id, directory_id, journal } = self;
        let version = if *journal { 2 } else { 1 };
        let body = format!(
            "version={version}\ncluster.id={cluster_id}\nnode.id={node_id}\ndirectory.id={directory_id}\n"
        );
        let crc = crc32c::crc32c(body.as_bytes());
        format!("{body}{SUM}{crc:08x}\n")
    }

    /// Reads Java's properties as far as Kafka and we write them: no escapes, no continued lines. A file that Kafka wrote
    /// has no checksum.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Meta, BadMeta> {
        let damaged = |what| BadMeta::Damaged(Damaged(what));
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("not text"))?;
        // Kafka's comments come first.
        if let Some(last) = text.lines().last().filter(|last| last.starts_with('#')) {
            let body = text.trim_end_matches('\n').strip_suffix(last).unwrap_or_default();
            if text != format!("{body}{SUM}{:08x}\n", crc32c::crc32c(body.as_bytes())) {
                return Err(damaged(
                    "its checksum is wrong; if it was changed on purpose, remove its last line",
                ));
            }
        }
        if text.lines().any(|line| !line.is_empty() && !line.starts_with('#') && !line.contains('=')) {
            return Err(damaged("a line is not key=value"));
        }
        let value = |key: &str| {
            let mut lines =
                text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
            lines.find(|(name, _)| *name == key).map(|(_, value)| value)
        };
        let version = value("version").ok_or(damaged("it has no version"))?;
        if version != "1" && version != "2" {
            return Err(BadMeta::Version(version.to_owned()));
        }
        let cluster_id = value("cluster.id").ok_or(damaged("it has no cluster.id"))?.to_owned();
        let node_id = value("node.id").and_then(plain_number).ok_or(damaged("it has no node.id"))?;
        let directory_id =
            value("directory.id").and_then(|id| id.parse().ok()).ok_or(damaged("it has no directory.id"))?;
        Ok(Meta { cluster_id, node_id: BrokerId(node_id), directory_id, journal: version == "2" })
    }
}

/// Says in `meta.properties` whether there is a journal.
pub(crate) struct Claim {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) root: PathBuf,
    pub(super) meta: Meta,
}

impl Claim {
    /// Durable when it returns. Before the journal's first file is there; after its last one is gone.
    pub(crate) fn set_journal(&self, journal: bool) -> io::Result<()> {
        let text = Meta { journal, ..self.meta.clone() }.encode();
        replace_file(&*self.disk, &self.root, META_PROPERTIES, text.as_bytes())
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("root", &self.root).finish_non_exhaustive()
    }
}

/// Kafka's two lines, and one with our checksum of them, which Kafka does not read.
pub(crate) fn encode_partition_metadata(topic_id: TopicId) -> String {
    text::seal(format!("version: 0\ntopic_id: {topic_id}\n"))
}

/// What `partition.metadata` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartitionMetadata {
    pub(crate) topic_id: TopicId,
    /// Whether a checksum vouches for it. Kafka writes none.
    pub(crate) vouched: bool,
}

pub(crate) fn decode_partition_metadata(bytes: &[u8]) -> Result<PartitionMetadata, Damaged> {
    let text = std::str::from_utf8(bytes).map_err(|_| Damaged("not text"))?;
    let mut lines = text.lines();
    if lines.next() != Some("version: 0") {
        return Err(Damaged("its version is not 0"));
    }
    let topic_id = lines
        .next()
        .and_then(|line| line.strip_prefix("topic_id: "))
        .and_then(|id| id.parse().ok())
        .ok_or(Damaged("it has no topic id"))?;
    let vouched = lines.next().is_some();
    if vouched {
        text::unseal(bytes)?;
    }
    Ok(PartitionMetadata { topic_id, vouched })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        let id = TopicId::from_random(1, 2);
        for journal in [false, true] {
            let cluster_id = "MkU3OEVBNTcwNTJENDM2Qk".to_owned();
            let meta = Meta { cluster_id, node_id: BrokerId(4), directory_id: id, journal };
            assert_eq!(Meta::decode(meta.encode().as_bytes()), Ok(meta));
        }
        let decoded = |text: &str| decode_partition_metadata(text.as_bytes());
        let text = encode_partition_metadata(id);
        assert_eq!(decoded(&text), Ok(PartitionMetadata { topic_id: id, vouched: true }));
        let kafkas = format!("version: 0\ntopic_id: {id}\n");
        assert_eq!(decoded(&kafkas), Ok(PartitionMetadata { topic_id: id, vouched: false }));
        let other = TopicId::from_random(1, 3);
        assert!(decoded(&text.replace(&id.to_string(), &other.to_string())).is_err());
    }

    #[test]
    fn kafkas_file_is_read_and_a_newer_one_refused() {
        let kafka = "#\n#Sat Nov 21 11:53:03 UTC 2026\ncluster.id=abc\ndirectory.id=AQIDBAUGBwgJCgsMDQ4PEA\n\
                     node.id=1\nversion=1\n";
        assert_eq!(Meta::decode(kafka.as_bytes()).unwrap().node_id, BrokerId(1));
        let newer = kafka.replace("version=1", "version=3");
        assert_eq!(Meta::decode(newer.as_bytes()), Err(BadMeta::Version("3".to_owned())));
        assert!(matches!(Meta::decode(b"version=1\n"), Err(BadMeta::Damaged(_))));
        assert!(decode_partition_metadata(b"version: 1\ntopic_id: AQIDBAUGBwgJCgsMDQ4PEA\n").is_err());
    }
}
