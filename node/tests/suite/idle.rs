//! Partitions that nobody uses: closed, served when somebody asks again, and given what they are owed meanwhile.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use highwater_env::{Env, EnvExt, TokioEnv};
use highwater_metadata::decide::{ConfigChange, ConfigOperation, ConfigTarget};
use highwater_node::{
    Node,
    request::{CreateTopic, Fetch, FetchPartition, Isolation, Produce, ProducePartition, TopicRef},
};
use highwater_records::{
    Offset, TimestampMs,
    batch::{BatchBuilder, BatchView, Record, split},
    compression::Codec,
};
use highwater_replication::Acks;

use crate::started::{self, caller};

const PARTITIONS: u32 = 30;

async fn start(env: &Arc<TokioEnv>, root: &Path) -> Arc<Node> {
    started::start(env, root, None, &[("log.retention.check.interval.ms", "20")]).await
}

async fn create(node: &Node, name: &str, configs: &[(&str, &str)]) {
    let topic = CreateTopic {
        name: name.into(),
        partitions: Some(PARTITIONS as i32),
        replication_factor: None,
        assignments: BTreeMap::new(),
        configs: configs.iter().map(|(key, value)| (key.to_string(), Some(value.to_string()))).collect(),
    };
    node.create_topics(&caller(), vec![topic], false).await.remove(0).unwrap();
}

async fn produce(node: &Node, topic: &str, partition: u32, timestamp: i64) -> Offset {
    let mut builder = BatchBuilder::new(Codec::None);
    let record = Record { timestamp: TimestampMs(timestamp), key: None, value: Some(b"value"), headers: &[] };
    builder.push(record).unwrap();
    let records: Bytes = builder.build(Offset::ZERO, None).unwrap();
    let partition =
        ProducePartition { topic: TopicRef::Name(topic.into()), partition: partition as i32, records };
    let request = Produce {
        acks: Acks::All,
        timeout: Duration::from_secs(30),
        transactional: false,
        partitions: vec![partition],
    };
    node.produce(&caller(), request).await.wait().await.remove(0).unwrap().base_offset
}

/// Files of a topic's logs that this process has open.
fn open_files(root: &Path, topic: &str) -> usize {
    let below = root.join("data").join(topic).to_str().unwrap().to_owned() + "-";
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let open = links.filter_map(|link| std::fs::read_link(link.path()).ok());
    open.filter(|to| to.to_str().is_some_and(|to| to.starts_with(&below))).count()
}

async fn until(env: &TokioEnv, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = env.now().plus(Duration::from_secs(60));
    while !holds() {
        assert!(env.now() < deadline, "{what}");
        env.sleep(Duration::from_millis(5)).await;
    }
}

