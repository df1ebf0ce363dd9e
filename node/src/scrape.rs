//! The state of a node at one moment, for whoever prints it.

use highwater_env::BoxFuture;
use std::collections::BTreeMap;

use crate::{
    Node,
    metrics::{MetricsSnapshot, PartitionMetrics, TopicMetrics},
    partition::Partition,
};

impl Node {
    /// Counts and positions of everything that is open. Asks no disk and no bucket.
    pub fn metrics(&self) -> BoxFuture<'_, MetricsSnapshot> {
        Box::pin(async move {
            let mut topics = BTreeMap::new();
            let mut partitions = Vec::new();
            for partition in self.partitions.all_open() {
                let counters = &partition.counters;
                topics.entry(partition.name.topic.clone()).or_insert_with(|| TopicMetrics {
                    topic: partition.name.topic.clone(),
                    bytes_in: counters.bytes_in.get(),
                    records_in: counters.records_in.get(),
                    bytes_out: counters.bytes_out.get(),
                    remote_fetch_bytes: counters.remote_bytes_out.get(),
                    remote_copy_bytes: counters.remote_bytes_in.get(),
                    remote_copy_errors: counters.remote_copy_errors.get(),
                    remote_fetch_errors: counters.remote_read_errors.get(),
                });
                if let Some(metrics) = of_partition(&partition).await {
                    partitions.push(metrics);
                }
            }
            partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
            MetricsSnapshot {
                topics: topics.into_values().collect(),
                partition_count: partitions.len() as u64,
                partitions,
                failed_produces: self.counters.failed_produces.get(),
                failed_fetches: self.counters.failed_fetches.get(),
                mended_segments: self.counters.mended_segments.get(),
                offline_directories: u64::from(self.directory.failed().is_some()),
            }
        })
    }
}

async fn of_partition(partition: &Partition) -> Option<PartitionMetrics> {
    let (positions, local_bytes, local_segments, sealed) = partition
        .see(|state| {
            let log = &state.log;
            let sealed: Vec<_> = log.sealed_segments().iter().map(|s| (s.next_offset, s.size)).collect();
            (log.positions(), log.size_bytes(), log.segment_count(), sealed)
        })
        .await
        .ok()?;
    let summary = partition.tier.as_ref().and_then(|tier| tier.summary());
    let tiered_end = summary.as_ref().map(|summary| summary.end).unwrap_or_default();
    let lag: Vec<u64> = match partition.tier {
        Some(_) => sealed.iter().filter(|(next, _)| *next > tiered_end).map(|(_, size)| *size).collect(),
        None => Vec::new(),
    };
    Some(PartitionMetrics {
        topic: partition.name.topic.clone(),
        partition: partition.name.partition,
        local_bytes,
        local_segments: local_segments as u64,
        log_start: positions.log_start,
        log_end: positions.log_end,
        high_watermark: positions.high_watermark,
        remote_bytes: summary.as_ref().map_or(0, |summary| summary.bytes),
        remote_segments: summary.as_ref().map_or(0, |summary| summary.segments),
        remote_lag_bytes: lag.iter().sum(),
        remote_lag_segments: lag.len() as u64,
    })
}
