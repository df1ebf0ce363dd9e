//! A broker's configuration as values.

use super::{
    BROKER_KEYS, GroupSettings, Listener, Settings,
    broker_keys::NEAREST_RACK,
    error::{ConfigError, ConfigProblem},
    listener, value,
};
use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};
use highwater_records::BrokerId;

/// A broker's configuration: every key that the broker itself reads, as a value. Defaults for topics stay in
/// [`BrokerConfig::settings`]; [`TopicConfig`](super::TopicConfig) resolves them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerConfig {
    /// `node.id`.
    pub node_id: BrokerId,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// `replica.selector.class`: whether consumers are sent to a replica in their own rack.
    pub reads_from_nearest: bool,
    /// `listeners`, without those of controllers: one, of the protocol `PLAINTEXT`.
    pub listeners: Vec<Listener>,
    /// `advertised.listeners`, or `listeners`. An empty host or a port of 0 is for the shell to fill in.
    pub advertised_listeners: Vec<Listener>,
    /// `log.dirs`: the directory of the logs.
    pub log_dir: String,
    /// `metadata.log.dir`, or beside `log_dir`.
    pub metadata_log_dir: String,
    /// Where the bucket is; `None` with `remote.log.storage.system.enable=false`.
    pub bucket: Option<BucketLocation>,
    /// `remote.log.storage.s3.endpoint`.
    pub s3_endpoint: Option<String>,
    /// `remote.log.storage.s3.region`.
    pub s3_region: Option<String>,
    /// `num.partitions`, at least 1.
    pub num_partitions: u32,
    /// `default.replication.factor`, at least 1.
    pub default_replication_factor: u32,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topic: bool,
    /// `remote.fetch.max.wait.ms`.
    pub remote_fetch_wait_max_ms: u64,
    /// `remote.history.retention.ms`.
    pub history_retention_ms: u64,
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval_ms: u64,
    /// `log.flush.offset.checkpoint.interval.ms`.
    pub checkpoint_interval_ms: u64,
    /// `highwater.journal.bytes`: the most that the journal of a data directory takes; 0 for no journal.
    pub journal_bytes: u64,
    /// `highwater.open.files.max`: how many files of sealed segments stay open for the next reader.
    pub open_files_max: u32,
    /// `highwater.scrub.period.ms`: how long it takes to read every open log once for damage; 0 for never.
    pub scrub_period_ms: u64,
    /// `remote.log.manager.task.interval.ms`.
    pub offload_interval_ms: u64,
    /// `log.cleaner.enable`.
    pub compaction_enabled: bool,
    /// `log.cleaner.backoff.ms`.
    pub compaction_pause_ms: u64,
    /// `log.cleaner.dedupe.buffer.size`.
    pub compaction_key_bytes: u64,
    /// `producer.id.expiration.ms`.
    pub producer_expiration_ms: u64,
    /// `fetch.max.bytes`.
    pub fetch_bytes_max: u32,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_sessions_max: u32,
    /// `socket.request.max.bytes`.
    pub request_bytes_max: u32,
    /// `connections.max.idle.ms`; `None` for no limit.
    pub connection_idle_max_ms: Option<u64>,
    /// `max.connections`.
    pub connections_max: u32,
    /// What the group coordinator is configured with.
    pub groups: GroupSettings,
    /// What the transaction coordinator is configured with.
    pub transactions: TransactionSettings,
    /// What was given.
    pub settings: Settings,
}

/// What the transaction coordinator is configured with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionSettings {
    /// `transaction.max.timeout.ms`, at most `i32::MAX`.
    pub timeout_max_ms: u32,
    /// `transactional.id.expiration.ms`.
    pub id_expiration_ms: u32,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`.
    pub expiration_check_ms: u64,
    /// `transaction.state.log.num.partitions`.
    pub topic_partitions: u32,
    /// `transaction.state.log.replication.factor`.
    pub topic_replicas: u32,
    /// `transaction.state.log.min.isr`.
    pub topic_min_isr: u32,
    /// `transaction.state.log.segment.bytes`.
    pub topic_segment_bytes: u32,
}

impl TransactionSettings {
    fn new(from: &Reader<'_>) -> Result<TransactionSettings, ConfigError> {
        Ok(TransactionSettings {
            timeout_max_ms: from.u32("transaction.max.timeout.ms")?,
            id_expiration_ms: from.u32("transactional.id.expiration.ms")?,
            expiration_check_ms: from.u64("transaction.remove.expired.transaction.cleanup.interval.ms")?,
            topic_partitions: from.u32("transaction.state.log.num.partitions")?,
            topic_replicas: from.u32("transaction.state.log.replication.factor")?,
            topic_min_isr: from.u32("transaction.state.log.min.isr")?,
            topic_segment_bytes: from.u32("transaction.state.log.segment.bytes")?,
        })
    }
}

/// Where the bucket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BucketLocation {
    /// `remote.log.storage.url` as given: `file:///...` or `s3://...`.
    Url(String),
    /// A directory beside the first of `log.dirs`, relative if that is.
    Directory(String),
}

