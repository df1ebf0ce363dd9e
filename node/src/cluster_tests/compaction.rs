//! Followers compact their logs by themselves, and show the same values as their leader.

use std::collections::BTreeMap;

use highwater_records::{
    Offset, TopicIdPartition,
    batch::{BatchView, split},
};

use super::{TestCluster, run};
use crate::request::FetchError;

/// Every record that a broker has below its watermark, and that watermark.
async fn read(cluster: &TestCluster, broker: u32, at: TopicIdPartition) -> (Vec<(String, String)>, Offset) {
    let (mut found, mut offset) = (Vec::new(), 0);
    loop {
        let fetched = match cluster.fetch(broker, at, offset, Some("")).await {
            Ok(fetched) => fetched,
            Err(FetchError::OffsetOutOfRange { .. }) => panic!("{offset} is within what was told"),
            Err(error) => panic!("{error}"),
        };
        if fetched.is_empty() {
            return (found, fetched.high_watermark);
        }
        for batch in fetched.records.into_iter().flat_map(split) {
            let batch = batch.unwrap();
            let view = BatchView::parse(&batch).unwrap();
            let mut records = view.records(1 << 20).unwrap();
            while let Some(record) = records.next_record().unwrap() {
                let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
                found.push((text(record.key), text(record.value)));
            }
            offset = view.next_offset().as_i64();
        }
    }
}

#[test]
fn a_follower_keeps_the_last_value_of_each_key_and_not_all_of_them() {
    run(async |env| {
        let settings = [("log.cleaner.backoff.ms", "5")];
        let cluster = TestCluster::start(&env, 2, &settings).await;
        let configs = [
            ("cleanup.policy", "compact"),
            ("internal.segment.bytes", "4000"),
            ("min.cleanable.dirty.ratio", "0.1"),
        ];
        let at = cluster.topic("orders", &[1, 2], &configs).await;
        let mut expected = BTreeMap::new();
        for round in 0..30 {
            for key in 0..10 {
                let (key, value) = (format!("key {key}"), format!("value {round}"));
                cluster.produce(1, at, &key, &value).await;
                expected.insert(key, value);
            }
        }
        for broker in [1, 2] {
            loop {
                let (records, watermark) = read(&cluster, broker, at).await;
                let (count, latest) = (records.len(), records.into_iter().collect::<BTreeMap<_, _>>());
                if watermark.get() == 300 {
                    assert_eq!(latest, expected, "broker {broker}");
                }
                if watermark.get() == 300 && count < 100 {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        cluster.end().await;
    });
}
