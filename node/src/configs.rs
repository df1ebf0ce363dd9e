//! DescribeConfigs.

use highwater_metadata::{
    Topic,
    config::{ConfigSource, Described, Kind, describe_broker, describe_topic},
};

use crate::{
    Node,
    request::{Caller, ConfigEntry, DescribeConfigsError},
};

impl Node {
    /// Every key of a topic with its value and where the value comes from.
    ///
    /// # Errors
    /// [`DescribeConfigsError::UnknownTopic`].
    pub fn describe_topic_config(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Vec<ConfigEntry>, DescribeConfigsError> {
        let _ = caller;
        let image = self.image();
        let topic = image.topic_named(name).ok_or(DescribeConfigsError::UnknownTopic)?;
        Ok(self.topic_config_entries(topic))
    }

    /// Every key of this broker. `id` is its number as text.
    ///
    /// # Errors
    /// [`DescribeConfigsError::InvalidRequest`] for another broker or no number.
    pub fn describe_broker_config(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<Vec<ConfigEntry>, DescribeConfigsError> {
        let _ = caller;
        // The empty name is the default of all brokers, which is set dynamically: nothing is.
        if id.is_empty() {
            return Ok(Vec::new());
        }
        if id.parse() != Ok(self.broker.0) {
            return Err(DescribeConfigsError::InvalidRequest(format!(
                "Unexpected broker id, expected {} or empty string, but received {id}",
                self.broker
            )));
        }
        Ok(describe_broker(&self.config).into_iter().map(entry).collect())
    }

    pub(crate) fn topic_config_entries(&self, topic: &Topic) -> Vec<ConfigEntry> {
        describe_topic(&topic.configs, &self.config).into_iter().map(entry).collect()
    }
}

fn entry(described: Described) -> ConfigEntry {
    ConfigEntry {
        name: described.name.to_owned(),
        value: described.value,
        source: source(described.source),
        is_default: described.source == ConfigSource::Default,
        read_only: described.is_read_only,
        sensitive: false,
        kind: match described.kind {
            Kind::Boolean => 1,
            Kind::Text => 2,
            Kind::Int => 3,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
        },
        documentation: described.documentation.to_owned(),
        synonyms: described
            .synonyms
            .into_iter()
            .map(|synonym| (synonym.name.to_owned(), synonym.value, source(synonym.source)))
            .collect(),
    }
}

/// Kafka's number for where a value comes from.
const fn source(source: ConfigSource) -> i8 {
    match source {
        ConfigSource::Topic => 1,
        ConfigSource::BrokerFile => 4,
        ConfigSource::Default => 5,
    }
}
