//! Record batches, as they come from clients, files and buckets.

use bytes::Bytes;
use highwater_records::{
    LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs,
    batch::{
        BatchBuilder, BatchError, BatchView, CheckPolicy, CheckedBatch, ControlType, EndTxnMarker,
        HEADER_LEN, Header, LENGTH_OVERHEAD, MAGIC, Producer, Record, peek_size, split,
    },
    compression::{Codec, compress},
};

/// More than any input here honestly holds.
const DECOMPRESSED_MAX: usize = 1 << 20;

/// The input is a record set; once as it is, once with its checksums made right.
pub(crate) fn run(input: &[u8]) {
    check_set(&Bytes::copy_from_slice(input));
    let mut sealed = input.to_vec();
    seal(&mut sealed);
    check_set(&sealed.into());
}

/// The first byte chooses a codec, the second a number of records; the rest is what they decompress to.
pub(crate) fn run_body(input: &[u8]) {
    let [codec, count, body @ ..] = input else { return };
    let codec = Codec::from_id(codec % 5).unwrap_or_default();
    let packed = with_body(codec, u32::from(*count), body);
    let plain = with_body(Codec::None, u32::from(*count), body);
    check_set(&packed);
    // The same records, whether they come from memory or out of a decompressor.
    assert_eq!(outlines(&packed), outlines(&plain));
}

type Outlined = Result<Vec<(Offset, Option<TimestampMs>, Option<usize>, Option<usize>, u32)>, ()>;

fn outlines(batch: &Bytes) -> Outlined {
    let Ok(view) = BatchView::parse(batch) else { return Err(()) };
    let walk = view.walk(DECOMPRESSED_MAX).map_err(drop)?;
    walk.map(|step| {
        let outline = step.map_err(drop)?;
        Ok((outline.offset, outline.timestamp, outline.key_len, outline.value_len, outline.headers))
    })
    .collect()
}

fn check_set(bytes: &Bytes) {
    let mut whole = 0;
    for piece in split(bytes.clone()) {
        match piece {
            Ok(batch) => {
                assert_eq!(batch, bytes.slice(whole..whole + batch.len()));
                assert_eq!(peek_size(&batch), Ok(Some(batch.len())));
                whole += batch.len();
                check_batch(&batch);
            }
            Err(BatchError::Truncated { needed, available }) => assert!(needed > available),
            Err(_) => {}
        }
    }
    assert!(whole <= bytes.len());
}

fn check_batch(batch: &Bytes) {
    let view = BatchView::parse(batch).expect("split has parsed it");
    assert_eq!(view.size(), batch.len());
    assert!(view.base_offset() <= view.last_offset() && view.last_offset() < view.next_offset());
    assert!(u64::from(view.record_count()) <= view.next_offset().since(view.base_offset()));
    check_records(&view);
    let limits = CheckPolicy { decompressed_max: DECOMPRESSED_MAX, ..CheckPolicy::client(1 << 20) };
    let replica = CheckPolicy { deep: true, decompressed_max: DECOMPRESSED_MAX, ..CheckPolicy::replica() };
    for policy in [limits, CheckPolicy { keys_required: true, ..limits }, CheckPolicy::internal(), replica] {
        if let Ok(checked) = CheckedBatch::check(batch.clone(), &policy) {
            check_accepted(checked, &policy);
        }
    }
}

/// Whole records and outlines say the same, and no more than the header allows.
fn check_records(view: &BatchView<'_>) {
    let (Ok(mut records), Ok(mut outlines)) = (view.records(DECOMPRESSED_MAX), view.walk(DECOMPRESSED_MAX))
    else {
        return;
    };
    let mut count = 0;
    let mut size = 0;
    loop {
        let outline = outlines.next();
        match records.next_record() {
            Ok(Some(record)) => {
                let outline = outline.expect("as many").expect("and as good");
                assert_eq!((record.offset, record.timestamp), (outline.offset, outline.timestamp));
                assert_eq!(record.key.map(<[u8]>::len), outline.key_len);
                assert_eq!(record.value.map(<[u8]>::len), outline.value_len);
                assert!(view.base_offset() <= record.offset && record.offset <= view.last_offset());
                // Every header that was counted is there.
                assert_eq!(record.headers.count(), outline.headers as usize);
                if view.is_control() {
                    let _ = ControlType::from_key(record.key);
                    let _ = EndTxnMarker::from_record(record.key, record.value);
                }
                count += 1;
                size += outline.key_len.unwrap_or(0) + outline.value_len.unwrap_or(0);
            }
            Ok(None) => {
                assert_eq!(outline, None);
                assert_eq!(count, view.record_count());
                break;
            }
            Err(_) => {
                // Perhaps for another reason: a walk meets the record's end last, a whole record first.
                assert!(matches!(outline, Some(Err(_))));
                break;
            }
        }
    }
    assert!(size <= DECOMPRESSED_MAX.max(view.size()));
}

