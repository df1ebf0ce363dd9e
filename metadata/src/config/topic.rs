//! A topic's configuration as values.

use super::{
    BrokerConfig, check_topic,
    error::{ConfigError, ConfigProblem},
    topic_key, value,
};
use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
};
use highwater_records::{
    Durability,
    compression::{Codec, Compression},
};

/// A topic's configuration: what was set for it, else the broker's default, else ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopicConfig {
    /// `retention.ms`; `None` for ever, and where `cleanup.policy` does not delete.
    pub retention_ms: Option<u64>,
    /// `retention.bytes`; `None` for no limit, and where `cleanup.policy` does not delete.
    pub retention_bytes: Option<u64>,
    /// `local.retention.ms`, resolved and never more than `retention_ms`; `None` for ever.
    pub local_retention_ms: Option<u64>,
    /// `local.retention.bytes`, resolved and never more than `retention_bytes`; `None` for no limit.
    pub local_retention_bytes: Option<u64>,
    /// `segment.bytes`.
    pub segment_bytes: u32,
    /// `segment.ms`.
    pub segment_ms: u64,
    /// `segment.index.bytes`.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u32,
    /// `max.message.bytes`: the largest batch, inclusive.
    pub max_message_bytes: u32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`; `None` for no limit.
    pub timestamp_before_max_ms: Option<u64>,
    /// `message.timestamp.after.max.ms`; `None` for no limit.
    pub timestamp_after_max_ms: Option<u64>,
    /// `min.insync.replicas` as set; at most the number of replicas counts.
    pub min_insync_replicas: u32,
    /// `remote.storage.enable`.
    pub remote_storage: bool,
    /// `highwater.durability`.
    pub durability: Durability,
    /// What `cleanup.policy=compact` asks for; `None` where it does not compact.
    pub compaction: Option<Compaction>,
    /// Whether `cleanup.policy` deletes.
    pub deletes: bool,
    /// How batches are compressed before they are stored; `None` keeps what the producer chose.
    pub compression: Option<Compression>,
}

/// How the last record of each key is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Compaction {
    /// `min.compaction.lag.ms`.
    pub min_lag_ms: u64,
    /// `max.compaction.lag.ms`; `None` for no limit.
    pub max_lag_ms: Option<u64>,
    /// `min.cleanable.dirty.ratio` in millionths.
    pub min_dirty_millionths: u32,
    /// `delete.retention.ms`.
    pub delete_retention_ms: u64,
}

/// Who stamps records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// The producer.
    CreateTime,
    /// The broker, when it appends.
    LogAppendTime,
}

impl TopicConfig {
    /// Resolves the configuration of a topic with `replicas` replicas for which `set` was set.
    ///
    /// Fails only if `set` has a value that [`check_topic`] refuses, which another program must have stored.
    pub fn resolve(
        set: &BTreeMap<String, String>,
        broker: &BrokerConfig,
        replicas: usize,
    ) -> Result<TopicConfig, ConfigError> {
        let from = Reader { set, broker };
        let deletes = from.has_policy("delete");
        let retention_ms = limit(from.number("retention.ms")?).filter(|_| deletes);
        let retention_bytes = limit(from.number("retention.bytes")?).filter(|_| deletes);
        let segment_bytes = match from.text("internal.segment.bytes") {
            Some(_) => from.u32("internal.segment.bytes")?,
            None => from.u32("segment.bytes")?,
        };
        Ok(TopicConfig {
            retention_ms,
            retention_bytes,
            local_retention_ms: local(from.number("local.retention.ms")?, retention_ms),
            local_retention_bytes: local(from.number("local.retention.bytes")?, retention_bytes),
            segment_bytes,
            segment_ms: from.parsed("segment.ms", |text| value::number(text)?.try_into().ok())?,
            segment_index_bytes: from.u32("segment.index.bytes")?,
            index_interval_bytes: from.u32("index.interval.bytes")?,
            max_message_bytes: from.u32("max.message.bytes")?,
            timestamp_type: from.parsed("message.timestamp.type", |text| match text {
                "CreateTime" => Some(TimestampType::CreateTime),
                "LogAppendTime" => Some(TimestampType::LogAppendTime),
                _ => None,
            })?,
            timestamp_before_max_ms: bound(from.number("message.timestamp.before.max.ms")?),
            timestamp_after_max_ms: bound(from.number("message.timestamp.after.max.ms")?),
            min_insync_replicas: from.u32("min.insync.replicas")?,
            remote_storage: from.remote_storage()?,
            durability: from.durability(replicas)?,
            compaction: from.compaction()?,
            deletes,
            compression: from.compression()?,
        })
    }

    /// Checks what is wished for a new topic, alone and together, and adds what is decided once at creation and
    /// stored: `remote.storage.enable` and `highwater.durability`.
    pub fn complete(
        mut wished: BTreeMap<String, String>,
        broker: &BrokerConfig,
        replicas: usize,
    ) -> Result<BTreeMap<String, String>, ConfigError> {
        for (name, text) in &mut wished {
            check_topic(name, text)?;
            *text = text.trim().into();
        }
        let from = Reader { set: &wished, broker };
        let (remote, durability) = (from.remote_storage()?, from.durability(replicas)?);
        from.check_together(remote)?;
        wished.insert("remote.storage.enable".into(), remote.to_string());
        wished.insert("highwater.durability".into(), durability.name().into());
        TopicConfig::resolve(&wished, broker, replicas)?;
        Ok(wished)
    }
}

/// Checks the configuration that a topic would have, as a whole: whether its keys go together.
pub(crate) fn check_topic_set(
    set: &BTreeMap<String, String>,
    broker: &BrokerConfig,
    replicas: usize,
) -> Result<(), ConfigError> {
    let from = Reader { set, broker };
    from.check_together(from.remote_storage()?)?;
    TopicConfig::resolve(set, broker, replicas).map(drop)
}

struct Reader<'a> {
    set: &'a BTreeMap<String, String>,
    broker: &'a BrokerConfig,
}

impl Reader<'_> {
    fn text(&self, name: &str) -> Option<String> {
        match self.set.get(name) {
            Some(text) => Some(text.clone()),
            None => self.broker.settings.default_of(topic_key(name)?).0,
        }
    }

    fn parsed<T>(&self, name: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, ConfigError> {
        let text = self.text(name).unwrap_or_default();
        parse(text.trim()).ok_or_else(|| {
            let expected = topic_key(name).map(value::expected).unwrap_or_default();
            ConfigError::new(name, ConfigProblem::Invalid { value: text.clone(), expected })
        })
    }

    fn number(&self, name: &str) -> Result<i64, ConfigError> {
        self.parsed(name, value::number)
    }

    fn u32(&self, name: &str) -> Result<u32, ConfigError> {
        self.parsed(name, |text| value::number(text)?.try_into().ok())
    }

    fn has_policy(&self, policy: &str) -> bool {
        let policies = self.text("cleanup.policy").unwrap_or_default();
        value::members(&policies).any(|member| member == policy)
    }

    fn remote_storage(&self) -> Result<bool, ConfigError> {
        match self.text("remote.storage.enable") {
            Some(_) => self.parsed("remote.storage.enable", value::boolean),
            None => Ok(self.broker.has_remote_storage() && !self.has_policy("compact")),
        }
    }

    fn compression(&self) -> Result<Option<Compression>, ConfigError> {
        let named = |text: &str| match text {
            "producer" => Some(None),
            "uncompressed" => Some(Some(Codec::None)),
            name => Codec::from_name(name).map(Some),
        };
        let Some(codec) = self.parsed("compression.type", named)? else { return Ok(None) };
        let level = match codec {
            Codec::Gzip => Some("compression.gzip.level"),
            Codec::Zstd => Some("compression.zstd.level"),
            Codec::Lz4 => Some("compression.lz4.level"),
            Codec::None | Codec::Snappy => None,
        };
        let level =
            level.map(|key| self.parsed(key, |text| value::number(text)?.try_into().ok())).transpose()?;
        // Kafka's word for gzip's own default, and for lz4's fast compressor.
        let usual = match codec {
            Codec::Gzip => Some(-1),
            Codec::Lz4 => Some(9),
            _ => None,
        };
        let level = level.filter(|level| Some(*level) != usual);
        Ok(Some(Compression { codec, level }))
    }

    fn compaction(&self) -> Result<Option<Compaction>, ConfigError> {
        let compaction = Compaction {
            min_lag_ms: limit(self.number("min.compaction.lag.ms")?).unwrap_or(0),
            max_lag_ms: bound(self.number("max.compaction.lag.ms")?),
            // From 0 to 1 by its definition.
            min_dirty_millionths: self.parsed("min.cleanable.dirty.ratio", |text| {
                Some((text.parse::<f64>().ok()? * 1_000_000.0) as u32)
            })?,
            delete_retention_ms: limit(self.number("delete.retention.ms")?).unwrap_or(0),
        };
        Ok(self.has_policy("compact").then_some(compaction))
    }

    fn durability(&self, replicas: usize) -> Result<Durability, ConfigError> {
        match self.text("highwater.durability") {
            Some(_) => self.parsed("highwater.durability", |text| text.parse().ok()),
            None => Ok(Durability::for_replicas(replicas)),
        }
    }

    fn check_together(&self, remote: bool) -> Result<(), ConfigError> {
        if self.number("min.compaction.lag.ms")? > self.number("max.compaction.lag.ms")? {
            let value = self.text("min.compaction.lag.ms").unwrap_or_default();
            let rule = "it must not be more than `max.compaction.lag.ms`";
            return Err(ConfigError::new(
                "min.compaction.lag.ms",
                ConfigProblem::Contradiction { value, rule },
            ));
        }
        if remote { self.check_remote() } else { Ok(()) }
    }

    /// What must hold between the keys of a topic that is offloaded.
    fn check_remote(&self) -> Result<(), ConfigError> {
        let refuse = |key: &str, rule| {
            let value = self.text(key).unwrap_or_else(|| "true".into());
            Err(ConfigError::new(key, ConfigProblem::Contradiction { value, rule }))
        };
        if !self.broker.has_remote_storage() {
            return refuse(
                "remote.storage.enable",
                "the broker has no bucket (`remote.log.storage.system.enable`)",
            );
        }
        if self.has_policy("compact") {
            return refuse("remote.storage.enable", "topics that compact stay local");
        }
        if exceeds(self.number("local.retention.ms")?, self.number("retention.ms")?) {
            return refuse("local.retention.ms", "it must not be more than `retention.ms`");
        }
        if exceeds(self.number("local.retention.bytes")?, self.number("retention.bytes")?) {
            return refuse("local.retention.bytes", "it must not be more than `retention.bytes`");
        }
        Ok(())
    }
}

/// -2 is "as the whole retention"; -1, or anything else below zero, is no limit.
fn exceeds(local: i64, whole: i64) -> bool {
    local != -2 && whole >= 0 && (local < 0 || local > whole)
}

fn local(local: i64, whole: Option<u64>) -> Option<u64> {
    if local == -2 {
        return whole;
    }
    match (limit(local), whole) {
        (Some(local), Some(whole)) => Some(local.min(whole)),
        (local, whole) => local.or(whole),
    }
}

fn limit(value: i64) -> Option<u64> {
    u64::try_from(value).ok()
}

fn bound(value: i64) -> Option<u64> {
    if value == i64::MAX { None } else { limit(value) }
}
