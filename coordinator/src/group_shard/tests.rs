//! Groups that change their protocol while their members read on: nobody has a partition that somebody else has, and
//! what is replayed is what was.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::{String, ToString},
    vec,
    vec::Vec,
};
use bytes::{BufMut, Bytes};
use highwater_records::{Offset, TimestampMs, TopicId};

use super::*;
use crate::{
    Assignment, Caller, CommitOffsets, ConsumerBeat, ConsumerHeartbeat, GroupKind, Heartbeat, JoinGroup,
    Joined, LeaveGroup, Leaving, ListedGroup, NewRecord, Protocol, SyncGroup, TopicFacts, Topics,
    subscription::{read_assignment, write_assignment},
};

const TOPIC: TopicId = TopicId::from_bytes([1; 16]);

/// One topic, `t`, of four partitions.
struct World;

impl Topics for World {
    fn named(&self, name: &str) -> Option<TopicFacts> {
        (name == "t").then_some(TopicFacts { id: TOPIC, partitions: 4 })
    }

    fn name_of(&self, id: TopicId) -> Option<String> {
        (id == TOPIC).then(|| "t".into())
    }

    fn for_each_name(&self, each: &mut dyn FnMut(&str)) {
        each("t");
    }
}

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
        let config = GroupConfig { initial_rebalance_delay_ms: 0, ..config };
        let (log, answers) = (Vec::new(), BTreeMap::new());
        let shard = GroupShard::new(config.clone());
        let mut bench = Bench { shard, config, now: 0, random: 0, log, answers, next: 0 };
        bench.step(|shard, at, step| shard.loaded(at, step));
        bench
    }

    fn step(&mut self, act: impl FnOnce(&mut GroupShard, &Moment<'_>, &mut Step<GroupShard>)) {
        let mut step = Step::default();
        self.random += 1;
        let wall = TimestampMs(self.now as i64);
        let at = Moment { elapsed_ms: self.now, wall, random: self.random, topics: &World, groups: &() };
        act(&mut self.shard, &at, &mut step);
        self.log.extend(step.records);
        self.answers.extend(step.early.into_iter().chain(step.replies).map(|(to, reply)| (to.0, reply)));
    }

    fn ask(&mut self, request: impl Into<GroupRequest>) -> u64 {
        let request = request.into();
        self.next += 1;
        let ticket = self.next;
        self.step(|shard, at, step| shard.handle(at, request, ReplyTo(ticket), step));
        // The first member waits for nobody.
        self.pass(0);
        ticket
    }

    fn answer(&mut self, request: impl Into<GroupRequest>) -> GroupReply {
        let ticket = self.ask(request);
        self.answers.remove(&ticket).expect("an answer at once")
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some(due) = self.shard.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.step(|shard, at, step| shard.on_deadline(at, step));
        }
        self.now = end;
    }

    /// Drops the shard and replays its log.
    fn crash(&mut self) {
        self.shard = GroupShard::new(self.config.clone());
        for (offset, record) in (0..).zip(&self.log) {
            let logged = Logged {
                key: Some(&record.key),
                value: record.value.as_deref(),
                offset: Offset::new(offset).unwrap(),
                transaction: None,
            };
            self.shard.replay(&logged).unwrap();
        }
        self.step(|shard, at, step| shard.loaded(at, step));
    }

    fn kind(&mut self) -> (GroupKind, &'static str) {
        match self.answer(GroupRequest::List) {
            GroupReply::List(listed) => {
                let ListedGroup { kind, state, .. } = listed[0];
                (kind, state)
            }
            other => panic!("{other:?}"),
        }
    }

    fn join(&self, member: &str) -> JoinGroup {
        JoinGroup {
            group: "g".into(),
            member: member.into(),
            instance: None,
            caller: Caller::default(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 30_000,
            protocol_type: "consumer".into(),
            protocols: vec![Protocol { name: "range".into(), metadata: subscription() }],
            knows_member_id_required: false,
            knows_skip_assignment: true,
        }
    }

    fn sync(&self, joined: &Joined, assignments: Vec<(String, Bytes)>) -> SyncGroup {
        SyncGroup {
            group: "g".into(),
            member: joined.member.clone(),
            instance: None,
            generation: joined.generation,
            protocol_type: joined.protocol_type.clone(),
            protocol: joined.protocol.clone(),
            assignments,
        }
    }

    fn heartbeat(&mut self, joined: &Joined) -> Result<(), GroupError> {
        let (member, generation) = (joined.member.clone(), joined.generation);
        match self.answer(Heartbeat { group: "g".into(), member, instance: None, generation }) {
            GroupReply::Heartbeat(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn beat(&mut self, member: &str, epoch: i32, owned: &[i32]) -> Result<ConsumerBeat, GroupError> {
        let joins = epoch == 0;
        let request = ConsumerHeartbeat {
            group: "g".into(),
            member: member.into(),
            epoch,
            rebalance_timeout_ms: joins.then_some(30_000),
            topics: joins.then(|| vec!["t".into()]),
            owned: Some(Assignment::of(owned.iter().map(|partition| (TOPIC, *partition)))),
            ..ConsumerHeartbeat::default()
        };
        match self.answer(request) {
            GroupReply::ConsumerBeat(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    /// A classic group of two members, with two partitions each.
    fn two_classic(&mut self) -> [Joined; 2] {
        let first = self.ask(self.join(""));
        let alone = self.joined(first);
        let everything = vec![(alone.member.clone(), given(&[0, 1, 2, 3]))];
        self.answer(self.sync(&alone, everything));
        let second = self.ask(self.join(""));
        let first = self.ask(self.join(&alone.member));
        let (first, second) = (self.joined(first), self.joined(second));
        let parts = vec![(first.member.clone(), given(&[0, 1])), (second.member.clone(), given(&[2, 3]))];
        assert_eq!(self.synced(&first, parts), Ok(vec![0, 1]));
        assert_eq!(self.synced(&second, Vec::new()), Ok(vec![2, 3]));
        assert_eq!(self.kind(), (GroupKind::Classic, "Stable"));
        [first, second]
    }

    fn joined(&mut self, ticket: u64) -> Joined {
        match self.answers.remove(&ticket) {
            Some(GroupReply::Join(Ok(joined))) => joined,
            other => panic!("not joined: {other:?}"),
        }
    }

    fn synced(&mut self, joined: &Joined, assignments: Vec<(String, Bytes)>) -> Result<Vec<i32>, GroupError> {
        match self.answer(self.sync(joined, assignments)) {
            GroupReply::Sync(answer) => answer.map(|synced| {
                let topics = read_assignment(&synced.assignment).unwrap();
                topics.into_iter().flat_map(|(_, partitions)| partitions).collect()
            }),
            other => panic!("{other:?}"),
        }
    }

    /// Joins again and asks for its part.
    fn rejoins(&mut self, joined: &Joined) -> (Joined, Vec<i32>) {
        let ticket = self.ask(self.join(&joined.member));
        let again = self.joined(ticket);
        let part = self.synced(&again, Vec::new()).unwrap();
        (again, part)
    }
}

fn subscription() -> Bytes {
    let mut out = vec![0, 0, 0, 0, 0, 1, 0, 1, b't'];
    out.put_i32(-1);
    out.into()
}

fn given(partitions: &[i32]) -> Bytes {
    write_assignment(0, &[("t".to_string(), partitions.to_vec())])
}

fn partitions(beat: &ConsumerBeat) -> Vec<i32> {
    beat.assignment.iter().flat_map(|assignment| assignment.iter().map(|(_, partition)| partition)).collect()
}

/// Two classic members and one of the newer protocol, each with its part.
fn mixed(bench: &mut Bench) -> ([Joined; 2], i32, Vec<i32>) {
    let [first, second] = bench.two_classic();
    let beat = bench.beat("new", 0, &[]).unwrap();
    assert_eq!(partitions(&beat), [0; 0], "the others have everything still");
    assert_eq!(bench.kind().0, GroupKind::Consumer);
    assert_eq!(bench.heartbeat(&first), Err(GroupError::RebalanceInProgress));
    assert_eq!(bench.heartbeat(&second), Err(GroupError::RebalanceInProgress));
    let (first, of_first) = bench.rejoins(&first);
    let (second, of_second) = bench.rejoins(&second);
    let beat = bench.beat("new", beat.epoch, &[]).unwrap();
    let mut all: Vec<i32> = [of_first, of_second, partitions(&beat)].concat();
    assert!(!partitions(&beat).is_empty());
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);
    assert_eq!((bench.heartbeat(&first), bench.heartbeat(&second)), (Ok(()), Ok(())));
    assert_eq!(bench.kind(), (GroupKind::Consumer, "Stable"));
    let part = partitions(&beat);
    ([first, second], beat.epoch, part)
}

#[test]
fn a_classic_group_becomes_one_of_consumers_member_by_member() {
    let mut bench = Bench::new(GroupConfig::default());
    let ([first, second], epoch, part) = mixed(&mut bench);
    bench.crash();
    assert_eq!(bench.kind(), (GroupKind::Consumer, "Stable"));
    assert_eq!((bench.heartbeat(&first), bench.heartbeat(&second)), (Ok(()), Ok(())));
    let leave = |joined: &Joined| {
        let leaving = Leaving { member: joined.member.clone(), instance: None };
        LeaveGroup { group: "g".into(), members: vec![leaving] }
    };
    for joined in [&first, &second] {
        match bench.answer(leave(joined)) {
            GroupReply::Leave(Ok(left)) => assert_eq!(left[0].result, Ok(())),
            other => panic!("{other:?}"),
        }
    }
    let beat = bench.beat("new", epoch, &part).unwrap();
    assert_eq!(partitions(&beat), [0, 1, 2, 3]);
    bench.crash();
    assert_eq!(bench.kind(), (GroupKind::Consumer, "Stable"));
}

#[test]
fn and_a_classic_one_again_when_the_last_consumer_leaves() {
    let mut bench = Bench::new(GroupConfig::default());
    let ([first, second], ..) = mixed(&mut bench);
    bench.beat("new", -1, &[]).unwrap();
    assert_eq!(bench.kind(), (GroupKind::Classic, "PreparingRebalance"));
    assert_eq!(bench.heartbeat(&first).err(), Some(GroupError::IllegalGeneration));
    // Whoever had the older protocol all the time divides the work now.
    let (one, other) = (bench.ask(bench.join(&first.member)), bench.ask(bench.join(&second.member)));
    let (one, other) = (bench.joined(one), bench.joined(other));
    assert_eq!([&one, &other].iter().filter(|joined| joined.leader == joined.member).count(), 1);
    assert!(one.generation > first.generation);
    // What was written last is the group as it became a classic one.
    bench.crash();
    assert_eq!(bench.kind(), (GroupKind::Classic, "Stable"));
}

#[test]
fn what_classic_members_still_have_is_not_given_away_when_consumers_come_and_go() {
    let mut bench = Bench::new(GroupConfig::default());
    bench.two_classic();
    // They are to give something up, and have not heard of it when the newcomer is gone again.
    assert_eq!(partitions(&bench.beat("one", 0, &[]).unwrap()), [0; 0]);
    bench.beat("one", -1, &[]).unwrap();
    assert_eq!(bench.kind().0, GroupKind::Classic);
    bench.crash();
    let beat = bench.beat("other", 0, &[]).unwrap();
    assert_eq!(bench.kind().0, GroupKind::Consumer);
    assert_eq!(partitions(&beat), [0; 0], "they have everything still");
}

#[test]
fn a_consumer_that_falls_silent_leaves_the_group_to_the_others() {
    let mut bench = Bench::new(GroupConfig::default());
    let ([first, second], ..) = mixed(&mut bench);
    for _ in 0..10 {
        bench.pass(5_000);
        let _ = (bench.heartbeat(&first), bench.heartbeat(&second));
    }
    assert_eq!(bench.kind().0, GroupKind::Classic);
}

#[test]
fn a_member_that_does_not_come_back_is_given_up() {
    let mut bench = Bench::new(GroupConfig::default());
    let [first, second] = bench.two_classic();
    let mut beat = bench.beat("new", 0, &[]).unwrap();
    for _ in 0..8 {
        bench.pass(5_000);
        // The first is told to join, and only goes on to say that it lives.
        let _ = bench.heartbeat(&first);
        beat = bench.beat("new", beat.epoch, &[]).unwrap();
    }
    assert_eq!(bench.heartbeat(&first), Err(GroupError::UnknownMember));
    assert_eq!(bench.heartbeat(&second), Err(GroupError::UnknownMember));
    assert_eq!(partitions(&bench.beat("new", 0, &[]).unwrap()), [0, 1, 2, 3]);
}

#[test]
fn nothing_changes_where_that_is_not_wanted() {
    let mut bench = Bench::new(GroupConfig { upgrades: false, ..GroupConfig::default() });
    let [first, _] = bench.two_classic();
    assert_eq!(bench.beat("new", 0, &[]), Err(GroupError::GroupIdNotFound));
    assert_eq!(bench.heartbeat(&first), Ok(()));
    let mut bench = Bench::new(GroupConfig { downgrades: false, ..GroupConfig::default() });
    let _ = mixed(&mut bench);
    bench.beat("new", -1, &[]).unwrap();
    assert_eq!(bench.kind().0, GroupKind::Consumer);
    // A member that is refused changes nothing either.
    let mut bench = Bench::new(GroupConfig::default());
    let [first, _] = bench.two_classic();
    let log = bench.log.len();
    let regex = Some("(".to_string());
    let bad = ConsumerHeartbeat {
        group: "g".into(),
        member: "new".into(),
        rebalance_timeout_ms: Some(1),
        regex,
        owned: Some(Assignment::default()),
        ..ConsumerHeartbeat::default()
    };
    assert!(matches!(bench.answer(bad), GroupReply::ConsumerBeat(Err(GroupError::InvalidRegularExpression))));
    assert_eq!((bench.log.len(), bench.heartbeat(&first)), (log, Ok(())));
}

#[test]
fn commits_are_fenced_by_the_protocol_that_a_member_speaks() {
    let mut bench = Bench::new(GroupConfig::default());
    let ([first, _], epoch, _) = mixed(&mut bench);
    let commit = |member: &str, generation| CommitOffsets {
        group: "g".into(),
        member: member.into(),
        instance: None,
        generation,
        retention_ms: None,
        knows_group_not_found: true,
        transaction: None,
        topics: Vec::new(),
    };
    let mut answer = |request| match bench.answer(request) {
        GroupReply::Commit(answer) => answer.map(drop),
        other => panic!("{other:?}"),
    };
    assert_eq!(answer(commit(&first.member, first.generation)), Ok(()));
    assert_eq!(answer(commit(&first.member, first.generation - 1)), Err(GroupError::IllegalGeneration));
    assert_eq!(answer(commit("new", epoch)), Ok(()));
    assert_eq!(answer(commit("new", epoch - 1)), Err(GroupError::StaleMemberEpoch));
    let members: BTreeSet<bool> = match bench.answer(GroupRequest::DescribeConsumers("g".into())) {
        GroupReply::DescribeConsumers(Ok(group)) => {
            group.members.iter().map(|member| member.is_classic).collect()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(members, [false, true].into());
}
