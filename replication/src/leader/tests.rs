use super::*;
use crate::{EpochEnd, IsrProposal};
use alloc::{vec, vec::Vec};
use highwater_records::BrokerEpoch;

fn at(log_end: u64, durable_end: u64) -> LocalPositions {
    LocalPositions { log_end: offset(log_end), durable_end: offset(durable_end) }
}

fn offset(value: u64) -> Offset {
    Offset::new(value).expect("small")
}

fn start(durability: Durability, replicas: &[u32], isr: &[u32], min_isr: u32) -> LeaderStart {
    LeaderStart {
        local: BrokerId(1),
        leader_epoch: LeaderEpoch(4),
        replicas: replicas.iter().copied().map(BrokerId).collect(),
        isr: isr.iter().copied().map(BrokerId).collect(),
        min_isr,
        durability,
        partition_epoch: 7,
        high_watermark: Offset::ZERO,
        positions: at(10, 10),
        now: Moment(0),
    }
}

fn alone(durability: Durability) -> Leader {
    Leader::new(start(durability, &[1], &[1], 1))
}

#[test]
fn a_synced_topic_waits_for_the_durable_end() {
    let mut leader = alone(Durability::Synced);
    assert_eq!(leader.high_watermark(), offset(10));
    assert_eq!(leader.on_local(at(15, 10)), None);
    assert_eq!(leader.ack(Acks::All, offset(15)), AckState::Waiting);
    assert_eq!(leader.ack(Acks::Leader, offset(15)), AckState::Waiting);
    assert_eq!(leader.ack(Acks::None, offset(15)), AckState::Satisfied);
    assert_eq!(leader.on_local(at(20, 15)), Some(offset(15)));
    assert_eq!(leader.ack(Acks::All, offset(15)), AckState::Satisfied);
    assert_eq!(leader.ack(Acks::Leader, offset(15)), AckState::Satisfied);
    assert_eq!(leader.ack(Acks::All, offset(16)), AckState::Waiting);
}

#[test]
fn a_replicated_topic_counts_the_log_end() {
    let mut leader = alone(Durability::Replicated);
    assert_eq!(leader.on_local(at(15, 10)), Some(offset(15)));
    assert_eq!(leader.ack(Acks::All, offset(15)), AckState::Satisfied);
}

/// A fetch of broker `replica`, in its registration 100 + id, of a log that agrees with the leader's.
fn fetch(replica: u32, positions: LocalPositions) -> FollowerFetch {
    FollowerFetch {
        replica: BrokerId(replica),
        broker_epoch: BrokerEpoch(100 + u64::from(replica)),
        leader_epoch: LeaderEpoch(4),
        positions,
        last_epoch: None,
        eligible: true,
    }
}

fn give(leader: &mut Leader, fetch: FollowerFetch, now: u64) -> Result<FetchOutcome, FetchRefused> {
    leader.on_fetch(fetch, Offset::ZERO, Moment(now), |epoch| {
        Some(EpochEnd { epoch: epoch.min(LeaderEpoch(4)), end: Offset::MAX })
    })
}

/// The watermark if it advanced, and the set that is proposed.
fn counted(leader: &mut Leader, fetch: FollowerFetch, now: u64) -> (Option<u64>, Option<Vec<u32>>) {
    match give(leader, fetch, now) {
        Ok(FetchOutcome::Counted { watermark, proposal }) => {
            (watermark.map(Offset::get), proposal.map(|proposal| members(&proposal)))
        }
        other => panic!("{other:?}"),
    }
}

fn members(proposal: &IsrProposal) -> Vec<u32> {
    proposal.isr.iter().map(|(member, _)| member.0).collect()
}

fn committed(isr: &[u32], partition_epoch: u32) -> CommittedIsr {
    CommittedIsr {
        replicas: [1, 2, 3].map(BrokerId).to_vec(),
        isr: isr.iter().copied().map(BrokerId).collect(),
        partition_epoch,
    }
}