impl BrokerConfig {
    /// The values of what was given.
    pub fn new(settings: Settings) -> Result<BrokerConfig, ConfigError> {
        let from = Reader { settings: &settings };
        let controllers = from.text("controller.listener.names").unwrap_or_default();
        let is_broker = |listener: &Listener| {
            !value::members(&controllers).any(|name| name.eq_ignore_ascii_case(&listener.name))
        };
        let mut listeners = listener::parse_list(&from.text("listeners").unwrap_or_default());
        listeners.retain(is_broker);
        // A wildcard address among `listeners` is advertised as whatever the shell finds this machine to be called.
        let told = listeners.iter().map(|listener| match listener.is_wildcard() {
            true => Listener { host: String::new(), ..listener.clone() },
            false => listener.clone(),
        });
        let mut advertised_listeners = from
            .text("advertised.listeners")
            .map_or_else(|| told.collect(), |text| listener::parse_list(&text));
        advertised_listeners.retain(is_broker);
        check_listeners(&from, &listeners, &advertised_listeners)?;

        let log_dir =
            value::members(&from.text("log.dirs").unwrap_or_default()).next().unwrap_or(".").to_string();
        let metadata_log_dir = from.text("metadata.log.dir").unwrap_or_else(|| beside(&log_dir, "metadata"));
        let bucket = from.boolean("remote.log.storage.system.enable")?.then(|| {
            match from.text("remote.log.storage.url") {
                Some(url) => BucketLocation::Url(url),
                None => BucketLocation::Directory(beside(&log_dir, "bucket")),
            }
        });

        Ok(BrokerConfig {
            node_id: BrokerId(from.u32("node.id")?),
            rack: from.text("broker.rack"),
            reads_from_nearest: from.text("replica.selector.class").as_deref() == Some(NEAREST_RACK),
            listeners,
            advertised_listeners,
            log_dir,
            metadata_log_dir,
            bucket,
            s3_endpoint: from.text("remote.log.storage.s3.endpoint"),
            s3_region: from.text("remote.log.storage.s3.region"),
            num_partitions: from.u32("num.partitions")?,
            default_replication_factor: from.u32("default.replication.factor")?,
            auto_create_topics: from.boolean("auto.create.topics.enable")?,
            delete_topic: from.boolean("delete.topic.enable")?,
            remote_fetch_wait_max_ms: from.u64("remote.fetch.max.wait.ms")?,
            history_retention_ms: from.u64("remote.history.retention.ms")?,
            retention_check_interval_ms: from.u64("log.retention.check.interval.ms")?,
            checkpoint_interval_ms: from.u64("log.flush.offset.checkpoint.interval.ms")?,
            journal_bytes: from.u64("highwater.journal.bytes")?,
            open_files_max: from.u32("highwater.open.files.max")?,
            scrub_period_ms: from.u64("highwater.scrub.period.ms")?,
            offload_interval_ms: from.u64("remote.log.manager.task.interval.ms")?,
            compaction_enabled: from.boolean("log.cleaner.enable")?,
            compaction_pause_ms: from.u64("log.cleaner.backoff.ms")?,
            compaction_key_bytes: from.u64("log.cleaner.dedupe.buffer.size")?,
            producer_expiration_ms: from.u64("producer.id.expiration.ms")?,
            fetch_bytes_max: from.u32("fetch.max.bytes")?,
            fetch_sessions_max: from.u32("max.incremental.fetch.session.cache.slots")?,
            request_bytes_max: from.u32("socket.request.max.bytes")?,
            connection_idle_max_ms: from.number("connections.max.idle.ms")?.try_into().ok(),
            connections_max: from.u32("max.connections")?,
            groups: GroupSettings::new(&from)?,
            transactions: TransactionSettings::new(&from)?,
            settings,
        })
    }

