use std::ops::Range;

use highwater_records::{
    ProducerEpoch, Sequence, TimestampMs,
    batch::{BatchBuilder, BatchView, EndTxnMarker, Producer, Record},
    compression::Codec,
};
use proptest::prelude::*;

use super::*;
use crate::{producer::marker_of, segment::BatchHeader};

const NOW: TimestampMs = TimestampMs(1000);

fn offset(value: u64) -> Offset {
    Offset::new(value).unwrap()
}

type Written = (BatchHeader, Option<EndTxnMarker>);

/// What three producers write, one offset after the other: two in transactions that end now and then, one without.
fn history(choices: &[(u64, u8)]) -> Vec<Written> {
    let (mut written, mut sequences, mut epochs) = (Vec::new(), [0; 3], [0; 3]);
    for (at, (who, what)) in choices.iter().enumerate() {
        let (index, at) = (*who as usize, offset(at as u64));
        let (id, transactional) = (ProducerId(*who), *who < 2);
        let bytes = match what {
            0..=1 if transactional => {
                let marker = EndTxnMarker { committed: *what == 0, coordinator_epoch: 3 };
                marker.to_batch(id, ProducerEpoch(epochs[index]), NOW, at, None).unwrap()
            }
            _ => {
                // Sometimes a new incarnation, where nothing is open.
                if *what == 2 && !transactional {
                    (epochs[index], sequences[index]) = (epochs[index] + 1, 0);
                }
                let base_sequence = Sequence::from_i32(sequences[index]);
                sequences[index] += 1;
                let producer = Producer { id, epoch: ProducerEpoch(epochs[index]), base_sequence };
                let mut builder = BatchBuilder::new(Codec::None).producer(producer);
                if transactional {
                    builder = builder.transactional();
                }
                builder.push(Record { timestamp: NOW, key: None, value: Some(b"v"), headers: &[] }).unwrap();
                builder.build(at, None).unwrap()
            }
        };
        let view = BatchView::parse(&bytes).unwrap();
        written.push((BatchHeader::of(&view), marker_of(&view)));
    }
    written
}

/// The states of whoever has read all of it but for what is `damaged`.
fn read(written: &[Written], damaged: Range<usize>, high_watermark: u64) -> ProducerStates {
    let mut states = ProducerStates::default();
    for (at, (header, marker)) in written.iter().enumerate() {
        if !damaged.contains(&at) {
            states.note(header, *marker, NOW);
        }
    }
    states.transactions.settle(offset(high_watermark));
    states
}

fn open(states: &ProducerStates) -> Vec<(Offset, ProducerId)> {
    states.transactions.open().collect()
}

proptest! {
    #[test]
    fn what_was_known_before_a_truncation_makes_up_for_damage(
        choices in prop::collection::vec((0..3_u64, 0..8_u8), 1..40),
        (end, watermark, from, many) in (0..1000_usize, 0..1000_usize, 0..1000_usize, 0..6_usize),
    ) {
        let written = history(&choices);
        let end = end % (written.len() + 1);
        let watermark = watermark % (end + 1);
        let from = from % (end + 1);
        let before = read(&written, 0..0, watermark as u64);
        let expected = read(&written[..end], 0..0, watermark as u64);
        let mut found = read(&written[..end], from..(from + many).min(end), watermark as u64);
        found.complete_batches(&before, offset(end as u64));
        found.complete_transactions(&before, offset(end as u64), offset(watermark as u64));

        for (id, known) in &expected.producers {
            let last = |states: &ProducerStates| {
                states.producers.get(id).map(|state| (state.epoch, state.last_sequence()))
            };
            let is_remembered = before.producers[id].epoch == known.epoch
                && before.producers[id].batches.iter().any(|batch| batch.last_offset < offset(end as u64));
            if is_remembered || many == 0 {
                prop_assert_eq!(last(&found), last(&expected), "{:?}", id);
            }
        }
        let shown = |states: &ProducerStates| states.transactions.first_unstable().unwrap_or(offset(99));
        prop_assert!(shown(&found) <= shown(&expected), "{found:?}\n{expected:?}");
        let is_reopened = written[end..].iter().any(|(_, marker)| marker.is_some());
        if !is_reopened {
            prop_assert_eq!(open(&found), open(&expected));
        }
        if many == 0 {
            prop_assert_eq!(found, expected);
        }
    }
}

#[test]
fn batches_that_were_written_again_are_taken_where_nothing_newer_is_known() {
    let written = history(&[(2, 7), (2, 7), (0, 7), (2, 7)]);
    let last =
        |states: &ProducerStates| states.producers.get(&ProducerId(2)).and_then(|one| one.last_offset());
    let learned = read(&written[..2], 0..0, 0);
    let mut without = read(&written[..3], 0..2, 0);
    without.complete_batches(&learned, offset(4));
    assert_eq!(last(&without), Some(offset(1)));
    let mut newer = read(&written, 0..2, 0);
    newer.complete_batches(&learned, offset(4));
    assert_eq!(last(&newer), Some(offset(3)));
}
