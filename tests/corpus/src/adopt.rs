//! Records of Kafka's metadata log, as `highwater adopt` reads them.

use std::path::Path;

use bytes::Bytes;
use highwater_broker::adopt::topics_in;
use highwater_records::{
    Offset, TimestampMs,
    batch::{BatchBuilder, Record},
    compression::Codec,
};

/// The input is a row of records' values, each after its length in two bytes; the batches around them are whole.
pub(crate) fn run(input: &[u8]) {
    topics(input);
}

fn topics(mut input: &[u8]) -> Option<Vec<String>> {
    let mut builder = BatchBuilder::new(Codec::None);
    while let [high, low, rest @ ..] = input {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (value, after) = rest.split_at(length);
        input = after;
        let record = Record { timestamp: TimestampMs(1), key: None, value: Some(value), headers: &[] };
        if builder.push(record).is_err() {
            return None;
        }
    }
    let batch = builder.build(Offset::ZERO, None).ok()?;
    let told = topics_in(Path::new("fuzzed"), batch.clone()).ok();
    // What one batch says can be said by another.
    let twice = Bytes::from([&batch[..], &batch[..]].concat());
    assert!(told.is_none() || topics_in(Path::new("fuzzed"), twice).is_ok());
    told
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let id = [7; 16];
    let topic = [&[1, 2, 0, 7][..], b"orders", &id, &[0]].concat();
    let one_broker = [2, 0, 0, 0, 1];
    let partition = [
        &[1, 3, 0, 0, 0, 0, 0][..],
        &id,
        &one_broker,
        &one_broker,
        &[1, 1],
        &[0, 0, 0, 1],
        &[0, 0, 0, 5],
        &[0],
    ]
    .concat();
    // A tagged leader, another broker.
    let change = [&[1, 5, 0, 0, 0, 0, 0][..], &id, &[1, 1, 4, 0, 0, 0, 2]].concat();
    let config = [&[1, 4, 0, 2, 7][..], b"orders", &[13], b"retention.ms", &[5], b"1000", &[0]].concat();
    let ids = [&[1, 15, 0, 0, 0, 0, 1][..], &[0; 8], &[0, 0, 0, 0, 0, 0, 3, 0xe8], &[0]].concat();
    let begin = [&[1, 23, 0, 1][..], &[0]].concat();
    let end = vec![1, 24, 0, 0];
    let acl = vec![1, 18, 0, 0];
    let remove = [&[1, 9, 0][..], &id, &[0]].concat();
    let rows = |values: &[&Vec<u8>]| {
        let row = |value: &&Vec<u8>| {
            let length = u16::try_from(value.len()).expect("short").to_be_bytes();
            [&length[..], value].concat()
        };
        values.iter().flat_map(row).collect::<Vec<u8>>()
    };
    let seeds = vec![
        rows(&[&topic, &partition, &change, &config, &ids]),
        rows(&[&begin, &topic, &partition, &end, &acl]),
        rows(&[&topic, &partition, &remove]),
    ];
    let told: Vec<_> = seeds.iter().map(|seed| topics(seed)).collect();
    let orders = Some(vec!["orders".to_owned()]);
    assert_eq!(told, [orders.clone(), orders, Some(Vec::new())]);
    seeds
}
