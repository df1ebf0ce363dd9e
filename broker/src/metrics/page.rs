//! Which metrics there are: one row each.

use std::{collections::BTreeMap, sync::Arc};

use highwater_node::{MetricsSnapshot, PartitionMetrics, TopicMetrics};

use super::{Exposition, Kind};
use crate::server::ServerSnapshot;

use Kind::{Counter, Gauge};
use Value::{Broker, Partition, Remote, Topic};

/// Text of about this size is handed on at a time, in bytes.
const CHUNK_BYTES: usize = 32 * 1024;

/// The state of a broker at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    node: MetricsSnapshot,
    server: ServerSnapshot,
    remote: Vec<RemoteTopic>,
}

/// What Kafka shows per topic of what lies in a bucket, or should.
#[derive(Clone, Debug, Default)]
struct RemoteTopic {
    topic: String,
    size_bytes: u64,
    lag_bytes: u64,
    lag_segments: u64,
}

struct Metric {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    value: Value,
}

/// Where a metric's values come from.
enum Value {
    /// One for the broker.
    Broker(fn(&Snapshot) -> u64),
    /// One per topic.
    Topic(fn(&TopicMetrics) -> u64),
    /// One per topic, summed over its partitions.
    Remote(fn(&RemoteTopic) -> u64),
    /// One per partition.
    Partition(fn(&PartitionMetrics) -> u64),
}

const fn metric(name: &'static str, kind: Kind, help: &'static str, value: Value) -> Metric {
    Metric { name, kind, help, value }
}

