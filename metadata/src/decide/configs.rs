//! Configuration of topics and brokers that exist.

use crate::{
    ConfigResource, Image, MetadataRecord,
    config::{
        BrokerConfig, ConfigError, ConfigProblem, Definition, Kind, broker_key, check_dynamic, check_group,
        check_group_set, check_topic, check_topic_set, group_key, members, topic_key,
    },
};
use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};
use highwater_records::BrokerId;

/// What is to become of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigOperation {
    /// It has this value.
    Set(String),
    /// It has its default again.
    Delete,
    /// These members of a list are there too.
    Append(String),
    /// These members of a list are not there.
    Subtract(String),
}

/// How a configuration is to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// These keys, each by itself; what is not named stays.
    Incremental(BTreeMap<String, ConfigOperation>),
    /// These keys have these values, every other one has its default. What was decided when a topic was created
    /// stays, unless it is named.
    Whole(BTreeMap<String, String>),
}

/// Whose configuration is to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigTarget {
    /// A topic's.
    Topic(String),
    /// That of one broker.
    Broker(BrokerId),
    /// That of every broker.
    Brokers,
    /// That of a group, whether there is one of this name or not.
    Group(String),
}

/// Why a configuration does not change. The caller fixes the call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlterConfigsError {
    /// No topic has that name.
    #[error("The topic '{0}' does not exist.")]
    UnknownTopic(String),
    /// A key or value is refused.
    #[error(transparent)]
    InvalidConfig(#[from] ConfigError),
}

/// Decided when the topic was created and stored with it: no default can take their place.
const DECIDED_AT_CREATION: [&str; 2] = ["highwater.durability", "remote.storage.enable"];

/// Changes a configuration. Nothing to decide where every key has its value already.
pub fn alter_configs(
    image: &Image,
    broker: &BrokerConfig,
    target: &ConfigTarget,
    change: &ConfigChange,
) -> Result<Vec<MetadataRecord>, AlterConfigsError> {
    let (resource, before, after) = match target {
        ConfigTarget::Topic(name) => {
            let topic =
                image.topic_named(name).ok_or_else(|| AlterConfigsError::UnknownTopic(name.clone()))?;
            let mut after = changed(&topic.configs, change, topic_key)?;
            for key in DECIDED_AT_CREATION {
                let named = match change {
                    ConfigChange::Incremental(operations) => operations.contains_key(key),
                    ConfigChange::Whole(values) => values.contains_key(key),
                };
                match (topic.configs.get(key), after.get(key)) {
                    (Some(decided), None) if !named => {
                        after.insert(key.into(), decided.clone());
                    }
                    (decided, wished) if decided != wished => {
                        return Err(ConfigError::new(key, ConfigProblem::Fixed).into());
                    }
                    _ => {}
                }
            }
            for (key, value) in after.iter().filter(|(key, value)| topic.configs.get(*key) != Some(value)) {
                check_topic(key, value)?;
            }
            let replicas = topic.partitions.iter().map(|partition| partition.replicas.len()).max();
            check_topic_set(&after, broker, replicas.unwrap_or(1))?;
            (ConfigResource::Topic(topic.id), &topic.configs, after)
        }
        ConfigTarget::Broker(id) => {
            let before = image.broker_configs(Some(*id));
            (ConfigResource::Broker(*id), before, changed_dynamic(before, change)?)
        }
        ConfigTarget::Brokers => {
            let before = image.broker_configs(None);
            (ConfigResource::Brokers, before, changed_dynamic(before, change)?)
        }
        ConfigTarget::Group(name) => {
            let before = image.group_config(name);
            let after = changed(before, change, group_key)?;
            for (key, value) in after.iter().filter(|(key, value)| before.get(*key) != Some(value)) {
                check_group(key, value)?;
            }
            check_group_set(&after, &broker.groups)?;
            (ConfigResource::Group(name.clone()), before, after)
        }
    };
    let set = |key: &String, value: Option<&String>| MetadataRecord::ConfigSet {
        resource: resource.clone(),
        key: key.clone(),
        value: value.cloned(),
    };
    let gone = before.keys().filter(|key| !after.contains_key(*key)).map(|key| set(key, None));
    let new = after.iter().filter(|(key, value)| before.get(*key) != Some(value));
    Ok(gone.chain(new.map(|(key, value)| set(key, Some(value)))).collect())
}

fn changed_dynamic(
    before: &BTreeMap<String, String>,
    change: &ConfigChange,
) -> Result<BTreeMap<String, String>, AlterConfigsError> {
    let after = changed(before, change, |name| broker_key(name).map(|key| key.definition))?;
    for (key, value) in after.iter().filter(|(key, value)| before.get(*key) != Some(value)) {
        check_dynamic(key, value)?;
    }
    Ok(after)
}

/// What is set after the change, trimmed and not checked yet.
fn changed(
    before: &BTreeMap<String, String>,
    change: &ConfigChange,
    definition: impl Fn(&str) -> Option<&'static Definition>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let operations = match change {
        ConfigChange::Whole(values) => {
            return Ok(values.iter().map(|(key, value)| (key.clone(), value.trim().into())).collect());
        }
        ConfigChange::Incremental(operations) => operations,
    };
    let mut after = before.clone();
    for (key, operation) in operations {
        let list = || match definition(key) {
            Some(definition) if definition.kind == Kind::List => {
                let text = before.get(key).map(String::as_str).or(definition.default).unwrap_or_default();
                Ok(members(text).map(ToString::to_string).collect::<Vec<_>>())
            }
            Some(_) => Err(ConfigError::new(key, ConfigProblem::NoList)),
            // Says which key was meant.
            None => Ok(Vec::new()),
        };
        let value = match operation {
            ConfigOperation::Delete => {
                after.remove(key);
                continue;
            }
            ConfigOperation::Set(value) => value.trim().into(),
            ConfigOperation::Append(added) => {
                let mut list = list()?;
                if added.split(',').any(|member| member.trim().is_empty()) {
                    let expected = "members of a list, none of which is empty".to_string();
                    return Err(ConfigError::new(
                        key,
                        ConfigProblem::Invalid { value: added.clone(), expected },
                    ));
                }
                for member in members(added) {
                    if !list.iter().any(|present| present == member) {
                        list.push(member.into());
                    }
                }
                list.join(",")
            }
            ConfigOperation::Subtract(removed) => {
                let mut list = list()?;
                list.retain(|present| !members(removed).any(|member| member == present));
                list.join(",")
            }
        };
        after.insert(key.clone(), value);
    }
    Ok(after)
}
