//! Members, generations and time, against the rules of Kafka's protocol.

use alloc::{collections::BTreeMap, format, string::String, vec, vec::Vec};
use bytes::Bytes;
use highwater_records::{Offset, TimestampMs, TopicId};

use crate::{
    Caller, CommitOffsets, CommitPartition, CommitTopic, DescribedGroup, FetchOffsets, GroupConfig,
    GroupError, GroupReply, GroupRequest, GroupShard, Heartbeat, JoinGroup, JoinRefused, Joined, LeaveGroup,
    Leaving, Left, Logged, Moment, NewRecord, Protocol, ReplyTo, Shard, Step, SyncGroup, Synced, TopicFacts,
    Topics,
};

/// Topics `t` and `u`.
struct World;

impl Topics for World {
    fn named(&self, name: &str) -> Option<TopicFacts> {
        let id = TopicId::from_bytes([name.as_bytes()[0]; 16]);
        matches!(name, "t" | "u").then_some(TopicFacts { id, partitions: 4 })
    }

    fn name_of(&self, _: TopicId) -> Option<String> {
        None
    }

    fn for_each_name(&self, each: &mut dyn FnMut(&str)) {
        each("t");
        each("u");
    }
}

/// A shard, its log, and the answers it gave.
struct Bench {
    shard: GroupShard,
    config: GroupConfig,
    now: u64,
    random: u128,
    log: Vec<NewRecord>,
    answers: BTreeMap<u64, GroupReply>,
    next: u64,
}

impl Bench {
    fn new(config: GroupConfig) -> Bench {
        let shard = GroupShard::new(config.clone());
        let (log, answers) = (Vec::new(), BTreeMap::new());
        let mut bench = Bench { shard, config, now: 1_000, random: 1, log, answers, next: 0 };
        bench.step(|shard, at, step| shard.loaded(at, step));
        bench
    }

    /// Without a wait for more members.
    fn quick() -> Bench {
        Bench::new(GroupConfig { initial_rebalance_delay_ms: 0, ..GroupConfig::default() })
    }