#[test]
fn the_slowest_in_sync_replica_holds_the_watermark_and_acks_all() {
    let mut leader = Leader::new(start(Durability::Replicated, &[1, 2, 3], &[1, 2], 1));
    assert_eq!(leader.high_watermark(), Offset::ZERO);
    assert_eq!(counted(&mut leader, fetch(2, at(7, 0)), 0), (Some(7), None));
    assert_eq!(counted(&mut leader, fetch(3, at(2, 0)), 0), (None, None));
    assert_eq!(leader.ack(Acks::All, offset(8)), AckState::Waiting);
    assert_eq!(leader.ack(Acks::Leader, offset(10)), AckState::Satisfied);
    assert_eq!(counted(&mut leader, fetch(2, at(10, 0)), 0), (Some(10), None));
    assert_eq!(give(&mut leader, fetch(9, at(3, 0)), 0), Err(FetchRefused::NotReplica(BrokerId(9))));
    assert_eq!(give(&mut leader, fetch(1, at(3, 0)), 0), Err(FetchRefused::NotReplica(BrokerId(1))));
}

#[test]
fn too_few_in_sync_replicas_stop_the_watermark_and_acks_all() {
    let mut leader = Leader::new(start(Durability::Replicated, &[1, 2, 3], &[1], 2));
    assert_eq!(leader.admit(Acks::All), Err(NotEnoughReplicas { in_sync: 1, required: 2 }));
    assert_eq!(leader.admit(Acks::Leader), Ok(()));
    assert_eq!(leader.on_local(at(12, 12)), None);
    assert_eq!(leader.ack(Acks::All, offset(12)), AckState::NotEnoughReplicasAfterAppend);
    assert_eq!(leader.ack(Acks::Leader, offset(12)), AckState::Satisfied);
    assert_eq!(leader.set_min_isr(1), Some(offset(12)));
    assert_eq!(leader.admit(Acks::All), Ok(()));
}

#[test]
fn the_minimum_is_never_more_than_the_assigned_replicas() {
    let leader = Leader::new(start(Durability::Synced, &[1], &[1], 2));
    assert_eq!(leader.admit(Acks::All), Ok(()));
    assert_eq!(leader.high_watermark(), offset(10));
}

#[test]
fn a_watermark_beyond_a_log_that_lost_its_tail_comes_back_to_its_end() {
    let mut from = start(Durability::Replicated, &[1, 2], &[1, 2], 1);
    from.high_watermark = offset(50);
    assert_eq!(Leader::new(from).high_watermark(), offset(10));
}

#[test]
fn late_reports_change_nothing() {
    let mut leader = alone(Durability::Synced);
    assert_eq!(leader.on_local(at(20, 20)), Some(offset(20)));
    assert_eq!(leader.on_local(at(15, 12)), None);
    assert_eq!(leader.own_position(), offset(20));
    assert_eq!(leader.high_watermark(), offset(20));
}

#[test]
#[should_panic(expected = "durable end 3 is beyond log end 2")]
fn impossible_positions_are_caught() {
    alone(Durability::Synced).on_local(at(2, 3));
}

#[test]
#[should_panic(expected = "not in its own in-sync set")]
fn a_leader_outside_its_in_sync_set_is_caught() {
    let mut from = start(Durability::Synced, &[1, 2], &[1], 1);
    from.isr = vec![BrokerId(2)];
    let _ = Leader::new(from);
}

#[test]
fn other_epochs_and_former_lives_count_for_nothing() {
    let mut leader = Leader::new(start(Durability::Replicated, &[1, 2], &[1, 2], 1));
    let older = FollowerFetch { leader_epoch: LeaderEpoch(3), ..fetch(2, at(10, 0)) };
    let newer = FollowerFetch { leader_epoch: LeaderEpoch(5), ..fetch(2, at(10, 0)) };
    assert_eq!(give(&mut leader, older, 0), Err(FetchRefused::Fenced(LeaderEpoch(4))));
    assert_eq!(give(&mut leader, newer, 0), Err(FetchRefused::Unknown(LeaderEpoch(4))));
    assert_eq!(counted(&mut leader, fetch(2, at(6, 0)), 0), (Some(6), None));
    // It comes back with less: the watermark stays, and waits for it again.
    let reborn = FollowerFetch { broker_epoch: BrokerEpoch(200), ..fetch(2, at(4, 0)) };
    assert_eq!(counted(&mut leader, reborn, 0), (None, None));
    assert_eq!(leader.follower(BrokerId(2)), Some(at(4, 0)));
    let late = give(&mut leader, fetch(2, at(10, 0)), 0);
    let known = BrokerEpoch(200);
    assert_eq!(late, Err(FetchRefused::StaleBroker { replica: BrokerId(2), known }));
    assert_eq!(leader.high_watermark(), offset(6));
}

