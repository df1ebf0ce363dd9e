use super::*;
use crate::{LeaderEpoch, ProducerEpoch, ProducerId};

#[test]
fn markers_round_trip() {
    for committed in [false, true] {
        let marker = EndTxnMarker { committed, coordinator_epoch: 12 };
        let bytes = marker
            .to_batch(ProducerId(4), ProducerEpoch(2), TimestampMs(9), Offset::ZERO, Some(LeaderEpoch(1)))
            .unwrap();
        assert!(matches!(
            CheckedBatch::check(bytes.clone(), &CheckPolicy::client(1 << 20)),
            Err(BatchError::Invalid(_))
        ));
        let batch =
            CheckedBatch::check(bytes, &CheckPolicy { deep: true, ..CheckPolicy::internal() }).unwrap();
        let view = batch.view();
        assert!(view.is_control() && view.is_transactional());
        let producer = Producer { id: ProducerId(4), epoch: ProducerEpoch(2), base_sequence: None };
        assert_eq!(view.producer(), Some(producer));
        let mut records = view.records(0).unwrap();
        let record = records.next_record().unwrap().unwrap();
        assert_eq!(EndTxnMarker::from_record(record.key, record.value), Ok(Some(marker)));
    }
}

#[test]
fn markers_have_kafkas_bytes() {
    let marker = EndTxnMarker { committed: true, coordinator_epoch: 258 };
    let bytes = marker.to_batch(ProducerId(4), ProducerEpoch(2), TimestampMs(9), Offset::ZERO, None).unwrap();
    // length, attributes, deltas, key [version 0, type 1], value [version 0, epoch], no headers
    let expected = [32, 0, 0, 0, 8, 0, 0, 0, 1, 12, 0, 0, 0, 0, 1, 2, 0];
    assert_eq!(&bytes[HEADER_LEN..], expected);
}

#[test]
fn other_kinds_and_later_versions_are_read() {
    assert_eq!(ControlType::from_key(Some(&[0, 0, 0, 2])), Ok(ControlType::Other(2)));
    assert_eq!(ControlType::from_key(Some(&[0, 9, 0, 1, 77])), Ok(ControlType::Commit));
    assert_eq!(EndTxnMarker::from_record(Some(&[0, 0, 0, 5]), None), Ok(None));
    for key in [None, Some(&[][..]), Some(&[0, 0, 0][..]), Some(&[0xff, 0xff, 0, 0][..])] {
        assert!(ControlType::from_key(key).is_err(), "{key:?}");
    }
    for value in [None, Some(&[0, 0, 0, 0, 1][..]), Some(&[0, 0, 0xff, 0, 0, 0][..])] {
        assert!(EndTxnMarker::from_record(Some(&[0, 0, 0, 1]), value).is_err(), "{value:?}");
    }
}
