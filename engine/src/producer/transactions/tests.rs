use highwater_records::{Sequence, TimestampMs, batch::BatchBuilder, compression::Codec};

use super::*;

const NOW: TimestampMs = TimestampMs(1000);

fn offset(value: u64) -> Offset {
    Offset::new(value).unwrap()
}

fn producer(id: u64, epoch: u16) -> Producer {
    Producer { id: ProducerId(id), epoch: ProducerEpoch(epoch), base_sequence: None }
}

fn data(id: u64, at: u64, transactional: bool) -> BatchHeader {
    let producer = Producer { base_sequence: Some(Sequence::ZERO), ..producer(id, 1) };
    let mut builder = BatchBuilder::new(Codec::None).producer(producer);
    if transactional {
        builder = builder.transactional();
    }
    let record =
        highwater_records::batch::Record { timestamp: NOW, key: None, value: Some(b"v"), headers: &[] };
    builder.push(record).unwrap();
    BatchHeader::of(&BatchView::parse(&builder.build(offset(at), None).unwrap()).unwrap())
}

fn end(
    states: &mut ProducerStates,
    id: u64,
    epoch: u16,
    at: u64,
    committed: bool,
) -> Option<AbortedTransaction> {
    let marker = EndTxnMarker { committed, coordinator_epoch: 3 };
    let bytes = marker.to_batch(ProducerId(id), ProducerEpoch(epoch), NOW, offset(at), None).unwrap();
    let view = BatchView::parse(&bytes).unwrap();
    assert_eq!(marker_of(&view), Some(marker));
    states.note(&BatchHeader::of(&view), marker_of(&view), NOW)
}

#[test]
fn the_first_unstable_offset_is_the_oldest_that_is_not_settled() {
    let mut states = ProducerStates::default();
    for (id, at) in [(1, 10), (2, 11), (1, 12)] {
        states.note(&data(id, at, true), None, NOW);
    }
    states.note(&data(3, 5, false), None, NOW);
    assert_eq!(states.transactions.first_unstable(), Some(offset(10)));

    let aborted = end(&mut states, 1, 1, 13, false).unwrap();
    assert_eq!((aborted.first_offset, aborted.last_offset), (offset(10), offset(13)));
    assert_eq!(aborted.last_stable, offset(11), "the other one is open");
    // Its marker is not below the watermark yet.
    states.transactions.settle(offset(13));
    assert_eq!(states.transactions.first_unstable(), Some(offset(10)));
    states.transactions.settle(offset(14));
    assert_eq!(states.transactions.first_unstable(), Some(offset(11)));

    assert_eq!(end(&mut states, 2, 1, 20, true), None);
    states.transactions.settle(offset(30));
    assert_eq!(states.transactions.first_unstable(), None);
    assert_eq!(states.producers[&ProducerId(2)].coordinator_epoch, Some(3));
    assert_eq!(end(&mut states, 2, 1, 21, false), None, "nothing was open");
}

#[test]
fn what_was_aborted_last_and_alone_is_stable_to_its_end() {
    let mut states = ProducerStates::default();
    states.note(&data(1, 10, true), None, NOW);
    assert_eq!(end(&mut states, 1, 1, 11, false).unwrap().last_stable, offset(12));
}

#[test]
fn late_markers_and_stray_records_are_refused() {
    use MarkerEpoch::{Newer, SameOrNewer};
    let mut states = ProducerStates::default();
    let marker = EndTxnMarker { committed: true, coordinator_epoch: 3 };
    assert_eq!(states.check_marker(producer(1, 0), marker, Newer), Ok(()), "nothing is known");
    states.note(&data(1, 10, true), None, NOW);
    let current = ProducerEpoch(1);
    let old = Err(TransactionError::OldEpoch { current });
    assert_eq!(states.check_marker(producer(1, 0), marker, SameOrNewer), old);
    assert_eq!(states.check_marker(producer(1, 1), marker, SameOrNewer), Ok(()));
    assert_eq!(states.check_marker(producer(1, 1), marker, Newer), old);
    assert_eq!(states.check_marker(producer(1, 2), marker, Newer), Ok(()));
    let stray = TransactionError::NotTransactional { first_offset: offset(10) };
    assert_eq!(states.check_open(&data(1, 11, false)), Err(stray));
    assert_eq!(states.check_open(&data(2, 11, false)), Ok(()));

    end(&mut states, 1, 2, 11, true);
    assert_eq!(states.check_marker(producer(1, 2), marker, Newer), Ok(()), "a repetition");
    assert_eq!(
        states.check_marker(producer(1, 1), marker, Newer),
        Err(TransactionError::OldEpoch { current: ProducerEpoch(2) })
    );
    let older = EndTxnMarker { coordinator_epoch: 2, ..marker };
    let fenced = Err(TransactionError::OldCoordinator { current: 3 });
    assert_eq!(states.check_marker(producer(1, 2), older, SameOrNewer), fenced);
    assert_eq!(states.check_open(&data(1, 12, false)), Ok(()));
}

#[test]
fn an_emptied_marker_says_nothing() {
    let mut states = ProducerStates::default();
    let control = BatchHeader { is_control: true, ..data(1, 10, true) };
    assert_eq!(states.note(&control, None, NOW), None);
    assert_eq!(states.producers.len(), 0);
}
