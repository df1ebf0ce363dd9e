use super::*;

const ID: ProducerId = ProducerId(7);

fn producer(epoch: u16, sequence: i32) -> Producer {
    Producer { id: ID, epoch: ProducerEpoch(epoch), base_sequence: Sequence::from_i32(sequence) }
}

fn batch(epoch: u16, sequence: i32, count: u32, base_offset: u64) -> BatchHeader {
    let offset = |value| Offset::new(value).unwrap();
    BatchHeader {
        size: 100,
        base_offset: offset(base_offset),
        last_offset: offset(base_offset + u64::from(count) - 1),
        next_offset: offset(base_offset + u64::from(count)),
        last_offset_delta: count - 1,
        leader_epoch: None,
        first_timestamp: Some(TimestampMs(1)),
        max_timestamp: Some(TimestampMs(5)),
        produced_at: Some(TimestampMs(5)),
        log_append_time: false,
        producer: Some(producer(epoch, sequence)),
        is_transactional: false,
        is_control: false,
        crc: 0,
    }
}

fn states(batches: &[BatchHeader]) -> ProducerStates {
    let mut states = ProducerStates::default();
    for batch in batches {
        assert_eq!(states.note(batch, None, TimestampMs(1000)), None);
    }
    states
}

#[test]
fn an_unknown_producer_may_begin_anywhere() {
    assert_eq!(ProducerStates::default().check(producer(3, 77), 0), Ok(Verdict::New));
}

#[test]
fn the_next_sequence_and_nothing_else() {
    let states = states(&[batch(1, 0, 10, 100)]);
    assert_eq!(states.check(producer(1, 10), 4), Ok(Verdict::New));
    let expected = Sequence::from_i32(10).unwrap();
    assert_eq!(states.check(producer(1, 11), 4), Err(SequenceError::OutOfOrder { expected }));
    assert_eq!(states.check(producer(1, 9), 4), Err(SequenceError::OutOfOrder { expected }));
}

#[test]
fn what_is_there_twice_is_where_it_was_appended_last() {
    let states = states(&[batch(1, 0, 2, 100), batch(1, 0, 2, 102)]);
    let offset = |value| Offset::new(value).unwrap();
    assert!(matches!(
        states.check(producer(1, 0), 1),
        Ok(Verdict::Duplicate { base_offset, last_offset, .. })
            if (base_offset, last_offset) == (offset(102), offset(103))
    ));
}

#[test]
fn a_new_epoch_begins_at_zero_and_an_old_one_is_fenced() {
    let states = states(&[batch(1, 0, 10, 100)]);
    assert_eq!(states.check(producer(2, 0), 0), Ok(Verdict::New));
    assert!(matches!(states.check(producer(2, 10), 0), Err(SequenceError::OutOfOrder { .. })));
    let current = ProducerEpoch(1);
    assert_eq!(states.check(producer(0, 10), 0), Err(SequenceError::OldEpoch { current }));
}

#[test]
fn duplicates_within_the_window_answer_their_offsets() {
    let batches: Vec<_> = (0..7).map(|n| batch(1, n * 10, 10, 100 + n as u64 * 20)).collect();
    let states = states(&batches);
    for n in 2..7 {
        let offset = |value| Offset::new(value).unwrap();
        let base = 100 + n as u64 * 20;
        assert_eq!(
            states.check(producer(1, n * 10), 9),
            Ok(Verdict::Duplicate {
                base_offset: offset(base),
                last_offset: offset(base + 9),
                timestamp: TimestampMs(5)
            })
        );
    }
    assert_eq!(states.check(producer(1, 10), 9), Err(SequenceError::DuplicateBeyondWindow));
    assert_eq!(
        states.check(producer(1, 60), 3),
        Err(SequenceError::DuplicateBeyondWindow),
        "part of a batch"
    );
    assert_eq!(states.check(producer(1, 70), 3), Ok(Verdict::New));
}

#[test]
fn sequences_wrap_at_the_largest() {
    let mut known = states(&[batch(1, i32::MAX - 4, 5, 100)]);
    assert_eq!(known.check(producer(1, 0), 9), Ok(Verdict::New));
    known = states(&[batch(1, i32::MAX - 2, 5, 100)]);
    assert_eq!(known.check(producer(1, 2), 0), Ok(Verdict::New));
    let duplicate = known.check(producer(1, i32::MAX - 2), 4);
    assert!(matches!(duplicate, Ok(Verdict::Duplicate { .. })), "{duplicate:?}");
}

#[test]
fn silence_is_forgotten_but_no_open_transaction() {
    let mut states = states(&[batch(1, 0, 1, 0)]);
    states.expire(TimestampMs(1999), 1000);
    assert_eq!(states.producers.len(), 1);
    let mut open = states.clone();
    open.note(&BatchHeader { is_transactional: true, ..batch(1, 1, 1, 1) }, None, TimestampMs(1000));
    states.expire(TimestampMs(2000), 1000);
    assert_eq!(states.producers.len(), 0);
    open.expire(TimestampMs(9000), 1000);
    assert_eq!(open.producers[&ID].transaction_start, Offset::new(1));
    let marker = EndTxnMarker { committed: true, coordinator_epoch: 0 };
    open.note(&BatchHeader { is_control: true, ..batch(1, 0, 1, 2) }, Some(marker), TimestampMs(1000));
    assert_eq!(open.producers[&ID].transaction_start, None);
}
