use super::{dropped::*, entry::tests::entry_at, page::PageContent, *};
use highwater_records::{PartitionIndex, TopicId};
use proptest::{prelude::*, strategy::ValueTree};

fn offset(value: u64) -> Offset {
    Offset::new(value).unwrap()
}

pub(crate) fn head() -> impl Strategy<Value = Head> {
    let live = (entry_at(100, 10), entry_at(110, 5), entry_at(115, 1));
    let ids = (any::<[u8; 16]>(), any::<[u8; 32]>(), any::<u32>(), any::<i64>());
    (live, ids, any::<bool>(), 0..4_usize, 0..5_usize).prop_map(
        |((paged, one, two), (id, digest, number, time), pinned, state, reason)| {
            let partition =
                TopicIdPartition { topic_id: TopicId::from_bytes(id), partition: PartitionIndex(number) };
            let fence = Fence { incarnation: number, epoch: LeaderEpoch(number / 2) };
            let page = PageContent::Entries(vec![paged]).encode(partition, fence, ObjectId(id)).1;
            let reason = [
                DropReason::Retention,
                DropReason::RecordsDeleted,
                DropReason::Diverged,
                DropReason::TopicDeleted,
                DropReason::Replaced,
            ][reason];
            let dropped = |what| Dropped { at_ms: time, reason, deleting: pinned, what };
            Head {
                cluster_id: "cluster".to_owned(),
                partition,
                fence,
                attempt: ObjectId(id),
                version: u64::from(number) + 1,
                predecessor: Digest(digest),
                written_ms: time,
                state: STATES[state],
                topic_name: "thème".to_owned(),
                config_version: 4,
                log_start: offset(103),
                start: offset(102),
                end: offset(116),
                bytes: 12,
                segments: 3,
                lineage: vec![(LeaderEpoch(1), offset(90)), (LeaderEpoch(4), offset(110))],
                stores: vec![String::new(), "s3://elsewhere".to_owned()],
                recent: vec![one, two],
                pages: vec![page],
                dropped: vec![
                    dropped(DroppedObjects::Segment(paged)),
                    dropped(DroppedObjects::Page { page, from: offset(1), to: offset(2), whole: pinned }),
                ],
                pins: if pinned { vec![Pin { fork: ObjectId(id), at_ms: time, page }] } else { Vec::new() },
                erasures: vec![Erasure {
                    key_hash: Digest(digest),
                    from: offset(1),
                    to: offset(9),
                    version: 3,
                }],
            }
        },
    )
}

proptest! {
    #[test]
    fn heads_come_back_as_they_were(head in head()) {
        let (bytes, digest) = head.encode();
        prop_assert_eq!(Head::decode(&bytes).unwrap(), (head, digest));
    }

    #[test]
    fn any_bytes_are_a_head_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        // Inside a good envelope, so that the fields are reached.
        let sealed = Bytes::from(encoding::seal(MAGIC, &bytes));
        let _ = Head::decode(&sealed);
    }

    #[test]
    fn a_changed_payload_under_a_good_digest_is_a_sound_head_or_an_error(
        head in head(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let bytes = head.encode().0;
        let mut payload = bytes[12..bytes.len() - 32].to_vec();
        let at = at.index(payload.len());
        payload[at] = byte;
        if let Ok((head, _)) = Head::decode(&encoding::seal(MAGIC, &payload).into()) {
            head.check().unwrap();
        }
    }
}

#[test]
fn every_flipped_bit_and_every_shorter_length_is_refused() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let head = head().new_tree(&mut runner).unwrap().current();
    let bytes = head.encode().0;
    for bit in 0..bytes.len() * 8 {
        let mut wrong = bytes.to_vec();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert!(Head::decode(&wrong.into()).is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(Head::decode(&bytes.slice(..length)).is_err());
    }
}

#[test]
fn a_gap_an_overlap_or_a_hole_is_refused() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let good = head().new_tree(&mut runner).unwrap().current();
    let refuse = |change: &dyn Fn(&mut Head)| {
        let mut head = good.clone();
        change(&mut head);
        assert!(Head::decode(&head.encode().0).is_err());
    };
    refuse(&|head| head.end = offset(117));
    refuse(&|head| head.log_start = offset(101));
    refuse(&|head| head.log_start = offset(117));
    refuse(&|head| head.start = offset(99));
    refuse(&|head| {
        head.recent.remove(0);
    });
    refuse(&|head| head.recent[0].start = offset(109));
    refuse(&|head| head.pages.push(head.pages[0]));
    refuse(&|head| head.stores.clear());
    refuse(&|head| head.version = 0);
    refuse(&|head| head.lineage.reverse());
}
