//! What a topic can be configured with.

use super::{
    definition::{
        Check::{Fraction, Range, Rule, Words},
        Definition,
        Kind::{Boolean, Double, Int, List, Long, Text},
        Synonym,
    },
    value::members,
};

const fn key(name: &'static str, kind: super::Kind, default: &'static str) -> Definition {
    Definition::new(name, kind, Some(default))
}

const fn same(name: &'static str, default: &'static str) -> Synonym {
    Synonym::same(name, Some(default))
}

const FOREVER: &str = "9223372036854775807";

/// Every topic key, sorted by name.
pub const TOPIC_KEYS: &[Definition] = &[
    key("cleanup.policy", List, "delete")
        .checked(Words(&["compact", "delete"]))
        .from(&[same("log.cleanup.policy", "delete")])
        .doc(
            "What happens to old records: `delete` drops segments by time and size, `compact` keeps the last record of \
             each key, both together do both; nothing happens with an empty list. Topics that compact stay on local disk.",
        ),
    key("compression.gzip.level", Int, "-1")
        .checked(Rule(|value| match value.parse() {
            Ok(-1 | 1..=9) => Ok(()),
            _ => Err("1 to 9, or -1"),
        }))
        .from(&[same("compression.gzip.level", "-1")])
        .doc("Level of gzip where the broker compresses."),
    key("compression.lz4.level", Int, "9")
        .checked(Range(1, 17))
        .from(&[same("compression.lz4.level", "9")])
        .doc("Level of lz4 where the broker compresses; 9 is the fast compressor, all others are those that try harder."),
    key("compression.type", Text, "producer")
        .checked(Words(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]))
        .from(&[same("compression.type", "producer")])
        .doc("The codec of stored batches; `producer` keeps what the producer chose."),
    key("compression.zstd.level", Int, "3")
        .checked(Range(-131_072, 22))
        .from(&[same("compression.zstd.level", "3")])
        .doc("Level of zstd where the broker compresses."),
    key("delete.retention.ms", Long, "86400000")
        .at_least(0)
        .from(&[same("log.cleaner.delete.retention.ms", "86400000")])
        .doc("How long compaction keeps tombstones and the markers of emptied transactions."),
    key("file.delete.delay.ms", Long, "60000")
        .at_least(0)
        .from(&[same("log.segment.delete.delay.ms", "60000")])
        .unused()
        .doc("How long a file stays after its segment was deleted."),
    key("flush.messages", Long, FOREVER)
        .at_least(1)
        .from(&[same("log.flush.interval.messages", FOREVER)])
        .unused()
        .doc("After how many records to sync; `highwater.durability` decides that here."),
    key("flush.ms", Long, FOREVER)
        .at_least(0)
        .from(&[
            Synonym::same("log.flush.interval.ms", None),
            same("log.flush.scheduler.interval.ms", FOREVER),
        ])
        .unused()
        .doc("After which time to sync; `highwater.durability` decides that here."),
    key("follower.replication.throttled.replicas", List, "")
        .checked(Rule(throttled))
        .unused()
        .doc("Follower replicas whose replication is throttled, as `partition:broker` pairs or `*`."),
    Definition::new("highwater.durability", Text, None)
        .checked(Words(&["synced", "replicated"]))
        .from(&[Synonym::same("highwater.durability", None)])
        .fixed()
        .doc(
            "When a record counts, for acknowledgements and readers alike. `synced`: once every in-sync replica has it \
             on stable storage; a power cut of every broker at once takes nothing that was acknowledged or shown. \
             `replicated`: once every in-sync replica has it, in memory at least; a power cut of all at once can take \
             what their kernels had not written. Unless given: `synced` for one replica, `replicated` for more. \
             Fixed when the topic is created.",
        ),
    key("index.interval.bytes", Int, "4096")
        .at_least(0)
        .from(&[same("log.index.interval.bytes", "4096")])
        .doc("Bytes of records between two entries of a segment's indexes."),
    Definition::new("internal.segment.bytes", Int, None)
        .at_least(1)
        .internal()
        .doc("For tests: `segment.bytes` without its lower bound."),
    key("leader.replication.throttled.replicas", List, "")
        .checked(Rule(throttled))
        .unused()
        .doc("Leader replicas whose replication is throttled, as `partition:broker` pairs or `*`."),
    key("local.retention.bytes", Long, "-2")
        .at_least(-2)
        .from(&[same("log.local.retention.bytes", "-2")])
        .doc(
            "Bytes per partition that stay on local disk once they are in the bucket too. -2: as \
             `retention.bytes`; -1: no limit.",
        ),
    key("local.retention.ms", Long, "-2")
        .at_least(-2)
        .from(&[same("log.local.retention.ms", "-2")])
        .doc("How long records stay on local disk once they are in the bucket too. -2: as `retention.ms`; -1: no limit."),
    key("max.compaction.lag.ms", Long, FOREVER)
        .at_least(1)
        .from(&[same("log.cleaner.max.compaction.lag.ms", FOREVER)])
        .doc("The longest that a record stays uncompacted; its segment is sealed in time for that."),
    key("max.message.bytes", Int, "1048588")
        .at_least(0)
        .from(&[same("message.max.bytes", "1048588")])
        .doc("The largest batch, in bytes as it is stored; larger ones are refused with MESSAGE_TOO_LARGE."),
    key("message.timestamp.after.max.ms", Long, "3600000")
        .at_least(0)
        .from(&[same("log.message.timestamp.after.max.ms", "3600000")])
        .doc("How far ahead of the broker's clock a record's timestamp may be."),
    key("message.timestamp.before.max.ms", Long, FOREVER)
        .at_least(0)
        .from(&[same("log.message.timestamp.before.max.ms", FOREVER)])
        .doc("How far behind the broker's clock a record's timestamp may be."),
    key("message.timestamp.type", Text, "CreateTime")
        .checked(Words(&["CreateTime", "LogAppendTime"]))
        .from(&[same("log.message.timestamp.type", "CreateTime")])
        .doc("Who stamps records: the producer (`CreateTime`) or the broker (`LogAppendTime`)."),
    key("min.cleanable.dirty.ratio", Double, "0.5")
        .checked(Fraction(0.0, 1.0))
        .from(&[same("log.cleaner.min.cleanable.ratio", "0.5")])
        .doc("Share of bytes in sealed segments that must be uncompacted before a log is compacted."),
    key("min.compaction.lag.ms", Long, "0")
        .at_least(0)
        .from(&[same("log.cleaner.min.compaction.lag.ms", "0")])
        .doc("The shortest that a record stays uncompacted."),
    key("min.insync.replicas", Int, "1")
        .at_least(1)
        .from(&[same("min.insync.replicas", "1")])
        .doc(
            "How many replicas must be in sync for `acks=all` to succeed; at most the number of replicas \
             counts.",
        ),
    key("preallocate", Boolean, "false")
        .from(&[same("log.preallocate", "false")])
        .unused()
        .doc("Whether to allocate a segment's file in full when it is created."),
    key("remote.log.copy.disable", Boolean, "false")
        .unbuilt(|value| value.eq_ignore_ascii_case("true").then_some("offloading cannot be paused yet"))
        .doc("Whether to stop copying segments to the bucket while what is there stays readable."),
    key("remote.log.delete.on.disable", Boolean, "false")
        .unused()
        .doc("Whether to delete what is in the bucket when remote storage is switched off."),
    Definition::new("remote.storage.enable", Boolean, None).doc(
        "Whether sealed segments move to the bucket. Unless given: `true`, but `false` for topics that \
         compact and when `remote.log.storage.system.enable` is `false`. Decided and \
         stored when the topic is created.",
    ),
    key("retention.bytes", Long, "-1")
        .from(&[same("log.retention.bytes", "-1")])
        .doc("Bytes per partition, local and in the bucket together, beyond which the oldest segments are deleted. -1: no limit."),
    key("retention.ms", Long, "604800000")
        .at_least(-1)
        .from(&[
            Synonym::same("log.retention.ms", None),
            Synonym::minutes("log.retention.minutes", None),
            Synonym::hours("log.retention.hours", Some("168")),
        ])
        .doc("How long records are kept before their segments are deleted. -1: for ever."),
    key("segment.bytes", Int, "1073741824")
        .at_least(1_048_576)
        .from(&[same("log.segment.bytes", "1073741824")])
        .doc("Size at which a segment is sealed and a new one begun."),
    key("segment.index.bytes", Int, "10485760")
        .at_least(4)
        .from(&[same("log.index.size.max.bytes", "10485760")])
        .doc("Size at which a segment's offset index is full and the segment is sealed."),
    key("segment.jitter.ms", Long, "0")
        .at_least(0)
        .from(&[Synonym::same("log.roll.jitter.ms", None), Synonym::hours("log.roll.jitter.hours", Some("0"))])
        .unused()
        .doc("Random time by which segments are sealed early, so that they are not all sealed at once."),
    key("segment.ms", Long, "604800000")
        .at_least(1)
        .from(&[Synonym::same("log.roll.ms", None), Synonym::hours("log.roll.hours", Some("168"))])
        .doc("Age at which a segment is sealed, full or not."),
    key("unclean.leader.election.enable", Boolean, "false")
        .from(&[same("unclean.leader.election.enable", "false")])
        .doc("Whether a replica that is not in sync may become leader when no other is left, losing records."),
];

fn throttled(value: &str) -> Result<(), &'static str> {
    let is_pair = |member: &str| {
        member.split_once(':').is_some_and(|(partition, broker)| {
            partition.trim().parse::<u32>().is_ok() && broker.trim().parse::<u32>().is_ok()
        })
    };
    if value == "*" || members(value).all(is_pair) {
        Ok(())
    } else {
        Err("`*`, or `partition:broker` pairs with commas between")
    }
}