    fn step(&mut self, act: impl FnOnce(&mut GroupShard, &Moment<'_>, &mut Step<GroupShard>)) {
        let mut step = Step::default();
        self.random += 1;
        let wall = TimestampMs(1_700_000_000_000 + self.now as i64);
        act(
            &mut self.shard,
            &Moment { elapsed_ms: self.now, wall, random: self.random, topics: &World, groups: &() },
            &mut step,
        );
        self.log.extend(step.records);
        for (reply_to, reply) in step.early.into_iter().chain(step.replies) {
            assert!(self.answers.insert(reply_to.0, reply).is_none(), "answered twice");
        }
    }

    fn ask(&mut self, request: impl Into<GroupRequest>) -> u64 {
        let request = request.into();
        self.next += 1;
        let ticket = self.next;
        self.step(|shard, at, step| shard.handle(at, request, ReplyTo(ticket), step));
        ticket
    }

    /// Lets time pass, deadline by deadline.
    fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some(due) = self.shard.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.step(|shard, at, step| shard.on_deadline(at, step));
        }
        self.now = end;
    }

    fn joined(&mut self, ticket: u64) -> Joined {
        match self.answers.remove(&ticket) {
            Some(GroupReply::Join(Ok(joined))) => joined,
            other => panic!("not joined: {other:?}"),
        }
    }

    fn refused(&mut self, ticket: u64) -> JoinRefused {
        match self.answers.remove(&ticket) {
            Some(GroupReply::Join(Err(refused))) => refused,
            other => panic!("not refused: {other:?}"),
        }
    }

    fn synced(&mut self, ticket: u64) -> Result<Synced, GroupError> {
        match self.answers.remove(&ticket) {
            Some(GroupReply::Sync(answer)) => answer,
            other => panic!("no answer: {other:?}"),
        }
    }

    fn waits(&self, ticket: u64) -> bool {
        !self.answers.contains_key(&ticket)
    }

    fn beat(&mut self, member: &str, generation: i32) -> Result<(), GroupError> {
        let beat = Heartbeat { group: "g".into(), member: member.into(), instance: None, generation };
        let ticket = self.ask(beat);
        match self.answers.remove(&ticket) {
            Some(GroupReply::Heartbeat(answer)) => answer,
            other => panic!("no answer: {other:?}"),
        }
    }

    fn leave(&mut self, member: &str, instance: Option<&str>) -> Result<(), GroupError> {
        let leaving = Leaving { member: member.into(), instance: instance.map(String::from) };
        let ticket = self.ask(LeaveGroup { group: "g".into(), members: vec![leaving] });
        match self.answers.remove(&ticket) {
            Some(GroupReply::Leave(Ok(mut left))) => {
                let Left { result, .. } = left.remove(0);
                result
            }
            Some(GroupReply::Leave(Err(error))) => Err(error),
            other => panic!("no answer: {other:?}"),
        }
    }

    fn commit(&mut self, member: &str, generation: i32, offset: i64) -> Result<(), GroupError> {
        let partition = CommitPartition { partition: 0, offset, leader_epoch: 3, metadata: "m".into() };
        let topic = CommitTopic { name: "t".into(), id: TopicId::ZERO, partitions: vec![partition] };
        let ticket = self.ask(CommitOffsets {
            group: "g".into(),
            member: member.into(),
            instance: None,
            generation,
            retention_ms: None,
            knows_group_not_found: true,
            transaction: None,
            topics: vec![topic],
        });
        match self.answers.remove(&ticket) {
            Some(GroupReply::Commit(answer)) => answer?.remove(0),
            other => panic!("no answer: {other:?}"),
        }
    }

    fn committed(&mut self) -> Option<i64> {
        let topics = Some(vec![("t".into(), vec![0])]);
        let ticket = self.ask(FetchOffsets { group: "g".into(), member: None, topics, require_stable: true });
        match self.answers.remove(&ticket) {
            Some(GroupReply::Fetch(Ok(mut topics))) => {
                topics.remove(0).partitions.remove(0).committed.unwrap().map(|committed| committed.offset)
            }
            other => panic!("no answer: {other:?}"),
        }
    }

    fn described(&mut self) -> Result<DescribedGroup, GroupError> {
        let ticket = self.ask(GroupRequest::Describe("g".into()));
        match self.answers.remove(&ticket) {
            Some(GroupReply::Describe(answer)) => answer,
            other => panic!("no answer: {other:?}"),
        }
    }

    /// The shard as another broker finds it.
    fn replayed(&self) -> Bench {
        let mut bench = Bench::new(self.config.clone());
        bench.shard = GroupShard::new(self.config.clone());
        for (at, record) in self.log.iter().enumerate() {
            let logged = Logged {
                key: Some(&record.key),
                value: record.value.as_deref(),
                offset: Offset::new(at as u64).unwrap(),
                transaction: record.transaction,
            };
            bench.shard.replay(&logged).unwrap();
        }
        bench.now = self.now;
        bench.next = 10_000;
        bench.log = self.log.clone();
        bench.step(|shard, at, step| shard.loaded(at, step));
        bench
    }

    /// A stable group of these members; the first one leads.
    fn stable(&mut self, members: usize) -> Vec<String> {
        let tickets: Vec<_> = (0..members).map(|_| self.ask(join("", None))).collect();
        let ids: Vec<_> = tickets.into_iter().map(|ticket| self.refused(ticket).member).collect();
        let tickets: Vec<_> = ids.iter().map(|id| self.ask(join(id, None))).collect();
        self.pass(0);
        let joined: Vec<_> = tickets.into_iter().map(|ticket| self.joined(ticket)).collect();
        let leader = joined[0].leader.clone();
        self.sync_all(&ids, &leader, joined[0].generation);
        ids
    }

    fn sync_all(&mut self, ids: &[String], leader: &str, generation: i32) {
        let assignments: Vec<_> =
            ids.iter().map(|id| (id.clone(), Bytes::from(format!("work of {id}")))).collect();
        let mut tickets = Vec::new();
        for id in ids {
            let given = if id == leader { assignments.clone() } else { Vec::new() };
            tickets.push((id, self.ask(sync(id, generation, given))));
        }
        for (id, ticket) in tickets {
            assert_eq!(self.synced(ticket).unwrap().assignment, format!("work of {id}"));
        }
    }
}

/// A consumer's subscription to `t`.
fn metadata() -> Bytes {
    Bytes::from_static(&[0, 1, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 0])
}

