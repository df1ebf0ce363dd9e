//! A topic that compacts, on a node that runs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use highwater_env::TokioEnv;
use highwater_node::{
    Node,
    request::{
        CreateTopic, Fetch, FetchPartition, Isolation, Produce, ProduceError, ProducePartition, TopicRef,
    },
};
use highwater_records::{
    Offset, TimestampMs,
    batch::{BatchBuilder, BatchView, Record, split},
    compression::Codec,
};
use highwater_replication::Acks;

use crate::started::{self, caller};

const TOPIC: &str = "balances";

async fn start(env: &Arc<TokioEnv>, root: &std::path::Path) -> Arc<Node> {
    let settings = [("log.cleaner.backoff.ms", "5"), ("remote.log.storage.system.enable", "false")];
    started::start(env, root, None, &settings).await
}

async fn produce(node: &Node, key: Option<&str>, value: &str) -> Result<Offset, ProduceError> {
    let mut builder = BatchBuilder::new(Codec::None);
    let record = Record {
        timestamp: TimestampMs(1),
        key: key.map(str::as_bytes),
        value: Some(value.as_bytes()),
        headers: &[],
    };
    builder.push(record).unwrap();
    let request = Produce {
        acks: Acks::All,
        timeout: Duration::from_secs(30),
        transactional: false,
        partitions: vec![ProducePartition {
            topic: TopicRef::Name(TOPIC.into()),
            partition: 0,
            records: builder.build(Offset::ZERO, None).unwrap(),
        }],
    };
    node.produce(&caller(), request).await.wait().await.remove(0).map(|produced| produced.base_offset)
}

/// Every record there is: offset, key, value.
async fn read(node: &Node) -> Vec<(u64, String, String)> {
    let (mut at, mut found) = (0, Vec::new());
    loop {
        let request = Fetch {
            max_wait: Duration::ZERO,
            min_bytes: 1,
            max_bytes: 1 << 20,
            isolation: Isolation::ReadCommitted,
            rack: None,
            partitions: vec![FetchPartition {
                topic: TopicRef::Name(TOPIC.into()),
                partition: 0,
                offset: at,
                max_bytes: 1 << 20,
                current_leader_epoch: None,
            }],
        };
        let fetched = node.fetch(&caller(), request).await.remove(0).result.unwrap();
        if fetched.is_empty() {
            return found;
        }
        for batch in fetched.records.into_iter().flat_map(split) {
            let batch = batch.unwrap();
            let view = BatchView::parse(&batch).unwrap();
            let mut records = view.records(1 << 20).unwrap();
            while let Some(record) = records.next_record().unwrap() {
                let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
                found.push((record.offset.get(), text(record.key), text(record.value)));
            }
            at = view.next_offset().as_i64();
        }
    }
}

#[test]
fn the_last_value_of_each_key_stays_while_the_topic_is_used_and_over_a_restart() {
    let env = Arc::new(TokioEnv::start().unwrap());
    let directory = tempfile::tempdir().unwrap();
    env.connections().block_on(async {
        let node = start(&env, directory.path()).await;
        let configs = [
            ("cleanup.policy", "compact"),
            ("internal.segment.bytes", "4000"),
            ("min.cleanable.dirty.ratio", "0.1"),
        ];
        let topic = CreateTopic {
            name: TOPIC.into(),
            partitions: Some(1),
            replication_factor: None,
            assignments: BTreeMap::new(),
            configs: configs.iter().map(|(key, value)| (key.to_string(), Some(value.to_string()))).collect(),
        };
        node.create_topics(&caller(), vec![topic], false).await.remove(0).unwrap();
        let refused = produce(&node, None, "no key").await.unwrap_err();
        assert!(matches!(refused, ProduceError::InvalidRecord { ref records, .. } if records.len() == 1));

        let mut expected = BTreeMap::new();
        let mut produced = 0u64;
        for round in 0..40 {
            for key in 0..10 {
                let (key, value) = (format!("key {key}"), format!("value {round}"));
                let offset = produce(&node, Some(&key), &value).await.unwrap();
                assert_eq!(offset.get(), produced, "offsets do not know of compaction");
                expected.insert(key, value);
                produced += 1;
            }
        }
        // The sealed segments come to a tenth of what was written.
        let latest = |records: Vec<(u64, String, String)>| {
            records.into_iter().map(|(_, key, value)| (key, value)).collect::<BTreeMap<_, _>>()
        };
        loop {
            let records = read(&node).await;
            assert_eq!(latest(records.clone()), expected);
            if records.len() < 100 {
                break;
            }
            tokio::task::yield_now().await;
        }
        node.stop().await.unwrap();
        drop(node);
        assert!(directory.path().join("data/.kafka_cleanshutdown").exists());
        let node = start(&env, directory.path()).await;
        let records = read(&node).await;
        assert!(records.len() < 100 && records.is_sorted());
        assert_eq!(latest(records), expected);
        node.stop().await.unwrap();
    });
}
