//! One node on a real disk with a directory as its bucket: what it appends it shows, after a clean stop, after a crash,
//! and from the bucket alone.

use std::{collections::BTreeMap, sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use highwater_env::TokioEnv;
use highwater_node::{
    Node,
    request::{
        CreateTopic, CreateTopicError, DeleteTopicError, Fetch, FetchError, FetchPartition, Isolation,
        ListOffset, ListOffsetsError, OffsetSpec, Produce, ProduceError, ProducePartition, TopicRef,
    },
};
use highwater_records::{
    Offset, TimestampMs,
    batch::{BatchBuilder, BatchView, Record, split},
    compression::Codec,
};
use highwater_replication::Acks;
use highwater_tiering::bucket::SharedBucket;

use crate::started::{self, caller};

struct Fixture {
    env: Arc<TokioEnv>,
    directory: tempfile::TempDir,
    overrides: Vec<(&'static str, &'static str)>,
}

impl Fixture {
    fn new(overrides: &[(&'static str, &'static str)]) -> Fixture {
        Fixture {
            env: Arc::new(TokioEnv::start().unwrap()),
            directory: tempfile::tempdir().unwrap(),
            overrides: overrides.to_vec(),
        }
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.env.connections().block_on(work)
    }

    async fn start(&self) -> Arc<Node> {
        let bucket = self.bucket().await;
        started::start(&self.env, self.directory.path(), Some(bucket), &self.overrides).await
    }

    async fn bucket(&self) -> SharedBucket {
        started::bucket(&self.env, self.directory.path()).await
    }
}

pub(super) async fn create(
    node: &Node,
    name: &str,
    configs: &[(&str, &str)],
) -> Result<(), CreateTopicError> {
    let topic = CreateTopic {
        name: name.into(),
        partitions: Some(1),
        replication_factor: None,
        assignments: BTreeMap::new(),
        configs: configs.iter().map(|(key, value)| (key.to_string(), Some(value.to_string()))).collect(),
    };
    node.create_topics(&caller(), vec![topic], false).await.remove(0).map(drop)
}

pub(super) fn batch(values: &[String], timestamp: i64) -> Bytes {
    let mut builder = BatchBuilder::new(Codec::None);
    for value in values {
        let record = Record {
            timestamp: TimestampMs(timestamp),
            key: None,
            value: Some(value.as_bytes()),
            headers: &[],
        };
        builder.push(record).unwrap();
    }
    builder.build(Offset::ZERO, None).unwrap()
}

async fn produce(node: &Node, topic: &str, records: Bytes) -> Result<Offset, ProduceError> {
    let request = Produce {
        acks: Acks::All,
        timeout: Duration::from_secs(30),
        transactional: true,
        partitions: vec![ProducePartition { topic: TopicRef::Name(topic.into()), partition: 0, records }],
    };
    let answer = node.produce(&caller(), request).await.wait().await.remove(0);
    answer.map(|produced| produced.base_offset)
}

async fn fetch(node: &Node, topic: &str, offset: i64) -> Result<Vec<(u64, String)>, FetchError> {
    let request = Fetch {
        max_wait: Duration::from_secs(30),
        min_bytes: 1,
        max_bytes: 1 << 20,
        isolation: Isolation::ReadUncommitted,
        rack: None,
        partitions: vec![FetchPartition {
            topic: TopicRef::Name(topic.into()),
            partition: 0,
            offset,
            max_bytes: 1 << 20,
            current_leader_epoch: None,
        }],
    };
    let fetched = node.fetch(&caller(), request).await.remove(0).result?;
    let mut found = Vec::new();
    for piece in fetched.records {
        for batch in split(piece) {
            let batch = batch.unwrap();
            let view = BatchView::parse(&batch).unwrap();
            let mut records = view.records(1 << 20).unwrap();
            while let Some(record) = records.next_record().unwrap() {
                let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                found.push((record.offset.get(), value));
            }
        }
    }
    Ok(found)
}

/// Every record from the beginning to the end that ListOffsets says.
async fn read_all(node: &Node, topic: &str) -> Vec<String> {
    let start = offset_of(node, topic, OffsetSpec::Earliest).await.unwrap();
    let end = offset_of(node, topic, OffsetSpec::Latest).await.unwrap();
    let mut values = Vec::new();
    let mut next = start.get();
    while next < end.get() {
        for (offset, value) in fetch(node, topic, next as i64).await.unwrap() {
            if offset >= next {
                assert_eq!(offset, next, "no gap");
                next += 1;
                values.push(value);
            }
        }
    }
    values
}

async fn offset_of(node: &Node, topic: &str, spec: OffsetSpec) -> Option<Offset> {
    let request = ListOffset {
        topic: TopicRef::Name(topic.into()),
        partition: 0,
        current_leader_epoch: None,
        isolation: Isolation::ReadUncommitted,
        spec,
    };
    loop {
        match node.list_offsets(&caller(), vec![request.clone()]).await.remove(0) {
            // After a crash, until the head in the bucket has been read.
            Err(ListOffsetsError::Storage(_)) => tokio::task::yield_now().await,
            answer => return answer.unwrap().offset,
        }
    }
}

fn values(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|number| format!("value {number}")).collect()
}

