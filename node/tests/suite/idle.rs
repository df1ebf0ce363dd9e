//! Partitions that nobody uses: closed, served when somebody asks again, and given what they are owed meanwhile.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use highwater_env::{Env, EnvExt, TokioEnv};
use highwater_node::{
    Node,
    request::{CreateTopic, Produce, ProducePartition, TopicRef},
};
use highwater_records::{
    Offset, TimestampMs,
    batch::{BatchBuilder, Record},
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
