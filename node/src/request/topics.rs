use std::collections::BTreeMap;

use highwater_metadata::decide::{self, InvalidTopicName};
use highwater_records::TopicId;

/// A topic to create.
#[derive(Clone, Debug)]
pub struct CreateTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; `None` for the broker's default.
    pub partitions: Option<i32>,
    /// How many replicas; `None` for the broker's default.
    pub replication_factor: Option<i16>,
    /// Which brokers hold which partition, where the caller decides; empty otherwise.
    pub assignments: BTreeMap<i32, Vec<i32>>,
    /// Configuration overrides; `None` values are refused by name.
    pub configs: Vec<(String, Option<String>)>,
}

/// A topic that was created, or would be.
#[derive(Clone, Debug)]
pub struct CreatedTopic {
    /// Its identity; [`TopicId::ZERO`] if the request was only to be validated.
    pub id: TopicId,
    /// How many partitions.
    pub partitions: i32,
    /// How many replicas.
    pub replication_factor: i16,
    /// Its whole configuration.
    pub configs: Vec<ConfigEntry>,
}

/// One configuration value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The key.
    pub name: String,
    /// The value; `None` for sensitive ones and for keys without one.
    pub value: Option<String>,
    /// Where the value comes from, as Kafka numbers it (1 topic, 2 dynamic broker, 4 static broker, 5 default).
    pub source: i8,
    /// Whether it is the key's default.
    pub is_default: bool,
    /// Whether it cannot be altered.
    pub read_only: bool,
    /// Whether its value is never shown.
    pub sensitive: bool,
    /// Its type as Kafka numbers it (1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class,
    /// 9 password).
    pub kind: i8,
    /// What it does.
    pub documentation: String,
    /// Other keys that could have given the value, strongest first: name, value, source.
    pub synonyms: Vec<(String, Option<String>, i8)>,
}

/// Why a topic was not created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateTopicError {
    /// There is one with this name.
    #[error("topic '{0}' already exists")]
    AlreadyExists(String),
    /// The name is not one Kafka allows, or collides with an existing one in metric names.
    #[error("{0}")]
    InvalidName(String),
    /// Not a number of partitions.
    #[error("{0}")]
    InvalidPartitions(String),
    /// All topics of one request together have more partitions than one request may make.
    #[error("a request makes at most {max} partitions", max = decide::PARTITIONS_MAX)]
    TooManyPartitions,
    /// More replicas than brokers, or not a number.
    #[error("{0}")]
    InvalidReplicationFactor(String),
    /// The assignment does not fit.
    #[error("{0}")]
    InvalidAssignment(String),
    /// A key or value is wrong, or not supported yet.
    #[error("{0}")]
    InvalidConfig(String),
    /// Contradicts itself, or names a topic twice.
    #[error("{0}")]
    InvalidRequest(String),
    /// The decision's fate is unknown or it could not be made now. Retry.
    #[error("{0}")]
    Unavailable(String),
}

/// Why a topic that a client wants to use does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnsureTopicError {
    /// There is none, and it was not to be created.
    #[error("unknown topic")]
    Unknown,
    /// The name is not one Kafka allows.
    #[error("{0}")]
    InvalidName(String),
    /// It cannot be created now. Retry.
    #[error("{0}")]
    Unavailable(String),
}

/// A topic that was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub id: TopicId,
}

/// Why a topic was not deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteTopicError {
    /// There is none with this name.
    #[error("unknown topic")]
    UnknownTopic,
    /// There is none with this id.
    #[error("unknown topic id")]
    UnknownTopicId,
    /// `delete.topic.enable` is false.
    #[error("topic deletion is disabled")]
    Disabled,
    /// The decision's fate is unknown or it could not be made now. Retry.
    #[error("{0}")]
    Unavailable(String),
}

/// Why a configuration was not altered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlterConfigsError {
    /// The change is refused.
    #[error(transparent)]
    Refused(#[from] decide::AlterConfigsError),
    /// The resource makes no sense here.
    #[error("{0}")]
    InvalidRequest(String),
    /// The decision's fate is unknown or it could not be made now. Retry.
    #[error("{0}")]
    Unavailable(String),
}

/// Why a configuration is not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescribeConfigsError {
    /// No such topic.
    #[error("unknown topic")]
    UnknownTopic,
    /// No topic can have this name.
    #[error(transparent)]
    InvalidName(#[from] InvalidTopicName),
    /// The resource makes no sense.
    #[error("{0}")]
    InvalidRequest(String),
}