fn join(member: &str, instance: Option<&str>) -> JoinGroup {
    let known = |name: &str| Protocol { name: name.into(), metadata: metadata() };
    JoinGroup {
        group: "g".into(),
        member: member.into(),
        instance: instance.map(String::from),
        caller: Caller { client_id: "c".into(), host: "/h".into() },
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![known("range"), known("sticky")],
        knows_member_id_required: true,
        knows_skip_assignment: true,
    }
}

fn sync(member: &str, generation: i32, assignments: Vec<(String, Bytes)>) -> SyncGroup {
    SyncGroup {
        group: "g".into(),
        member: member.into(),
        instance: None,
        generation,
        protocol_type: None,
        protocol: None,
        assignments,
    }
}

#[test]
fn a_new_member_is_told_its_id_and_joins_with_it() {
    let mut bench = Bench::quick();
    let ticket = bench.ask(join("", None));
    let told = bench.refused(ticket);
    assert_eq!(told.error, GroupError::MemberIdRequired);
    assert!(told.member.starts_with("c-"), "{}", told.member);
    assert_eq!(bench.beat(&told.member, 0), Err(GroupError::UnknownMember));
    let ticket = bench.ask(join(&told.member, None));
    bench.pass(0);
    let joined = bench.joined(ticket);
    assert_eq!((joined.generation, &joined.leader), (1, &told.member));
    assert_eq!((joined.protocol.as_deref(), joined.members.len()), (Some("range"), 1));
    let ticket = bench.ask(join("somebody", None));
    assert_eq!(bench.refused(ticket).error, GroupError::UnknownMember);
}

#[test]
fn an_id_that_is_not_used_is_forgotten_after_a_session() {
    let mut bench = Bench::quick();
    let ids = bench.stable(1);
    let ticket = bench.ask(join("", None));
    let pending = bench.refused(ticket).member;
    let again = bench.ask(join(&ids[0], None));
    assert!(bench.waits(again), "somebody who was given an id is expected");
    bench.pass(10_000);
    assert_eq!(bench.joined(again).generation, 2);
    let ticket = bench.ask(join(&pending, None));
    assert_eq!(bench.refused(ticket).error, GroupError::UnknownMember);
}

#[test]
fn the_first_rebalance_waits_for_others_and_no_longer_than_the_rebalance_timeout() {
    let mut bench = Bench::new(GroupConfig::default());
    let old = JoinGroup { knows_member_id_required: false, rebalance_timeout_ms: 7_000, ..join("", None) };
    let first = bench.ask(old.clone());
    bench.pass(2_000);
    let second = bench.ask(old.clone());
    bench.pass(1_500);
    assert!(bench.waits(first), "a new member extends the wait");
    bench.pass(2_000);
    let third = bench.ask(old);
    bench.pass(1_500);
    assert_eq!(bench.joined(first).members.len() + bench.joined(second).members.len(), 3);
    assert_eq!(bench.joined(third).generation, 1);
}

#[test]
fn a_member_that_falls_silent_is_taken_out() {
    let mut bench = Bench::quick();
    let ids = bench.stable(2);
    for _ in 0..3 {
        bench.pass(6_000);
        assert_eq!(
            bench.beat(&ids[0], 1),
            if bench.now < 11_000 { Ok(()) } else { Err(GroupError::RebalanceInProgress) }
        );
    }
    let ticket = bench.ask(join(&ids[0], None));
    let joined = bench.joined(ticket);
    assert_eq!((joined.generation, joined.members.len()), (2, 1));
    assert_eq!(bench.beat(&ids[1], 2), Err(GroupError::UnknownMember));
    assert_eq!(bench.commit(&ids[1], 1, 5), Err(GroupError::UnknownMember));
    assert_eq!(bench.commit(&ids[0], 1, 5), Err(GroupError::IllegalGeneration));
}

#[test]
fn who_does_not_come_back_in_time_is_left_behind() {
    let mut bench = Bench::quick();
    let ids = bench.stable(2);
    let leader = bench.described().unwrap().members.len();
    assert_eq!(leader, 2);
    let ticket = bench.ask(join("", None));
    let third = bench.refused(ticket).member;
    let ticket = bench.ask(join(&third, None));
    for _ in 0..7 {
        bench.pass(8_000);
        assert_eq!(bench.beat(&ids[0], 1), Err(GroupError::RebalanceInProgress));
        assert_eq!(bench.beat(&ids[1], 1), Err(GroupError::RebalanceInProgress));
    }
    assert!(bench.waits(ticket));
    bench.pass(4_000);
    let joined = bench.joined(ticket);
    assert_eq!((joined.generation, &joined.leader, joined.members.len()), (2, &third, 1));
}

