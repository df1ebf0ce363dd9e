//! Random reports to a leader, compared with the rule written down plainly.

use highwater_records::{BrokerEpoch, BrokerId, LeaderEpoch, Offset};
use highwater_replication::{
    AckState, Acks, Durability, FetchOutcome, FollowerFetch, Leader, LeaderStart, LocalPositions, Moment,
};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Report { replica: u32, log_end: u64, unsynced: u64 },
    MinIsr(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..5u32, 0..200u64, 0..50u64)
            .prop_map(|(replica, log_end, unsynced)| Step::Report { replica, log_end, unsynced }),
        1 => (1..5u32).prop_map(Step::MinIsr),
    ]
}

fn offset(value: u64) -> Offset {
    Offset::new(value).unwrap()
}

proptest! {
    #[test]
    fn the_watermark_is_the_best_minimum_seen(
        synced in any::<bool>(),
        in_sync in 1..4usize,
        min_isr in 1..5u32,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        // Replicas 0, 1, 2; the leader is 0 and the in-sync set is the first few. Broker 3 and up are strangers.
        let durability = if synced { Durability::Synced } else { Durability::Replicated };
        let mut leader = Leader::new(LeaderStart {
            local: BrokerId(0),
            leader_epoch: LeaderEpoch(0),
            replicas: (0..3).map(BrokerId).collect(),
            isr: (0..in_sync as u32).map(BrokerId).collect(),
            min_isr,
            durability,
            partition_epoch: 0,
            high_watermark: Offset::ZERO,
            positions: LocalPositions::default(),
            now: Moment(0),
        });
        let mut min_isr = min_isr;
        let mut log_end = [0u64; 3];
        let mut durable = [0u64; 3];
        let mut watermark = 0;

        for step in steps {
            let advanced = match step {
                Step::Report { replica, log_end: end, unsynced } => {
                    let synced_to = end.saturating_sub(unsynced);
                    let positions = LocalPositions { log_end: offset(end), durable_end: offset(synced_to) };
                    // What a follower has beyond the leader's log is nothing the leader could count.
                    let counts = replica < 3 && (replica == 0 || end <= log_end[0]);
                    if counts {
                        let known = &mut log_end[replica as usize];
                        *known = end.max(*known);
                        durable[replica as usize] = durable[replica as usize].max(synced_to);
                    }
                    if replica == 0 {
                        leader.on_local(positions)
                    } else {
                        let fetch = FollowerFetch {
                            replica: BrokerId(replica),
                            broker_epoch: BrokerEpoch(1),
                            leader_epoch: LeaderEpoch(0),
                            positions,
                            last_epoch: None,
                            eligible: false,
                        };
                        match leader.on_fetch(fetch, Offset::ZERO, Moment(0), |_| None) {
                            Ok(FetchOutcome::Counted { watermark, .. }) => {
                                prop_assert!(counts);
                                watermark
                            }
                            _ => {
                                prop_assert!(!counts);
                                None
                            }
                        }
                    }
                }
                Step::MinIsr(value) => {
                    min_isr = value;
                    leader.set_min_isr(value)
                }
            };
            let counted = if synced { &durable } else { &log_end };
            let enough = in_sync as u32 >= min_isr.min(3);
            let before = watermark;
            if enough {
                watermark = watermark.max(*counted[..in_sync].iter().min().unwrap());
            }
            prop_assert_eq!(leader.high_watermark(), offset(watermark));
            prop_assert_eq!(advanced, (watermark > before).then(|| offset(watermark)));
            prop_assert_eq!(leader.admit(Acks::All).is_ok(), enough);
            prop_assert_eq!(leader.own_position(), offset(counted[0]));

            for next in [1, watermark, watermark + 1, counted[0], counted[0] + 1] {
                let all = leader.ack(Acks::All, offset(next));
                let expected = match (next <= watermark, enough) {
                    (true, _) => AckState::Satisfied,
                    (false, true) => AckState::Waiting,
                    (false, false) => AckState::NotEnoughReplicasAfterAppend,
                };
                prop_assert_eq!(all, expected);
                let own = leader.ack(Acks::Leader, offset(next)) == AckState::Satisfied;
                prop_assert_eq!(own, next <= counted[0]);
                prop_assert_eq!(leader.ack(Acks::None, offset(next)), AckState::Satisfied);
            }
        }
    }
}
