/// What the group coordinator is configured with. Names and defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`, inclusive.
    pub session_timeout_min_ms: u64,
    /// `group.max.session.timeout.ms`, inclusive.
    pub session_timeout_max_ms: u64,
    /// `group.initial.rebalance.delay.ms`: how long the first member of an empty group waits for others.
    pub initial_rebalance_delay_ms: u64,
    /// `group.max.size`: most members of a group, inclusive.
    pub size_max: usize,
    /// `offset.metadata.max.bytes`, inclusive.
    pub offset_metadata_bytes_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_ms: u64,
    /// `group.consumer.session.timeout.ms`.
    pub consumer_session_timeout_ms: u64,
    /// `group.consumer.heartbeat.interval.ms`: what members are told to keep.
    pub consumer_heartbeat_interval_ms: u64,
    /// `group.consumer.assignment.interval.ms`: how long targets of a large consumer group stay at least. Those of a group
    /// with fewer members than this stay a millisecond for each.
    pub consumer_assignment_interval_ms: u64,
    /// `group.consumer.max.size`: most members of a consumer group, inclusive.
    pub consumer_size_max: usize,
    /// `group.consumer.migration.policy`: whether classic groups become groups of consumers while they have members.
    pub upgrades: bool,
    /// The same, whether they become classic ones again.
    pub downgrades: bool,
}

impl Default for GroupConfig {
    fn default() -> GroupConfig {
        GroupConfig {
            session_timeout_min_ms: 6_000,
            session_timeout_max_ms: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            size_max: i32::MAX as usize,
            offset_metadata_bytes_max: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1_000,
            offsets_retention_check_ms: 600_000,
            consumer_session_timeout_ms: 45_000,
            consumer_heartbeat_interval_ms: 5_000,
            consumer_assignment_interval_ms: 1_000,
            consumer_size_max: i32::MAX as usize,
            upgrades: true,
            downgrades: true,
        }
    }
}

/// What a single group is configured with, where that is not what all are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupOverrides {
    /// In place of [`GroupConfig::consumer_session_timeout_ms`].
    pub session_timeout_ms: Option<u64>,
    /// In place of [`GroupConfig::consumer_heartbeat_interval_ms`].
    pub heartbeat_interval_ms: Option<u64>,
    /// In place of [`GroupConfig::consumer_assignment_interval_ms`], however few members the group has.
    pub assignment_interval_ms: Option<u64>,
}

/// What is known of the configuration of single groups.
pub trait GroupConfigs {
    /// What is set for the group of this name.
    fn of_group(&self, group: &str) -> GroupOverrides;
}

/// Nothing is set for any.
impl GroupConfigs for () {
    fn of_group(&self, _: &str) -> GroupOverrides {
        GroupOverrides::default()
    }
}
