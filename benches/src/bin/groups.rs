//! What groups cost: memory, the time of a replay, and rebalances, for one large group of either protocol, many groups,
//! and many offsets.
//!
//! `cargo run --release -p highwater-benches --bin groups`

use bytes::Bytes;
use highwater_coordinator::{
    Assignment, Caller, CommitOffsets, CommitPartition, CommitTopic, ConsumerHeartbeat, GroupConfig,
    GroupReply, GroupRequest, GroupShard, JoinGroup, Logged, Moment, NewRecord, Protocol, ReplyTo, Shard,
    Step, SyncGroup, TopicFacts, Topics,
};
use highwater_records::{Offset, TimestampMs, TopicId};
use std::{
    fs,
    time::{Duration, Instant},
};

struct World;

impl Topics for World {
    fn named(&self, _: &str) -> Option<TopicFacts> {
        Some(TopicFacts { id: TopicId::from_bytes([7; 16]), partitions: 10_000 })
    }

    fn name_of(&self, _: TopicId) -> Option<String> {
        None
    }

    fn for_each_name(&self, _: &mut dyn FnMut(&str)) {}
}

/// A shard and what it had appended.
struct Run {
    shard: GroupShard,
    log: Vec<NewRecord>,
    tickets: u64,
    now: u64,
    /// The slowest step.
    slowest: Duration,
}

impl Run {
    fn new() -> Run {
        let config = GroupConfig { initial_rebalance_delay_ms: 0, ..GroupConfig::default() };
        Run { shard: GroupShard::new(config), log: Vec::new(), tickets: 0, now: 0, slowest: Duration::ZERO }
    }

    fn step(
        &mut self,
        act: impl FnOnce(&mut GroupShard, &Moment<'_>, &mut Step<GroupShard>),
    ) -> Vec<GroupReply> {
        let mut step = Step::default();
        let random = u128::from(self.tickets) << 80 | u128::from(self.tickets);
        let at = Moment { elapsed_ms: self.now, wall: TimestampMs(1), random, topics: &World, groups: &() };
        let began = Instant::now();
        act(&mut self.shard, &at, &mut step);
        self.slowest = self.slowest.max(began.elapsed());
        self.log.extend(step.records);
        step.replies.into_iter().map(|(_, reply)| reply).collect()
    }

    fn ask(&mut self, request: impl Into<GroupRequest>) -> Vec<GroupReply> {
        self.tickets += 1;
        let (request, ticket) = (request.into(), ReplyTo(self.tickets));
        self.step(|shard, at, step| shard.handle(at, request, ticket, step))
    }

    fn commit(&mut self, group: &str, topic: &str, partitions: std::ops::Range<i32>) {
        let offset =
            |partition| CommitPartition { partition, offset: 1, leader_epoch: 0, metadata: String::new() };
        let partitions = partitions.map(offset).collect();
        self.ask(CommitOffsets {
            group: group.into(),
            member: String::new(),
            instance: None,
            generation: -1,
            retention_ms: None,
            knows_group_not_found: true,
            transaction: None,
            topics: vec![CommitTopic { name: topic.into(), id: TopicId::ZERO, partitions }],
        });
    }

    /// One stable group of `count` members with a subscription and an assignment of `bytes` each.
    fn large_group(&mut self, count: usize, bytes: usize) {
        let began = Instant::now();
        let mut members = Vec::with_capacity(count);
        for _ in 0..count {
            let joins = JoinGroup {
                group: "large".into(),
                member: String::new(),
                instance: None,
                caller: Caller { client_id: "consumer".into(), host: "/127.0.0.1".into() },
                session_timeout_ms: 45_000,
                rebalance_timeout_ms: 300_000,
                protocol_type: "consumer".into(),
                protocols: vec![Protocol { name: "range".into(), metadata: vec![0; bytes].into() }],
                knows_member_id_required: false,
                knows_skip_assignment: true,
            };
            self.ask(joins);
        }
        self.now += 1;
        let mut generation = 0;
        let mut leader = String::new();
        for _ in 0..count {
            if self.shard.next_deadline().is_none_or(|due| due > self.now) {
                break;
            }
            for reply in self.step(|shard, at, step| shard.on_deadline(at, step)) {
                if let GroupReply::Join(Ok(joined)) = reply {
                    generation = joined.generation;
                    leader = joined.leader;
                    members.push(joined.member);
                }
            }
            if members.len() == count {
                break;
            }
        }
        assert_eq!(members.len(), count, "all have joined");
        let assignments =
            members.iter().map(|member| (member.clone(), Bytes::from(vec![0; bytes]))).collect();
        self.ask(SyncGroup {
            group: "large".into(),
            member: leader,
            instance: None,
            generation,
            protocol_type: None,
            protocol: None,
            assignments,
        });
        eprintln!(
            "{count} members joined and had their assignment in {:.1?}; slowest step {:.1?}",
            began.elapsed(),
            self.slowest
        );
    }
}

impl Run {
    /// One beat of a member of a consumer group; its epoch and what it has afterwards.
    fn beat(&mut self, number: usize, (epoch, has): (i32, Assignment)) -> (i32, Assignment) {
        let joins = epoch == 0;
        let beat = ConsumerHeartbeat {
            group: "large".into(),
            member: format!("00000000-0000-0000-0000-{number:012}"),
            epoch,
            rebalance_timeout_ms: joins.then_some(300_000),
            topics: joins.then(|| vec!["topic".into()]),
            owned: Some(has.clone()),
            caller: Caller { client_id: "consumer".into(), host: "/127.0.0.1".into() },
            ..ConsumerHeartbeat::default()
        };
        match self.ask(beat).pop() {
            Some(GroupReply::ConsumerBeat(Ok(told))) => (told.epoch, told.assignment.unwrap_or(has)),
            other => panic!("a member is refused: {other:?}"),
        }
    }

