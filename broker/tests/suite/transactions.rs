//! Transactions over TCP, as older clients speak (partitions join one by one) and as newer ones do (KIP-890).

use crate::running::{Raw, Running, ask};
use bytes::Bytes;
use highwater_records::{
    Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs,
    batch::{BatchBuilder, Producer, Record},
    compression::Codec,
};
use highwater_wire::{
    ErrorCode,
    messages::{
        add_offsets_to_txn::AddOffsetsToTxnRequest,
        add_partitions_to_txn::{
            AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
        },
        describe_producers as producers,
        describe_transactions::DescribeTransactionsRequest,
        end_txn::EndTxnRequest,
        fetch::{FetchPartition, FetchRequest, FetchTopic},
        find_coordinator::FindCoordinatorRequest,
        init_producer_id::InitProducerIdRequest,
        list_transactions::ListTransactionsRequest,
        offset_fetch::{OffsetFetchRequest, OffsetFetchRequestTopic},
        produce::{PartitionProduceData, ProduceRequest, TopicProduceData},
        txn_offset_commit::{
            TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
        },
        write_txn_markers::{WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest},
    },
};
use std::time::{SystemTime, UNIX_EPOCH};

/// Which generation of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Older,
    Newer,
}

struct TransactionalProducer {
    raw: Raw,
    kind: Kind,
    id: i64,
    epoch: i16,
    sequences: [i32; 2],
}

impl TransactionalProducer {
    async fn begin(running: &Running, kind: Kind, name: &str) -> TransactionalProducer {
        let mut raw = Raw::connect(running).await;
        for key_type in [0, 1] {
            let find = FindCoordinatorRequest {
                key_type,
                coordinator_keys: vec![name.into()],
                ..FindCoordinatorRequest::default()
            };
            let found = ask(&mut raw, 6, &find).await.coordinators.remove(0);
            assert_eq!((found.error_code, found.port), (0, i32::from(running.address().port())));
        }
        let mut producer = TransactionalProducer { raw, kind, id: -1, epoch: -1, sequences: [0; 2] };
        producer.init(name, 60_000).await;
        producer
    }

    /// Asks until the coordinator has an answer that is not to be asked again for.
    async fn init(&mut self, name: &str, timeout: i32) {
        loop {
            let request = InitProducerIdRequest {
                transactional_id: Some(name.into()),
                transaction_timeout_ms: timeout,
                ..InitProducerIdRequest::default()
            };
            let given = ask(&mut self.raw, 5, &request).await;
            match ErrorCode::from_code(given.error_code).unwrap() {
                ErrorCode::None => {
                    (self.id, self.epoch) = (given.producer_id, given.producer_epoch);
                    self.sequences = [0; 2];
                    return;
                }
                error => assert!(error.is_retriable(), "{error}"),
            }
        }
    }

    /// Partitions join, the older way.
    async fn add(&mut self, name: &str, partition: i32) -> ErrorCode {
        loop {
            let topic = AddPartitionsToTxnTopic { name: "t".into(), partitions: vec![partition] };
            let request = AddPartitionsToTxnRequest {
                v3_and_below_transactional_id: name.into(),
                v3_and_below_producer_id: self.id,
                v3_and_below_producer_epoch: self.epoch,
                v3_and_below_topics: vec![topic],
                ..AddPartitionsToTxnRequest::default()
            };
            let mut answer = ask(&mut self.raw, 3, &request).await;
            let answer = answer.results_by_topic_v3_and_below.remove(0).results_by_partition.remove(0);
            match ErrorCode::from_code(answer.partition_error_code).unwrap() {
                ErrorCode::ConcurrentTransactions => {}
                error => return error,
            }
        }
    }

    fn batch(&self, partition: i32, value: &str) -> Bytes {
        let producer = Producer {
            id: ProducerId(self.id.cast_unsigned()),
            epoch: ProducerEpoch(self.epoch.cast_unsigned()),
            base_sequence: Sequence::from_i32(self.sequences[partition as usize]),
        };
        let mut builder = BatchBuilder::new(Codec::None).producer(producer).transactional();
        // Of today: a marker would open another segment behind records of long ago.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let timestamp = TimestampMs(now.try_into().unwrap());
        builder.push(Record { timestamp, key: None, value: Some(value.as_bytes()), headers: &[] }).unwrap();
        builder.build(Offset::ZERO, None).unwrap()
    }

