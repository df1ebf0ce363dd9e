//! Members that do as they are told, late, twice or never: a partition never has two owners, and in the end everybody
//! has its part.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec,
    vec::Vec,
};
use highwater_records::{Offset, TimestampMs, TopicId};
use proptest::prelude::*;

use crate::{
    Assignment, ConsumerBeat, ConsumerHeartbeat, DescribedConsumerGroup, GroupConfig, GroupConfigs,
    GroupError, GroupOverrides, GroupReply, GroupRequest, GroupShard, Logged, Moment, NewRecord, ReplyTo,
    Shard, Step, TopicFacts, Topics,
};

/// Topics by name, with their numbers of partitions.
#[derive(Clone)]
struct World(BTreeMap<String, u32>);

fn id(name: &str) -> TopicId {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    TopicId::from_bytes(bytes)
}

impl Topics for World {
    fn named(&self, name: &str) -> Option<TopicFacts> {
        self.0.get(name).map(|partitions| TopicFacts { id: id(name), partitions: *partitions })
    }

    fn name_of(&self, wanted: TopicId) -> Option<String> {
        self.0.keys().find(|name| id(name) == wanted).cloned()
    }

    fn for_each_name(&self, each: &mut dyn FnMut(&str)) {
        self.0.keys().for_each(|name| each(name));
    }
}

/// What is set for the group of these tests.
impl GroupConfigs for GroupOverrides {
    fn of_group(&self, group: &str) -> GroupOverrides {
        if group == "g" { *self } else { GroupOverrides::default() }
    }
}

struct Bench {
    shard: GroupShard,
    world: World,
    overrides: GroupOverrides,
    now: u64,
    log: Vec<NewRecord>,
    random: u128,
}

impl Bench {
    fn new() -> Bench {
        let world = World([("a", 6), ("b", 3), ("ab", 1)].map(|(name, count)| (name.into(), count)).into());
        let mut bench = Bench {
            shard: GroupShard::new(GroupConfig::default()),
            world,
            overrides: GroupOverrides::default(),
            now: 0,
            log: Vec::new(),
            random: 0,
        };
        bench.step(|shard, at, step| shard.loaded(at, step));
        bench
    }

    fn step(
        &mut self,
        act: impl FnOnce(&mut GroupShard, &Moment<'_>, &mut Step<GroupShard>),
    ) -> Option<GroupReply> {
        let mut step = Step::default();
        self.random += 1;
        let at = Moment {
            elapsed_ms: self.now,
            wall: TimestampMs(self.now as i64),
            random: self.random,
            topics: &self.world,
            groups: &self.overrides,
        };
        act(&mut self.shard, &at, &mut step);
        self.log.extend(step.records);
        step.replies.pop().map(|(_, reply)| reply)
    }

    fn beat(&mut self, request: ConsumerHeartbeat) -> Result<ConsumerBeat, GroupError> {
        let request = GroupRequest::ConsumerBeat(request);
        match self.step(|shard, at, step| shard.handle(at, request, ReplyTo(1), step)) {
            Some(GroupReply::ConsumerBeat(answer)) => answer,
            other => panic!("no answer: {other:?}"),
        }
    }

    fn describe(&mut self) -> DescribedConsumerGroup {
        let request = GroupRequest::DescribeConsumers("g".into());
        match self.step(|shard, at, step| shard.handle(at, request, ReplyTo(1), step)) {
            Some(GroupReply::DescribeConsumers(answer)) => answer.unwrap(),
            other => panic!("no answer: {other:?}"),
        }
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
        self.shard = GroupShard::new(GroupConfig::default());
        for (at, record) in self.log.iter().enumerate() {
            let logged = Logged {
                key: Some(&record.key),
                value: record.value.as_deref(),
                offset: Offset::new(at as u64).unwrap(),
                transaction: None,
            };
            self.shard.replay(&logged).unwrap();
        }
        self.step(|shard, at, step| shard.loaded(at, step));
    }
}

/// A client's side of membership.
#[derive(Clone, Debug, Default)]
struct Client {
    name: String,
    instance: Option<String>,
    topics: Vec<String>,
    regex: Option<String>,
    epoch: i32,
    owned: Assignment,
}

impl Client {
    fn new(name: &str, topics: &[&str]) -> Client {
        let topics = topics.iter().map(|topic| String::from(*topic)).collect();
        Client { name: name.into(), topics, ..Client::default() }
    }

    fn request(&self) -> ConsumerHeartbeat {
        let full = self.epoch == 0;
        ConsumerHeartbeat {
            group: "g".into(),
            member: self.name.clone(),
            epoch: self.epoch,
            instance: self.instance.clone(),
            rebalance_timeout_ms: full.then_some(60_000),
            topics: full.then(|| self.topics.clone()),
            regex: self.regex.clone().filter(|_| full),
            owned: Some(self.owned.clone()),
            ..ConsumerHeartbeat::default()
        }
    }

