//! What is counted, inside the things that are counted.

use std::sync::atomic::{AtomicU64, Ordering};

use highwater_records::{Offset, PartitionIndex};

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to the count.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts of one topic on this broker.
#[derive(Debug, Default)]
pub(crate) struct TopicCounters {
    pub(crate) bytes_in: Counter,
    pub(crate) records_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) remote_bytes_in: Counter,
    pub(crate) remote_bytes_out: Counter,
    pub(crate) remote_copy_errors: Counter,
    pub(crate) remote_read_errors: Counter,
}

/// Counts of the whole node.
#[derive(Debug, Default)]
pub(crate) struct NodeCounters {
    pub(crate) failed_produces: Counter,
    pub(crate) failed_fetches: Counter,
    pub(crate) mended_segments: Counter,
}

/// The state of a node at one moment, for whoever prints it.
#[derive(Clone, Debug, Default)]
pub struct MetricsSnapshot {
    /// Per topic, by name.
    pub topics: Vec<TopicMetrics>,
    /// Per open partition, by topic name and number.
    pub partitions: Vec<PartitionMetrics>,
    /// Produce requests that failed, counted per partition.
    pub failed_produces: u64,
    /// Fetch requests that failed, counted per partition.
    pub failed_fetches: u64,
    /// Damaged segments that were written again with what another replica has.
    pub mended_segments: u64,
    /// Whether a data directory is offline after a failed sync.
    pub offline_directories: u64,
    /// Bytes per second and the like are left to whoever scrapes: everything here is a total or a state.
    pub partition_count: u64,
}

/// Totals of one topic since this process started.
#[derive(Clone, Debug, Default)]
pub struct TopicMetrics {
    /// The topic's name.
    pub topic: String,
    /// Bytes of batches appended by producers.
    pub bytes_in: u64,
    /// Records appended by producers.
    pub records_in: u64,
    /// Bytes of batches sent to consumers.
    pub bytes_out: u64,
    /// Bytes read from the bucket for consumers.
    pub remote_fetch_bytes: u64,
    /// Bytes copied to the bucket.
    pub remote_copy_bytes: u64,
    /// Copies that failed and will be tried again.
    pub remote_copy_errors: u64,
    /// Reads from the bucket that failed.
    pub remote_fetch_errors: u64,
}

/// The state of one open partition.
#[derive(Clone, Debug)]
pub struct PartitionMetrics {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: PartitionIndex,
    /// Bytes of its local log.
    pub local_bytes: u64,
    /// Local segments, the active one included.
    pub local_segments: u64,
    /// The lowest readable offset, inclusive.
    pub log_start: Offset,
    /// The next offset to be written.
    pub log_end: Offset,
    /// The end of what consumers see, exclusive.
    pub high_watermark: Offset,
    /// Live bytes in the bucket.
    pub remote_bytes: u64,
    /// Live objects in the bucket.
    pub remote_segments: u64,
    /// Bytes of sealed local segments that are not in the bucket yet; zero where the topic has no remote storage.
    pub remote_lag_bytes: u64,
    /// Sealed local segments that are not in the bucket yet.
    pub remote_lag_segments: u64,
}
