//! `highwater serve` as a real process.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::Duration,
};

use crate::process::Process;
use highwater_broker::client::{Client, ClientError};
use highwater_records::{
    Offset, TimestampMs,
    batch::{BatchBuilder, BatchView, Record},
    compression::Codec,
};
use highwater_wire::ErrorCode;
use rustix::process::Signal;

fn batch(values: &[&str]) -> bytes::Bytes {
    let mut builder = BatchBuilder::new(Codec::Lz4);
    for value in values {
        let value = Some(value.as_bytes());
        builder.push(Record { timestamp: TimestampMs(1_000), key: None, value, headers: &[] }).unwrap();
    }
    builder.build(Offset::ZERO, None).unwrap()
}

/// The first `count` values of partition 0 of `t`, waiting for them.
async fn values(address: &str, count: usize) -> Vec<String> {
    values_of(&mut Client::connect(address, "test").await.unwrap(), count).await
}

async fn values_of(client: &mut Client, count: usize) -> Vec<String> {
    let mut values = Vec::new();
    let mut next = Offset::ZERO;
    while values.len() < count {
        let fetched = client.fetch("t", 0, next, 1 << 20, Duration::from_secs(60)).await.unwrap();
        let mut rest = &fetched.records[..];
        while !rest.is_empty() {
            let view = BatchView::parse(rest).unwrap();
            let mut records = view.records(1 << 20).unwrap();
            while let Some(record) = records.next_record().unwrap() {
                values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
            }
            next = view.next_offset();
            rest = &rest[view.size()..];
        }
    }
    values
}

fn http(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn it_says_where_it_is_and_stops_cleanly_when_told() {
    let directory = tempfile::tempdir().unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        let mut process = Process::start(directory.path(), &[]);
        let address = process.ready();
        let mut client = Client::connect(&address, "test").await.unwrap();
        let metadata = client.metadata(None).await.unwrap();
        let broker = &metadata.brokers[0];
        assert_eq!(format!("{}:{}", broker.host, broker.port), address);
        process.signal(signal);
        let ended = process.ended();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
        assert_eq!(ended.out, "", "one line on standard output, no more");
        assert!(ended.log.contains("stopped cleanly"), "{}", ended.log);
        assert!(!ended.log.contains("WARN"), "{}", ended.log);
        assert!(directory.path().join("data/.kafka_cleanshutdown").exists());
        assert!(directory.path().join("metadata").is_dir() && directory.path().join("bucket").is_dir());
    }
}

#[tokio::test]
async fn acknowledged_records_survive_a_kill_and_a_clean_stop() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::start(directory.path(), &[]);
    let address = process.ready();
    let mut client = Client::connect(&address, "test").await.unwrap();
    client.create_topic("t", 1, &[]).await.unwrap();
    assert_eq!(client.produce("t", 0, batch(&["one", "two"])).await.unwrap(), Offset::ZERO);
    process.signal(Signal::KILL);
    assert_eq!(process.ended().status.code(), None);

    let mut process = Process::start(directory.path(), &[]);
    let address = process.ready();
    assert_eq!(values(&address, 2).await, ["one", "two"]);
    let mut client = Client::connect(&address, "test").await.unwrap();
    let third = loop {
        match client.produce("t", 0, batch(&["three"])).await {
            // Until the broker has read what the bucket has of the partition: clients try again.
            Err(ClientError::Refused { code: ErrorCode::KafkaStorageError, .. }) => {}
            produced => break produced.unwrap(),
        }
    };
    assert_eq!(third.get(), 2);
    process.signal(Signal::TERM);
    assert_eq!(process.ended().status.code(), Some(0));

    let mut process = Process::start(directory.path(), &[]);
    assert_eq!(values(&process.ready(), 3).await, ["one", "two", "three"]);
}