#[test]
fn who_does_not_ask_for_its_assignment_is_left_behind() {
    let mut bench = Bench::quick();
    let ids = bench.stable(2);
    let tickets: Vec<_> = ids
        .iter()
        .map(|id| {
            bench.ask(JoinGroup {
                protocols: vec![Protocol { name: "sticky".into(), metadata: metadata() }],
                ..join(id, None)
            })
        })
        .collect();
    let joined: Vec<_> = tickets.into_iter().map(|ticket| bench.joined(ticket)).collect();
    assert_eq!(joined[0].protocol.as_deref(), Some("sticky"));
    let follower = ids.iter().find(|id| **id != joined[0].leader).unwrap();
    let waiting = bench.ask(sync(follower, 2, vec![]));
    for _ in 0..12 {
        bench.pass(5_000);
        let _ = bench.beat(&joined[0].leader, 2);
    }
    assert_eq!(bench.synced(waiting), Err(GroupError::RebalanceInProgress));
    assert_eq!(bench.beat(&joined[0].leader, 2), Err(GroupError::UnknownMember));
}

#[test]
fn a_static_member_comes_back_without_a_rebalance_and_fences_its_former_self() {
    let mut bench = Bench::quick();
    let first = bench.ask(join("", Some("i1")));
    let second = bench.ask(join("", Some("i2")));
    bench.pass(0);
    let (first, second) = (bench.joined(first), bench.joined(second));
    let ids = [first.member.clone(), second.member.clone()];
    bench.sync_all(&ids, &first.leader, 1);
    let ticket = bench.ask(join("", Some("i2")));
    let back = bench.joined(ticket);
    assert_eq!(back.generation, 1);
    assert_ne!(back.member, second.member);
    let leads = back.leader == back.member;
    assert_eq!((back.skip_assignment, back.members.len()), (leads, if leads { 2 } else { 0 }));
    let ticket = bench.ask(sync(&back.member, 1, vec![]));
    assert_eq!(bench.synced(ticket).unwrap().assignment, format!("work of {}", second.member));
    let stale = Heartbeat {
        group: "g".into(),
        member: second.member.clone(),
        instance: Some("i2".into()),
        generation: 1,
    };
    let ticket = bench.ask(stale);
    assert_eq!(bench.answers.remove(&ticket), Some(GroupReply::Heartbeat(Err(GroupError::FencedInstanceId))));
    let ticket = bench.ask(join(&second.member, Some("i2")));
    assert_eq!(bench.refused(ticket).error, GroupError::FencedInstanceId);
    assert_eq!(bench.replayed().described(), bench.described());
    assert_eq!(bench.leave("", Some("i2")), Ok(()), "an administrator names the instance");
    assert_eq!(bench.leave("", Some("i2")), Err(GroupError::UnknownMember));
}

#[test]
fn the_protocol_with_the_most_votes_wins_among_those_all_know() {
    let mut bench = Bench::quick();
    let with = |names: &[&str]| JoinGroup {
        protocols: names
            .iter()
            .map(|name| Protocol { name: String::from(*name), metadata: metadata() })
            .collect(),
        knows_member_id_required: false,
        ..join("", None)
    };
    let a = bench.ask(with(&["only-a", "x", "y"]));
    let b = bench.ask(with(&["y", "x"]));
    let c = bench.ask(with(&["y", "x", "y"]));
    bench.pass(0);
    for ticket in [a, b, c] {
        assert_eq!(bench.joined(ticket).protocol.as_deref(), Some("y"));
    }
    let stranger = bench.ask(with(&["only-a"]));
    assert_eq!(bench.refused(stranger).error, GroupError::InconsistentProtocol);
    let other = bench.ask(JoinGroup { protocol_type: "connect".into(), ..with(&["y"]) });
    assert_eq!(bench.refused(other).error, GroupError::InconsistentProtocol);
    let none = bench.ask(JoinGroup { group: "h".into(), ..with(&[]) });
    assert_eq!(bench.refused(none).error, GroupError::InconsistentProtocol);
}

