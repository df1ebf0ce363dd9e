use super::*;
use crate::{
    LeaderEpoch, ProducerEpoch, ProducerId, Sequence,
    compression::{Compression, CompressionError, compress, decompress},
};

fn client() -> CheckPolicy {
    CheckPolicy::client(1 << 20)
}

fn refused(bytes: Bytes, policy: &CheckPolicy) -> BatchError {
    CheckedBatch::check(bytes, policy).unwrap_err()
}

#[test]
fn size_is_an_inclusive_limit() {
    let bytes = three(Codec::None);
    let size = bytes.len();
    assert!(CheckedBatch::check(bytes.clone(), &CheckPolicy { size_max: size, ..client() }).is_ok());
    assert_eq!(
        refused(bytes, &CheckPolicy { size_max: size - 1, ..client() }),
        BatchError::TooLarge { size, max: size - 1 }
    );
}

#[test]
fn counts_and_deltas_must_agree() {
    let bytes = three(Codec::None);
    let four = altered(&bytes, header::LAST_OFFSET_DELTA, &3i32.to_be_bytes());
    assert!(matches!(refused(four.clone(), &client()), BatchError::Invalid(_)));
    assert!(matches!(refused(four.clone(), &CheckPolicy::internal()), BatchError::Invalid(_)));
    // Compaction leaves such batches behind.
    let replica = CheckPolicy { deep: true, ..CheckPolicy::replica() };
    assert!(CheckedBatch::check(four, &replica).is_ok());
    let more = altered(&bytes, header::RECORD_COUNT, &4i32.to_be_bytes());
    assert!(matches!(refused(more, &client()), BatchError::Corrupt(_)));
    // Counts that lie consistently are found by walking.
    let two = altered(&bytes, header::RECORD_COUNT, &2i32.to_be_bytes());
    let two = altered(&two, header::LAST_OFFSET_DELTA, &1i32.to_be_bytes());
    assert_eq!(refused(two, &client()), BatchError::Corrupt("it has more bytes than records"));
    let many = altered(&bytes, header::RECORD_COUNT, &i32::MAX.to_be_bytes());
    let many = altered(&many, header::LAST_OFFSET_DELTA, &(i32::MAX - 1).to_be_bytes());
    assert!(matches!(refused(many, &client()), BatchError::Corrupt(_)));
}

#[test]
fn hostile_header_numbers_are_refused() {
    let bytes = three(Codec::None);
    let cases: [(usize, &[u8]); 9] = [
        (header::BASE_OFFSET, &(-1i64).to_be_bytes()),
        (header::BASE_OFFSET, &(i64::MAX - 2).to_be_bytes()),
        (header::LAST_OFFSET_DELTA, &(-1i32).to_be_bytes()),
        (header::RECORD_COUNT, &(-1i32).to_be_bytes()),
        (header::LEADER_EPOCH, &(-2i32).to_be_bytes()),
        (header::PRODUCER_ID, &(-2i64).to_be_bytes()),
        (header::PRODUCER_ID, &5i64.to_be_bytes()),
        (header::BASE_SEQUENCE, &(-2i32).to_be_bytes()),
        (header::ATTRIBUTES, &7u16.to_be_bytes()),
    ];
    for (at, value) in cases {
        let bytes = altered(&bytes, at, value);
        assert!(BatchView::parse(&bytes).is_err(), "{value:?} at {at}");
    }
    for length in [i32::MIN, -1, 0, 48] {
        let bytes = altered(&bytes, header::LENGTH, &length.to_be_bytes());
        assert!(matches!(peek_size(&bytes), Err(BatchError::Corrupt(_))), "length {length}");
    }
    let old = altered(&bytes, header::MAGIC_AT, &[1]);
    assert_eq!(refused(old.slice(..20), &client()), BatchError::UnsupportedMagic { magic: 1 });
}

