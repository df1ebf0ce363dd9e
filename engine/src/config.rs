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
    /// How much log lies between two trusted points, from the last of which a recovery goes on, at least: what a crash
    /// costs beyond what was not synced. Ours; there is no key for it.
    pub point_bytes: u32,
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
    /// What `cleanup.policy=compact` asks for; `None` keeps every record until retention takes it.
    pub compaction: Option<Compaction>,
    /// When a record counts (`highwater.durability`). The log itself looks at it for [`Watermark::Own`] only.
    pub durability: Durability,
    /// Who moves the high watermark.
    pub watermark: Watermark,
}

/// How the last record of each key is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// `min.compaction.lag.ms`: a segment is not compacted before its newest record is this old.
    pub min_lag_ms: u64,
    /// `max.compaction.lag.ms`: what is this old is compacted whatever the dirty ratio, and its segment sealed in time for
    /// that. `None` for no limit.
    pub max_lag_ms: Option<u64>,
    /// `min.cleanable.dirty.ratio` in millionths: the share of bytes in sealed segments that must be uncompacted.
    pub min_dirty_millionths: u32,
    /// `delete.retention.ms`: how long tombstones, and markers of transactions without records, are kept once they have
    /// been compacted.
    pub delete_retention_ms: u64,
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

impl LogConfig {
    /// How long a segment takes batches: the active one is never compacted.
    pub(crate) fn segment_max_ms(&self) -> u64 {
        let lag = self.compaction.and_then(|compaction| compaction.max_lag_ms);
        lag.map_or(self.segment_ms, |lag| lag.min(self.segment_ms))
    }
}

impl Default for LogConfig {
    /// Kafka's defaults.
    fn default() -> LogConfig {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            point_bytes: 1 << 20,
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
            compaction: None,
            durability: Durability::Replicated,
            watermark: Watermark::default(),
        }
    }
}