#[test]
fn bounds_of_size_and_session() {
    let config = GroupConfig { initial_rebalance_delay_ms: 0, size_max: 2, ..GroupConfig::default() };
    let mut bench = Bench::new(config);
    bench.stable(2);
    let full = bench.ask(join("", None));
    assert_eq!(bench.refused(full).error, GroupError::GroupMaxSizeReached);
    for session_timeout_ms in [5_999, 1_800_001] {
        let ticket = bench.ask(JoinGroup { session_timeout_ms, ..join("", None) });
        assert_eq!(bench.refused(ticket).error, GroupError::InvalidSessionTimeout);
    }
    let nameless = bench.ask(JoinGroup { group: String::new(), ..join("", None) });
    assert_eq!(bench.refused(nameless).error, GroupError::InvalidGroupId);
}

#[test]
fn commits_are_fenced_by_membership() {
    let mut bench = Bench::quick();
    let ids = bench.stable(1);
    assert_eq!(bench.commit(&ids[0], 1, 10), Ok(()));
    assert_eq!(bench.commit(&ids[0], 0, 11), Err(GroupError::IllegalGeneration));
    assert_eq!(bench.commit("", -1, 12), Err(GroupError::UnknownMember), "the group has members");
    assert_eq!(bench.committed(), Some(10));
    let ticket = bench.ask(join(&ids[0], None));
    assert_eq!(bench.joined(ticket).generation, 2);
    assert_eq!(bench.commit(&ids[0], 2, 13), Err(GroupError::RebalanceInProgress));
    assert_eq!(bench.leave(&ids[0], None), Ok(()));
    assert_eq!(bench.commit("", -1, 14), Ok(()), "nobody is a member any more");
    assert_eq!(bench.replayed().committed(), Some(14));
}

#[test]
fn offsets_of_an_empty_group_expire_and_those_of_a_stable_one_do_not() {
    let retention = GroupConfig::default().offsets_retention_ms as u64;
    let mut bench = Bench::quick();
    let ids = bench.stable(1);
    bench.commit(&ids[0], 1, 10).unwrap();
    for _ in 0..(retention / 9_000 + 100) {
        bench.now += 9_000;
        bench.beat(&ids[0], 1).unwrap();
    }
    bench.pass(1);
    assert_eq!(bench.committed(), Some(10));
    bench.leave(&ids[0], None).unwrap();
    bench.pass(retention - 1_000_000);
    assert_eq!(bench.committed(), Some(10));
    bench.pass(2_000_000);
    assert_eq!(bench.committed(), None);
    assert_eq!(bench.described(), Err(GroupError::GroupIdNotFound));
    assert_eq!(bench.replayed().shard.group_count(), 0);
}

#[test]
fn a_deleted_group_is_gone_after_a_replay() {
    let mut bench = Bench::quick();
    let ids = bench.stable(1);
    bench.commit(&ids[0], 1, 10).unwrap();
    let ticket = bench.ask(GroupRequest::Delete("g".into()));
    assert_eq!(bench.answers.remove(&ticket), Some(GroupReply::Delete(Err(GroupError::NonEmptyGroup))));
    bench.leave(&ids[0], None).unwrap();
    let ticket = bench.ask(GroupRequest::Delete("g".into()));
    assert_eq!(bench.answers.remove(&ticket), Some(GroupReply::Delete(Ok(()))));
    assert_eq!(bench.committed(), None);
    let mut replayed = bench.replayed();
    assert_eq!((replayed.shard.group_count(), replayed.shard.offset_count()), (0, 0));
    assert_eq!(replayed.committed(), None);
}

#[test]
fn a_replayed_group_goes_on_where_it_was() {
    let mut bench = Bench::quick();
    let ids = bench.stable(3);
    bench.commit(&ids[1], 1, 77).unwrap();
    let mut replayed = bench.replayed();
    assert_eq!(replayed.described(), bench.described());
    assert_eq!(replayed.committed(), Some(77));
    for id in &ids {
        assert_eq!(replayed.beat(id, 1), Ok(()));
    }
    // Sessions begin anew with the replay; whoever does not come then is gone.
    let mut left_alone = bench.replayed();
    left_alone.pass(10_000);
    left_alone.pass(60_000);
    assert_eq!(left_alone.described().unwrap().state, "Empty");
    assert_eq!(left_alone.committed(), Some(77));
}