#[test]
fn clients_may_not_do_what_brokers_do() {
    let bytes = three(Codec::None);
    let flags = |bits: u16| altered(&bytes, header::ATTRIBUTES, &bits.to_be_bytes());
    assert!(matches!(refused(flags(Attributes::CONTROL), &client()), BatchError::Invalid(_)));
    assert!(matches!(refused(flags(Attributes::TRANSACTIONAL), &client()), BatchError::Invalid(_)));
    assert!(matches!(refused(flags(Attributes::DELETE_HORIZON), &client()), BatchError::Invalid(_)));
    assert!(matches!(
        refused(flags(Attributes::LOG_APPEND_TIME), &client()),
        BatchError::InvalidTimestamp(_)
    ));
    let compressed_control = flags(Attributes::CONTROL | u16::from(Codec::Gzip.id()));
    assert!(matches!(refused(compressed_control, &CheckPolicy::replica()), BatchError::Invalid(_)));
    let placed = altered(&bytes, header::BASE_OFFSET, &1i64.to_be_bytes());
    assert!(matches!(refused(placed.clone(), &client()), BatchError::Invalid(_)));
    assert!(CheckedBatch::check(placed, &CheckPolicy::internal()).is_ok());
}

#[test]
fn a_producer_needs_a_sequence_and_without_one_rubbish_is_ignored() {
    let producer =
        Producer { id: ProducerId(1), epoch: ProducerEpoch(0), base_sequence: Some(Sequence::ZERO) };
    let mut builder = BatchBuilder::new(Codec::None).producer(producer);
    builder.push(record(1, None, None)).unwrap();
    let bytes = builder.build(Offset::ZERO, None).unwrap();
    assert_eq!(CheckedBatch::check(bytes.clone(), &client()).unwrap().view().producer(), Some(producer));
    let missing = altered(&bytes, header::BASE_SEQUENCE, &(-1i32).to_be_bytes());
    assert!(matches!(refused(missing, &client()), BatchError::Invalid(_)));
    // Some Go clients leave sequence 0 in batches of no producer.
    let rubbish = altered(&three(Codec::None), header::BASE_SEQUENCE, &0i32.to_be_bytes());
    assert_eq!(CheckedBatch::check(rubbish, &client()).unwrap().view().producer(), None);
}

#[test]
fn compacted_topics_need_keys() {
    let policy = CheckPolicy { keys_required: true, ..client() };
    for codec in codecs() {
        let error = refused(three(codec), &policy);
        assert!(matches!(error, BatchError::InvalidRecord { index: 2, .. }), "{codec}: {error}");
    }
}

#[test]
fn a_clients_wrong_max_timestamp_is_put_right_and_a_replicas_refused() {
    for codec in codecs() {
        let wrong = altered(&three(codec), header::MAX_TIMESTAMP, &9_999i64.to_be_bytes());
        let fixed = CheckedBatch::check(wrong.clone(), &client()).unwrap();
        assert_eq!(fixed.bytes(), &three(codec), "{codec}");
        let replica = CheckPolicy { deep: true, ..CheckPolicy::replica() };
        assert!(matches!(refused(wrong, &replica), BatchError::InvalidTimestamp(_)));
    }
}

#[test]
fn timestamps_beyond_the_range_are_refused() {
    // The third record's delta is positive; from a base this high its sum overflows.
    let bytes = altered(&three(Codec::None), header::BASE_TIMESTAMP, &(i64::MAX - 1).to_be_bytes());
    assert!(matches!(refused(bytes, &client()), BatchError::Corrupt(_)));
    let mut builder = BatchBuilder::new(Codec::None);
    builder.push(record(i64::MIN, None, None)).unwrap();
    assert_eq!(builder.push(record(1, None, None)), Err(BuildError::TooLarge));
    assert_eq!(builder.record_count(), 1);
}

#[test]
fn the_log_assigns_offset_and_epoch_outside_the_checksum() {
    let batch = CheckedBatch::check(three(Codec::None), &client()).unwrap();
    let prefix = batch.patched_prefix(Offset::new(77).unwrap(), LeaderEpoch(5));
    let written = [&prefix[..], &batch.bytes()[16..]].concat();
    let view = BatchView::parse(&written).unwrap();
    view.verify_crc().unwrap();
    assert_eq!((view.base_offset().get(), view.last_offset().get(), view.next_offset().get()), (77, 79, 80));
    assert_eq!(view.leader_epoch(), Some(LeaderEpoch(5)));
}

