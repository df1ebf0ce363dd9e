//! What groups are configured with: all of them by their coordinator, some by keys of their own.

use super::{ConfigError, ConfigProblem, broker::Reader, group_key, nearest_group_key, value};
use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
};
use core::ops::RangeInclusive;

/// What the group coordinator is configured with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min_ms: u64,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max_ms: u64,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: u64,
    /// `group.max.size`.
    pub size_max: u32,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_bytes_max: u32,
    /// `offsets.retention.minutes`, in minutes.
    pub offsets_retention_minutes: u32,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_ms: u64,
    /// `group.consumer.session.timeout.ms`.
    pub consumer_session_timeout_ms: u64,
    /// `group.consumer.heartbeat.interval.ms`.
    pub consumer_heartbeat_interval_ms: u64,
    /// `group.consumer.max.size`.
    pub consumer_size_max: u32,
    /// What a group's own keys may be.
    pub bounds: GroupBounds,
    /// `group.consumer.assignment.interval.ms`.
    pub consumer_assignment_interval_ms: u64,
    /// `group.consumer.migration.policy`: whether classic groups become groups of consumers, and whether they become
    /// classic ones again.
    pub consumer_migration: (bool, bool),
    /// `offsets.topic.num.partitions`.
    pub topic_partitions: u32,
    /// `offsets.topic.replication.factor`.
    pub topic_replicas: u32,
    /// `offsets.topic.segment.bytes`.
    pub topic_segment_bytes: u32,
}

impl GroupSettings {
    pub(super) fn new(from: &Reader<'_>) -> Result<GroupSettings, ConfigError> {
        let settings = GroupSettings {
            session_timeout_min_ms: from.u64("group.min.session.timeout.ms")?,
            session_timeout_max_ms: from.u64("group.max.session.timeout.ms")?,
            initial_rebalance_delay_ms: from.u64("group.initial.rebalance.delay.ms")?,
            size_max: from.u32("group.max.size")?,
            offset_metadata_bytes_max: from.u32("offset.metadata.max.bytes")?,
            offsets_retention_minutes: from.u32("offsets.retention.minutes")?,
            offsets_retention_check_ms: from.u64("offsets.retention.check.interval.ms")?,
            consumer_session_timeout_ms: from.u64("group.consumer.session.timeout.ms")?,
            consumer_heartbeat_interval_ms: from.u64("group.consumer.heartbeat.interval.ms")?,
            consumer_assignment_interval_ms: from.u64("group.consumer.assignment.interval.ms")?,
            consumer_size_max: from.u32("group.consumer.max.size")?,
            bounds: GroupBounds::new(from)?,
            consumer_migration: from.parsed("group.consumer.migration.policy", |policy| match policy {
                "bidirectional" => Some((true, true)),
                "upgrade" => Some((true, false)),
                "downgrade" => Some((false, true)),
                "disabled" => Some((false, false)),
                _ => None,
            })?,
            topic_partitions: from.u32("offsets.topic.num.partitions")?,
            topic_replicas: from.u32("offsets.topic.replication.factor")?,
            topic_segment_bytes: from.u32("offsets.topic.segment.bytes")?,
        };
        let heartbeat = settings.consumer_heartbeat_interval_ms;
        if heartbeat >= settings.consumer_session_timeout_ms {
            let rule = "it must be less than `group.consumer.session.timeout.ms`";
            let problem = ConfigProblem::Contradiction { value: heartbeat.to_string(), rule };
            return Err(ConfigError::new("group.consumer.heartbeat.interval.ms", problem));
        }
        Ok(settings)
    }
}

/// What the keys of a group may be, and the values of all groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupBounds {
    /// `group.consumer.min.session.timeout.ms` to `group.consumer.max.session.timeout.ms`.
    pub session_timeout_ms: RangeInclusive<u64>,
    /// `group.consumer.min.heartbeat.interval.ms` to `group.consumer.max.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: RangeInclusive<u64>,
    /// `group.consumer.min.assignment.interval.ms` to `group.consumer.max.assignment.interval.ms`.
    pub assignment_interval_ms: RangeInclusive<u64>,
}

