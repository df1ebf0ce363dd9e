//! What one group can be configured with.

use super::{Definition, Kind::Int, Synonym};

const fn key(name: &'static str, default: &'static str, synonyms: &'static [Synonym]) -> Definition {
    Definition::new(name, Int, Some(default)).from(synonyms)
}

/// Every key of a group, sorted by name. Those of share groups and of streams groups, which there are none of, are not
/// among them.
pub const GROUP_KEYS: &[Definition] = &[
    key(
        "consumer.assignment.interval.ms",
        "1000",
        &[Synonym::same("group.consumer.assignment.interval.ms", Some("1000"))],
    )
    .at_least(0)
    .doc("How long the group's assignment stays at least, however few members it has."),
    key(
        "consumer.heartbeat.interval.ms",
        "5000",
        &[Synonym::same("group.consumer.heartbeat.interval.ms", Some("5000"))],
    )
    .at_least(1)
    .doc("How often the group's members are told to send signs of life. Less than `consumer.session.timeout.ms`."),
    key(
        "consumer.session.timeout.ms",
        "45000",
        &[Synonym::same("group.consumer.session.timeout.ms", Some("45000"))],
    )
    .at_least(1)
    .doc("How long a member of the group may be silent, from its next sign of life on."),
];