    /// Beats of everybody, five seconds' worth of time between two of the same member, until nobody's epoch changes.
    fn settle(&mut self, members: &mut [(i32, Assignment)]) -> usize {
        let each = members.len().div_ceil(5_000).max(1);
        for round in 1.. {
            let before: Vec<i32> = members.iter().map(|(epoch, _)| *epoch).collect();
            for (number, member) in members.iter_mut().enumerate() {
                self.now += u64::from(number.is_multiple_of(each));
                *member = self.beat(number, std::mem::take(member));
            }
            if members.iter().map(|(epoch, _)| *epoch).eq(before) && round > 1 {
                return round;
            }
        }
        unreachable!("there is always another round")
    }

    /// A group of so many members that the coordinator gives one partition each, and one member more.
    fn large_consumer_group(&mut self, count: usize) {
        let began = Instant::now();
        let mut members = Vec::with_capacity(count + 1);
        for number in 0..count {
            self.now += u64::from(number.is_multiple_of(4));
            members.push(self.beat(number, (0, Assignment::default())));
        }
        let joined = began.elapsed();
        let rounds = self.settle(&mut members);
        let settled = began.elapsed();
        assert!(members.iter().all(|(_, has)| has.len() == 10_000 / count));
        eprintln!(
            "{count} members joined in {joined:.1?}, settled after {rounds} rounds in {settled:.1?}; slowest step {:.1?}",
            self.slowest
        );
        self.slowest = Duration::ZERO;
        let began = Instant::now();
        members.push(self.beat(count, (0, Assignment::default())));
        self.now += 1_000;
        let rounds = self.settle(&mut members);
        eprintln!("one more: {rounds} rounds in {:.1?}; slowest step {:.1?}", began.elapsed(), self.slowest);
    }
}

fn resident_kib() -> u64 {
    let pages: u64 = fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split(' ').nth(1)?.parse().ok())
        .unwrap_or(0);
    pages * 4
}

/// Builds a shard, replays its log, and prints what both took.
fn measure(what: &str, build: impl FnOnce(&mut Run)) {
    let mut run = Run::new();
    build(&mut run);
    let bytes: usize =
        run.log.iter().map(|record| record.key.len() + record.value.as_ref().map_or(0, Vec::len)).sum();
    // The first one stays, so that the second cannot have its memory.
    let Run { log, shard: first, .. } = run;
    let before = resident_kib();
    let began = Instant::now();
    let mut replayed = GroupShard::new(GroupConfig::default());
    for (offset, record) in log.iter().enumerate() {
        let logged = Logged {
            key: Some(&record.key),
            value: record.value.as_deref(),
            offset: Offset::new(offset as u64).expect("far below the largest"),
            transaction: None,
        };
        replayed.replay(&logged).expect("what was written is read");
    }
    let took = began.elapsed();
    let grown = resident_kib().saturating_sub(before);
    println!(
        "| {what} | {} | {:.1} | {:.1} | {:.1} |",
        log.len(),
        bytes as f64 / 1048576.0,
        took.as_secs_f64() * 1e3,
        grown as f64 / 1024.0
    );
    assert_eq!(replayed.group_count(), first.group_count());
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("members") => {
            measure("a group of 10,000 members, 200 bytes each", |run| run.large_group(10_000, 200))
        }
        Some("consumers") => {
            measure("a KIP-848 group of 10,000 members, one partition each", |run| {
                run.large_consumer_group(10_000);
            });
        }
        Some("groups") => measure("10,000 groups with ten offsets each", |run| {
            for group in 0..10_000 {
                run.commit(&format!("group-{group}"), "topic", 0..10);
            }
        }),
        Some("offsets") => measure("100,000 offsets of one group", |run| {
            for topic in 0..100 {
                run.commit("group", &format!("topic-{topic}"), 0..1_000);
            }
        }),
        _ => {
            println!("| | records | MiB of them | replay, ms | resident after it, MiB more |");
            println!("|---|---|---|---|---|");
            let program = std::env::current_exe().expect("the program that runs");
            let mut notes = String::new();
            for what in ["members", "consumers", "groups", "offsets"] {
                // A process each, so that none is measured in the memory of another.
                let output = std::process::Command::new(&program).arg(what).output().expect("it runs again");
                let text = String::from_utf8_lossy(&output.stdout);
                println!("{}", text.lines().last().unwrap_or("nothing"));
                notes.push_str(&String::from_utf8_lossy(&output.stderr));
            }
            print!("\n{notes}");
        }
    }
}