    /// Sends one record as it is now.
    async fn send_only(&mut self, name: &str, partition: i32, value: &str) -> ErrorCode {
        let records = Some(self.batch(partition, value));
        let data = PartitionProduceData { index: partition, records };
        let topic = TopicProduceData { name: "t".into(), partition_data: vec![data], ..Default::default() };
        let request = ProduceRequest {
            transactional_id: Some(name.into()),
            acks: -1,
            timeout_ms: 10_000,
            topic_data: vec![topic],
        };
        let version = if self.kind == Kind::Older { 11 } else { 12 };
        let answer = ask(&mut self.raw, version, &request).await;
        ErrorCode::from_code(answer.responses[0].partition_responses[0].error_code).unwrap()
    }

    async fn send(&mut self, name: &str, partition: i32, value: &str) {
        if self.kind == Kind::Older {
            assert_eq!(self.add(name, partition).await, ErrorCode::None);
        }
        loop {
            match self.send_only(name, partition, value).await {
                ErrorCode::None => break,
                error => assert_eq!(error, ErrorCode::ConcurrentTransactions),
            }
        }
        self.sequences[partition as usize] += 1;
    }

    async fn end(&mut self, name: &str, committed: bool) -> ErrorCode {
        let request = EndTxnRequest {
            transactional_id: name.into(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed,
        };
        let answer = ask(&mut self.raw, if self.kind == Kind::Older { 4 } else { 5 }, &request).await;
        if answer.error_code == 0 && self.kind == Kind::Newer {
            assert!(answer.producer_epoch > self.epoch);
            (self.id, self.epoch) = (answer.producer_id, answer.producer_epoch);
            self.sequences = [0; 2];
        }
        ErrorCode::from_code(answer.error_code).unwrap()
    }

    async fn commit_offset(&mut self, name: &str, group: &str, offset: i64) {
        if self.kind == Kind::Older {
            loop {
                let request = AddOffsetsToTxnRequest {
                    transactional_id: name.into(),
                    producer_id: self.id,
                    producer_epoch: self.epoch,
                    group_id: group.into(),
                };
                match ask(&mut self.raw, 3, &request).await.error_code {
                    0 => break,
                    code => assert!(ErrorCode::from_code(code).unwrap().is_retriable(), "{code}"),
                }
            }
        }
        let partition = TxnOffsetCommitRequestPartition {
            committed_offset: offset,
            committed_metadata: Some("note".into()),
            ..TxnOffsetCommitRequestPartition::default()
        };
        let topic = TxnOffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition] };
        let request = TxnOffsetCommitRequest {
            transactional_id: name.into(),
            group_id: group.into(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            topics: vec![topic],
            ..TxnOffsetCommitRequest::default()
        };
        loop {
            let version = if self.kind == Kind::Older { 4 } else { 5 };
            let answer = ask(&mut self.raw, version, &request).await;
            match answer.topics[0].partitions[0].error_code {
                0 => break,
                code => assert!(ErrorCode::from_code(code).unwrap().is_retriable(), "{code}"),
            }
        }
    }
}

