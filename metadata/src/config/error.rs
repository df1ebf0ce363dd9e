//! Why a configuration is refused.

use alloc::string::String;
use core::fmt;

/// A key that cannot be set, or not to this value. The caller fixes the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` {problem}")]
pub struct ConfigError {
    /// The key.
    pub key: String,
    /// What is wrong.
    pub problem: ConfigProblem,
}

impl ConfigError {
    /// An error about `key`.
    pub fn new(key: &str, problem: ConfigProblem) -> ConfigError {
        ConfigError { key: key.into(), problem }
    }
}

/// What is wrong with a key or its value. Reads on after the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigProblem {
    /// Nobody knows this key.
    UnknownKey {
        /// The valid key that is spelt most like it.
        nearest: &'static str,
    },
    /// The value is not what the key takes.
    Invalid {
        /// The value.
        value: String,
        /// What the key takes.
        expected: String,
    },
    /// Kafka has this value; it is refused until it is built, rather than accepted and not honoured.
    NotBuilt {
        /// The value.
        value: String,
        /// What is missing.
        why: &'static str,
    },
    /// The value does not go with that of another key.
    Contradiction {
        /// The value.
        value: String,
        /// The rule between the two.
        rule: &'static str,
    },
    /// The key keeps the value that it got at first.
    Fixed,
    /// The key cannot be altered while the broker runs.
    NotDynamic,
    /// Members can be added to and taken from lists only.
    NoList,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigProblem::UnknownKey { nearest } => {
                write!(f, "is not a configuration key; the nearest one is `{nearest}`")
            }
            ConfigProblem::Invalid { value, expected } => {
                write!(f, "cannot be `{value}`: expected {expected}")
            }
            ConfigProblem::NotBuilt { value, why } => write!(f, "cannot be `{value}` yet: {why}"),
            ConfigProblem::Contradiction { value, rule } => write!(f, "cannot be `{value}`: {rule}"),
            ConfigProblem::Fixed => write!(f, "is fixed when the topic is created"),
            ConfigProblem::NotDynamic => write!(f, "cannot be altered while the broker runs"),
            ConfigProblem::NoList => write!(f, "is no list, so nothing can be added to it or taken from it"),
        }
    }
}