fn check_accepted(checked: CheckedBatch, policy: &CheckPolicy) {
    let view = checked.view();
    view.verify_crc().expect("it was checked");
    // What was accepted is accepted again, unchanged.
    let again = CheckedBatch::check(checked.bytes().clone(), policy).expect("it was accepted");
    assert_eq!(again.bytes(), checked.bytes());

    let (base, epoch) = (Offset::new(1 << 40).expect("small enough"), LeaderEpoch(3));
    let written = [&checked.patched_prefix(base, epoch)[..], &checked.bytes()[16..]].concat();
    let placed = BatchView::parse(&written).expect("the log writes batches");
    placed.verify_crc().expect("the checksum covers neither offset nor epoch");
    assert_eq!((placed.base_offset(), placed.leader_epoch()), (base, Some(epoch)));
    assert_eq!(placed.last_offset_delta(), view.last_offset_delta());

    let stamped = checked.clone().with_log_append_time(TimestampMs(7));
    stamped.view().verify_crc().expect("the checksum was recomputed");
    if let (Ok(old), Ok(new)) = (view.walk(DECOMPRESSED_MAX), stamped.view().walk(DECOMPRESSED_MAX)) {
        for (old, new) in old.zip(new) {
            let (Ok(old), Ok(new)) = (old, new) else { break };
            assert_eq!((new.offset, new.timestamp), (old.offset, Some(TimestampMs(7))));
        }
    }
}

/// Writes the right checksum into every batch, as a client that means its bytes would.
fn seal(set: &mut [u8]) {
    let mut rest = set;
    while let Ok(Some(size)) = peek_size(rest) {
        let Some((batch, after)) = rest.split_at_mut_checked(size) else { return };
        let crc = crc32c::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        rest = after;
    }
}

/// A batch of `count` records whose bytes are `body`, compressed.
fn with_body(codec: Codec, count: u32, body: &[u8]) -> Bytes {
    let mut batch = vec![0; HEADER_LEN];
    compress(codec, body, &mut batch).expect("every codec is compiled in");
    let length = (batch.len() - LENGTH_OVERHEAD) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[16] = MAGIC as u8;
    batch[22] = codec.id();
    batch[23..27].copy_from_slice(&count.saturating_sub(1).to_be_bytes());
    batch[43..57].copy_from_slice(&[0xff; 14]);
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    seal(&mut batch);
    batch.into()
}

const HEADERS: [Header<'static>; 2] =
    [Header { key: "trace", value: Some(b"\x01\x02") }, Header { key: "", value: None }];

fn builder(codec: Codec) -> BatchBuilder {
    let mut builder = BatchBuilder::new(codec);
    for (timestamp, key, value) in [
        (1_700_000_000_000, Some(&b"key"[..]), Some(&b"value value value value"[..])),
        (1_700_000_000_100, None, Some(&b""[..])),
        (1_699_999_999_999, Some(&b""[..]), None),
    ] {
        let headers: &[Header<'_>] = if key.is_some() { &HEADERS } else { &[] };
        builder
            .push(Record { timestamp: TimestampMs(timestamp), key, value, headers })
            .expect("three small records");
    }
    builder
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let build =
        |builder: BatchBuilder| builder.build(Offset::ZERO, None).expect("three small records").to_vec();
    let producer =
        Producer { id: ProducerId(7), epoch: ProducerEpoch(1), base_sequence: Some(Sequence::ZERO) };
    let mut seeds: Vec<Vec<u8>> = Codec::ALL.into_iter().map(|codec| build(builder(codec))).collect();
    seeds.push(build(builder(Codec::None).producer(producer)));
    seeds.push(build(builder(Codec::None).log_append_time(TimestampMs(5))));
    let marker = EndTxnMarker { committed: true, coordinator_epoch: 2 };
    let control = marker.to_batch(producer.id, producer.epoch, TimestampMs(9), Offset::ZERO, None);
    seeds.push([&seeds[0][..], &control.expect("a small batch")].concat());
    seeds
}

pub(crate) fn body_seeds() -> Vec<Vec<u8>> {
    let plain = &seeds()[0][HEADER_LEN..];
    (0..5u8).map(|codec| [&[codec, 3], plain].concat()).collect()
}