#[test]
fn nothing_starts_with_a_key_that_nobody_knows() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("server.properties");
    fs::write(&file, "# mine\nlog.retention.mss=5\nnum.partitions=many\n").unwrap();
    let ended = Process::start_with(directory.path(), &["server.properties"]).ended();
    assert_eq!(ended.status.code(), Some(2));
    assert_eq!(ended.out, "");
    let lines: Vec<_> = ended.log.lines().collect();
    assert!(lines[0].contains("server.properties line 2: `log.retention.mss`"), "{}", ended.log);
    assert!(lines[0].contains("`log.retention.ms`"), "{}", ended.log);
    assert!(lines[1].contains("server.properties line 3: `num.partitions`"), "{}", ended.log);
    let left: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["server.properties"]);

    for wrong in [&["missing.properties"][..], &["--override", "nothing"], &["--metrics", "here"]] {
        assert_eq!(Process::start_with(directory.path(), wrong).ended().status.code(), Some(2), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_second_process_leaves_and_says_who_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Process::start(directory.path(), &[]);
    let address = first.ready();
    let second = Process::start(directory.path(), &[]).ended();
    assert_eq!(second.status.code(), Some(1));
    assert!(second.log.contains(directory.path().to_str().unwrap()), "{}", second.log);
    assert!(second.log.contains(&format!("process {} (highwater)", first.id())), "{}", second.log);
    Client::connect(&address, "test").await.unwrap().metadata(None).await.unwrap();

    // On the same port as well, the directory is still what it is about.
    let same = ["--override", &format!("listeners=PLAINTEXT://{address}")];
    let third = Process::start(directory.path(), &same).ended();
    assert!(third.log.contains(&format!("process {} (highwater)", first.id())), "{}", third.log);
}

#[test]
fn a_port_that_is_taken_is_named_and_the_directory_released() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = format!("listeners=PLAINTEXT://{}", taken.local_addr().unwrap());
    let ended = Process::start(directory.path(), &["--override", &listener]).ended();
    assert_eq!(ended.status.code(), Some(1));
    let expected = format!("cannot listen on PLAINTEXT://{}", taken.local_addr().unwrap());
    assert!(ended.log.contains(&expected), "{}", ended.log);
    assert!(directory.path().join("data/.kafka_cleanshutdown").exists());
    Process::start(directory.path(), &[]).ready();
}

#[test]
fn warnings_are_said_once() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("p"), "num.io.threads=8\nlisteners=PLAINTEXT://0.0.0.0:0\n").unwrap();
    let mut process = Process::start_with(directory.path(), &["p"]);
    process.ready();
    process.signal(Signal::TERM);
    let ended = process.ended();
    assert_eq!(ended.log.matches("WARN").count(), 1, "{}", ended.log);
    assert_eq!(ended.log.matches("authenticate").count(), 1, "{}", ended.log);
    assert_eq!(ended.log.matches("num.io.threads").count(), 1, "{}", ended.log);
    // Without a place for data in the file, it lies below the current directory.
    assert!(directory.path().join("highwater/data/.kafka_cleanshutdown").exists());
    assert!(directory.path().join("highwater/metadata").is_dir());
    assert!(directory.path().join("highwater/bucket").is_dir());
}

#[tokio::test]
async fn a_flood_of_connections_leaves_files_to_the_logs() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::start_with_few_files(directory.path(), 256);
    let address = process.ready();
    let mut client = Client::connect(&address, "test").await.unwrap();
    client.metadata(None).await.unwrap();
    let flood: Vec<_> = (0..300).map(|_| TcpStream::connect(&address).unwrap()).collect();
    client.create_topic("t", 8, &[]).await.unwrap();
    for partition in 0..8 {
        client.produce("t", partition, batch(&["kept"])).await.unwrap();
    }
    assert_eq!(values_of(&mut client, 1).await, ["kept"]);
    drop(flood);
    // Those who waited to be let in are served once there is room.
    assert_eq!(values(&address, 1).await, ["kept"]);
}

#[tokio::test]
async fn metrics_are_served() {
    let directory = tempfile::tempdir().unwrap();
    let metrics = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut process = Process::start(directory.path(), &["--metrics", &metrics]);
    let address = process.ready();
    let mut client = Client::connect(&address, "test").await.unwrap();
    client.create_topic("t", 1, &[]).await.unwrap();
    let sent = batch(&["one", "two", "three"]);
    let size = sent.len();
    client.produce("t", 0, sent).await.unwrap();
    assert_eq!(values(&address, 3).await.len(), 3);
    let page = http(&metrics, "/metrics");
    for line in [
        format!("kafka_server_brokertopicmetrics_bytesin_total{{topic=\"t\"}} {size}"),
        "kafka_server_brokertopicmetrics_messagesin_total{topic=\"t\"} 3".to_owned(),
        format!("kafka_server_brokertopicmetrics_bytesout_total{{topic=\"t\"}} {size}"),
        format!("kafka_log_log_size{{topic=\"t\",partition=\"0\"}} {size}"),
        "kafka_log_log_logendoffset{topic=\"t\",partition=\"0\"} 3".to_owned(),
    ] {
        assert!(page.lines().any(|other| other == line), "{line} is not in\n{page}");
    }
    assert!(http(&metrics, "/healthz").ends_with("\r\n\r\nok\n"));
}
