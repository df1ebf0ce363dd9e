//! Configurations: described, and altered while topics and brokers are in use.

use highwater_env::BoxFuture;
use highwater_metadata::{
    Topic,
    config::{
        ConfigSource, Described, Kind, describe_broker, describe_brokers, describe_group, describe_topic,
    },
    decide::{self, ConfigChange, ConfigTarget, check_topic_name},
};

use crate::{
    Node,
    cluster::ChangeError,
    request::{AlterConfigsError, Caller, ConfigEntry, DescribeConfigsError},
};

impl Node {
    /// Every key of a topic with its value and where the value comes from.
    ///
    /// # Errors
    /// [`DescribeConfigsError::UnknownTopic`], or [`DescribeConfigsError::InvalidName`] of one that cannot be.
    pub fn describe_topic_config(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Vec<ConfigEntry>, DescribeConfigsError> {
        let _ = caller;
        check_topic_name(name)?;
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
        // The empty name is the default of all brokers, which is set while they run.
        if id.is_empty() {
            return Ok(describe_brokers(&self.live.get()).into_iter().map(entry).collect());
        }
        let number: u32 = id.parse().map_err(|_| {
            DescribeConfigsError::InvalidRequest(format!("Broker id must be an integer, but it is: {id}"))
        })?;
        if number != self.broker.0 {
            return Err(DescribeConfigsError::InvalidRequest(format!(
                "Unexpected broker id, expected {} or empty string, but received {id}",
                self.broker
            )));
        }
        Ok(describe_broker(&self.live.get()).into_iter().map(entry).collect())
    }

    /// Every key of a group, whether there is one of this name or not.
    ///
    /// # Errors
    /// [`DescribeConfigsError::InvalidRequest`] of one without a name.
    pub fn describe_group_config(
        &self,
        caller: &Caller,
        group: &str,
    ) -> Result<Vec<ConfigEntry>, DescribeConfigsError> {
        let _ = caller;
        if group.is_empty() {
            return Err(DescribeConfigsError::InvalidRequest("Group name must not be empty".into()));
        }
        let set = self.image().group_config(group).clone();
        Ok(describe_group(&set, &self.live.get()).into_iter().map(entry).collect())
    }

    /// Changes configurations, each by itself, answered in order. With `validate_only` nothing changes.
    ///
    /// A change that is answered `Ok` is durable, and in force on this broker's logs from their next operation on;
    /// other brokers follow as they learn of it.
    pub fn alter_configs<'a>(
        &'a self,
        caller: &'a Caller,
        changes: Vec<(ConfigTarget, ConfigChange)>,
        validate_only: bool,
    ) -> BoxFuture<'a, Vec<Result<(), AlterConfigsError>>> {
        Box::pin(async move {
            let _ = caller;
            let mut answers = Vec::with_capacity(changes.len());
            let mut altered = false;
            for (target, change) in changes {
                answers.push(match self.alter_config(&target, &change, validate_only).await {
                    Ok(changed) => {
                        altered |= changed;
                        Ok(())
                    }
                    Err(error) => Err(error),
                });
            }
            if altered {
                self.reconfigure().await;
            }
            answers
        })
    }

    async fn alter_config(
        &self,
        target: &ConfigTarget,
        change: &ConfigChange,
        validate_only: bool,
    ) -> Result<bool, AlterConfigsError> {
        match target {
            ConfigTarget::Broker(id) if *id != self.broker => {
                return Err(AlterConfigsError::InvalidRequest(format!(
                    "Unexpected broker id, expected {}, but received {id}",
                    self.broker
                )));
            }
            _ => {}
        }
        let config = self.live.get();
        if validate_only {
            decide::alter_configs(&self.image(), &config, target, change)?;
            return Ok(false);
        }
        match self.cluster.change(|image| decide::alter_configs(image, &config, target, change)).await {
            Ok(_) => Ok(true),
            Err(ChangeError::Refused(error)) => Err(error.into()),
            Err(ChangeError::Log(error)) => Err(AlterConfigsError::Unavailable(error.to_string())),
        }
    }

    pub(crate) fn topic_config_entries(&self, topic: &Topic) -> Vec<ConfigEntry> {
        describe_topic(&topic.configs, &self.live.get()).into_iter().map(entry).collect()
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
        ConfigSource::Broker => 2,
        ConfigSource::Brokers => 3,
        ConfigSource::BrokerFile => 4,
        ConfigSource::Default => 5,
        ConfigSource::Group => 8,
    }
}
