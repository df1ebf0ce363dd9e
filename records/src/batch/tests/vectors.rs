//! Batches that other implementations wrote.

use super::*;
use crate::{LeaderEpoch, ProducerEpoch, ProducerId, Sequence};

const JAVA: &str = include_str!("vectors/java.txt");
const PYTHON: &str = include_str!("vectors/python.txt");

fn vectors(text: &'static str) -> impl Iterator<Item = (&'static str, Bytes)> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (name, hex) = line.split_once(' ').unwrap();
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (name, (0..hex.len()).step_by(2).map(digit).collect())
    })
}

fn vector(text: &'static str, name: &str) -> Bytes {
    vectors(text).find(|(found, _)| *found == name).unwrap().1
}

const PRODUCER: Producer =
    Producer { id: ProducerId(4711), epoch: ProducerEpoch(3), base_sequence: Sequence::from_i32(17) };

const HEADERS: [Header<'static>; 2] =
    [Header { key: "trace", value: Some(&[1, 2, 3]) }, Header { key: "trace", value: None }];

fn build(mut builder: BatchBuilder, foxes: &str) -> Bytes {
    for record in [
        Record {
            timestamp: TimestampMs(1_700_000_000_000),
            key: Some(b"key-0"),
            value: Some(b"value-0"),
            headers: &HEADERS,
        },
        record(1_700_000_000_500, None, Some(foxes.as_bytes())),
        record(1_699_999_999_000, Some(b"key-2"), None),
    ] {
        builder.push(record).unwrap();
    }
    builder.build(Offset::ZERO, None).unwrap()
}

fn java_foxes() -> String {
    ["the quick brown fox"; 4].join(" ")
}

fn check(name: &str, bytes: &Bytes, foxes: &str) {
    let batch = CheckedBatch::check(bytes.clone(), &CheckPolicy::client(1 << 20)).unwrap();
    assert_eq!(batch.bytes(), bytes, "{name}: nothing needed to be put right");
    let view = batch.view();
    assert_eq!(view.codec(), Codec::from_name(name).unwrap());
    assert_eq!(view.producer(), Some(PRODUCER));
    assert_eq!(view.record_count(), 3);
    assert_eq!(view.max_timestamp(), Some(TimestampMs(1_700_000_000_500)));
    let mut records = view.records(1 << 20).unwrap();

    let first = records.next_record().unwrap().unwrap();
    assert_eq!((first.key, first.value), (Some(&b"key-0"[..]), Some(&b"value-0"[..])));
    let headers: Vec<_> = first.headers.collect();
    assert_eq!(
        headers,
        [(&b"trace"[..], Some(&[1, 2, 3][..])), (&b"trace"[..], None)],
        "{name}: duplicates stay"
    );
    let second = records.next_record().unwrap().unwrap();
    assert_eq!((second.key, second.value), (None, Some(foxes.as_bytes())));
    let third = records.next_record().unwrap().unwrap();
    assert_eq!((third.key, third.value), (Some(&b"key-2"[..]), None));
    assert_eq!(third.timestamp, Some(TimestampMs(1_699_999_999_000)));
    assert_eq!(third.offset, Offset::new(2).unwrap());
    assert_eq!(records.next_record(), Ok(None));
}

#[test]
fn what_java_and_python_wrote_is_read() {
    for codec in codecs() {
        check(codec.name(), &vector(JAVA, codec.name()), &java_foxes());
        check(codec.name(), &vector(PYTHON, codec.name()), &"the quick brown fox ".repeat(4));
    }
}

#[test]
fn uncompressed_batches_are_built_byte_for_byte_as_java_builds_them() {
    let built = build(BatchBuilder::new(Codec::None).producer(PRODUCER).transactional(), &java_foxes());
    assert_eq!(built, vector(JAVA, "none"));
    for (name, committed, base) in [("commit", true, 42), ("abort", false, 43)] {
        let marker = EndTxnMarker { committed, coordinator_epoch: 9 };
        let time = TimestampMs(1_700_000_000_000);
        let base = Offset::new(base).unwrap();
        let built = marker.to_batch(PRODUCER.id, PRODUCER.epoch, time, base, Some(LeaderEpoch(7))).unwrap();
        assert_eq!(built, vector(JAVA, name));
    }
}

/// Java's lz4 and snappy framing has no freedom but the blocks themselves.
#[cfg(all(feature = "lz4", feature = "snappy"))]
#[test]
fn frames_begin_as_javas_do() {
    for (codec, length) in [(Codec::Lz4, 7), (Codec::Snappy, 16)] {
        let built = build(BatchBuilder::new(codec).producer(PRODUCER).transactional(), &java_foxes());
        let java = vector(JAVA, codec.name());
        assert_eq!(built[HEADER_LEN..][..length], java[HEADER_LEN..][..length], "{codec}");
    }
}

#[test]
fn every_vector_is_named_by_a_test() {
    let known = |name: &str| Codec::from_name(name).is_some() || ["commit", "abort"].contains(&name);
    assert!(vectors(JAVA).chain(vectors(PYTHON)).all(|(name, _)| known(name)));
    assert_eq!((vectors(JAVA).count(), vectors(PYTHON).count()), (7, 5));
}