#[test]
fn log_append_time_is_every_records_time() {
    for codec in codecs() {
        let batch = CheckedBatch::check(three(codec), &client()).unwrap();
        let kept = batch.clone();
        let stamped = batch.with_log_append_time(TimestampMs(55));
        let view = stamped.view();
        view.verify_crc().unwrap();
        assert_eq!(view.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(view.codec(), codec);
        let times: Vec<_> = view.walk(1 << 20).unwrap().map(|record| record.unwrap().timestamp).collect();
        assert_eq!(times, [Some(TimestampMs(55)); 3]);
        assert_eq!(kept.bytes(), &three(codec), "a clone is not changed");
        assert!(
            CheckedBatch::check(stamped.into_bytes(), &CheckPolicy { deep: true, ..CheckPolicy::replica() })
                .is_ok()
        );
    }
}

#[test]
fn a_codec_that_is_not_compiled_in_says_so_only_where_records_are_needed() {
    for codec in Codec::ALL.into_iter().filter(|codec| !codec.is_compiled_in()) {
        let bytes = altered(&three(Codec::None), header::ATTRIBUTES, &u16::from(codec.id()).to_be_bytes());
        assert!(CheckedBatch::check(bytes.clone(), &CheckPolicy { deep: false, ..client() }).is_ok());
        let error = refused(bytes, &client());
        assert_eq!(error, BatchError::Compression(CompressionError::NotCompiledIn(codec)));
        assert_eq!(error.missing_codec(), Some(codec));
    }
}

#[test]
fn a_batch_is_compressed_as_wished_and_its_records_stay() {
    for from in codecs() {
        let mut builder = BatchBuilder::new(from).producer(Producer {
            id: ProducerId(7),
            epoch: ProducerEpoch(2),
            base_sequence: Some(Sequence::ZERO),
        });
        for value in 0..100_u8 {
            let value = [value; 50];
            let header = [Header { key: "h", value: Some(b"v") }];
            let timestamp = TimestampMs(i64::from(value[0]));
            let record = Record { timestamp, key: Some(b"k"), value: Some(&value), headers: &header };
            builder.push(record).unwrap();
        }
        let batch = builder.build(Offset::ZERO, None).unwrap();
        let before = CheckedBatch::check(batch, &CheckPolicy::client(1 << 20)).unwrap();
        for to in codecs() {
            let after = before.clone().compressed(to.into(), 1 << 20).unwrap();
            let again = CheckedBatch::check(after.bytes().clone(), &CheckPolicy::client(1 << 20)).unwrap();
            let (one, other) = (before.view(), again.view());
            assert_eq!(other.codec(), to);
            assert_eq!(one.producer(), other.producer());
            assert_eq!(
                (one.record_count(), one.max_timestamp()),
                (other.record_count(), other.max_timestamp())
            );
            let (mut one, mut other) = (one.records(1 << 20).unwrap(), other.records(1 << 20).unwrap());
            while let Some(record) = one.next_record().unwrap() {
                assert_eq!(other.next_record().unwrap(), Some(record), "{from} to {to}");
            }
            assert_eq!(other.next_record().unwrap(), None);
            // As it was: there is nothing to do, and a level alone is no reason.
            let kept = after.clone().compressed(Compression { codec: to, level: Some(9) }, 0).unwrap();
            assert_eq!(kept.bytes(), after.bytes());
        }
        if from != Codec::None {
            // What comes out is bounded.
            let refused = before.clone().compressed(Codec::None.into(), 1000).unwrap_err();
            assert!(matches!(refused, BatchError::Compression(_)), "{refused}");
        }
    }
}

#[test]
fn levels_are_kept_within_bounds() {
    let text = "the same words again and again, but not quite the same ".repeat(200);
    for codec in [Codec::Gzip, Codec::Zstd].into_iter().filter(|codec| codec.is_compiled_in()) {
        let size = |level| {
            let mut out = Vec::new();
            compress(Compression { codec, level }, text.as_bytes(), &mut out).unwrap();
            assert_eq!(decompress(codec, &out, 1 << 20).unwrap(), text.as_bytes());
            out.len()
        };
        assert_eq!(size(Some(1000)), size(Some(if codec == Codec::Gzip { 9 } else { 22 })));
        assert!(size(Some(i32::MIN)) >= size(None), "{codec}");
    }
}
