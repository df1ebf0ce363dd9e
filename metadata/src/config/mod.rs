//! Every configuration key, defined once.
//!
//! A key is one [`Definition`] in a table: [`TOPIC_KEYS`] for what a topic can have, with the broker keys that give its
//! default, [`GROUP_KEYS`] for what a group can have, likewise, and [`BROKER_KEYS`] for the rest. Parsing, validation, defaults, what DescribeConfigs answers, the page
//! `docs/configuration.md` and the suggestion for a misspelt key all derive from it. Names and defaults are
//! Kafka's; `docs/configuration.md` lists where we differ.
//!
//! Other rooms get plain values: [`BrokerConfig`] and [`TopicConfig`].

mod broker;
mod broker_keys;
mod definition;
mod describe;
mod documentation;
mod error;
mod group;
mod group_keys;
mod known;
mod listener;
mod nearest;
mod settings;
mod topic;
mod topic_keys;
mod value;

pub use broker::{BrokerConfig, BucketLocation, TransactionSettings};
pub use broker_keys::BROKER_KEYS;
pub use definition::{BrokerKey, Check, Definition, Importance, Kind, Synonym};
pub use describe::{
    ConfigSource, Described, DescribedSynonym, describe_broker, describe_brokers, describe_group,
    describe_topic,
};
pub use documentation::documentation;
pub use error::{ConfigError, ConfigProblem};
pub(crate) use group::check_group_set;
pub use group::{GroupBounds, GroupOverrides, GroupSettings, check_group};
pub use group_keys::GROUP_KEYS;
pub use known::{is_known_but_unused, known_but_unused};
pub use listener::Listener;
pub use nearest::{nearest_broker_key, nearest_group_key, nearest_topic_key, similar};
pub use settings::Settings;
pub(crate) use topic::check_topic_set;
pub use topic::{Compaction, TimestampType, TopicConfig};
pub use topic_keys::TOPIC_KEYS;
pub(crate) use value::members;

/// The definition of a topic key.
pub fn topic_key(name: &str) -> Option<&'static Definition> {
    TOPIC_KEYS.iter().find(|definition| definition.name == name)
}

/// The definition of a group's key.
pub fn group_key(name: &str) -> Option<&'static Definition> {
    GROUP_KEYS.iter().find(|definition| definition.name == name)
}

/// The broker key of this name: one of the broker's own, or one that gives topics their default.
pub fn broker_key(name: &str) -> Option<BrokerKey> {
    broker_keys().find(|key| key.name == name)
}

/// Every broker key that is defined: the broker's own under all their names, and those that give topics their defaults.
pub fn broker_keys() -> impl Iterator<Item = BrokerKey> {
    let own = BROKER_KEYS.iter().map(BrokerKey::own);
    let others = BROKER_KEYS.iter().chain(TOPIC_KEYS).flat_map(|definition| {
        definition.synonyms.iter().map(|synonym| BrokerKey::synonym(definition, synonym))
    });
    own.chain(others)
}

/// Checks a value that is to be set for a broker, or for all of them, while they run.
pub fn check_dynamic(name: &str, value: &str) -> Result<(), ConfigError> {
    match broker_key(name) {
        Some(key) if key.is_dynamic() => key.check(value).map_err(|problem| ConfigError::new(name, problem)),
        Some(_) => Err(ConfigError::new(name, ConfigProblem::NotDynamic)),
        None if is_known_but_unused(name) => Err(ConfigError::new(name, ConfigProblem::NotDynamic)),
        None => Err(ConfigError::new(name, ConfigProblem::UnknownKey { nearest: nearest_broker_key(name) })),
    }
}

/// Checks a value that is to be set for a topic.
pub fn check_topic(name: &str, value: &str) -> Result<(), ConfigError> {
    match topic_key(name) {
        Some(definition) => definition.check(value).map_err(|problem| ConfigError::new(name, problem)),
        None => Err(ConfigError::new(name, ConfigProblem::UnknownKey { nearest: nearest_topic_key(name) })),
    }
}