impl GroupBounds {
    fn new(from: &Reader<'_>) -> Result<GroupBounds, ConfigError> {
        Ok(GroupBounds {
            session_timeout_ms: range(from, "session.timeout.ms")?,
            heartbeat_interval_ms: range(from, "heartbeat.interval.ms")?,
            assignment_interval_ms: range(from, "assignment.interval.ms")?,
        })
    }
}

/// The bounds of a key of groups, of which the value for all groups is within.
fn range(from: &Reader<'_>, what: &str) -> Result<RangeInclusive<u64>, ConfigError> {
    let key = |part: &str| format!("group.consumer.{part}{what}");
    let (min, max) = (from.u64(&key("min."))?, from.u64(&key("max."))?);
    let refuse = |key: String, value: u64, rule| {
        Err(ConfigError::new(&key, ConfigProblem::Contradiction { value: value.to_string(), rule }))
    };
    if min > max {
        return refuse(key("max."), max, "it must not be less than the `min` of the same name");
    }
    let all = from.u64(&key(""))?;
    if !(min..=max).contains(&all) {
        return refuse(key(""), all, "it must be from the `min` to the `max` of the same name");
    }
    Ok(min..=max)
}

/// What one group is configured with: what was set for it, where something was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupOverrides {
    /// `consumer.session.timeout.ms`.
    pub session_timeout_ms: Option<u64>,
    /// `consumer.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: Option<u64>,
    /// `consumer.assignment.interval.ms`.
    pub assignment_interval_ms: Option<u64>,
}

impl GroupOverrides {
    /// The values of what was set for a group. One that is beyond what the broker allows by now is as far as it allows.
    pub fn new(set: &BTreeMap<String, String>, bounds: &GroupBounds) -> GroupOverrides {
        let value = |key: &str, bounds: &RangeInclusive<u64>| {
            let number = u64::try_from(value::number(set.get(key)?)?).ok()?;
            Some(number.clamp(*bounds.start(), *bounds.end()))
        };
        GroupOverrides {
            session_timeout_ms: value("consumer.session.timeout.ms", &bounds.session_timeout_ms),
            heartbeat_interval_ms: value("consumer.heartbeat.interval.ms", &bounds.heartbeat_interval_ms),
            assignment_interval_ms: value("consumer.assignment.interval.ms", &bounds.assignment_interval_ms),
        }
    }
}

/// Checks a value that is to be set for a group.
pub fn check_group(name: &str, value: &str) -> Result<(), ConfigError> {
    match group_key(name) {
        Some(definition) => definition.check(value).map_err(|problem| ConfigError::new(name, problem)),
        None => Err(ConfigError::new(name, ConfigProblem::UnknownKey { nearest: nearest_group_key(name) })),
    }
}

/// Checks all that is set for a group, each of it valid by itself, against the broker's bounds and among each other.
pub(crate) fn check_group_set(
    set: &BTreeMap<String, String>,
    settings: &GroupSettings,
) -> Result<(), ConfigError> {
    let number = |key: &str| set.get(key).and_then(|text| u64::try_from(value::number(text)?).ok());
    let bounds = &settings.bounds;
    for (key, bounds) in [
        ("consumer.heartbeat.interval.ms", &bounds.heartbeat_interval_ms),
        ("consumer.session.timeout.ms", &bounds.session_timeout_ms),
        ("consumer.assignment.interval.ms", &bounds.assignment_interval_ms),
    ] {
        if let Some(value) = number(key).filter(|value| !bounds.contains(value)) {
            let expected = format!("a number from {} to {} with this broker", bounds.start(), bounds.end());
            let problem = ConfigProblem::Invalid { value: value.to_string(), expected };
            return Err(ConfigError::new(key, problem));
        }
    }
    let session = number("consumer.session.timeout.ms").unwrap_or(settings.consumer_session_timeout_ms);
    let heartbeat =
        number("consumer.heartbeat.interval.ms").unwrap_or(settings.consumer_heartbeat_interval_ms);
    if session <= heartbeat {
        let rule = "it must be more than `consumer.heartbeat.interval.ms`";
        let problem = ConfigProblem::Contradiction { value: session.to_string(), rule };
        return Err(ConfigError::new("consumer.session.timeout.ms", problem));
    }
    Ok(())
}
