//! Fetch sessions: what changed is asked for and told, and nothing else.

use crate::running::{Raw, Running, ask, one_record};
use highwater_records::TopicId;
use highwater_wire::{
    ErrorCode,
    messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic},
};

/// The partitions that an answer tells of, and the bytes of each.
fn told(answer: &FetchResponse) -> Vec<(i32, usize)> {
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|partition| {
            assert_eq!(partition.error_code, 0);
            (partition.partition_index, partition.records.as_ref().map_or(0, |records| records.len()))
        })
        .collect()
}

struct Consumer {
    raw: Raw,
    version: i16,
    id: TopicId,
}

impl Consumer {
    async fn fetch(
        &mut self,
        session: (i32, i32),
        offsets: &[(i32, i64)],
        forgotten: &[i32],
    ) -> FetchResponse {
        let name = if self.version < 13 { "t" } else { "" };
        let partition = |(partition, fetch_offset): &(i32, i64)| FetchPartition {
            partition: *partition,
            fetch_offset: *fetch_offset,
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        };
        let topic = FetchTopic {
            topic: name.into(),
            topic_id: self.id,
            partitions: offsets.iter().map(partition).collect(),
        };
        let left = ForgottenTopic { topic: name.into(), topic_id: self.id, partitions: forgotten.to_vec() };
        let request = FetchRequest {
            max_bytes: 1 << 20,
            session_id: session.0,
            session_epoch: session.1,
            topics: if offsets.is_empty() { vec![] } else { vec![topic] },
            forgotten_topics_data: if forgotten.is_empty() { vec![] } else { vec![left] },
            ..FetchRequest::default()
        };
        ask(&mut self.raw, self.version, &request).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_changed_is_told() {
    let running = Running::start().await;
    let mut client = running.client().await;
    let id = client.create_topic("t", 3, &[]).await.unwrap();
    let batch = one_record(b"key", b"value");
    let size = batch.len();
    for version in [7, 12, 13, 18] {
        let ends = |answer: &FetchResponse| -> Vec<i64> {
            answer.responses[0].partitions.iter().map(|partition| partition.high_watermark).collect()
        };
        let mut consumer = Consumer { raw: Raw::connect(&running).await, version, id };
        let none = consumer.fetch((0, -1), &[(0, 0), (1, 0), (2, 0)], &[]).await;
        assert_eq!((none.error_code, none.session_id), (0, 0));
        let end = ends(&none);
        let all: Vec<_> = (0..3).zip(end.iter().copied()).collect();
        let first = consumer.fetch((0, 0), &all, &[]).await;
        let session = first.session_id;
        assert!(first.error_code == 0 && session > 0);
        assert_eq!(told(&first), [(0, 0), (1, 0), (2, 0)], "a full fetch is answered in full");
        // Nothing happened since.
        assert_eq!(told(&consumer.fetch((session, 1), &[], &[]).await), []);
        client.produce("t", 1, batch.clone()).await.unwrap();
        assert_eq!(told(&consumer.fetch((session, 2), &[], &[]).await), [(1, size)]);
        // What the client has not moved past comes again.
        assert_eq!(told(&consumer.fetch((session, 3), &[], &[]).await), [(1, size)]);
        assert_eq!(told(&consumer.fetch((session, 4), &[(1, end[1] + 1)], &[]).await), []);
        client.produce("t", 0, batch.clone()).await.unwrap();
        client.produce("t", 2, batch.clone()).await.unwrap();
        assert_eq!(told(&consumer.fetch((session, 5), &[], &[0]).await), [(2, size)], "0 was left out");
        // A request that came twice, and a session that never was.
        let twice = consumer.fetch((session, 5), &[], &[]).await;
        assert_eq!(twice.error_code, ErrorCode::InvalidFetchSessionEpoch.code());
        let unknown = consumer.fetch((session ^ 1, 6), &[], &[]).await;
        assert_eq!((unknown.error_code, unknown.session_id), (ErrorCode::FetchSessionIdNotFound.code(), 0));
        // The session is over once its client says so.
        let ended = consumer.fetch((session, -1), &[(0, 0)], &[]).await;
        assert_eq!((ended.error_code, ended.session_id), (0, 0));
        let gone = consumer.fetch((session, 6), &[], &[]).await;
        assert_eq!(gone.error_code, ErrorCode::FetchSessionIdNotFound.code());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_stays_with_names_or_with_ids() {
    let running = Running::start().await;
    let id = running.client().await.create_topic("t", 1, &[]).await.unwrap();
    let mut consumer = Consumer { raw: Raw::connect(&running).await, version: 13, id };
    let session = consumer.fetch((0, 0), &[(0, 0)], &[]).await.session_id;
    consumer.version = 12;
    let refused = consumer.fetch((session, 1), &[], &[]).await;
    assert_eq!(refused.error_code, ErrorCode::FetchSessionTopicIdError.code());
    for hopeless in [(-7, 3), (0, 4), (i32::MIN, i32::MAX), (i32::MAX, i32::MIN)] {
        let refused = consumer.fetch(hopeless, &[], &[]).await;
        assert_eq!(refused.error_code, ErrorCode::FetchSessionIdNotFound.code(), "{hopeless:?}");
    }
}