#[test]
fn a_follower_with_a_tail_of_its_own_has_replicated_nothing() {
    let mut leader = Leader::new(start(Durability::Replicated, &[1, 2], &[1, 2], 1));
    let fetch = FollowerFetch { last_epoch: Some(LeaderEpoch(2)), ..fetch(2, at(9, 0)) };
    let lookup = |_| Some(EpochEnd { epoch: LeaderEpoch(2), end: offset(5) });
    let outcome = leader.on_fetch(fetch, Offset::ZERO, Moment(0), lookup);
    let expected = EpochEnd { epoch: LeaderEpoch(2), end: offset(5) };
    assert_eq!(outcome, Ok(FetchOutcome::Diverges(expected)));
    assert_eq!((leader.follower(BrokerId(2)), leader.high_watermark()), (None, Offset::ZERO));
    let below = leader.on_fetch(fetch, offset(10), Moment(0), lookup);
    assert_eq!(below, Ok(FetchOutcome::OutOfRange));
}

#[test]
fn joining_takes_the_watermark_the_epoch_start_and_being_eligible() {
    let mut leader = Leader::new(start(Durability::Replicated, &[1, 2, 3], &[1, 2], 1));
    assert_eq!(counted(&mut leader, fetch(2, at(4, 0)), 0), (Some(4), None));
    assert_eq!(counted(&mut leader, fetch(3, at(9, 0)), 0), (None, None), "below the epoch start, 10");
    let fenced = FollowerFetch { eligible: false, ..fetch(3, at(10, 0)) };
    assert_eq!(counted(&mut leader, fenced, 0), (None, None));
    assert_eq!(counted(&mut leader, fetch(3, at(10, 0)), 0), (None, Some(vec![1, 2, 3])));
    // It counts from now on, before anybody has answered.
    let _ = leader.on_local(at(20, 0));
    assert_eq!(counted(&mut leader, fetch(2, at(20, 0)), 0), (Some(10), None));
    assert_eq!(leader.on_committed(committed(&[1, 2, 3], 8)), None);
    assert_eq!(counted(&mut leader, fetch(3, at(20, 0)), 0), (Some(20), None));
}

#[test]
fn a_refused_proposal_counts_until_a_newer_version_settles_it() {
    let mut leader = Leader::new(start(Durability::Replicated, &[1, 2, 3], &[1], 1));
    assert_eq!(counted(&mut leader, fetch(3, at(10, 0)), 0), (None, Some(vec![1, 3])));
    assert_eq!(leader.on_refused().map(|again| members(&again)), Some(vec![1]));
    assert_eq!(leader.on_local(at(20, 0)), None, "the refused one may still be committed");
    assert_eq!(leader.on_committed(committed(&[1], 7)), None, "not newer");
    assert_eq!(leader.on_committed(committed(&[1], 8)), Some(offset(20)));
    assert!(leader.proposal().is_none());
}

#[test]
fn who_is_proposed_is_proposed_in_the_life_that_had_everything() {
    let mut leader = Leader::new(start(Durability::Synced, &[1, 2, 3], &[1, 2], 1));
    let of_three = |proposal: Option<IsrProposal>| {
        let (_, epoch) = *proposal.expect("in flight").isr.last().expect("members");
        epoch
    };
    assert_eq!(counted(&mut leader, fetch(3, at(10, 10)), 0), (None, Some(vec![1, 2, 3])));
    // Its disk is replaced before anybody has answered, and the proposal is sent again.
    let reborn = FollowerFetch { broker_epoch: BrokerEpoch(900), ..fetch(3, at(0, 0)) };
    assert_eq!(counted(&mut leader, reborn, 1), (None, None));
    assert_eq!(of_three(leader.proposal()), Some(BrokerEpoch(103)));
    assert_eq!(leader.on_refused().map(|again| members(&again)), Some(vec![1, 2]));
    let _ = leader.on_committed(committed(&[1, 2], 8));
    let reborn = FollowerFetch { broker_epoch: BrokerEpoch(900), ..fetch(3, at(10, 10)) };
    assert_eq!(counted(&mut leader, reborn, 2), (None, Some(vec![1, 2, 3])));
    assert_eq!(of_three(leader.proposal()), Some(BrokerEpoch(900)));
}

