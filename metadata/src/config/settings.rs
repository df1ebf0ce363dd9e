//! The values that a broker was given.

use super::{
    BrokerKey, Definition, broker_key, check_dynamic,
    describe::ConfigSource,
    error::{ConfigError, ConfigProblem},
    known::is_known_but_unused,
    nearest::nearest_broker_key,
    value,
};
use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
};

/// Broker keys and the values they were given, each valid by itself. What was not given has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    given: BTreeMap<String, String>,
    /// Set for every broker while it runs: stronger than what was given.
    brokers: BTreeMap<String, String>,
    /// Set for this broker while it runs: the strongest.
    broker: BTreeMap<String, String>,
}

impl Settings {
    /// Nothing given.
    pub fn new() -> Settings {
        Settings::default()
    }

    /// Gives a key a value, in place of any it had.
    ///
    /// `Ok(false)` says that Kafka knows the key and nothing here reads it.
    pub fn give(&mut self, name: &str, text: &str) -> Result<bool, ConfigError> {
        match broker_key(name) {
            Some(key) => key.check(text).map_err(|problem| ConfigError::new(name, problem))?,
            None if is_known_but_unused(name) => {}
            None => {
                let problem = ConfigProblem::UnknownKey { nearest: nearest_broker_key(name) };
                return Err(ConfigError::new(name, problem));
            }
        }
        self.given.insert(name.into(), text.trim().into());
        Ok(!is_known_but_unused(name))
    }

    /// The same, with what was set while the broker runs in place of any such before: for every broker, and for this
    /// one, which is stronger. What cannot be altered so is left out, as values that are not valid are.
    pub fn with_dynamic(
        &self,
        brokers: &BTreeMap<String, String>,
        broker: &BTreeMap<String, String>,
    ) -> Settings {
        let valid = |set: &BTreeMap<String, String>| {
            let valid = set.iter().filter(|(name, text)| check_dynamic(name, text).is_ok());
            valid.map(|(name, text)| (name.clone(), text.trim().to_string())).collect()
        };
        Settings { given: self.given.clone(), brokers: valid(brokers), broker: valid(broker) }
    }

    /// The strongest value that was given or set for this very key.
    pub fn given(&self, name: &str) -> Option<&str> {
        self.layers(name).next().map(|(text, _)| text)
    }

    /// Every value that was given or set for this very key, the strongest first.
    pub(super) fn layers(&self, name: &str) -> impl Iterator<Item = (&str, ConfigSource)> {
        let layers = [
            (&self.broker, ConfigSource::Broker),
            (&self.brokers, ConfigSource::Brokers),
            (&self.given, ConfigSource::BrokerFile),
        ];
        let found = layers.map(|(layer, source)| layer.get(name).map(|text| (text.as_str(), source)));
        found.into_iter().flatten()
    }

    /// What was set for every broker while it runs.
    pub(super) const fn set_for_all(&self) -> &BTreeMap<String, String> {
        &self.brokers
    }

    /// The value in force of one of the broker's own keys.
    pub(super) fn own(&self, definition: &Definition) -> Option<String> {
        let names =
            core::iter::once(definition.name).chain(definition.synonyms.iter().map(|synonym| synonym.name));
        let given = names.filter_map(|name| self.given(name)).next();
        given.or(definition.default).map(ToString::to_string)
    }

    /// The value that a topic, or a group, has unless told otherwise, in the units of its key, and where it comes from.
    pub(crate) fn default_of(&self, definition: &'static Definition) -> (Option<String>, ConfigSource) {
        for synonym in definition.synonyms {
            if let Some((text, source)) = self.layers(synonym.name).next() {
                let value = value::in_unit(text, synonym.unit, definition.kind).ok();
                return (value.map(|value| value.into_owned()), source);
            }
        }
        (definition.default.map(ToString::to_string), ConfigSource::Default)
    }

    /// The value in force of a broker key under this name, in its own unit, and where it comes from.
    pub(super) fn shown(&self, key: &BrokerKey) -> (Option<String>, ConfigSource) {
        match self.layers(key.name).next() {
            Some((text, source)) => (Some(text.into()), source),
            None if key.is_synonym => (key.default.map(ToString::to_string), ConfigSource::Default),
            None => {
                let source =
                    match key.definition.synonyms.iter().any(|other| self.given(other.name).is_some()) {
                        true => ConfigSource::BrokerFile,
                        false => ConfigSource::Default,
                    };
                (self.own(key.definition), source)
            }
        }
    }
}
