//! What coordinators keep in their topics, replayed into shards that go on from there, whatever it says.

use std::fmt::Debug;

use bytes::Bytes;
use highwater_coordinator::{
    AddPartitions, Assignment, BeginProducer, Caller, CommitOffsets, CommitPartition, CommitTopic,
    ConsumerHeartbeat, DeleteOffsets, EndTransaction, FetchOffsets, GroupConfig, GroupRequest, GroupShard,
    Heartbeat, JoinGroup, LeaveGroup, Leaving, Logged, Marker, Moment, NewRecord, Protocol, ReplyTo, Shard,
    Step, SyncGroup, TopicFacts, Topics, Transaction, TransactionConfig, TransactionRequest,
    TransactionShard,
};
use highwater_records::{Offset, ProducerEpoch, ProducerId, TimestampMs, TopicId};

/// Rows of a log, and what happens between them.
pub(crate) fn run_groups(input: &[u8]) {
    groups(input);
}

/// The same, of transactions.
pub(crate) fn run_transactions(input: &[u8]) {
    transactions(input);
}

fn groups(input: &[u8]) -> Vec<NewRecord> {
    Bench::run(input, || GroupShard::new(GroupConfig::default()), group_request)
}

fn transactions(input: &[u8]) -> Vec<NewRecord> {
    Bench::run(input, || TransactionShard::new(TIMES), transaction_request)
}

/// A classic group of one member with offsets, and a group of consumers; then the log that they leave.
pub(crate) fn group_seeds() -> Vec<Vec<u8>> {
    // Version 1: the topic, no data of the member's own, nothing owned.
    let subscription = [&[0, 1, 0, 0, 0, 1, 0, 6], &b"orders"[..], &[0xff; 4], &[0; 4]].concat();
    let mut rows = Rows::default();
    rows.request(13).text("readers").text("").flag(false).number(10_000).number(30_000).text("consumer");
    rows.byte(1).text("range").bytes(&subscription).flag(false).flag(true).time(4, 10);
    rows.request(1).text("readers");
    rows.request(9).text("simple").text("").flag(false).number(-1).flag(false).flag(true).flag(false);
    rows.byte(1).text("orders").byte(0).byte(1).number(2).number(7).number(0).text("mine");
    rows.request(10).text("consumers").text("one").number(0).flag(false).flag(true).text("a").flag(true);
    rows.number(30_000)
        .flag(true)
        .byte(1)
        .text("payments")
        .flag(true)
        .text("ord.*")
        .flag(true)
        .text("uniform");
    rows.flag(true).time(1, 10);
    rows.request(10).text("consumers").text("one").number(1).flag(false).flag(false).flag(false).flag(false);
    rows.flag(false).flag(false).flag(true).time(1, 10);
    rows.request(2).text("consumers");
    rows.request(5).text("simple").flag(false).flag(false).flag(true);
    let log = groups(&rows.0);
    assert!(log.len() > 6, "the seed writes {} records", log.len());
    vec![rows.0, Rows::of(&log).0]
}

/// A transaction that is committed; then the log that it leaves.
pub(crate) fn transaction_seeds() -> Vec<Vec<u8>> {
    let mut rows = Rows::default();
    rows.request(2).text("payments").number(60_000).flag(false).flag(true).byte(7);
    rows.request(5).text("payments").number(7).number(0).byte(1).text("orders").number(2).flag(false);
    rows.request(9).text("payments").number(7).number(0).flag(true).flag(true).flag(false);
    rows.request(13).text("payments").byte(7).byte(1);
    rows.request(1).text("payments").time(200, 16);
    let log = transactions(&rows.0);
    assert!(log.len() > 3, "the seed writes {} records", log.len());
    vec![rows.0, Rows::of(&log).0]
}

/// What [`Input`] reads.
#[derive(Default)]
struct Rows(Vec<u8>);