#[test]
fn an_idle_follower_joins_once_it_may() {
    let mut leader = Leader::new(start(Durability::Replicated, &[1, 2, 3], &[1, 2], 1));
    let fenced = FollowerFetch { eligible: false, ..fetch(3, at(10, 0)) };
    assert_eq!(counted(&mut leader, fenced, 0), (None, None));
    assert_eq!(leader.check_joining(|_, _| false), None);
    assert_eq!(leader.check_joining(|_, epoch| epoch == BrokerEpoch(999)), None, "another life");
    let proposal = leader.check_joining(|replica, epoch| (replica.0, epoch.0) == (3, 103));
    assert_eq!(proposal.map(|proposal| members(&proposal)), Some(vec![1, 2, 3]));
    assert_eq!(leader.check_joining(|_, _| true), None, "one at a time");
}

#[test]
fn a_late_member_leaves_and_counts_until_it_has() {
    let mut leader = Leader::new(start(Durability::Replicated, &[1, 2, 3], &[1, 2, 3], 1));
    for replica in [2, 3] {
        let _ = counted(&mut leader, fetch(replica, at(10, 0)), 1_000);
    }
    assert_eq!(leader.check_lag(Moment(90_000), 500), None, "idle is not late");
    let _ = leader.on_local(at(11, 0));
    assert_eq!(leader.check_lag(Moment(90_100), 500), None, "its time begins when it is behind");
    let _ = counted(&mut leader, fetch(2, at(11, 0)), 90_300);
    assert_eq!(leader.check_lag(Moment(90_600), 500), None);
    let proposal = leader.check_lag(Moment(90_601), 500).expect("broker 3 is late");
    assert_eq!((members(&proposal), proposal.partition_epoch), (vec![1, 2], 7));
    assert_eq!(proposal.isr[1], (BrokerId(2), Some(BrokerEpoch(102))));
    assert_eq!(leader.high_watermark(), offset(10));
    assert_eq!(leader.check_lag(Moment(99_000), 500), None, "one at a time");
    assert_eq!(leader.proposal(), Some(proposal), "but it is sent again");
    assert_eq!(leader.on_committed(committed(&[1, 2], 8)), Some(offset(11)));
}

#[test]
fn a_member_that_never_fetches_leaves_and_one_that_is_always_a_little_behind_stays() {
    let mut leader = Leader::new(start(Durability::Replicated, &[1, 2, 3], &[1, 2, 3], 1));
    for round in 0..20 {
        let _ = leader.on_local(at(20 + round * 10, 0));
        // It asks for what was the end at its fetch before.
        let _ = counted(&mut leader, fetch(2, at(10 + round * 10, 0)), round * 100);
    }
    let proposal = leader.check_lag(Moment(2_000), 500).expect("broker 3");
    assert_eq!(members(&proposal), [1, 2]);
}

#[test]
fn a_new_leader_tells_its_watermark_once_it_has_passed_its_start() {
    let mut leader = Leader::new(start(Durability::Replicated, &[1, 2], &[1, 2], 1));
    assert_eq!(leader.exposed_watermark(), None);
    let _ = leader.on_local(at(12, 0));
    assert_eq!(counted(&mut leader, fetch(2, at(9, 0)), 0), (Some(9), None));
    assert_eq!(leader.exposed_watermark(), None);
    assert_eq!(counted(&mut leader, fetch(2, at(10, 0)), 0), (Some(10), None));
    assert_eq!(leader.exposed_watermark(), Some(offset(10)));
}

#[test]
fn a_synced_topic_counts_what_followers_have_on_stable_storage() {
    let mut leader = Leader::new(start(Durability::Synced, &[1, 2, 3], &[1, 2], 2));
    assert_eq!(counted(&mut leader, fetch(2, at(10, 6)), 0), (Some(6), None));
    assert_eq!(counted(&mut leader, fetch(3, at(10, 9)), 0), (None, None), "not durable up to the start");
    assert_eq!(counted(&mut leader, fetch(3, at(10, 10)), 0), (None, Some(vec![1, 2, 3])));
}