#[test]
fn what_was_acknowledged_is_there_after_a_clean_stop_and_after_a_crash() {
    let fixture = Fixture::new(&[]);
    let node = fixture.run(fixture.start());
    fixture.run(async {
        create(&node, "orders", &[]).await.unwrap();
        assert_eq!(produce(&node, "orders", batch(&values(0..3), 5)).await, Ok(Offset::ZERO));
        assert_eq!(read_all(&node, "orders").await, values(0..3));
        node.stop().await.unwrap();
    });
    drop(node);
    let node = fixture.run(fixture.start());
    fixture.run(async {
        assert_eq!(read_all(&node, "orders").await, values(0..3));
        assert_eq!(produce(&node, "orders", batch(&values(3..5), 6)).await.unwrap().get(), 3);
    });
    let epoch = |node: &Node| {
        let image = node.image();
        image.leader_epoch(&image.topic_named("orders").unwrap().partitions[0])
    };
    let before = epoch(&node);
    let root = fixture.directory.path().join("data");
    // As a crash leaves it: no clean marker. The process's locks go with the node.
    fixture.run(node.abandon());
    drop(node);
    assert!(!root.join(".kafka_cleanshutdown").exists());
    let node = fixture.run(fixture.start());
    assert!(epoch(&node) > before, "an unclean stop raises the epoch floor");
    fixture.run(async {
        assert_eq!(read_all(&node, "orders").await, values(0..5));
        node.stop().await.unwrap();
    });
}

#[test]
fn records_are_read_from_the_bucket_when_the_local_copy_is_gone() {
    let fixture = Fixture::new(&[("remote.log.manager.task.interval.ms", "20")]);
    let node = fixture.run(fixture.start());
    fixture.run(async {
        let configs = [("segment.bytes", "1048576"), ("local.retention.bytes", "1")];
        create(&node, "history", &configs).await.unwrap();
        let mut expected = Vec::new();
        for round in 0..40u64 {
            let chunk: Vec<String> =
                (0..4).map(|n| format!("{round}-{n}-{}", "x".repeat(32 << 10))).collect();
            produce(&node, "history", batch(&chunk, 1_000 + round as i64)).await.unwrap();
            expected.extend(chunk);
        }
        // Kept trying until a whole round of upkeep has dropped local segments.
        let local_start = loop {
            match offset_of(&node, "history", OffsetSpec::EarliestLocal).await {
                Some(offset) if offset > Offset::ZERO => break offset,
                _ => tokio::task::yield_now().await,
            }
        };
        assert_eq!(offset_of(&node, "history", OffsetSpec::Earliest).await, Some(Offset::ZERO));
        let tiered = offset_of(&node, "history", OffsetSpec::LatestTiered).await.unwrap();
        assert!(tiered.get() + 1 >= local_start.get());
        assert_eq!(read_all(&node, "history").await, expected);
        // The second batch was stamped 1001; it lies in the bucket only.
        let found = offset_of(&node, "history", OffsetSpec::At(TimestampMs(1_001))).await;
        assert_eq!(found.map(Offset::get), Some(4));
    });
    // After a crash only the bucket knows that the log starts at zero; a reader that comes at once waits for that.
    fixture.run(node.abandon());
    drop(node);
    let node = fixture.run(fixture.start());
    fixture.run(async {
        let first = fetch(&node, "history", 0).await.unwrap();
        assert_eq!(first.first().map(|(offset, _)| *offset), Some(0));
        assert_eq!(offset_of(&node, "history", OffsetSpec::Earliest).await, Some(Offset::ZERO));
        assert_eq!(read_all(&node, "history").await.len(), 160);
        node.stop().await.unwrap();
    });
    drop(node);
    let node = fixture.run(fixture.start());
    fixture.run(async {
        assert_eq!(read_all(&node, "history").await.len(), 160);
        node.stop().await.unwrap();
    });
}