#[rustfmt::skip]
static METRICS: &[Metric] = &[
    metric("kafka_server_brokertopicmetrics_bytesin_total", Counter,
        "Bytes of batches appended for producers.", Topic(|topic| topic.bytes_in)),
    metric("kafka_server_brokertopicmetrics_messagesin_total", Counter,
        "Records appended for producers.", Topic(|topic| topic.records_in)),
    metric("kafka_server_brokertopicmetrics_bytesout_total", Counter,
        "Bytes of batches sent to consumers.", Topic(|topic| topic.bytes_out)),
    metric("kafka_server_brokertopicmetrics_remotecopybytes_total", Counter,
        "Bytes copied to the bucket.", Topic(|topic| topic.remote_copy_bytes)),
    metric("kafka_server_brokertopicmetrics_remotecopyerrors_total", Counter,
        "Copies to the bucket that failed; each is tried again.", Topic(|topic| topic.remote_copy_errors)),
    metric("kafka_server_brokertopicmetrics_remotefetchbytes_total", Counter,
        "Bytes read from the bucket for consumers.", Topic(|topic| topic.remote_fetch_bytes)),
    metric("kafka_server_brokertopicmetrics_remotefetcherrors_total", Counter,
        "Reads from the bucket that failed.", Topic(|topic| topic.remote_fetch_errors)),
    metric("kafka_server_brokertopicmetrics_remotecopylagbytes", Gauge,
        "Bytes of sealed local segments that are not in the bucket yet.", Remote(|topic| topic.lag_bytes)),
    metric("kafka_server_brokertopicmetrics_remotecopylagsegments", Gauge,
        "Sealed local segments that are not in the bucket yet.", Remote(|topic| topic.lag_segments)),
    metric("kafka_server_brokertopicmetrics_remotelogsizebytes", Gauge,
        "Bytes that live in the bucket.", Remote(|topic| topic.size_bytes)),
    metric("kafka_server_brokertopicmetrics_failedproducerequests_total", Counter,
        "Produce requests that failed, counted per partition.", Broker(|broker| broker.node.failed_produces)),
    metric("kafka_server_brokertopicmetrics_failedfetchrequests_total", Counter,
        "Fetch requests that failed, counted per partition.", Broker(|broker| broker.node.failed_fetches)),
    metric("highwater_mended_segments_total", Counter,
        "Damaged segments that were written again with what another replica has.", Broker(|broker| broker.node.mended_segments)),
    metric("kafka_server_replicamanager_partitioncount", Gauge,
        "Partitions on this broker.", Broker(|broker| broker.node.partition_count)),
    metric("kafka_log_logmanager_offlinelogdirectorycount", Gauge,
        "Data directories that are offline after a failure.", Broker(|broker| broker.node.offline_directories)),
    metric("kafka_log_log_size", Gauge,
        "Bytes of the local log.", Partition(|partition| partition.local_bytes)),
    metric("kafka_log_log_numlogsegments", Gauge,
        "Local segments, the active one included.", Partition(|partition| partition.local_segments)),
    metric("kafka_log_log_logstartoffset", Gauge,
        "The lowest offset that can be read, inclusive.", Partition(|partition| partition.log_start.get())),
    metric("kafka_log_log_logendoffset", Gauge,
        "The next offset to be written.", Partition(|partition| partition.log_end.get())),
    metric("highwater_log_high_watermark", Gauge,
        "The end of what consumers see, exclusive.", Partition(|partition| partition.high_watermark.get())),
    metric("highwater_log_remote_size_bytes", Gauge,
        "Bytes of the partition that live in the bucket.", Partition(|partition| partition.remote_bytes)),
    metric("highwater_log_remote_segments", Gauge,
        "Objects of the partition that live in the bucket.", Partition(|partition| partition.remote_segments)),
    metric("highwater_server_connections", Gauge,
        "Connections open now.", Broker(|broker| broker.server.open())),
    metric("highwater_server_connections_total", Counter,
        "Connections accepted.", Broker(|broker| broker.server.accepted)),
    metric("highwater_server_accept_errors_total", Counter,
        "Times that accepting failed, for example for want of file descriptors.",
        Broker(|broker| broker.server.accept_errors)),
    metric("highwater_server_received_bytes_total", Counter,
        "Bytes read from clients.", Broker(|broker| broker.server.bytes_in)),
    metric("highwater_server_sent_bytes_total", Counter,
        "Bytes written to clients.", Broker(|broker| broker.server.bytes_out)),
    metric("highwater_server_requests_total", Counter,
        "Whole requests read.", Broker(|broker| broker.server.requests)),
    metric("highwater_server_responses_total", Counter,
        "Whole responses written.", Broker(|broker| broker.server.responses)),
    metric("highwater_server_frames_refused_total", Counter,
        "Connections closed for a request of impossible length.", Broker(|broker| broker.server.frames_refused)),
    metric("highwater_server_timed_out_total", Counter,
        "Connections closed because they were idle, sent too slowly or did not read.",
        Broker(|broker| broker.server.timed_out)),
    metric("highwater_server_panics_total", Counter,
        "Connections lost to a mistake in this program.", Broker(|broker| broker.server.panics)),
    metric("highwater_server_request_memory_bytes", Gauge,
        "Memory held by requests.", Broker(|broker| broker.server.request_memory_bytes)),
    metric("highwater_server_request_memory_waits_total", Counter,
        "Times that a connection had to wait for request memory.", Broker(|broker| broker.server.memory_waits)),
];

impl Snapshot {
    /// Puts together what node and server count.
    pub fn new(node: MetricsSnapshot, server: ServerSnapshot) -> Snapshot {
        let mut remote: BTreeMap<&str, RemoteTopic> = BTreeMap::new();
        for partition in &node.partitions {
            let topic = remote.entry(&partition.topic).or_default();
            topic.size_bytes += partition.remote_bytes;
            topic.lag_bytes += partition.remote_lag_bytes;
            topic.lag_segments += partition.remote_lag_segments;
        }
        let named = |(topic, sums): (&str, RemoteTopic)| RemoteTopic { topic: topic.to_owned(), ..sums };
        let remote = remote.into_iter().map(named).collect();
        Snapshot { node, server, remote }
    }

    /// The text, a chunk at a time.
    pub fn page(self) -> Page {
        Page { snapshot: Arc::new(self), metric: 0, sample: 0 }
    }
}

/// The text of a [`Snapshot`], made as it is asked for.
#[derive(Clone, Debug)]
pub struct Page {
    snapshot: Arc<Snapshot>,
    metric: usize,
    sample: usize,
}

