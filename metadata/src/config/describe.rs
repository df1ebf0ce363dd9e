//! What DescribeConfigs answers.

use super::{BrokerConfig, Definition, GROUP_KEYS, Kind, Synonym, TOPIC_KEYS, broker_keys};
use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// It was set for the topic.
    Topic,
    /// It was set for this broker while it runs.
    Broker,
    /// It was set for every broker while they run.
    Brokers,
    /// It was given to the broker when it started.
    BrokerFile,
    /// It was set for the group.
    Group,
    /// Nobody gave it.
    Default,
}

/// One key of a topic, group or broker with its value in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The key.
    pub name: &'static str,
    /// The value in force; `None` where there is none.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it cannot be altered.
    pub is_read_only: bool,
    /// What its text parses as.
    pub kind: Kind,
    /// What it does.
    pub documentation: &'static str,
    /// Every value that was given or is a default, the one in force first, each under the name and in the unit in which
    /// it was given.
    pub synonyms: Vec<DescribedSynonym>,
}

/// One of the values behind the one in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedSynonym {
    /// The key under which it was given.
    pub name: &'static str,
    /// The value.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
}

/// Every key of a topic for which `set` was set, sorted by name.
pub fn describe_topic(set: &BTreeMap<String, String>, broker: &BrokerConfig) -> Vec<Described> {
    let listed = TOPIC_KEYS.iter().filter(|definition| !definition.internal);
    listed.map(|definition| describe_key(definition, set, ConfigSource::Topic, broker)).collect()
}

/// Every key of a group for which `set` was set, sorted by name.
pub fn describe_group(set: &BTreeMap<String, String>, broker: &BrokerConfig) -> Vec<Described> {
    GROUP_KEYS.iter().map(|definition| describe_key(definition, set, ConfigSource::Group, broker)).collect()
}

/// One key of something that broker keys give a default.
fn describe_key(
    definition: &'static Definition,
    set: &BTreeMap<String, String>,
    own: ConfigSource,
    broker: &BrokerConfig,
) -> Described {
    let (value, source) = match set.get(definition.name) {
        Some(text) => (Some(text.clone()), own),
        None => broker.settings.default_of(definition),
    };
    let mut synonyms = Vec::new();
    if let Some(text) = set.get(definition.name) {
        synonyms.push(DescribedSynonym { name: definition.name, value: Some(text.clone()), source: own });
    }
    synonyms.extend(given(definition.synonyms, broker));
    let defaults = definition.synonyms.iter().filter(|synonym| synonym.default.is_some());
    synonyms.extend(defaults.map(|synonym| DescribedSynonym {
        name: synonym.name,
        value: synonym.default.map(ToString::to_string),
        source: ConfigSource::Default,
    }));
    Described {
        name: definition.name,
        value,
        source,
        is_read_only: definition.fixed,
        kind: definition.kind,
        documentation: definition.doc,
        synonyms,
    }
}

/// Every key of a broker, sorted by name.
pub fn describe_broker(broker: &BrokerConfig) -> Vec<Described> {
    let mut described: Vec<Described> = broker_keys()
        .map(|key| {
            let (value, source) = broker.settings.shown(&key);
            let of_its_own = broker.settings.layers(key.name);
            let mut synonyms: Vec<DescribedSynonym> = of_its_own
                .map(|(text, source)| DescribedSynonym { name: key.name, value: Some(text.into()), source })
                .collect();
            if !key.is_synonym {
                synonyms.extend(given(key.definition.synonyms, broker));
            }
            if let Some(default) = key.default {
                let value = Some(default.into());
                synonyms.push(DescribedSynonym { name: key.name, value, source: ConfigSource::Default });
            }
            Described {
                name: key.name,
                value,
                source,
                is_read_only: !key.is_dynamic(),
                kind: key.definition.kind,
                documentation: key.definition.doc,
                synonyms,
            }
        })
        .collect();
    described.sort_by_key(|key| key.name);
    described
}

/// What was set for every broker while they run, sorted by name.
pub fn describe_brokers(broker: &BrokerConfig) -> Vec<Described> {
    let set = broker.settings.set_for_all().iter();
    let described = set.filter_map(|(name, text)| {
        let key = broker_keys().find(|key| key.name == name)?;
        let value = Some(text.clone());
        Some(Described {
            name: key.name,
            value: value.clone(),
            source: ConfigSource::Brokers,
            is_read_only: false,
            kind: key.definition.kind,
            documentation: key.definition.doc,
            synonyms: alloc::vec![DescribedSynonym { name: key.name, value, source: ConfigSource::Brokers }],
        })
    });
    described.collect()
}

fn given(synonyms: &'static [Synonym], broker: &BrokerConfig) -> impl Iterator<Item = DescribedSynonym> {
    synonyms.iter().flat_map(|synonym| {
        broker.settings.layers(synonym.name).map(|(text, source)| DescribedSynonym {
            name: synonym.name,
            value: Some(text.into()),
            source,
        })
    })
}
