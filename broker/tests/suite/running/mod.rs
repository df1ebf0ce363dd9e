//! A broker in this process on a port of its own, and ways to talk to it.

use bytes::Bytes;
use highwater_broker::{Broker, BrokerOptions, client::Client};
use highwater_records::{
    Offset, TimestampMs,
    batch::{BatchBuilder, Record},
    compression::Codec,
};
use highwater_wire::{
    ErrorCode, Request, decode_response, encode_request,
    messages::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData},
    versions::APIS,
};
use std::{net::SocketAddr, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Far longer than anything here takes: only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker with a directory of its own; both end with it.
pub(crate) struct Running {
    broker: Broker,
    _directory: TempDir,
}

impl Running {
    pub(crate) async fn start() -> Running {
        Running::start_with(&[]).await
    }

    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Running {
        let directory = tempfile::tempdir().unwrap();
        let mut options = BrokerOptions::in_directory(directory.path()).unwrap();
        for (key, value) in settings {
            options.set(key, value).unwrap();
        }
        Running { broker: Broker::start(options).await.unwrap(), _directory: directory }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.broker.address()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.address().to_string(), "test").await.unwrap()
    }

    /// Proves that a new client is served: what it writes to a topic of its own, it reads.
    pub(crate) async fn serves_others(&self) {
        let mut client = self.client().await;
        let name = format!("others-{}", client.metadata(None).await.unwrap().topics.len());
        client.create_topic(&name, 1, &[]).await.unwrap();
        let batch = one_record(b"still", b"here");
        let offset = client.produce(&name, 0, batch.clone()).await.unwrap();
        assert_eq!(offset, Offset::ZERO);
        let read = client.fetch(&name, 0, offset, 1 << 20, PATIENCE).await.unwrap();
        assert_eq!(read.records[16..], batch[16..]);
    }
}

/// A connection that sends what it is told.
pub(crate) struct Raw {
    stream: TcpStream,
}

impl Raw {
    pub(crate) async fn connect(running: &Running) -> Raw {
        Raw { stream: TcpStream::connect(running.address()).await.unwrap() }
    }

    /// Sends bytes. That the broker may have closed already is no failure.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    pub(crate) async fn finish_writing(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// The next response without its length, or `None` when the broker closed.
    pub(crate) async fn read(&mut self) -> Option<Bytes> {
        let length = timeout(PATIENCE, self.stream.read_i32()).await.expect("an answer in time").ok()?;
        let mut frame = vec![0; usize::try_from(length).unwrap()];
        timeout(PATIENCE, self.stream.read_exact(&mut frame)).await.expect("an answer in time").ok()?;
        Some(frame.into())
    }

    pub(crate) async fn expect_closed(&mut self, why: &str) {
        if let Some(answer) = self.read().await {
            panic!("{why}: an answer of {} bytes", answer.len());
        }
    }

    /// Produces to partition 0 of topic `t`: error code and base offset.
    pub(crate) async fn produce(&mut self, records: Option<Bytes>) -> (ErrorCode, i64) {
        let topic = TopicProduceData {
            name: "t".into(),
            partition_data: vec![PartitionProduceData { index: 0, records }],
            ..TopicProduceData::default()
        };
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 10_000,
            topic_data: vec![topic],
            ..ProduceRequest::default()
        };
        self.write(&encode_request(&request, 9, 3, None).unwrap().to_bytes()).await;
        let frame = self.read().await.expect("an answer");
        let (_, answer) = decode_response::<ProduceResponse>(&frame, 9).unwrap();
        let answer = &answer.responses[0].partition_responses[0];
        (ErrorCode::from_code(answer.error_code).unwrap(), answer.base_offset)
    }
}

/// A batch of one record of the second second of 1970.
pub(crate) fn one_record(key: &[u8], value: &[u8]) -> Bytes {
    let mut builder = BatchBuilder::new(Codec::None);
    builder
        .push(Record { timestamp: TimestampMs(1_000), key: Some(key), value: Some(value), headers: &[] })
        .unwrap();
    builder.build(Offset::ZERO, None).unwrap()
}

/// Asks at `version` and decodes what comes.
pub(crate) async fn ask<R: Request>(raw: &mut Raw, version: i16, request: &R) -> R::Response {
    let name = R::DECLARATION.name;
    raw.write(&encode_request(request, version, 1234, Some("test")).unwrap().to_bytes()).await;
    let frame = raw.read().await.unwrap_or_else(|| panic!("{name} {version}: connection closed"));
    let (correlation_id, response) =
        decode_response(&frame, version).unwrap_or_else(|error| panic!("{name} {version}: {error}"));
    assert_eq!(correlation_id, 1234);
    response
}

/// The versions of an API that are answered.
pub(crate) fn served<R: Request>() -> impl Iterator<Item = i16> {
    let api = APIS.iter().find(|api| api.key() == R::KEY).expect("served");
    api.served.min..=api.served.max
}