impl Iterator for Page {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut text = Exposition::default();
        while text.len() < CHUNK_BYTES
            && let Some(metric) = METRICS.get(self.metric)
        {
            if self.sample == 0 {
                text.family(metric.name, metric.help, metric.kind);
            }
            if self.snapshot.write(metric, self.sample, &mut text) {
                self.sample += 1;
            } else {
                (self.metric, self.sample) = (self.metric + 1, 0);
            }
        }
        (!text.is_empty()).then(|| text.take())
    }
}

impl Snapshot {
    /// Writes one sample; `false` if there are no more.
    fn write(&self, metric: &Metric, sample: usize, text: &mut Exposition) -> bool {
        match metric.value {
            Broker(of) if sample == 0 => text.sample(metric.name, &[], of(self)),
            Broker(_) => return false,
            Topic(of) => {
                let Some(topic) = self.node.topics.get(sample) else { return false };
                text.sample(metric.name, &[("topic", &topic.topic)], of(topic));
            }
            Remote(of) => {
                let Some(topic) = self.remote.get(sample) else { return false };
                text.sample(metric.name, &[("topic", &topic.topic)], of(topic));
            }
            Partition(of) => {
                let Some(partition) = self.node.partitions.get(sample) else { return false };
                let labels: [(&str, &dyn std::fmt::Display); 2] =
                    [("topic", &partition.topic), ("partition", &partition.partition.0)];
                text.sample(metric.name, &labels, of(partition));
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use highwater_records::{Offset, PartitionIndex};

    use super::*;

    fn partition(topic: &str, number: u32) -> PartitionMetrics {
        PartitionMetrics {
            topic: topic.into(),
            partition: PartitionIndex(number),
            local_bytes: 1,
            local_segments: 2,
            log_start: Offset::new(3).unwrap(),
            log_end: Offset::new(4).unwrap(),
            high_watermark: Offset::new(5).unwrap(),
            remote_bytes: 6,
            remote_segments: 7,
            remote_lag_bytes: 8,
            remote_lag_segments: 9,
        }
    }

    fn text(node: MetricsSnapshot) -> String {
        Snapshot::new(node, ServerSnapshot { accepted: 3, closed: 1, ..Default::default() }).page().collect()
    }

    #[test]
    fn topics_partitions_and_the_broker_have_their_lines() {
        let node = MetricsSnapshot {
            topics: vec![TopicMetrics { topic: "a".into(), bytes_in: 17, ..Default::default() }],
            partitions: vec![partition("a", 0), partition("a", 1), partition("b", 0)],
            failed_fetches: 11,
            ..Default::default()
        };
        let text = text(node);
        for line in [
            "# TYPE kafka_server_brokertopicmetrics_bytesin_total counter",
            r#"kafka_server_brokertopicmetrics_bytesin_total{topic="a"} 17"#,
            r#"kafka_server_brokertopicmetrics_remotecopylagbytes{topic="a"} 16"#,
            r#"kafka_server_brokertopicmetrics_remotelogsizebytes{topic="b"} 6"#,
            "kafka_server_brokertopicmetrics_failedfetchrequests_total 11",
            r#"kafka_log_log_size{topic="a",partition="1"} 1"#,
            r#"kafka_log_log_logendoffset{topic="b",partition="0"} 4"#,
            "highwater_server_connections 2",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn every_metric_is_introduced_once_also_over_many_chunks() {
        let partitions = (0..5_000).map(|number| partition("many", number)).collect();
        let node = MetricsSnapshot { partitions, ..Default::default() };
        let page = Snapshot::new(node, ServerSnapshot::default()).page();
        let chunks: Vec<_> = page.collect();
        assert!(chunks.len() > 10);
        assert!(chunks.iter().all(|chunk| chunk.len() < CHUNK_BYTES + 1024));
        let text = chunks.concat();
        let introduced: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE ")).collect();
        assert_eq!(introduced.len(), METRICS.len());
        assert_eq!(introduced.iter().collect::<BTreeSet<_>>().len(), METRICS.len());
        let size = |line: &&str| line.starts_with("kafka_log_log_size{");
        assert_eq!(text.lines().filter(size).count(), 5_000);
        assert!(METRICS.iter().all(|metric| metric.name.ends_with("_total") == (metric.kind == Counter)));
    }
}
