//! What a broker can be configured with, besides the defaults it gives to topics.

use super::{
    definition::{
        Check::{Range, Rule, Words},
        Definition,
        Importance::{High, Low},
        Kind::{Boolean, Int, List, Long, Text},
        Synonym,
    },
    listener, value,
};

const fn key(name: &'static str, kind: super::Kind, default: &'static str) -> Definition {
    Definition::new(name, kind, Some(default))
}

const fn open(name: &'static str, kind: super::Kind) -> Definition {
    Definition::new(name, kind, None)
}

/// The value of `replica.selector.class` with which consumers read from the nearest replica.
pub(super) const NEAREST_RACK: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

/// Every key of a broker's own, sorted by name.
pub const BROKER_KEYS: &[Definition] = &[
    open("advertised.listeners", List)
        .checked(Rule(listener::check_list))
        .rank(High)
        .doc("Addresses that clients are told to connect to, where they differ from `listeners`."),
    key("authorizer.class.name", Text, "")
        .unbuilt(|value| {
            (!value.is_empty()).then_some("there is no authorization, so the broker would be open to everyone")
        })
        .rank(Low)
        .doc("The authorizer. Refused while there is none, rather than ignored."),
    key("auto.create.topics.enable", Boolean, "true")
        .rank(High)
        .doc("Whether asking for the metadata of a topic that does not exist creates it, if the client allows that."),
    open("broker.rack", Text).doc("Where this broker stands, for placing replicas apart and for consumers to read from the nearest one."),
    key("connections.max.idle.ms", Long, "600000").doc("How long a connection may be silent before it is closed."),
    key("controller.listener.names", List, "")
        .rank(High)
        .doc("Listeners of Kafka's controllers. There are none here: those among `listeners` are not opened."),
    key("default.replication.factor", Int, "1")
        .at_least(1)
        .doc("Replicas of a topic that is created without saying how many."),
    key("delete.topic.enable", Boolean, "true").rank(High).doc("Whether topics can be deleted."),
    key("fetch.max.bytes", Int, "57671680")
        .at_least(1024)
        .doc("The most bytes that one fetch is answered with, apart from a first batch that is larger alone."),
    key("group.consumer.assignment.interval.ms", Int, "1000")
        .at_least(0)
        .doc("How long the assignment of a large consumer group stays at least; of a smaller one a millisecond for each member."),
    key("group.consumer.heartbeat.interval.ms", Int, "5000")
        .at_least(1)
        .doc("How often members of consumer groups are told to send signs of life."),
    key("group.consumer.max.assignment.interval.ms", Int, "15000")
        .at_least(0)
        .doc("The most that `consumer.assignment.interval.ms` of a group may be."),
    key("group.consumer.max.heartbeat.interval.ms", Int, "15000")
        .at_least(1)
        .doc("The most that `consumer.heartbeat.interval.ms` of a group, or of all of them, may be."),
    key("group.consumer.max.session.timeout.ms", Int, "60000")
        .at_least(1)
        .doc("The most that `consumer.session.timeout.ms` of a group, or of all of them, may be."),
    key("group.consumer.max.size", Int, "2147483647")
        .at_least(1)
        .doc("Most members of a consumer group."),
    key("group.consumer.migration.policy", Text, "bidirectional")
        .checked(Words(&["bidirectional", "upgrade", "downgrade", "disabled"]))
        .doc("Whether a classic group becomes one of consumers when the first member of the newer protocol joins it, and a classic one again when the last of them leaves."),
    key("group.consumer.min.assignment.interval.ms", Int, "0")
        .at_least(0)
        .doc("The least that `consumer.assignment.interval.ms` of a group may be."),
    key("group.consumer.min.heartbeat.interval.ms", Int, "5000")
        .at_least(1)
        .doc("The least that `consumer.heartbeat.interval.ms` of a group, or of all of them, may be."),
    key("group.consumer.min.session.timeout.ms", Int, "45000")
        .at_least(1)
        .doc("The least that `consumer.session.timeout.ms` of a group, or of all of them, may be."),
    key("group.consumer.session.timeout.ms", Int, "45000")
        .at_least(1)
        .doc("How long a member of a consumer group may be silent."),
    key("group.initial.rebalance.delay.ms", Int, "3000")
        .at_least(0)
        .doc("How long the first member of an empty group waits for others, so that they share one rebalance."),
    key("group.max.session.timeout.ms", Int, "1800000")
        .at_least(1)
        .doc("The longest time that a member of a group may ask to be silent for."),
    key("group.max.size", Int, "2147483647")
        .at_least(1)
        .doc("Most members of a group."),
    key("group.min.session.timeout.ms", Int, "6000")
        .at_least(1)
        .doc("The shortest time that a member of a group may ask to be silent for."),
    key("highwater.journal.bytes", Long, "1073741824")
        .at_least(0)
        .doc("The most that the journal takes, which makes appends to topics with `highwater.durability=synced` durable; 0: each of their files is synced instead."),
    key("highwater.open.files.max", Int, "512")
        .at_least(0)
        .doc("How many files of sealed segments stay open for the next reader; each log has the one open that it writes, and each reader what it is reading."),
    key("highwater.scrub.period.ms", Long, "604800000")
        .at_least(0)
        .doc("In a cluster, how long it takes to read every open log once for damage, which other replicas can still mend; 0: nothing is read for that alone."),
    key("listener.security.protocol.map", List, "PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL")
        .checked(Rule(listener::check_map))
        .rank(Low)
        .doc("Which protocol each listener name speaks, as `NAME:PROTOCOL` pairs. `PLAINTEXT` is the one that is built."),
    key("listeners", List, "PLAINTEXT://127.0.0.1:9092")
        .checked(Rule(listener::check_list))
        .rank(High)
        .doc("Addresses to listen on, as `NAME://host:port`. No host: every interface. Port 0: one that is free."),
    key("log.cleaner.backoff.ms", Long, "15000")
        .at_least(0)
        .dynamic()
        .doc("How long to wait between two looks for logs to compact."),
    key("log.cleaner.dedupe.buffer.size", Long, "134217728")
        .at_least(1)
        .doc(
            "The most memory for the keys of a log that is compacted, about 32 bytes each; more keys take several \
             passes.",
        ),
    key("log.cleaner.enable", Boolean, "true").doc("Whether logs that ask for it are compacted."),
    key("log.dirs", List, "./highwater/data")
        .checked(Rule(|value| match value::members(value).count() {
            0 => Err("a directory"),
            1 => Ok(()),
            _ => Err("one directory: several are not built yet"),
        }))
        .from(&[Synonym::same("log.dir", None)])
        .rank(High)
        .doc("The directory of the logs."),
    key("log.flush.offset.checkpoint.interval.ms", Int, "60000")
        .at_least(0)
        .rank(High)
        .doc("How often the points from which recovery starts are written down."),
    key("log.retention.check.interval.ms", Long, "300000")
        .at_least(1)
        .doc("How often logs are looked through for segments to delete."),
    key("max.connections", Int, "2147483647")
        .at_least(0)
        .doc("Connections that may be open at once; beyond them new ones are closed."),
    key("max.incremental.fetch.session.cache.slots", Int, "1000")
        .at_least(0)
        .doc("How many consumers may keep a session, in which a fetch names only what changed."),
    open("metadata.log.dir", Text)
        .rank(High)
        .doc("The directory of the metadata log. Unless given: `metadata` beside the first of `log.dirs`."),
    key("node.id", Int, "1")
        .at_least(0)
        .from(&[Synonym::same("broker.id", None)])
        .rank(High)
        .doc("The number of this broker."),
    key("num.partitions", Int, "1")
        .at_least(1)
        .doc("Partitions of a topic that is created without saying how many."),
    key("offset.metadata.max.bytes", Int, "4096")
        .at_least(0)
        .rank(High)
        .doc("The most bytes of metadata that a client may store with an offset."),
    key("offsets.retention.check.interval.ms", Long, "600000")
        .at_least(1)
        .rank(High)
        .doc("How often old offsets and empty groups are looked for."),
    key("offsets.retention.minutes", Int, "10080")
        .at_least(1)
        .rank(High)
        .doc("How long committed offsets are kept: from when their group became empty, or for topics that no member reads from their commit on."),
    key("offsets.topic.num.partitions", Int, "50")
        .checked(Range(1, 10_000))
        .rank(High)
        .doc("Partitions of the topic that keeps groups and offsets. Counts when it is created, which the first group does."),
    key("offsets.topic.replication.factor", Int, "3")
        .at_least(1)
        .rank(High)
        .doc("Replicas of the topic that keeps groups and offsets, or as many as there are brokers if those are fewer."),
    key("offsets.topic.segment.bytes", Int, "104857600")
        .at_least(1)
        .rank(High)
        .doc("Segment size of the topic that keeps groups and offsets, so that replays stay short once it is compacted."),
    key("producer.id.expiration.ms", Int, "86400000")
        .at_least(1)
        .dynamic()
        .rank(Low)
        .doc("How long a producer may be silent before its sequence numbers are forgotten."),
    key("remote.fetch.max.wait.ms", Int, "500")
        .at_least(1)
        .doc(
            "How long a fetch waits at least for records that only the bucket has, whatever its own longest wait (KIP-1018), \
             where it has no others to give before them.",
        ),
    key("remote.history.retention.ms", Long, "86400000")
        .at_least(0)
        .doc(
            "How long objects that no head names any more stay in the bucket, for readers with an older head and for a \
             restore to a point in time. 0: they go at the next round.",
        ),
    key("remote.log.manager.task.interval.ms", Long, "30000")
        .at_least(1)
        .rank(Low)
        .doc("How often sealed segments are looked for and copied to the bucket."),
    open("remote.log.storage.s3.endpoint", Text)
        .checked(Rule(|value| {
            if value.starts_with("http://") || value.starts_with("https://") {
                Ok(())
            } else {
                Err("a URL that begins with `http://` or `https://`")
            }
        }))
        .doc("Where the S3 service of `remote.log.storage.url` is, when it is not Amazon's."),
    open("remote.log.storage.s3.region", Text).doc(
        "The region of the S3 bucket. Unless given: the environment's `AWS_REGION`. Credentials come from the \
         standard AWS environment variables.",
    ),
    key("remote.log.storage.system.enable", Boolean, "true")
        .rank(High)
        .doc("Whether there is a bucket at all. `false`: nothing is offloaded and topics cannot ask for it."),
    open("remote.log.storage.url", Text)
        .checked(Rule(|value| {
            let rest = value.strip_prefix("file:///").or_else(|| value.strip_prefix("s3://"));
            match rest {
                Some(rest) if !rest.is_empty() && !rest.starts_with('/') => Ok(()),
                _ => Err("`file:///directory` or `s3://bucket/prefix`"),
            }
        }))
        .rank(High)
        .doc("The bucket. Unless given: the directory `bucket` beside the first of `log.dirs`."),
    key("replica.selector.class", Text, "org.apache.kafka.common.replica.LeaderSelector")
        .checked(Words(&[
            "org.apache.kafka.common.replica.LeaderSelector",
            NEAREST_RACK,
        ]))
        .doc(
            "Which replica consumers read from. With the rack-aware one, a consumer that says in which rack it stands \
             (`client.rack`) is sent to an in-sync replica with that `broker.rack`.",
        ),
    key("socket.request.max.bytes", Int, "104857600")
        .at_least(1)
        .rank(High)
        .doc("The largest request; a connection that announces a larger one is closed."),
    key("transaction.max.timeout.ms", Int, "900000")
        .at_least(1)
        .rank(High)
        .doc("The longest time that a producer may give its transactions before they are aborted."),
    key("transaction.remove.expired.transaction.cleanup.interval.ms", Int, "3600000")
        .at_least(1)
        .rank(Low)
        .doc("How often transactional ids are looked for that nobody uses any more."),
    key("transaction.state.log.min.isr", Int, "2")
        .at_least(1)
        .rank(High)
        .doc("`min.insync.replicas` of the topic that keeps transactions; at most its number of replicas counts."),
    key("transaction.state.log.num.partitions", Int, "50")
        .checked(Range(1, 10_000))
        .rank(High)
        .doc("Partitions of the topic that keeps transactions. Counts when it is created, which the first transactional producer does."),
    key("transaction.state.log.replication.factor", Int, "3")
        .at_least(1)
        .rank(High)
        .doc("Replicas of the topic that keeps transactions, or as many as there are brokers if those are fewer."),
    key("transaction.state.log.segment.bytes", Int, "104857600")
        .at_least(1)
        .rank(High)
        .doc("Segment size of the topic that keeps transactions, so that replays stay short once it is compacted."),
    key("transactional.id.expiration.ms", Int, "604800000")
        .at_least(1)
        .rank(High)
        .doc("How long a transactional id is remembered that nobody uses."),
];
