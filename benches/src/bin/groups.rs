//! What groups cost: memory, and the time of a replay, for one large group, many groups, and many offsets.
//!
//! `cargo run --release -p highwater-benches --bin groups`

use bytes::Bytes;
use highwater_coordinator::{
    Caller, CommitOffsets, CommitPartition, CommitTopic, GroupConfig, GroupReply, GroupRequest, GroupShard,
    JoinGroup, Logged, Moment, NewRecord, Protocol, ReplyTo, Shard, Step, SyncGroup, TopicFacts, Topics,
};
use highwater_records::{Offset, TimestampMs, TopicId};
use std::{fs, time::Instant};

struct World;

impl Topics for World {
    fn named(&self, _: &str) -> Option<TopicFacts> {
        Some(TopicFacts { id: TopicId::from_bytes([7; 16]), partitions: u32::MAX })
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
}

impl Run {
    fn new() -> Run {
        let config = GroupConfig { initial_rebalance_delay_ms: 0, ..GroupConfig::default() };
        Run { shard: GroupShard::new(config), log: Vec::new(), tickets: 0, now: 0 }
    }

    fn step(
        &mut self,
        act: impl FnOnce(&mut GroupShard, &Moment<'_>, &mut Step<GroupShard>),
    ) -> Vec<GroupReply> {
        let mut step = Step::default();
        let random = u128::from(self.tickets) << 80 | u128::from(self.tickets);
        let at = Moment { elapsed_ms: self.now, wall: TimestampMs(1), random, topics: &World };
        act(&mut self.shard, &at, &mut step);
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
            for what in ["members", "groups", "offsets"] {
                // A process each, so that none is measured in the memory of another.
                let output = std::process::Command::new(&program).arg(what).output().expect("it runs again");
                let text = String::from_utf8_lossy(&output.stdout);
                println!("{}", text.lines().last().unwrap_or("nothing"));
            }
        }
    }
}