    /// The same broker after what was set while it runs: for every broker, and for this one.
    pub fn with_dynamic(
        &self,
        brokers: &BTreeMap<String, String>,
        broker: &BTreeMap<String, String>,
    ) -> Result<BrokerConfig, ConfigError> {
        BrokerConfig::new(self.settings.with_dynamic(brokers, broker))
    }

    /// Whether sealed segments can move to a bucket.
    pub const fn has_remote_storage(&self) -> bool {
        self.bucket.is_some()
    }
}

impl Default for BrokerConfig {
    /// What a broker has when nothing is given.
    fn default() -> BrokerConfig {
        BrokerConfig::new(Settings::new()).expect("the defaults are valid, as the tests of this file prove")
    }
}

fn check_listeners(
    from: &Reader<'_>,
    listeners: &[Listener],
    advertised: &[Listener],
) -> Result<(), ConfigError> {
    let refuse = |key, listener: &Listener, rule| {
        Err(ConfigError::new(key, ConfigProblem::Contradiction { value: listener.to_string(), rule }))
    };
    let map = from.text("listener.security.protocol.map").unwrap_or_default();
    // A client is told one address, whichever listener it came by: with two, some would be told one they cannot reach.
    if let Some(second) = listeners.get(1) {
        let problem =
            ConfigProblem::NotBuilt { value: second.to_string(), why: "one listener is all that is built" };
        return Err(ConfigError::new("listeners", problem));
    }
    for listener in listeners {
        match listener::protocol(&map, &listener.name) {
            Some("PLAINTEXT") => {}
            Some(_) => {
                let problem = ConfigProblem::NotBuilt {
                    value: listener.to_string(),
                    why: "only listeners of the protocol `PLAINTEXT` are built",
                };
                return Err(ConfigError::new("listeners", problem));
            }
            None => {
                return refuse(
                    "listeners",
                    listener,
                    "`listener.security.protocol.map` does not have its name",
                );
            }
        }
    }
    if listeners.is_empty() {
        let expected = "at least one listener that is not in `controller.listener.names`";
        let value = from.text("listeners").unwrap_or_default();
        let problem = ConfigProblem::Invalid { value, expected: expected.into() };
        return Err(ConfigError::new("listeners", problem));
    }
    for listener in advertised {
        if !listeners.iter().any(|other| other.name == listener.name) {
            return refuse("advertised.listeners", listener, "`listeners` does not have its name");
        }
        if !listener.host.is_empty() && listener.is_wildcard() {
            return refuse(
                "advertised.listeners",
                listener,
                "clients cannot connect to that address: give one that they can",
            );
        }
    }
    Ok(())
}

/// The path of `name` in the directory that holds `path`.
fn beside(path: &str, name: &str) -> String {
    match path.trim_end_matches('/').rsplit_once('/') {
        Some((parent, _)) => format!("{parent}/{name}"),
        None => name.into(),
    }
}

/// Values in force, by key. Every value has been checked when it was given, and every default by a test: an error is
/// said all the same, rather than a panic.
pub(super) struct Reader<'s> {
    settings: &'s Settings,
}

impl Reader<'_> {
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let definition = BROKER_KEYS.iter().find(|definition| definition.name == name)?;
        self.settings.own(definition).filter(|text| !text.is_empty())
    }

    pub(super) fn parsed<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let text = self.text(name).unwrap_or_default();
        parse(&text).ok_or_else(|| {
            let problem = ConfigProblem::Invalid { value: text.clone(), expected: "another value".into() };
            ConfigError::new(name, problem)
        })
    }

    pub(super) fn boolean(&self, name: &str) -> Result<bool, ConfigError> {
        self.parsed(name, value::boolean)
    }

    pub(super) fn number(&self, name: &str) -> Result<i64, ConfigError> {
        self.parsed(name, value::number)
    }

    pub(super) fn u32(&self, name: &str) -> Result<u32, ConfigError> {
        self.parsed(name, |text| value::number(text)?.try_into().ok())
    }

    pub(super) fn u64(&self, name: &str) -> Result<u64, ConfigError> {
        self.parsed(name, |text| value::number(text)?.try_into().ok())
    }
}
