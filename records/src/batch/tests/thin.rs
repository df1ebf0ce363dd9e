//! Thinned batches keep offsets, sequences and times, and read like any other.

use super::*;
use crate::{
    LeaderEpoch, ProducerEpoch, ProducerId, Sequence,
    batch::{Thinned, emptied, filler, thin},
};

const LIMIT: usize = 1 << 20;
const HORIZON: TimestampMs = TimestampMs(90_000);

fn five(codec: Codec, append_time: bool) -> Bytes {
    let producer =
        Producer { id: ProducerId(9), epoch: ProducerEpoch(2), base_sequence: Sequence::from_i32(100) };
    let mut builder = BatchBuilder::new(codec).producer(producer).transactional();
    if append_time {
        builder = builder.log_append_time(TimestampMs(777));
    }
    let headers = [Header { key: "h", value: Some(b"1") }, Header { key: "", value: None }];
    for n in 0..5i64 {
        let key = [b'k', n as u8];
        let value = [n as u8; 40];
        let record = Record {
            timestamp: TimestampMs(1000 + n * 7),
            key: Some(&key),
            value: (n != 3).then_some(&value),
            headers: if n % 2 == 0 { &headers } else { &[] },
        };
        builder.push(record).unwrap();
    }
    builder.build(Offset::new(50).unwrap(), Some(LeaderEpoch(4))).unwrap()
}

type Plain = (u64, Option<i64>, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

fn read(view: &BatchView<'_>) -> Vec<Plain> {
    view.verify_crc().unwrap();
    let mut records = view.records(LIMIT).unwrap();
    let mut found = Vec::new();
    while let Some(record) = records.next_record().unwrap() {
        found.push((
            record.offset.get(),
            record.timestamp.map(|time| time.0),
            record.key.map(<[u8]>::to_vec),
            record.value.map(<[u8]>::to_vec),
            record.headers.map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect(),
        ));
    }
    found
}

#[test]
fn what_is_kept_is_what_it_was() {
    for codec in codecs() {
        for append_time in [false, true] {
            let bytes = five(codec, append_time);
            let view = BatchView::parse(&bytes).unwrap();
            let all = read(&view);
            for mask in 1..32u64 {
                let keep = |offset: u64| mask & 1 << (offset - 50) != 0;
                let thinned = thin(&view, LIMIT, HORIZON, false, |record| keep(record.offset.get())).unwrap();
                // Where all stays the tombstone at 53 calls for a horizon.
                let Thinned::Rewritten(thinned) = thinned else { panic!("{mask}") };
                let left = BatchView::parse(&thinned).unwrap();
                assert_eq!(left.size(), thinned.len());
                let expected: Vec<_> = all.iter().filter(|record| keep(record.0)).cloned().collect();
                assert_eq!(read(&left), expected, "{codec:?} {mask}");
                assert_eq!(
                    (left.base_offset(), left.last_offset()),
                    (view.base_offset(), view.last_offset())
                );
                assert_eq!((left.producer(), left.codec()), (view.producer(), view.codec()));
                assert_eq!((left.leader_epoch(), left.is_transactional()), (view.leader_epoch(), true));
                assert_eq!(left.timestamp_type(), view.timestamp_type());
                assert_eq!(left.delete_horizon(), keep(53).then_some(HORIZON));
                let newest = expected.iter().filter_map(|record| record.1).max();
                assert_eq!(left.max_timestamp().map(|time| time.0), newest);
            }
        }
    }
}

#[test]
fn nothing_to_do_is_nothing_done_and_a_horizon_stays() {
    let bytes = five(Codec::None, false);
    let view = BatchView::parse(&bytes).unwrap();
    let without = thin(&view, LIMIT, HORIZON, false, |record| record.value.is_some()).unwrap();
    let Thinned::Rewritten(without) = without else { panic!() };
    let view = BatchView::parse(&without).unwrap();
    assert_eq!(thin(&view, LIMIT, HORIZON, false, |_| true), Ok(Thinned::Whole));
    assert_eq!(thin(&view, LIMIT, HORIZON, false, |_| false), Ok(Thinned::Empty));
    let Thinned::Rewritten(marked) = thin(&view, LIMIT, HORIZON, true, |_| true).unwrap() else { panic!() };
    let marked = BatchView::parse(&marked).unwrap();
    assert_eq!((marked.delete_horizon(), read(&marked)), (Some(HORIZON), read(&view)));
    assert_eq!(thin(&marked, LIMIT, TimestampMs(1), true, |_| true), Ok(Thinned::Whole));
    let fewer = thin(&marked, LIMIT, TimestampMs(1), true, |record| record.offset.get() > 50).unwrap();
    let Thinned::Rewritten(fewer) = fewer else { panic!() };
    let fewer = BatchView::parse(&fewer).unwrap();
    assert_eq!((fewer.delete_horizon(), read(&fewer)), (Some(HORIZON), read(&view)[1..].to_vec()));
}

#[test]
fn empty_batches_hold_their_place() {
    let bytes = five(Codec::None, false);
    let view = BatchView::parse(&bytes).unwrap();
    let empty = emptied(&view);
    let empty = BatchView::parse(&empty).unwrap();
    assert_eq!(read(&empty), []);
    assert_eq!((empty.base_offset(), empty.last_offset()), (view.base_offset(), view.last_offset()));
    assert_eq!((empty.producer(), empty.max_timestamp()), (view.producer(), view.max_timestamp()));
    assert_eq!((empty.leader_epoch(), empty.is_transactional()), (view.leader_epoch(), true));

    let (first, last) = (Offset::new(7).unwrap(), Offset::new(1_000_007).unwrap());
    let filled = filler(first, last, Some(LeaderEpoch(3))).unwrap();
    let filled = BatchView::parse(&filled).unwrap();
    assert_eq!(read(&filled), []);
    assert_eq!((filled.base_offset(), filled.last_offset(), filled.size()), (first, last, HEADER_LEN));
    assert_eq!((filled.producer(), filled.max_timestamp()), (None, None));
    assert_eq!(filled.leader_epoch(), Some(LeaderEpoch(3)));
    assert_eq!(filler(first, Offset::new((1 << 31) + 7).unwrap(), None), None);
    assert_eq!(filler(last, first, None), None);
    assert!(filler(first, Offset::new((1 << 31) + 6).unwrap(), None).is_some());
    CheckedBatch::check(Bytes::copy_from_slice(filled.bytes()), &CheckPolicy::replica()).unwrap();
}
