use proptest::prelude::*;

use super::*;
use crate::{LeaderEpoch, ProducerEpoch, ProducerId, Sequence};

#[derive(Clone, Debug)]
struct Owned {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn part() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::of(prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        // Compressible and longer than one varint byte can say.
        (any::<u8>(), 0usize..600).prop_map(|(byte, count)| vec![byte; count]),
    ])
}

fn owned() -> impl Strategy<Value = Owned> {
    let time = 1_600_000_000_000i64..1_700_000_000_000;
    let headers = prop::collection::vec(("[a-z]{0,5}", part()), 0..3);
    (time, part(), part(), headers).prop_map(|(timestamp, key, value, headers)| Owned {
        timestamp,
        key,
        value,
        headers,
    })
}

fn codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(codecs().collect::<Vec<_>>())
}

fn build(codec: Codec, records: &[Owned], producer: Option<Producer>, base: Offset) -> Bytes {
    let mut builder = BatchBuilder::new(codec);
    if let Some(producer) = producer {
        builder = builder.producer(producer).transactional();
    }
    for owned in records {
        let headers: Vec<_> =
            owned.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        builder
            .push(Record {
                timestamp: TimestampMs(owned.timestamp),
                key: owned.key.as_deref(),
                value: owned.value.as_deref(),
                headers: &headers,
            })
            .unwrap();
    }
    builder.build(base, Some(LeaderEpoch(7))).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_was_built_is_read(
        codec in codec(),
        records in prop::collection::vec(owned(), 1..30),
        sequence in prop::option::of(0..i32::MAX),
        base in 0..u64::from(u32::MAX),
    ) {
        let producer = sequence.map(|sequence| Producer {
            id: ProducerId(9),
            epoch: ProducerEpoch(3),
            base_sequence: Sequence::from_i32(sequence),
        });
        let base = Offset::new(base).unwrap();
        let bytes = build(codec, &records, producer, base);
        prop_assert_eq!(peek_size(&bytes[..12]), Ok(Some(bytes.len())));
        let view = BatchView::parse(&bytes).unwrap();
        view.verify_crc().unwrap();
        prop_assert_eq!(view.producer(), producer);
        prop_assert_eq!(view.is_transactional(), producer.is_some());
        prop_assert_eq!(view.codec(), codec);
        prop_assert_eq!(view.base_offset(), base);
        prop_assert_eq!(view.leader_epoch(), Some(LeaderEpoch(7)));
        prop_assert_eq!(view.record_count() as usize, records.len());
        prop_assert_eq!(view.next_offset().since(base) as usize, records.len());
        prop_assert_eq!(view.first_timestamp(), Some(TimestampMs(records[0].timestamp)));
        let max = records.iter().map(|r| r.timestamp).max().unwrap();
        prop_assert_eq!(view.max_timestamp(), Some(TimestampMs(max)));

        let mut whole = view.records(1 << 20).unwrap();
        let mut outlines = view.walk(1 << 20).unwrap();
        for (index, expected) in records.iter().enumerate() {
            let record = whole.next_record().unwrap().unwrap();
            prop_assert_eq!(record.offset, base.checked_add(index as u64).unwrap());
            prop_assert_eq!(record.timestamp, Some(TimestampMs(expected.timestamp)));
            prop_assert_eq!(record.key, expected.key.as_deref());
            prop_assert_eq!(record.value, expected.value.as_deref());
            let headers: Vec<_> = record.headers.collect();
            let expected_headers: Vec<_> =
                expected.headers.iter().map(|(k, v)| (k.as_bytes(), v.as_deref())).collect();
            prop_assert_eq!(headers, expected_headers);
            let outline = outlines.next().unwrap().unwrap();
            prop_assert_eq!(outline.offset, record.offset);
            prop_assert_eq!(outline.timestamp, record.timestamp);
            prop_assert_eq!(outline.key_len, record.key.map(<[u8]>::len));
            prop_assert_eq!(outline.value_len, record.value.map(<[u8]>::len));
            prop_assert_eq!(outline.headers as usize, expected.headers.len());
        }
        prop_assert_eq!(whole.next_record(), Ok(None));
        prop_assert_eq!(outlines.next(), None);
        let checked = CheckedBatch::check(bytes.clone(), &CheckPolicy { deep: true, ..CheckPolicy::replica() });
        prop_assert!(checked.is_ok());
    }

    #[test]
    fn a_record_set_is_cut_where_its_batches_meet(
        codec in codec(),
        sets in prop::collection::vec(prop::collection::vec(owned(), 1..4), 0..5),
        cut in 1usize..60,
    ) {
        let batches: Vec<Bytes> = sets.iter().map(|set| build(codec, set, None, Offset::ZERO)).collect();
        let mut joined = batches.concat();
        let found: Result<Vec<Bytes>, _> = split(joined.clone().into()).collect();
        prop_assert_eq!(found.as_ref(), Ok(&batches));
        if !joined.is_empty() {
            joined.truncate(joined.len() - cut);
            let found: Vec<_> = split(joined.into()).collect();
            prop_assert_eq!(found.len(), batches.len());
            let torn = matches!(found.last(), Some(Err(BatchError::Truncated { .. })));
            prop_assert!(torn);
        }
    }

    /// The one grammar over memory and over a decompressor must agree on rubbish too.
    #[test]
    fn rubbish_is_read_alike_plain_and_compressed(
        codec in codec(),
        body in prop::collection::vec(any::<u8>(), 0..80),
        count in 0u32..5,
    ) {
        let plain = with_body(Codec::None, &body, count);
        let packed = with_body(codec, &body, count);
        let one = drain(&plain);
        prop_assert_eq!(&one, &drain(&packed));
        let (whole, outlined) = one;
        prop_assert_eq!(whole, outlined);
    }

    #[test]
    fn damaged_records_of_a_real_batch_are_read_alike(
        codec in codec(),
        records in prop::collection::vec(owned(), 1..4),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let batch = build(Codec::None, &records, None, Offset::ZERO);
        let mut body = batch[HEADER_LEN..].to_vec();
        for (at, byte) in flips {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let count = records.len() as u32;
        let one = drain(&with_body(Codec::None, &body, count));
        prop_assert_eq!(&one, &drain(&with_body(codec, &body, count)));
        prop_assert_eq!(one.0, one.1);
    }
}

/// A batch whose records are these bytes, compressed.
fn with_body(codec: Codec, body: &[u8], count: u32) -> Bytes {
    let mut bytes = three(Codec::None)[..HEADER_LEN].to_vec();
    crate::compression::compress(codec, body, &mut bytes).unwrap();
    let length = (bytes.len() - LENGTH_OVERHEAD) as i32;
    bytes[header::LENGTH..header::LENGTH + 4].copy_from_slice(&length.to_be_bytes());
    bytes[header::ATTRIBUTES + 1] = codec.id();
    let last = count.saturating_sub(1);
    bytes[header::LAST_OFFSET_DELTA..header::LAST_OFFSET_DELTA + 4].copy_from_slice(&last.to_be_bytes());
    bytes[header::RECORD_COUNT..header::RECORD_COUNT + 4].copy_from_slice(&count.to_be_bytes());
    altered(&bytes, 0, &[])
}

type Drained = Result<Vec<(Offset, Option<TimestampMs>, Option<usize>, Option<usize>)>, ()>;

fn drain(batch: &Bytes) -> (Drained, Drained) {
    let view = BatchView::parse(batch).unwrap();
    let mut iter = view.records(1 << 16).unwrap();
    let whole = std::iter::from_fn(|| {
        let step = iter.next_record();
        let summary =
            |r: RecordRef<'_>| (r.offset, r.timestamp, r.key.map(<[u8]>::len), r.value.map(<[u8]>::len));
        step.map(|found| found.map(summary)).map_err(drop).transpose()
    })
    .collect();
    let outlines = view
        .walk(1 << 16)
        .unwrap()
        .map(|step| step.map(|r| (r.offset, r.timestamp, r.key_len, r.value_len)).map_err(drop))
        .collect();
    (whole, outlines)
}

#[test]
fn every_flipped_bit_is_detected() {
    for codec in codecs() {
        let bytes = three(codec);
        for bit in 0..bytes.len() * 8 {
            let mut copy = bytes.to_vec();
            copy[bit / 8] ^= 1 << (bit % 8);
            let checked = CheckedBatch::check(copy.into(), &CheckPolicy::client(1 << 20));
            // The checksum does not cover the leader epoch, which the log assigns: here it is -1, so that only the
            // change of its sign makes another that could be one.
            assert_eq!(checked.is_ok(), bit == 12 * 8 + 7, "{codec}: bit {bit}: {checked:?}");
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    for codec in codecs() {
        let bytes = three(codec);
        for length in 0..bytes.len() {
            let error =
                CheckedBatch::check(bytes.slice(..length), &CheckPolicy::client(1 << 20)).unwrap_err();
            assert!(matches!(error, BatchError::Truncated { .. }), "{codec}, {length} bytes: {error}");
            assert!(error.is_damage());
        }
    }
}

#[test]
fn records_are_cut_off_at_the_limit_not_before() {
    for codec in codecs().filter(|codec| *codec != Codec::None) {
        let mut builder = BatchBuilder::new(codec);
        let value = vec![b'x'; 100_000];
        builder.push(record(1, None, Some(&value))).unwrap();
        let size = builder.uncompressed_size() - HEADER_LEN;
        let bytes = builder.build(Offset::ZERO, None).unwrap();
        let view = BatchView::parse(&bytes).unwrap();
        assert!(view.records(size).unwrap().next_record().unwrap().is_some(), "{codec}");
        let cut = view.records(size - 1).unwrap().next_record().unwrap_err();
        let expected = crate::compression::CompressionError::TooLarge { limit: size - 1 };
        assert_eq!(cut, BatchError::Compression(expected), "{codec}");
        let walked: Result<Vec<_>, _> = view.walk(size - 1).unwrap().collect();
        assert_eq!(walked.unwrap_err(), cut, "{codec}");
    }
}
