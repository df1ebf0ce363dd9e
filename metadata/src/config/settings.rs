//! The values that a broker was given.

use super::{
    BrokerKey, Definition, broker_key,
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

    /// What was given for this very key.
    pub fn given(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str)
    }

    /// The value in force of one of the broker's own keys.
    pub(super) fn own(&self, definition: &Definition) -> Option<String> {
        let names =
            core::iter::once(definition.name).chain(definition.synonyms.iter().map(|synonym| synonym.name));
        let given = names.filter_map(|name| self.given(name)).next();
        given.or(definition.default).map(ToString::to_string)
    }

    /// The value that a topic has unless told otherwise, in the units of the topic key, and where it comes from.
    pub(super) fn topic_default(&self, definition: &'static Definition) -> (Option<String>, ConfigSource) {
        for synonym in definition.synonyms {
            if let Some(text) = self.given(synonym.name) {
                let value = value::in_unit(text, synonym.unit, definition.kind).ok();
                return (value.map(|value| value.into_owned()), ConfigSource::BrokerFile);
            }
        }
        (definition.default.map(ToString::to_string), ConfigSource::Default)
    }

    /// The value in force of a broker key under this name, in its own unit, and where it comes from.
    pub(super) fn shown(&self, key: &BrokerKey) -> (Option<String>, ConfigSource) {
        match self.given(key.name) {
            Some(text) => (Some(text.into()), ConfigSource::BrokerFile),
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
