//! Every record is there whole or not at all.

use std::path::Path;

use highwater_records::{LeaderEpoch, TimestampMs};

use super::*;
use crate::{disk::memory::MemoryDisk, epochs::EpochStart, testing::offset};

const NOW: TimestampMs = TimestampMs(5);

fn point(at: u64, size: u64) -> Point {
    let mut producers = ProducerStates::default();
    producers.transactions.have_ended([(offset(3), offset(at - 1))]);
    let epochs = [EpochStart { epoch: LeaderEpoch(1), start: offset(7) }];
    Point {
        offset: offset(at),
        last: LastBatch { position: size - 10, crc: 99 },
        high_watermark: offset(at - 2),
        facts: Facts {
            size,
            next_offset: offset(at),
            max_timestamp: Some((TimestampMs(-4), offset(8))),
            first_timestamp: None,
            bytes_since_entry: 17,
            first_append: None,
        },
        epochs: LeaderEpochs::from_entries(&epochs, offset(at)).unwrap(),
        producers,
    }
}

fn entries(n: u32) -> Entries {
    Entries {
        offsets: vec![OffsetEntry { relative: n, position: n * 10 }],
        times: vec![TimeEntry { timestamp: i64::from(n), relative: n }],
        aborted: Vec::new(),
    }
}

/// The bytes of two records, where the first one ends, and the second point.
fn two() -> (Vec<u8>, usize, Point) {
    let (first, second) = (point(20, 100), point(30, 300));
    let one = NewPoint::following(offset(5), None, &first, &entries(3));
    let two = NewPoint::following(offset(5), Some(one.tail), &second, &entries(9));
    let ends = one.bytes.len();
    assert_eq!(two.after, Some(one.tail));
    ([one.bytes, two.bytes].concat(), ends, second)
}

fn decode(bytes: &[u8]) -> Option<Chain> {
    record::decode(bytes, offset(5), NOW)
}

#[test]
fn the_last_record_counts_and_those_before_it_have_their_entries() {
    let (bytes, _, second) = two();
    let chain = decode(&bytes).unwrap();
    assert_eq!(chain.point, second);
    assert_eq!((chain.entries.offsets.len(), chain.entries.times.len()), (2, 2));
    assert_eq!(chain.tail.len, bytes.len() as u64);
    assert!(record::decode(&bytes, offset(6), NOW).is_none(), "of another segment");
    let disk = MemoryDisk::new();
    let read = Chain::read(&disk, Path::new("/"), offset(5), NOW).unwrap();
    assert!(read.is_none(), "there is no file");
}

#[test]
fn what_is_cut_or_flipped_is_no_record() {
    let (bytes, ends, second) = two();
    for len in 0..bytes.len() {
        let chain = decode(&bytes[..len]);
        assert_eq!(chain.map(|chain| chain.point.offset), (len >= ends).then_some(offset(20)), "{len}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let found = decode(&flipped).map(|chain| chain.point);
        assert_ne!(found.as_ref(), Some(&second), "{bit}");
        assert_eq!(found.is_some(), bit / 8 >= ends, "{bit}");
    }
}

#[test]
fn a_record_of_an_earlier_chain_is_no_part_of_a_later_one() {
    let (bytes, ends, _) = two();
    let anew = NewPoint::following(offset(5), None, &point(25, 100), &entries(4));
    let mixed = [&anew.bytes[..], &bytes[ends..]].concat();
    assert_eq!(decode(&mixed).unwrap().point.offset, offset(25));
}