/// What a reader of committed records sees of a partition once `end` is stable: first offsets of batches, without those
/// that were aborted, markers included.
async fn committed(raw: &mut Raw, partition: i32, end: i64) -> (i64, usize, usize) {
    loop {
        let wanted = FetchPartition { partition, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
        let topic = FetchTopic { topic: "t".into(), partitions: vec![wanted], ..FetchTopic::default() };
        let request = FetchRequest {
            isolation_level: 1,
            max_bytes: 1 << 20,
            topics: vec![topic],
            ..FetchRequest::default()
        };
        let answer = ask(raw, 12, &request).await.responses.remove(0).partitions.remove(0);
        assert_eq!(answer.error_code, 0);
        if answer.last_stable_offset >= end {
            let aborted = answer.aborted_transactions.unwrap().len();
            return (answer.last_stable_offset, aborted, answer.records.unwrap().len());
        }
    }
}

async fn committed_offset(raw: &mut Raw, group: &str) -> i64 {
    loop {
        let topic = OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![0] };
        let request = OffsetFetchRequest {
            group_id: group.into(),
            topics: Some(vec![topic]),
            require_stable: true,
            ..OffsetFetchRequest::default()
        };
        let answer = ask(raw, 7, &request).await;
        let found = &answer.topics[0].partitions[0];
        match ErrorCode::from_code(found.error_code).unwrap() {
            ErrorCode::None => return found.committed_offset,
            error => assert_eq!(error, ErrorCode::UnstableOffsetCommit),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn committed_transactions_are_seen_and_aborted_ones_are_not() {
    for kind in [Kind::Older, Kind::Newer] {
        let running = Running::start().await;
        running.client().await.create_topic("t", 2, &[]).await.unwrap();
        let mut reader = Raw::connect(&running).await;
        let mut producer = TransactionalProducer::begin(&running, kind, "x").await;
        producer.send("x", 0, "one").await;
        producer.send("x", 1, "two").await;
        producer.send("x", 0, "three").await;
        producer.commit_offset("x", "g", 7).await;
        assert_eq!(committed(&mut reader, 0, 0).await, (0, 0, 0), "nothing before the commit");
        assert_eq!(producer.end("x", true).await, ErrorCode::None);
        assert_eq!(committed(&mut reader, 0, 3).await.1, 0, "{kind:?}");
        assert_eq!(committed(&mut reader, 1, 2).await.1, 0);
        assert_eq!(committed_offset(&mut reader, "g").await, 7);
        producer.send("x", 0, "never seen").await;
        producer.commit_offset("x", "g", 99).await;
        assert_eq!(producer.end("x", false).await, ErrorCode::None);
        assert_eq!(committed(&mut reader, 0, 5).await.1, 1, "{kind:?}");
        assert_eq!(committed_offset(&mut reader, "g").await, 7);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_later_fences_who_was_before() {
    for kind in [Kind::Older, Kind::Newer] {
        let running = Running::start().await;
        running.client().await.create_topic("t", 2, &[]).await.unwrap();
        let mut reader = Raw::connect(&running).await;
        let mut first = TransactionalProducer::begin(&running, kind, "x").await;
        first.send("x", 0, "left open").await;
        let mut second = TransactionalProducer::begin(&running, kind, "x").await;
        assert!(second.id == first.id && second.epoch > first.epoch);
        // What was left open is aborted before the second one may begin.
        assert_eq!(committed(&mut reader, 0, 2).await.1, 1);
        assert_eq!(first.send_only("x", 0, "a ghost").await, ErrorCode::InvalidProducerEpoch);
        assert_eq!(first.send_only("x", 1, "a ghost").await, ErrorCode::InvalidProducerEpoch);
        assert_eq!(first.end("x", true).await, ErrorCode::ProducerFenced);
        second.send("x", 0, "kept").await;
        assert_eq!(second.end("x", true).await, ErrorCode::None);
        assert_eq!(committed(&mut reader, 0, 4).await.0, 4);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_no_transaction_and_of_no_partition_in_it_are_refused() {
    let running = Running::start().await;
    running.client().await.create_topic("t", 2, &[]).await.unwrap();
    let mut producer = TransactionalProducer::begin(&running, Kind::Older, "x").await;
    assert_eq!(producer.send_only("x", 0, "too early").await, ErrorCode::TransactionAbortable);
    assert_eq!(producer.add("x", 0).await, ErrorCode::None);
    assert_eq!(producer.add("x", 7).await, ErrorCode::UnknownTopicOrPartition);
    assert_eq!(producer.send_only("x", 1, "elsewhere").await, ErrorCode::TransactionAbortable);
    assert_eq!(producer.send_only("another", 0, "not its own").await, ErrorCode::InvalidProducerIdMapping);
    let without = producer.raw.produce(Some(producer.batch(0, "no id"))).await.0;
    assert_eq!(without, ErrorCode::TransactionalIdAuthorizationFailed, "as Kafka 4.3 has it");
    assert_eq!(producer.end("x", true).await, ErrorCode::None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_are_told_and_those_that_take_too_long_are_aborted() {
    let running = Running::start().await;
    running.client().await.create_topic("t", 2, &[]).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    let mut producer = TransactionalProducer::begin(&running, Kind::Newer, "x").await;
    producer.send("x", 1, "told").await;
    let describe = DescribeTransactionsRequest { transactional_ids: vec!["x".into(), "unknown".into()] };
    let told = ask(&mut raw, 0, &describe).await.transaction_states;
    assert_eq!((told[0].error_code, told[0].transaction_state.as_str()), (0, "Ongoing"));
    assert_eq!((told[0].topics[0].topic.as_str(), &told[0].topics[0].partitions), ("t", &vec![1]));
    assert_eq!((told[0].producer_id, told[0].transaction_timeout_ms), (producer.id, 60_000));
    assert_eq!(told[1].error_code, ErrorCode::TransactionalIdNotFound.code());
    for (version, states, expected) in
        [(0, vec![], 1), (1, vec!["Ongoing"], 1), (1, vec!["Empty"], 0), (1, vec!["Nonsense"], 0)]
    {
        let request = ListTransactionsRequest {
            state_filters: states.iter().map(|state| (*state).to_owned()).collect(),
            ..ListTransactionsRequest::default()
        };
        let listed = ask(&mut raw, version, &request).await;
        assert_eq!((listed.error_code, listed.transaction_states.len()), (0, expected), "{states:?}");
        assert_eq!(listed.unknown_state_filters.len(), usize::from(states.contains(&"Nonsense")));
    }
    for (pattern, expected) in [("x|y", 1), (".*", 1), ("", 1), ("y", 0)] {
        let transactional_id_pattern = Some(pattern.to_owned());
        let request =
            ListTransactionsRequest { transactional_id_pattern, ..ListTransactionsRequest::default() };
        let listed = ask(&mut raw, 2, &request).await;
        assert_eq!((listed.error_code, listed.transaction_states.len()), (0, expected), "{pattern:?}");
    }
    let transactional_id_pattern = Some("(".to_owned());
    let request = ListTransactionsRequest { transactional_id_pattern, ..ListTransactionsRequest::default() };
    assert_eq!(ask(&mut raw, 2, &request).await.error_code, ErrorCode::InvalidRegularExpression.code());
    let mut hasty = TransactionalProducer::begin(&running, Kind::Older, "hasty").await;
    hasty.init("hasty", 1).await;
    assert_eq!(hasty.add("hasty", 0).await, ErrorCode::None);
    let describe = DescribeTransactionsRequest { transactional_ids: vec!["hasty".into()] };
    loop {
        let told = ask(&mut raw, 0, &describe).await.transaction_states.remove(0);
        match told.transaction_state.as_str() {
            "CompleteAbort" => break,
            state => assert!(["Ongoing", "PrepareAbort"].contains(&state), "{state}"),
        }
    }
    assert_eq!(hasty.end("hasty", true).await, ErrorCode::ProducerFenced);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_hangs_is_ended_by_hand() {
    let running = Running::start().await;
    running.client().await.create_topic("t", 2, &[]).await.unwrap();
    let mut raw = Raw::connect(&running).await;
    let mut producer = TransactionalProducer::begin(&running, Kind::Newer, "x").await;
    producer.send("x", 0, "stuck").await;
    let topic = producers::TopicRequest { name: "t".into(), partition_indexes: vec![0] };
    let request = producers::DescribeProducersRequest { topics: vec![topic] };
    let told = ask(&mut raw, 0, &request).await.topics.remove(0).partitions.remove(0);
    let stuck = &told.active_producers[0];
    assert_eq!((stuck.producer_id, stuck.current_txn_start_offset), (producer.id, 0));
    for version in [1, 2] {
        let marker = WritableTxnMarker {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            transaction_result: false,
            topics: vec![WritableTxnMarkerTopic { name: "t".into(), partition_indexes: vec![0, 9] }],
            coordinator_epoch: 0,
            transaction_version: 0,
        };
        let request = WriteTxnMarkersRequest { markers: vec![marker] };
        let answer = ask(&mut raw, version, &request).await.markers.remove(0);
        let codes: Vec<_> =
            answer.topics[0].partitions.iter().map(|partition| partition.error_code).collect();
        assert_eq!(codes, [0, ErrorCode::UnknownTopicOrPartition.code()], "version {version}");
    }
    assert_eq!(committed(&mut raw, 0, 2).await.1, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_ask_for_many_transactions_at_once() {
    let running = Running::start().await;
    running.client().await.create_topic("t", 2, &[]).await.unwrap();
    let mut producer = TransactionalProducer::begin(&running, Kind::Older, "x").await;
    assert_eq!(producer.add("x", 0).await, ErrorCode::None);
    let transaction = |verify_only, partitions: &[i32]| AddPartitionsToTxnTransaction {
        transactional_id: "x".into(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        verify_only,
        topics: vec![AddPartitionsToTxnTopic { name: "t".into(), partitions: partitions.to_vec() }],
    };
    for version in [4, 5] {
        let request = AddPartitionsToTxnRequest {
            transactions: vec![transaction(true, &[0, 1])],
            ..AddPartitionsToTxnRequest::default()
        };
        let answer = ask(&mut producer.raw, version, &request).await;
        let codes: Vec<_> = answer.results_by_transaction[0].topic_results[0]
            .results_by_partition
            .iter()
            .map(|partition| partition.partition_error_code)
            .collect();
        assert_eq!((answer.error_code, codes), (0, vec![0, ErrorCode::TransactionAbortable.code()]));
    }
}