    /// One heartbeat; `lost` answers do not reach the client.
    fn beat(&mut self, bench: &mut Bench, lost: bool) -> Result<(), GroupError> {
        let answer = bench.beat(self.request());
        if lost {
            return Ok(());
        }
        match answer {
            Ok(beat) => {
                self.epoch = beat.epoch;
                if let Some(assignment) = beat.assignment {
                    self.owned = assignment;
                }
                Ok(())
            }
            Err(error) => {
                self.epoch = 0;
                self.owned = Assignment::default();
                Err(error)
            }
        }
    }
}

fn check_exclusive(clients: &[Client]) {
    let mut owners = BTreeMap::new();
    for client in clients {
        for partition in client.owned.iter() {
            if let Some(other) = owners.insert(partition, &client.name) {
                panic!("{partition:?} belongs to {other} and to {}: {clients:#?}", client.name);
            }
        }
    }
}

/// Everybody beats until nothing changes any more.
fn settle(bench: &mut Bench, clients: &mut [Client]) {
    for _ in 0..20 {
        bench.pass(5);
        for at in 0..clients.len() {
            let _ = clients[at].beat(bench, false);
            check_exclusive(clients);
        }
    }
    assert_eq!(bench.describe().state, "Stable", "{:#?}", bench.describe());
}

fn all_owned(clients: &[Client]) -> BTreeSet<(TopicId, i32)> {
    clients.iter().flat_map(|client| client.owned.iter()).collect()
}

#[test]
fn members_share_and_take_over_when_one_leaves() {
    let mut bench = Bench::new();
    let mut clients = vec![Client::new("m1", &["a", "b"])];
    settle(&mut bench, &mut clients);
    assert_eq!(clients[0].owned.len(), 9);
    clients.push(Client::new("m2", &["a", "b"]));
    settle(&mut bench, &mut clients);
    assert_eq!((clients[0].owned.len(), clients[1].owned.len()), (5, 4));
    let mut gone = clients.remove(0);
    gone.epoch = -1;
    assert_eq!(bench.beat(gone.request()).unwrap().epoch, -1);
    settle(&mut bench, &mut clients);
    assert_eq!(clients[0].owned.len(), 9);
    assert_eq!(bench.beat(Client { epoch: 3, ..gone }.request()), Err(GroupError::UnknownMember));
}

#[test]
fn what_is_set_for_a_group_counts_from_the_next_heartbeat_on() {
    let mut bench = Bench::new();
    let mut clients = vec![Client::new("m1", &["a"])];
    settle(&mut bench, &mut clients);
    assert_eq!(bench.beat(clients[0].request()).unwrap().interval_ms, 5_000);
    bench.overrides = GroupOverrides {
        session_timeout_ms: Some(50_000),
        heartbeat_interval_ms: Some(7_000),
        assignment_interval_ms: Some(15_000),
    };
    assert_eq!(bench.beat(clients[0].request()).unwrap().interval_ms, 7_000);
    bench.pass(49_000);
    assert_eq!(bench.beat(clients[0].request()).unwrap().interval_ms, 7_000);
    // Somebody new has to wait for the next assignment, though the group is small; another group has nothing to do with it.
    let mut newcomer = Client::new("m2", &["a"]);
    clients[0].beat(&mut bench, false).unwrap();
    newcomer.beat(&mut bench, false).unwrap();
    let third = Client::new("m3", &["a"]);
    bench.beat(third.request()).unwrap();
    let described = bench.describe();
    assert_eq!((described.state, described.epoch - described.target_epoch), ("Assigning", 1));
    bench.pass(15_000);
    bench.beat(third.request()).unwrap();
    let described = bench.describe();
    assert_eq!(described.epoch, described.target_epoch);
    let elsewhere = ConsumerHeartbeat { group: "h".into(), ..Client::new("m1", &["a"]).request() };
    assert_eq!(bench.beat(elsewhere).unwrap().interval_ms, 5_000);
    bench.pass(50_000);
    assert_eq!(clients[0].beat(&mut bench, false), Err(GroupError::UnknownMember));
}

#[test]
fn a_silent_member_is_fenced_and_one_that_keeps_what_it_must_give_up_too() {
    let mut bench = Bench::new();
    let mut clients = vec![Client::new("m1", &["a"]), Client::new("m2", &["a"])];
    settle(&mut bench, &mut clients);
    bench.pass(44_000);
    clients[0].beat(&mut bench, false).unwrap();
    bench.pass(44_000);
    assert_eq!(clients[1].beat(&mut bench, false), Err(GroupError::UnknownMember));
    let mut alone = vec![clients.remove(0)];
    settle(&mut bench, &mut alone);
    assert_eq!(alone[0].owned.len(), 6);
    // It never says that it gave three of them up.
    let mut newcomer = Client::new("m3", &["a"]);
    for _ in 0..3 {
        newcomer.beat(&mut bench, false).unwrap();
        let stubborn = ConsumerHeartbeat { owned: None, ..alone[0].request() };
        bench.beat(stubborn).unwrap();
        bench.pass(20_000);
    }
    assert_eq!(bench.beat(alone[0].request()), Err(GroupError::UnknownMember));
    let mut left = vec![newcomer];
    settle(&mut bench, &mut left);
    assert_eq!(left[0].owned.len(), 6);
}

#[test]
fn a_static_member_that_left_for_a_while_has_what_it_had() {
    let mut bench = Bench::new();
    let of =
        |name: &str, instance: &str| Client { instance: Some(instance.into()), ..Client::new(name, &["a"]) };
    let mut clients = vec![of("m1", "i1"), of("m2", "i2")];
    settle(&mut bench, &mut clients);
    let had = clients[1].owned.clone();
    let epoch = bench.describe().epoch;
    let mut early = of("m9", "i2");
    assert_eq!(early.beat(&mut bench, false), Err(GroupError::UnreleasedInstance));
    clients[1].epoch = -2;
    bench.beat(clients[1].request()).unwrap();
    clients[1] = of("m3", "i2");
    clients[1].beat(&mut bench, false).unwrap();
    settle(&mut bench, &mut clients);
    assert_eq!(clients[1].owned, had);
    assert!(bench.describe().epoch <= epoch + 1);
    let mut former = of("m2", "i2");
    former.epoch = epoch;
    assert_eq!(bench.beat(former.request()), Err(GroupError::FencedInstanceId));
}

#[test]
fn an_instance_is_not_free_while_its_member_lives_whoever_asks() {
    let mut bench = Bench::new();
    let with = |name: &str, instance: Option<&str>| Client {
        instance: instance.map(Into::into),
        ..Client::new(name, &["a"])
    };
    let mut fixed = with("s1", Some("i"));
    fixed.beat(&mut bench, false).unwrap();
    // Under its own id, too: it has not said that it will be back.
    assert_eq!(bench.beat(with("s1", Some("i")).request()), Err(GroupError::UnreleasedInstance));
    assert_eq!(bench.beat(with("s2", Some("i")).request()), Err(GroupError::UnreleasedInstance));
    fixed.epoch = -2;
    assert_eq!(bench.beat(fixed.request()).unwrap().epoch, -2);
    let back = bench.beat(with("s1", Some("i")).request()).unwrap();
    assert_eq!((back.epoch > 0, back.assignment.map_or(0, |all| all.len())), (true, 6));
    // A member that was there before without an instance keeps what it has.
    let mut bench = Bench::new();
    let mut plain = with("m1", None);
    plain.beat(&mut bench, false).unwrap();
    assert_eq!(plain.owned.len(), 6);
    let named = bench.beat(with("m1", Some("j")).request()).unwrap();
    assert_eq!((named.epoch, named.assignment), (plain.epoch, Some(plain.owned)));
}

#[test]
fn another_rack_or_assignor_moves_nobody_to_a_new_epoch() {
    let mut bench = Bench::new();
    let mut member = Client::new("m1", &["a"]);
    member.beat(&mut bench, false).unwrap();
    let epoch = bench.describe().epoch;
    let elsewhere =
        ConsumerHeartbeat { rack: Some("r2".into()), assignor: Some("range".into()), ..member.request() };
    assert_eq!(bench.beat(elsewhere).unwrap().epoch, member.epoch);
    assert_eq!(bench.describe().epoch, epoch);
    let mut more = Client { epoch: 0, ..Client::new("m1", &["a", "ab"]) };
    more.beat(&mut bench, false).unwrap();
    assert_eq!(bench.describe().epoch, epoch + 1, "other topics do");
}

#[test]
fn who_has_left_cannot_leave_by_an_instance_it_had_before() {
    let mut bench = Bench::new();
    let with = |instance: &str| Client { instance: Some(instance.into()), ..Client::new("m1", &["a"]) };
    bench.beat(with("i").request()).unwrap();
    // The same member under another name: the one it had still leads to it.
    bench.beat(with("j").request()).unwrap();
    let leaves = |instance: &str| Client { epoch: -1, ..with(instance) }.request();
    bench.beat(leaves("j")).unwrap();
    for instance in ["i", "j"] {
        assert_eq!(bench.beat(leaves(instance)), Err(GroupError::UnknownMember), "{instance}");
    }
}

#[test]
fn topics_by_expression_come_and_go_with_the_cluster() {
    let mut bench = Bench::new();
    let mut clients = vec![Client { regex: Some("a.*".into()), ..Client::new("m1", &[]) }];
    settle(&mut bench, &mut clients);
    assert_eq!(clients[0].owned.len(), 7, "a and ab");
    bench.world.0.insert("az".into(), 2);
    bench.world.0.insert("zz".into(), 2);
    bench.world.0.remove("ab");
    bench.step(|shard, at, step| shard.topics_changed(at, step));
    settle(&mut bench, &mut clients);
    let topics: Vec<_> = clients[0].owned.topics().map(|(topic, _)| topic).collect();
    assert_eq!(topics, [id("a"), id("az")]);
    let bad = Client { regex: Some("(".into()), ..Client::new("m2", &[]) };
    assert_eq!(bench.beat(bad.request()), Err(GroupError::InvalidRegularExpression));
    let nothing = ConsumerHeartbeat { topics: None, regex: None, ..Client::new("m2", &[]).request() };
    assert_eq!(bench.beat(nothing), Err(GroupError::InvalidRequest));
    let wish = ConsumerHeartbeat { assignor: Some("magic".into()), ..Client::new("m2", &["a"]).request() };
    assert_eq!(bench.beat(wish), Err(GroupError::UnsupportedAssignor));
}

#[test]
fn a_replayed_group_is_the_same() {
    let mut bench = Bench::new();
    let mut clients = vec![
        Client::new("m1", &["a"]),
        Client { regex: Some("a|b".into()), ..Client::new("m2", &[]) },
        Client::new("m3", &["b"]),
    ];
    for at in [0, 1, 0, 2, 1] {
        clients[at].beat(&mut bench, false).unwrap();
        let before = bench.describe();
        bench.crash();
        assert_eq!(bench.describe(), before);
    }
    settle(&mut bench, &mut clients);
    assert_eq!(all_owned(&clients).len(), 9);
}

#[test]
fn of_thousands_that_join_at_once_not_each_has_all_others_looked_at() {
    let mut bench = Bench::new();
    bench.world = World([("a".into(), 3_000)].into());
    let mut clients: Vec<Client> =
        (0..1_500).map(|number| Client::new(&format!("m{number:04}"), &["a"])).collect();
    for client in &mut clients {
        client.beat(&mut bench, false).unwrap();
    }
    // The first has all of it, and nobody else was looked at within the same instant.
    let described = bench.describe();
    assert_eq!((described.epoch, described.target_epoch), (1_501, 2));
    let shares =
        |bench: &mut Bench| bench.log.iter().filter(|record| record.key.starts_with(&[0, 6])).count();
    let before = shares(&mut bench);
    for round in 0.. {
        assert!(round < 5, "they do not come to rest");
        bench.pass(1_000);
        for client in &mut clients {
            client.beat(&mut bench, false).unwrap();
        }
        if bench.describe().state == "Stable" {
            break;
        }
    }
    assert!(clients.iter().all(|client| client.owned.len() == 2));
    assert_eq!(shares(&mut bench) - before, 1, "one look was enough");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn no_partition_has_two_owners(
        moves in prop::collection::vec((0usize..4, 0u8..12), 1..80),
    ) {
        let mut bench = Bench::new();
        let mut clients: Vec<Client> =
            (0..4).map(|number| Client::new(&format!("m{number}"), if number < 3 { &["a", "b"] } else { &["b"] })).collect();
        for (who, what) in moves {
            match what {
                // An answer is lost on the way.
                0 => drop(clients[who].beat(&mut bench, true)),
                // It leaves, and comes back later.
                1 => {
                    let leaves = ConsumerHeartbeat { epoch: -1, ..clients[who].request() };
                    let _ = bench.beat(leaves);
                    clients[who].epoch = 0;
                    clients[who].owned = Assignment::default();
                }
                // Its process ends without a word; the next one has another id.
                2 => {
                    clients[who].name.push('x');
                    clients[who].epoch = 0;
                    clients[who].owned = Assignment::default();
                }
                3 => {
                    // Time passes; whoever is fenced meanwhile has stopped by itself, as its own clock says.
                    bench.pass(46_000);
                    for client in &mut clients {
                        client.epoch = 0;
                        client.owned = Assignment::default();
                    }
                }
                4 => bench.crash(),
                5 => {
                    let partitions = bench.world.0.get_mut("a").unwrap();
                    *partitions = (*partitions % 8) + 1;
                    // Only growth is possible.
                    *partitions = (*partitions).max(6);
                    bench.step(|shard, at, step| shard.topics_changed(at, step));
                }
                _ => drop(clients[who].beat(&mut bench, false)),
            }
            check_exclusive(&clients);
        }
        bench.pass(46_000);
        for client in &mut clients {
            client.epoch = 0;
            client.owned = Assignment::default();
        }
        settle(&mut bench, &mut clients);
        let partitions: u32 = ["a", "b"].iter().map(|name| bench.world.0[*name]).sum();
        prop_assert_eq!(all_owned(&clients).len(), partitions as usize);
    }
}
