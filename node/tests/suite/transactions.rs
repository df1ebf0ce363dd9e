//! Transactions as readers of committed records see them, while everything is on local disk and once most of it is only
//! in the bucket.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use highwater_engine::MarkerEpoch;
use highwater_env::TokioEnv;
use highwater_node::{
    Node,
    request::{
        CreateTopic, EndTransaction, Fetch, FetchPartition, Isolation, ListOffset, OffsetSpec, Produce,
        ProduceError, ProducePartition, TopicRef,
    },
};
use highwater_records::{
    Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs,
    batch::{BatchBuilder, BatchView, EndTxnMarker, Producer, Record, split},
    compression::Codec,
};
use highwater_replication::Acks;

use crate::started::{self, caller};

const TOPIC: &str = "payments";

struct Client {
    node: Arc<Node>,
    sequences: BTreeMap<u64, i32>,
}

async fn start(env: &Arc<TokioEnv>, root: &std::path::Path) -> Arc<Node> {
    let bucket = started::bucket(env, root).await;
    started::start(env, root, Some(bucket), &[("remote.log.manager.task.interval.ms", "20")]).await
}

impl Client {
    /// Appends one record of `size` bytes of this producer's transaction; producer 0 stands for none.
    async fn produce(&mut self, id: u64, size: usize, transactional: bool) -> Result<Offset, ProduceError> {
        let mut builder = BatchBuilder::new(Codec::None);
        if id > 0 {
            let sequence = self.sequences.entry(id).or_default();
            let base_sequence = Sequence::from_i32(*sequence);
            *sequence += 1;
            let epoch = ProducerEpoch(0);
            builder = builder.producer(Producer { id: ProducerId(id), epoch, base_sequence }).transactional();
        }
        let value = vec![id as u8; size];
        let record = Record { timestamp: TimestampMs(1), key: None, value: Some(&value), headers: &[] };
        builder.push(record).unwrap();
        let records = builder.build(Offset::ZERO, None).unwrap();
        let request = Produce {
            acks: Acks::All,
            timeout: Duration::from_secs(30),
            transactional,
            partitions: vec![ProducePartition { topic: TopicRef::Name(TOPIC.into()), partition: 0, records }],
        };
        let answer = self.node.produce(&caller(), request).await.wait().await.remove(0);
        answer.map(|produced| produced.base_offset)
    }

    async fn end(&self, id: u64, committed: bool) -> Offset {
        let request = EndTransaction {
            topic: TopicRef::Name(TOPIC.into()),
            partition: 0,
            producer_id: ProducerId(id),
            producer_epoch: ProducerEpoch(0),
            marker: EndTxnMarker { committed, coordinator_epoch: 1 },
            rule: MarkerEpoch::SameOrNewer,
            attempt: None,
        };
        let pending = self.node.end_transactions(&caller(), Duration::from_secs(30), vec![request]).await;
        pending.wait().await.remove(0).unwrap().base_offset
    }

    async fn offset(&self, spec: OffsetSpec, isolation: Isolation) -> u64 {
        let request = ListOffset {
            topic: TopicRef::Name(TOPIC.into()),
            partition: 0,
            current_leader_epoch: None,
            isolation,
            spec,
        };
        let listed = self.node.list_offsets(&caller(), vec![request]).await.remove(0).unwrap();
        listed.offset.map_or(0, Offset::get)
    }

    /// The offsets of records that a client of this isolation shows to its application, and those of aborted ones.
    async fn read(&self, isolation: Isolation) -> Vec<u64> {
        let end = self.offset(OffsetSpec::Latest, isolation).await;
        let (mut at, mut shown) = (0, Vec::new());
        while at < end {
            let partition = FetchPartition {
                topic: TopicRef::Name(TOPIC.into()),
                partition: 0,
                offset: at as i64,
                max_bytes: 300_000,
                current_leader_epoch: None,
            };
            let request = Fetch {
                max_wait: Duration::from_secs(30),
                min_bytes: 1,
                max_bytes: 1 << 20,
                isolation,
                rack: None,
                partitions: vec![partition],
            };
            let fetched = self.node.fetch(&caller(), request).await.remove(0).result.unwrap();
            assert!(isolation == Isolation::ReadCommitted || fetched.aborted.is_empty());
            for batch in fetched.records.into_iter().flat_map(split) {
                let batch = batch.unwrap();
                let view = BatchView::parse(&batch).unwrap();
                at = view.next_offset().get();
                let skipped = |id| {
                    fetched.aborted.iter().any(|aborted| {
                        aborted.producer_id == id
                            && (aborted.first_offset..aborted.last_offset).contains(&view.base_offset())
                    })
                };
                let aborted = view.is_transactional() && skipped(view.producer().unwrap().id);
                if !view.is_control() && !aborted {
                    shown.push(view.base_offset().get());
                }
            }
        }
        shown
    }
}

#[test]
fn committed_records_are_shown_and_no_others_from_disk_and_from_the_bucket() {
    let env = Arc::new(TokioEnv::start().unwrap());
    let directory = tempfile::tempdir().unwrap();
    env.connections().block_on(async {
        let node = start(&env, directory.path()).await;
        let configs = [("segment.bytes", "1048576"), ("local.retention.bytes", "1")];
        let topic = CreateTopic {
            name: TOPIC.into(),
            partitions: Some(1),
            replication_factor: None,
            assignments: BTreeMap::new(),
            configs: configs.iter().map(|(key, value)| (key.to_string(), Some(value.to_string()))).collect(),
        };
        node.create_topics(&caller(), vec![topic], false).await.remove(0).unwrap();
        let mut client = Client { node: node.clone(), sequences: BTreeMap::new() };
        assert_eq!(client.produce(1, 10, false).await, Err(ProduceError::TransactionsUnsupported));
        client.sequences.clear();

        let mut committed = Vec::new();
        // Over many segments: plain records, a committed and an aborted transaction that begin in one segment and end
        // in another.
        for _ in 0..4 {
            for _ in 0..10 {
                committed.push(client.produce(1, 50_000, true).await.unwrap().get());
                client.produce(2, 50_000, true).await.unwrap();
                committed.push(client.produce(0, 50_000, true).await.unwrap().get());
            }
            client.end(1, true).await;
            client.end(2, false).await;
        }
        let stable = client.offset(OffsetSpec::Latest, Isolation::ReadCommitted).await;
        assert_eq!(stable, client.offset(OffsetSpec::Latest, Isolation::ReadUncommitted).await);
        let open = client.produce(1, 10, true).await.unwrap().get();
        client.produce(0, 10, true).await.unwrap();
        assert_eq!(client.offset(OffsetSpec::Latest, Isolation::ReadCommitted).await, open);
        assert_eq!(client.read(Isolation::ReadCommitted).await, committed);
        assert_eq!(client.read(Isolation::ReadUncommitted).await.len(), 4 * 30 + 2);

        // Local copies go as far as everything is decided; what was open keeps the rest here.
        while client.offset(OffsetSpec::EarliestLocal, Isolation::ReadUncommitted).await < committed[25] {
            tokio::task::yield_now().await;
        }
        assert_eq!(client.read(Isolation::ReadCommitted).await, committed);
        client.end(1, false).await;
        committed.push(open + 1);
        assert_eq!(client.read(Isolation::ReadCommitted).await, committed);

        node.stop().await.unwrap();
        drop((node, client));
        let node = start(&env, directory.path()).await;
        let client = Client { node: node.clone(), sequences: BTreeMap::new() };
        assert_eq!(client.read(Isolation::ReadCommitted).await, committed);
        node.stop().await.unwrap();
    });
}