#[test]
#[cfg(target_os = "linux")]
fn partitions_that_nobody_uses_are_closed_and_lose_nothing() {
    let env = Arc::new(TokioEnv::start().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(directory.path()).unwrap();
    env.connections().block_on(async {
        let node = start(&env, &root).await;
        create(
            &node,
            "idle",
            &[("retention.ms", "-1"), ("message.timestamp.before.max.ms", "9223372036854775807")],
        )
        .await;
        for round in 0..3 {
            for partition in 0..PARTITIONS {
                assert_eq!(produce(&node, "idle", partition, 1000).await.get(), round);
            }
            until(&env, "nobody uses them", || open_files(&root, "idle") == 0).await;
        }
        node.stop().await.unwrap();
        drop(node);

        let node = start(&env, &root).await;
        assert_eq!(produce(&node, "idle", 0, 1000).await.get(), 3);
        until(&env, "nobody uses it", || open_files(&root, "idle") == 0).await;
        node.stop().await.unwrap();
        assert!(root.join("data/.kafka_cleanshutdown").is_file());
    });
}

#[test]
fn what_gets_too_old_goes_from_a_partition_that_nobody_uses() {
    let env = Arc::new(TokioEnv::start().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_owned();
    env.connections().block_on(async {
        let node = start(&env, &root).await;
        create(&node, "old", &[("retention.ms", "1500")]).await;
        produce(&node, "old", 7, env.wall_ms()).await;
        let first = root.join("data/old-7/00000000000000000000.log");
        until(&env, "retention", || !first.exists()).await;
        assert_eq!(produce(&node, "old", 7, env.wall_ms()).await.get(), 1, "its offsets go on");
        node.stop().await.unwrap();
    });
}

async fn alter(node: &Node, topic: &str, key: &str, value: &str) {
    let operations = BTreeMap::from([(key.to_owned(), ConfigOperation::Set(value.to_owned()))]);
    let change = (ConfigTarget::Topic(topic.to_owned()), ConfigChange::Incremental(operations));
    node.alter_configs(&caller(), vec![change], false).await.remove(0).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn a_retention_that_is_lowered_holds_for_what_is_closed() {
    let env = Arc::new(TokioEnv::start().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(directory.path()).unwrap();
    env.connections().block_on(async {
        let node = start(&env, &root).await;
        let configs = [("retention.ms", "-1"), ("message.timestamp.before.max.ms", "9223372036854775807")];
        create(&node, "long", &configs).await;
        create(&node, "other", &configs).await;
        for topic in ["long", "other"] {
            produce(&node, topic, 7, 1000).await;
            until(&env, "nobody uses it", || open_files(&root, topic) == 0).await;
        }
        alter(&node, "long", "retention.ms", "60000").await;
        let first = |topic: &str| root.join(format!("data/{topic}-7/00000000000000000000.log"));
        until(&env, "retention", || !first("long").exists()).await;
        assert!(first("other").exists());
        assert_eq!(open_files(&root, "other"), 0, "nothing was altered for it");
        assert_eq!(produce(&node, "long", 7, 1000).await.get(), 1, "its offsets go on");
        node.stop().await.unwrap();
    });
}

async fn create_one(node: &Node, name: &str, configs: &[(&str, &str)]) {
    let topic = CreateTopic {
        name: name.into(),
        partitions: Some(1),
        replication_factor: None,
        assignments: BTreeMap::new(),
        configs: configs.iter().map(|(key, value)| (key.to_string(), Some(value.to_string()))).collect(),
    };
    node.create_topics(&caller(), vec![topic], false).await.remove(0).unwrap();
}

/// Values of a partition's records, by key.
async fn latest(node: &Node, topic: &str) -> (usize, BTreeMap<String, String>) {
    let (mut at, mut records, mut found) = (0, 0, BTreeMap::new());
    loop {
        let request = Fetch {
            max_wait: Duration::ZERO,
            min_bytes: 1,
            max_bytes: 1 << 20,
            isolation: Isolation::ReadCommitted,
            rack: None,
            partitions: vec![FetchPartition {
                topic: TopicRef::Name(topic.into()),
                partition: 0,
                offset: at,
                max_bytes: 1 << 20,
                current_leader_epoch: None,
            }],
        };
        let fetched = node.fetch(&caller(), request).await.remove(0).result.unwrap();
        if fetched.is_empty() {
            assert_eq!(at, fetched.high_watermark.as_i64(), "what the bucket has is waited for");
            return (records, found);
        }
        for batch in fetched.records.into_iter().flat_map(split) {
            let batch = batch.unwrap();
            let view = BatchView::parse(&batch).unwrap();
            let mut in_batch = view.records(1 << 20).unwrap();
            while let Some(record) = in_batch.next_record().unwrap() {
                let text =
                    |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
                found.insert(text(record.key), text(record.value));
                records += 1;
            }
            at = view.next_offset().as_i64();
        }
    }
}

async fn produce_keyed(node: &Node, topic: &str, key: &str, value: &str, timestamp: i64) {
    let mut builder = BatchBuilder::new(Codec::None);
    let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
    builder.push(Record { timestamp: TimestampMs(timestamp), key, value, headers: &[] }).unwrap();
    let records = builder.build(Offset::ZERO, None).unwrap();
    let partition = ProducePartition { topic: TopicRef::Name(topic.into()), partition: 0, records };
    let request = Produce {
        acks: Acks::All,
        timeout: Duration::from_secs(30),
        transactional: false,
        partitions: vec![partition],
    };
    node.produce(&caller(), request).await.wait().await.remove(0).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn a_partition_that_compacts_is_closed_once_it_is_clean() {
    let env = Arc::new(TokioEnv::start().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(directory.path()).unwrap();
    env.connections().block_on(async {
        let settings = [("log.retention.check.interval.ms", "20"), ("log.cleaner.backoff.ms", "5")];
        let node = started::start(&env, &root, None, &settings).await;
        let configs = [
            ("cleanup.policy", "compact"),
            ("internal.segment.bytes", "4000"),
            ("min.cleanable.dirty.ratio", "0.1"),
        ];
        create_one(&node, "keyed", &configs).await;
        let mut expected = BTreeMap::new();
        for round in 0..3 {
            for n in 0..200 {
                let (key, value) = (format!("key {}", n % 10), format!("value {round} {n}"));
                produce_keyed(&node, "keyed", &key, &value, env.wall_ms()).await;
                expected.insert(key, value);
            }
            until(&env, "nobody uses it, and it is clean", || open_files(&root, "keyed") == 0).await;
            // Closed, and compacted before that: the sealed segments come to a tenth of what was written.
            let sizes = std::fs::read_dir(root.join("data/keyed-0")).unwrap().flatten();
            let logs = sizes.filter(|file| file.path().extension().is_some_and(|end| end == "log"));
            let bytes: u64 = logs.map(|file| file.metadata().unwrap().len()).sum();
            assert!(bytes < 9_000, "{bytes} bytes of {}", (round + 1) * 200 * 85);
            let (records, found) = latest(&node, "keyed").await;
            assert_eq!(found, expected);
            assert!(records < 100, "{records}");
        }
        node.stop().await.unwrap();
        assert!(root.join("data/.kafka_cleanshutdown").is_file());
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_partition_with_a_bucket_is_closed_once_the_bucket_has_it() {
    let env = Arc::new(TokioEnv::start().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(directory.path()).unwrap();
    env.connections().block_on(async {
        let settings =
            [("log.retention.check.interval.ms", "20"), ("remote.log.manager.task.interval.ms", "20")];
        let bucket = started::bucket(&env, &root).await;
        let node = started::start(&env, &root, Some(bucket.clone()), &settings).await;
        let configs =
            [("internal.segment.bytes", "4000"), ("local.retention.bytes", "1"), ("retention.ms", "-1")];
        create_one(&node, "tiered", &configs).await;
        let mut expected = BTreeMap::new();
        for round in 0..3 {
            for n in 0..100 {
                let (key, value) = (format!("key {round} {n}"), format!("value {n}"));
                produce_keyed(&node, "tiered", &key, &value, env.wall_ms()).await;
                expected.insert(key, value);
            }
            until(&env, "nobody uses it, and the bucket has it", || open_files(&root, "tiered") == 0).await;
            let files = std::fs::read_dir(root.join("data/tiered-0")).unwrap().flatten();
            let logs = files.filter(|file| file.path().extension().is_some_and(|end| end == "log")).count();
            assert_eq!(logs, 1, "what the bucket has is not kept");
            assert_eq!(latest(&node, "tiered").await, (expected.len(), expected.clone()));
        }
        until(&env, "nobody uses it", || open_files(&root, "tiered") == 0).await;
        // A configuration that is altered is looked at, also by what is closed.
        alter(&node, "tiered", "retention.ms", "1").await;
        let mut earliest = 0;
        let deadline = env.now().plus(Duration::from_secs(60));
        while earliest == 0 {
            assert!(env.now() < deadline, "retention of what is closed");
            env.sleep(Duration::from_millis(5)).await;
            earliest = std::fs::read_to_string(root.join("data/log-start-offset-checkpoint"))
                .unwrap_or_default()
                .lines()
                .find_map(|line| line.strip_prefix("tiered 0 ")?.parse::<u64>().ok())
                .unwrap_or(0);
        }
        // What was dropped is deleted from the bucket a day later: closed until then.
        until(&env, "nobody uses it", || open_files(&root, "tiered") == 0).await;
        node.stop().await.unwrap();
    });
}