impl Rows {
    fn of(log: &[NewRecord]) -> Rows {
        let mut rows = Rows::default();
        for record in log {
            rows.byte(RECORD).bytes(&record.key).flag(record.value.is_some());
            if let Some(value) = &record.value {
                rows.bytes(value);
            }
        }
        rows
    }

    fn byte(&mut self, byte: u8) -> &mut Rows {
        self.0.push(byte);
        self
    }

    fn request(&mut self, kind: u8) -> &mut Rows {
        self.byte(REQUEST + kind)
    }

    fn number(&mut self, number: i32) -> &mut Rows {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn flag(&mut self, flag: bool) -> &mut Rows {
        self.byte(flag.into())
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Rows {
        self.0.extend(u16::try_from(bytes.len()).expect("short").to_be_bytes());
        self.0.extend(bytes);
        self
    }

    fn text(&mut self, text: &str) -> &mut Rows {
        self.bytes(text.as_bytes())
    }

    fn time(&mut self, of: u8, shift: u8) -> &mut Rows {
        self.byte(TIME).byte(of).byte(shift)
    }
}

/// Two topics: one of three partitions, one of one.
struct World;

impl Topics for World {
    fn named(&self, name: &str) -> Option<TopicFacts> {
        let partitions = NAMES.iter().position(|known| *known == name)?;
        Some(TopicFacts { id: id(partitions as u8), partitions: [3, 1][partitions] })
    }

    fn name_of(&self, of: TopicId) -> Option<String> {
        (0..2).find(|number| id(*number) == of).map(|number| NAMES[usize::from(number)].into())
    }

    fn for_each_name(&self, each: &mut dyn FnMut(&str)) {
        NAMES.into_iter().for_each(each);
    }
}

const NAMES: [&str; 2] = ["orders", "payments"];

fn id(number: u8) -> TopicId {
    TopicId::from_bytes([number + 1; 16])
}

/// Kafka's defaults.
const TIMES: TransactionConfig = TransactionConfig {
    timeout_max_ms: 900_000,
    id_expiration_ms: 604_800_000,
    expiration_check_ms: 3_600_000,
};

/// Kinds of rows. Whatever else a row begins with is a request.
const RECORD: u8 = 0;
const TRANSACTIONAL: u8 = 1;
const MARKER: u8 = 2;
const TIME: u8 = 3;
/// Of a request, so that each of its kinds has a byte of its own.
const REQUEST: u8 = 16;

struct Bench<S: Shard> {
    shard: S,
    new: fn() -> S,
    /// What was taken from the input, and what the shard wrote since.
    log: Vec<NewRecord>,
    loaded: bool,
    now_ms: u64,
    steps: u64,
}

impl<S: Shard> Bench<S>
where
    S::Reply: Debug,
{
    /// Returns the log as it is in the end.
    fn run(input: &[u8], new: fn() -> S, request: fn(u8, &mut Input<'_>) -> S::Request) -> Vec<NewRecord> {
        let mut bench = Bench { shard: new(), new, log: Vec::new(), loaded: false, now_ms: 1, steps: 0 };
        let mut input = Input(input);
        while let Some(kind) = input.byte() {
            match kind {
                RECORD | TRANSACTIONAL if !bench.loaded => {
                    let (key, value) = (input.bytes().to_vec(), input.maybe(|input| input.bytes().to_vec()));
                    let transaction = (kind == TRANSACTIONAL).then(|| input.transaction());
                    bench.replay(NewRecord { key, value, transaction });
                }
                MARKER => {
                    let marker = Marker { transaction: input.transaction(), committed: input.flag() };
                    bench.shard.marker(marker);
                }
                RECORD..=TIME => {
                    bench.pass(u64::from(input.byte().unwrap_or(1)) << (input.byte().unwrap_or(0) % 24))
                }
                kind => {
                    let request = request(kind, &mut input);
                    bench.ask(request);
                }
            }
        }
        bench.pass(1 << 20);
        bench.again();
        bench.log
    }

    fn replay(&mut self, record: NewRecord) {
        if replay(&mut self.shard, self.log.len() as u64, &record).is_ok() {
            self.log.push(record);
        }
    }

    fn step(&mut self, act: impl FnOnce(&mut S, &Moment<'_>, &mut Step<S>)) {
        let mut step = Step::default();
        self.steps += 1;
        let wall = TimestampMs(self.now_ms as i64);
        let random = u128::from(self.steps);
        let at = Moment { elapsed_ms: self.now_ms, wall, random, topics: &World, groups: &() };
        act(&mut self.shard, &at, &mut step);
        self.log.extend(step.records);
    }

    fn load(&mut self) {
        if !std::mem::replace(&mut self.loaded, true) {
            self.step(S::loaded);
        }
    }

    fn ask(&mut self, request: S::Request) {
        self.load();
        let ticket = ReplyTo(self.steps);
        self.step(|shard, at, step| shard.handle(at, request, ticket, step));
    }

    /// Time goes on; whoever waited for a deadline has it. Not for ever: a group may have one every few seconds.
    fn pass(&mut self, ms: u64) {
        self.load();
        let end = self.now_ms + ms;
        for _ in 0..1_000 {
            let Some(due) = self.shard.next_deadline().filter(|due| *due <= end) else { break };
            self.now_ms = self.now_ms.max(due);
            self.step(S::on_deadline);
        }
        self.now_ms = end;
        self.step(S::topics_changed);
    }

    /// Whatever a shard writes, the next one reads.
    fn again(&self) {
        let mut shard = (self.new)();
        for (offset, record) in (0..).zip(&self.log) {
            replay(&mut shard, offset, record).expect("it was read before, or written by a shard");
        }
    }
}

fn replay<S: Shard>(shard: &mut S, offset: u64, record: &NewRecord) -> Result<(), impl Debug + use<S>> {
    shard.replay(&Logged {
        key: Some(&record.key),
        value: record.value.as_deref(),
        offset: Offset::new(offset).expect("few records"),
        transaction: record.transaction,
    })
}

/// What is left of the input. It never ends too early: what is missing is empty or zero.
struct Input<'i>(&'i [u8]);

impl<'i> Input<'i> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> i32 {
        let mut bytes = [0; 4];
        bytes.iter_mut().for_each(|byte| *byte = self.byte().unwrap_or(0));
        i32::from_be_bytes(bytes)
    }

    fn flag(&mut self) -> bool {
        self.byte().is_some_and(|byte| byte % 2 == 1)
    }

    /// Some bytes, after their number in two.
    fn bytes(&mut self) -> &'i [u8] {
        let length = u16::from_be_bytes([self.byte().unwrap_or(0), self.byte().unwrap_or(0)]);
        let (taken, rest) = self.0.split_at(usize::from(length).min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    fn maybe<T>(&mut self, take: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| take(self))
    }

    /// Up to seven.
    fn several<T>(&mut self, mut take: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.byte().unwrap_or(0) % 8;
        (0..count).map(|_| take(self)).collect()
    }

    fn transaction(&mut self) -> Transaction {
        Transaction { producer: ProducerId(u64::from(self.byte().unwrap_or(0))), epoch: ProducerEpoch(0) }
    }
}

fn group_request(kind: u8, input: &mut Input<'_>) -> GroupRequest {
    let group = input.text();
    let partitions = |input: &mut Input<'_>| (input.text(), input.several(Input::number));
    match kind % REQUEST {
        0 => GroupRequest::List,
        1 => GroupRequest::Describe(group),
        2 => GroupRequest::DescribeConsumers(group),
        3 => GroupRequest::Delete(group),
        4 => GroupRequest::DeleteOffsets(DeleteOffsets { group, topics: input.several(partitions) }),
        5 => GroupRequest::Fetch(FetchOffsets {
            group,
            member: input.maybe(|input| (input.text(), input.number())),
            topics: input.maybe(|input| input.several(partitions)),
            require_stable: input.flag(),
        }),
        6 => GroupRequest::Leave(LeaveGroup {
            group,
            members: input
                .several(|input| Leaving { member: input.text(), instance: input.maybe(Input::text) }),
        }),
        7 => GroupRequest::Heartbeat(Heartbeat {
            group,
            member: input.text(),
            instance: input.maybe(Input::text),
            generation: input.number(),
        }),
        8 => GroupRequest::Sync(SyncGroup {
            group,
            member: input.text(),
            instance: input.maybe(Input::text),
            generation: input.number(),
            protocol_type: input.maybe(Input::text),
            protocol: input.maybe(Input::text),
            assignments: input.several(|input| (input.text(), Bytes::copy_from_slice(input.bytes()))),
        }),
        9 => GroupRequest::Commit(CommitOffsets {
            group,
            member: input.text(),
            instance: input.maybe(Input::text),
            generation: input.number(),
            retention_ms: input.maybe(|input| input.number().into()),
            knows_group_not_found: input.flag(),
            transaction: input.maybe(Input::transaction),
            topics: input.several(|input| CommitTopic {
                name: input.text(),
                id: id(input.byte().unwrap_or(0) % 3),
                partitions: input.several(|input| CommitPartition {
                    partition: input.number(),
                    offset: input.number().into(),
                    leader_epoch: input.number(),
                    metadata: input.text(),
                }),
            }),
        }),
        10..=12 => GroupRequest::ConsumerBeat(ConsumerHeartbeat {
            group,
            member: input.text(),
            epoch: input.number(),
            instance: input.maybe(Input::text),
            rack: input.maybe(Input::text),
            rebalance_timeout_ms: input.maybe(Input::number),
            topics: input.maybe(|input| input.several(Input::text)),
            regex: input.maybe(Input::text),
            assignor: input.maybe(Input::text),
            owned: input.maybe(|_| Assignment::default()),
            caller: Caller::default(),
        }),
        _ => GroupRequest::Join(JoinGroup {
            group,
            member: input.text(),
            instance: input.maybe(Input::text),
            caller: Caller::default(),
            session_timeout_ms: u64::from(input.number().unsigned_abs()),
            rebalance_timeout_ms: u64::from(input.number().unsigned_abs()),
            protocol_type: input.text(),
            protocols: input.several(|input| Protocol {
                name: input.text(),
                metadata: Bytes::copy_from_slice(input.bytes()),
            }),
            knows_member_id_required: input.flag(),
            knows_skip_assignment: input.flag(),
        }),
    }
}

fn transaction_request(kind: u8, input: &mut Input<'_>) -> TransactionRequest {
    let id = input.text();
    let fresh = |input: &mut Input<'_>| ProducerId(u64::from(input.byte().unwrap_or(0)));
    match kind % REQUEST {
        0 => TransactionRequest::List,
        1 => TransactionRequest::Describe(id),
        2..=4 => TransactionRequest::Begin(BeginProducer {
            id,
            timeout_ms: input.number(),
            expected: input.maybe(|input| (input.number().into(), input.number() as i16)),
            fresh: input.maybe(fresh),
        }),
        5..=8 => TransactionRequest::Add(AddPartitions {
            id,
            producer_id: input.number().into(),
            producer_epoch: input.number() as i16,
            partitions: input.several(|input| (input.text(), input.number())),
            verify_only: input.flag(),
        }),
        9..=12 => TransactionRequest::End(EndTransaction {
            id,
            producer_id: input.number().into(),
            producer_epoch: input.number() as i16,
            committed: input.flag(),
            bumps_epoch: input.flag(),
            fresh: input.maybe(fresh),
        }),
        _ => TransactionRequest::Marked {
            id,
            producer_id: ProducerId(u64::from(input.byte().unwrap_or(0))),
            producer_epoch: ProducerEpoch(u16::from(input.byte().unwrap_or(0))),
        },
    }
}
