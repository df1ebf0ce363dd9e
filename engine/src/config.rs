//! What a log is told: plain values, already resolved. The names are those of Kafka's topic configuration.

use highwater_records::{Durability, batch::TimestampType};

/// One log's configuration. Takes effect at once when given to [`Log::set_config`](crate::Log::set_config).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment never grows beyond this; a batch that is larger is refused. At most 2^31 - 1.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is rolled when a batch is this much younger than the segment's first one, by their
    /// timestamps, or when this time has passed since its first append.
    pub segment_ms: u64,
    /// `segment.index.bytes`: a segment is rolled when one of its indexes would grow beyond this.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: how much log lies between two index entries, at least.
    pub index_interval_bytes: u32,
    /// `retention.ms`; `None` for no limit. Ignored where [`tiered`](LogConfig::tiered) is set.
    pub retention_ms: Option<u64>,
    /// `retention.bytes`; `None` for no limit. Ignored where [`tiered`](LogConfig::tiered) is set.
    pub retention_bytes: Option<u64>,
    /// `local.retention.ms`, resolved; for whoever drops local copies. The log itself does not look at it.
    pub local_retention_ms: Option<u64>,
    /// `local.retention.bytes`, resolved; for whoever drops local copies. The log itself does not look at it.
    pub local_retention_bytes: Option<u64>,
    /// Whether sealed segments also live in a bucket: then the log start may lie below the first local segment,
    /// and [`Log::retain`](crate::Log::retain) deletes only below the log start.
    pub tiered: bool,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `max.message.bytes`: the largest batch, inclusive.
    pub max_message_bytes: u32,
    /// `message.timestamp.before.max.ms`: how much older than now a batch may be; `None` for no limit.
    pub timestamp_before_max_ms: Option<u64>,
    /// `message.timestamp.after.max.ms`: how far in the future a batch's timestamps may lie; `None` for no limit.
    pub timestamp_after_max_ms: Option<u64>,
    /// `producer.id.expiration.ms`: a producer that was silent for this long is forgotten.
    pub producer_expiry_ms: u64,
    /// When a record counts (`highwater.durability`). The log itself looks at it for [`Watermark::Own`] only.
    pub durability: Durability,
    /// Who moves the high watermark.
    pub watermark: Watermark,
}

/// Who moves a log's high watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Watermark {
    /// The caller, with [`Log::set_high_watermark`](crate::Log::set_high_watermark): the log is one of several
    /// replicas, or of one whose owner decides.
    #[default]
    Told,
    /// The log itself, for a program that uses it alone: it is the durable end of a [`Durability::Synced`] log and
    /// the log end of the other kind.
    Own,
}

impl Default for LogConfig {
    /// Kafka's defaults.
    fn default() -> LogConfig {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_ms: Some(7 * 24 * 3_600_000),
            retention_bytes: None,
            local_retention_ms: None,
            local_retention_bytes: None,
            tiered: false,
            timestamp_type: TimestampType::CreateTime,
            max_message_bytes: 1_048_588,
            timestamp_before_max_ms: None,
            timestamp_after_max_ms: Some(3_600_000),
            producer_expiry_ms: 24 * 3_600_000,
            durability: Durability::Replicated,
            watermark: Watermark::default(),
        }
    }
}