#[test]
fn refusals_name_their_reason_and_change_nothing() {
    let fixture = Fixture::new(&[]);
    let node = fixture.run(fixture.start());
    fixture.run(async {
        create(&node, "t", &[("max.message.bytes", "1000")]).await.unwrap();
        let again = create(&node, "t", &[]).await;
        assert_eq!(again, Err(CreateTopicError::AlreadyExists("t".into())));
        let unknown = create(&node, "c", &[("cleanup.policy", "burn")]).await;
        assert!(matches!(unknown, Err(CreateTopicError::InvalidConfig(_))), "{unknown:?}");
        let large = produce(&node, "t", batch(&["x".repeat(1000)], 1)).await;
        assert!(matches!(large, Err(ProduceError::MessageTooLarge(_))), "{large:?}");
        let mut damaged = batch(&values(0..1), 1).to_vec();
        *damaged.last_mut().unwrap() ^= 1;
        let damaged = produce(&node, "t", damaged.into()).await;
        assert!(matches!(damaged, Err(ProduceError::Corrupt(_))), "{damaged:?}");
        assert_eq!(
            produce(&node, "u", batch(&values(0..1), 1)).await,
            Err(ProduceError::UnknownTopicOrPartition)
        );
        assert!(matches!(fetch(&node, "t", 1).await, Err(FetchError::OffsetOutOfRange { .. })));
        assert!(matches!(fetch(&node, "t", -7).await, Err(FetchError::OffsetOutOfRange { .. })));
        assert_eq!(offset_of(&node, "t", OffsetSpec::Latest).await, Some(Offset::ZERO));
        node.stop().await.unwrap();
    });
}

#[test]
fn a_deleted_topic_is_gone_and_its_name_is_free() {
    let fixture = Fixture::new(&[]);
    let node = fixture.run(fixture.start());
    fixture.run(async {
        create(&node, "t", &[]).await.unwrap();
        produce(&node, "t", batch(&values(0..3), 1)).await.unwrap();
        let topics = vec![TopicRef::Name("t".into())];
        assert!(node.delete_topics(&caller(), topics.clone()).await.remove(0).is_ok());
        let again = node.delete_topics(&caller(), topics).await.remove(0);
        assert_eq!(again.map(drop), Err(DeleteTopicError::UnknownTopic));
        create(&node, "t", &[]).await.unwrap();
        assert_eq!(produce(&node, "t", batch(&values(7..8), 1)).await, Ok(Offset::ZERO));
        assert_eq!(read_all(&node, "t").await, values(7..8));
        node.stop().await.unwrap();
    });
}

#[test]
fn a_fetch_waits_for_the_watermark() {
    let fixture = Fixture::new(&[]);
    let node = fixture.run(fixture.start());
    fixture.run(async {
        create(&node, "t", &[]).await.unwrap();
        let reader = node.clone();
        // Asked before there is anything, and polled beside the produce.
        let waiting = async move { fetch(&reader, "t", 0).await };
        let (found, produced) = tokio::join!(waiting, produce(&node, "t", batch(&values(0..1), 1)));
        assert_eq!(produced, Ok(Offset::ZERO));
        assert_eq!(found, Ok(vec![(0, "value 0".into())]));
        node.stop().await.unwrap();
    });
}

#[test]
fn producer_ids_are_never_given_twice() {
    let fixture = Fixture::new(&[]);
    let mut given = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let node = fixture.run(fixture.start());
        for _ in 0..5 {
            let (id, epoch) = fixture.run(node.init_producer_id(&caller())).unwrap();
            assert_eq!(epoch.0, 0);
            assert!(given.insert(id), "{id:?} was given before");
        }
        fixture.run(node.abandon());
    }
}

/// Somebody deletes a topic, hangs up when a part of it is gone, and the node is stopped.
#[test]
fn a_stop_is_clean_though_a_topic_is_being_deleted() {
    let fixture = Fixture::new(&[]);
    let data = fixture.directory.path().join("data");
    let logs = || {
        let named =
            |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let is_log = |name: &String| name.starts_with("orders-") && !name.ends_with("-delete");
        std::fs::read_dir(&data).unwrap().map(named).filter(is_log).count()
    };
    fixture.run(async {
        let node = fixture.start().await;
        let topic = CreateTopic {
            name: "orders".into(),
            partitions: Some(40),
            replication_factor: None,
            assignments: BTreeMap::new(),
            configs: Vec::new(),
        };
        node.create_topics(&caller(), vec![topic], false).await.remove(0).unwrap();
        produce(&node, "orders", batch(&["one".into()], 1)).await.unwrap();
        let all = logs();
        let asks = caller();
        let mut deletes = node.delete_topics(&asks, vec![TopicRef::Name("orders".into())]);
        let some_are_gone = std::future::poll_fn(|context| {
            if logs() < all {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            deletes.as_mut().poll(context).map(drop)
        });
        some_are_gone.await;
        drop(deletes);
        node.stop().await.unwrap();
    });
    assert!(data.join(".kafka_cleanshutdown").exists());
}
