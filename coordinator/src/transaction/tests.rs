//! The coordinator step by step. After each step a second shard is replayed from all records so far and must agree.

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use highwater_records::{Offset, ProducerEpoch, ProducerId, TimestampMs, TopicId};

use super::{
    AddPartitions, BeginProducer, EndMarkers, EndTransaction, TransactionConfig, TransactionError as Error,
    TransactionReply as Reply, TransactionRequest as Request, TransactionShard,
};
use crate::shard::{Logged, Moment, ReplyTo, Shard, Step, TopicFacts, Topics};

struct OneTopic;

impl Topics for OneTopic {
    fn named(&self, name: &str) -> Option<TopicFacts> {
        (name == "t").then_some(TopicFacts { id: TopicId::from_bytes([1; 16]), partitions: 4 })
    }

    fn name_of(&self, _: TopicId) -> Option<String> {
        None
    }

    fn for_each_name(&self, each: &mut dyn FnMut(&str)) {
        each("t");
    }
}

const CONFIG: TransactionConfig =
    TransactionConfig { timeout_max_ms: 900_000, id_expiration_ms: 1_000_000, expiration_check_ms: 100_000 };

struct Driver {
    shard: TransactionShard,
    log: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    markers: Vec<EndMarkers>,
    now: u64,
    fresh: u64,
}

impl Driver {
    fn new() -> Driver {
        let mut driver =
            Driver { shard: TransactionShard::new(CONFIG), log: vec![], markers: vec![], now: 5, fresh: 100 };
        driver.step(|shard, at, step| shard.loaded(at, step));
        driver
    }

    fn step(
        &mut self,
        act: impl FnOnce(&mut TransactionShard, &Moment<'_>, &mut Step<TransactionShard>),
    ) -> Vec<Reply> {
        let wall = TimestampMs(1_000_000 + self.now.cast_signed());
        let at = Moment { elapsed_ms: self.now, wall, random: 0, topics: &OneTopic, groups: &() };
        let mut step = Step::default();
        act(&mut self.shard, &at, &mut step);
        self.log.extend(step.records.into_iter().map(|record| (record.key, record.value)));
        self.markers.extend(step.effects);
        let again = self.replayed();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for (shard, described) in [(&mut self.shard, &mut ours), (&mut { again }, &mut theirs)] {
            let mut step = Step::default();
            shard.handle(&at, Request::List, ReplyTo(0), &mut step);
            let Some((_, Reply::List(listed))) = step.replies.pop() else { panic!("no list") };
            for one in listed {
                shard.handle(&at, Request::Describe(one.id), ReplyTo(0), &mut step);
            }
            described.extend(step.replies);
        }
        assert_eq!(ours, theirs, "a replay gives the same");
        step.replies.into_iter().chain(step.early).map(|(_, reply)| reply).collect()
    }

    fn replayed(&self) -> TransactionShard {
        let mut shard = TransactionShard::new(CONFIG);
        for (offset, (key, value)) in (0..).zip(&self.log) {
            let offset = Offset::new(offset).unwrap();
            let record = Logged { key: Some(key), value: value.as_deref(), offset, transaction: None };
            shard.replay(&record).unwrap();
        }
        shard
    }

    fn ask(&mut self, request: Request) -> Reply {
        self.step(|shard, at, step| shard.handle(at, request, ReplyTo(1), step)).remove(0)
    }

    fn begin_expecting(&mut self, expected: Option<(i64, i16)>) -> Result<(u64, u16), Error> {
        let mut request = BeginProducer { id: "x".into(), timeout_ms: 1000, expected, fresh: None };
        loop {
            match self.ask(Request::Begin(request.clone())) {
                Reply::Begin(Err(Error::NeedsProducerId)) => {
                    self.fresh += 1;
                    request.fresh = Some(ProducerId(self.fresh));
                }
                Reply::Begin(answer) => return answer.map(|(id, epoch)| (id.0, epoch.0)),
                other => panic!("{other:?}"),
            }
        }
    }

    fn begin(&mut self) -> (u64, u16) {
        self.begin_expecting(None).unwrap()
    }

    fn add(
        &mut self,
        producer: (u64, u16),
        partitions: &[i32],
        verify_only: bool,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        let request = AddPartitions {
            id: "x".into(),
            producer_id: producer.0.cast_signed(),
            producer_epoch: producer.1.cast_signed(),
            partitions: partitions.iter().map(|partition| ("t".to_string(), *partition)).collect(),
            verify_only,
        };
        match self.ask(Request::Add(request)) {
            Reply::Add(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn end(&mut self, producer: (u64, u16), committed: bool, bumps_epoch: bool) -> Result<(u64, u16), Error> {
        let mut request = EndTransaction {
            id: "x".into(),
            producer_id: producer.0.cast_signed(),
            producer_epoch: producer.1.cast_signed(),
            committed,
            bumps_epoch,
            fresh: None,
        };
        loop {
            match self.ask(Request::End(request.clone())) {
                Reply::End(Err(Error::NeedsProducerId)) => {
                    self.fresh += 1;
                    request.fresh = Some(ProducerId(self.fresh));
                }
                Reply::End(answer) => return answer.map(|(id, epoch)| (id.0, epoch.0)),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Every partition has its marker.
    fn mark(&mut self) -> EndMarkers {
        let markers = self.markers.pop().expect("markers to write");
        let (producer_id, producer_epoch) = (markers.producer_id, markers.producer_epoch);
        self.ask(Request::Marked { id: markers.id.clone(), producer_id, producer_epoch });
        markers
    }

    fn state(&mut self) -> &'static str {
        match self.ask(Request::Describe("x".into())) {
            Reply::Describe(Ok(described)) => described.listed.state,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_transaction_of_an_older_client_keeps_its_epoch() {
    let mut driver = Driver::new();
    let producer = driver.begin();
    assert_eq!(producer, (101, 0));
    assert_eq!(driver.end(producer, true, false), Err(Error::InvalidState), "nothing has begun");
    assert_eq!(driver.add(producer, &[1], true), Ok(vec![Err(Error::NotInTransaction)]));
    assert_eq!(driver.add(producer, &[1, 2], false), Ok(vec![Ok(()); 2]));
    assert_eq!(driver.add(producer, &[1], true), Ok(vec![Ok(())]));
    assert_eq!(
        driver.add(producer, &[0, 9], false),
        Ok(vec![Err(Error::NotAttempted), Err(Error::UnknownTopicOrPartition)])
    );
    assert_eq!(driver.state(), "Ongoing");
    assert_eq!(driver.end(producer, true, false), Ok(producer));
    assert_eq!(driver.state(), "PrepareCommit");
    assert_eq!(driver.end(producer, true, false), Err(Error::Concurrent));
    assert_eq!(driver.end(producer, false, false), Err(Error::InvalidState));
    assert_eq!(driver.add(producer, &[1], false), Err(Error::Concurrent));
    let markers = driver.mark();
    assert!(markers.committed && !markers.epoch_is_newer);
    assert_eq!(markers.partitions, BTreeMap::from([("t".to_string(), vec![1, 2])]));
    assert_eq!((markers.producer_id, markers.producer_epoch), (ProducerId(101), ProducerEpoch(0)));
    assert_eq!(driver.state(), "CompleteCommit");
    assert_eq!(driver.end(producer, true, false), Ok(producer), "the same request again");
    assert_eq!(driver.end(producer, false, false), Err(Error::InvalidState));
}

#[test]
fn a_newer_client_gets_another_epoch_with_each_transaction() {
    let mut driver = Driver::new();
    let first = driver.begin();
    driver.add(first, &[0], false).unwrap().remove(0).unwrap();
    let second = driver.end(first, true, true).unwrap();
    assert_eq!(second, (101, 1));
    assert_eq!(driver.end(first, true, true), Err(Error::Concurrent), "again, while it goes on");
    assert_eq!(driver.end(first, false, true), Err(Error::InvalidState), "again, and otherwise");
    assert_eq!(driver.end(second, false, true), Err(Error::Concurrent), "the next one, before it has begun");
    let markers = driver.mark();
    assert!(markers.epoch_is_newer);
    assert_eq!(markers.producer_epoch, ProducerEpoch(1));
    assert_eq!(driver.end(first, true, true), Ok(second), "again, its answer was lost");
    assert_eq!(driver.end(first, false, true), Err(Error::InvalidState));
    assert_eq!(driver.add(first, &[0], false), Err(Error::Fenced), "records of the transaction before");
    // An abort of nothing is an epoch further too.
    let third = driver.end(second, false, true).unwrap();
    assert_eq!(third, (101, 2));
    assert!(driver.mark().partitions.is_empty());
    assert_eq!(driver.end(third, true, true), Err(Error::InvalidState), "a commit of nothing");
    driver.add(third, &[3], false).unwrap().remove(0).unwrap();
    assert_eq!(driver.end(second, false, true), Err(Error::Fenced), "not a repetition any more");
}

#[test]
fn a_second_producer_aborts_and_fences_the_first() {
    let mut driver = Driver::new();
    let first = driver.begin();
    driver.add(first, &[0], false).unwrap().remove(0).unwrap();
    assert_eq!(driver.begin_expecting(None), Err(Error::Concurrent));
    assert_eq!(driver.begin_expecting(None), Err(Error::Concurrent), "until the markers are there");
    let markers = driver.mark();
    assert!(!markers.committed && markers.producer_epoch > ProducerEpoch(first.1));
    let second = driver.begin();
    assert!(second.0 == first.0 && second.1 > markers.producer_epoch.0);
    assert_eq!(driver.add(first, &[0], false), Err(Error::Fenced));
    assert_eq!(driver.end(first, true, false), Err(Error::Fenced));
    assert_eq!(driver.end(first, true, true), Err(Error::Fenced));
    let signed = |producer: (u64, u16)| (producer.0.cast_signed(), producer.1.cast_signed());
    assert_eq!(driver.begin_expecting(Some(signed(first))), Err(Error::Fenced), "it may not come back");
    let third = driver.begin_expecting(Some(signed(second))).unwrap();
    assert_eq!(third.1, second.1 + 1);
    assert_eq!(driver.begin_expecting(Some((7, 0))), Err(Error::Fenced));
}

#[test]
fn what_takes_too_long_is_aborted_also_after_a_restart() {
    let mut driver = Driver::new();
    let producer = driver.begin();
    driver.add(producer, &[0, 1], false).unwrap().remove(0).unwrap();
    assert_eq!(driver.shard.next_deadline(), Some(5 + 1000));
    driver.shard = driver.replayed();
    driver.now = 400;
    driver.step(|shard, at, step| shard.loaded(at, step));
    assert_eq!(driver.shard.next_deadline(), Some(5 + 1000));
    driver.now = 1005;
    driver.step(|shard, at, step| shard.on_deadline(at, step));
    assert_eq!(driver.state(), "PrepareAbort");
    // Before its markers are there the coordinator moves: the next one writes them.
    driver.markers.clear();
    driver.shard = driver.replayed();
    driver.step(|shard, at, step| shard.loaded(at, step));
    assert!(!driver.mark().committed);
    assert_eq!(driver.state(), "CompleteAbort");
    for committed in [true, false] {
        assert_eq!(driver.end(producer, committed, true), Err(Error::Fenced));
    }
}

#[test]
fn used_up_epochs_make_way_for_a_fresh_producer_id() {
    let mut driver = Driver::new();
    let mut producer = driver.begin();
    while producer.1 < 32_766 {
        producer = driver.begin();
        driver.log.drain(..driver.log.len() - 1);
    }
    assert_eq!(producer.0, 101);
    driver.add(producer, &[0], false).unwrap().remove(0).unwrap();
    let next = driver.end(producer, true, true).unwrap();
    assert_eq!(next, (102, 0));
    let markers = driver.mark();
    assert_eq!((markers.producer_id, markers.producer_epoch), (ProducerId(101), ProducerEpoch(32_767)));
    assert_eq!(driver.end(producer, true, true), Ok(next), "again, its answer was lost");
    driver.add(next, &[0], false).unwrap().remove(0).unwrap();
    assert_eq!(driver.end(producer, true, true), Err(Error::InvalidProducerIdMapping));
}

#[test]
fn ids_that_nobody_uses_are_forgotten() {
    let mut driver = Driver::new();
    driver.begin();
    driver.now = 200_000;
    driver.step(|shard, at, step| shard.on_deadline(at, step));
    assert_eq!(driver.shard.id_count(), 1);
    driver.now = 1_200_000;
    driver.step(|shard, at, step| shard.on_deadline(at, step));
    assert_eq!(driver.shard.id_count(), 0);
    assert_eq!(driver.ask(Request::Describe("x".into())), Reply::Describe(Err(Error::UnknownId)));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut driver = Driver::new();
    let begin = |id: &str, timeout_ms| {
        Request::Begin(BeginProducer { id: id.into(), timeout_ms, expected: None, fresh: None })
    };
    assert_eq!(driver.ask(begin("", 1)), Reply::Begin(Err(Error::InvalidRequest)));
    for timeout in [0, -1, 900_001] {
        assert_eq!(driver.ask(begin("x", timeout)), Reply::Begin(Err(Error::InvalidTimeout)));
    }
    assert_eq!(driver.add((101, 0), &[0], false), Err(Error::InvalidProducerIdMapping));
    assert_eq!(driver.end((101, 0), true, true), Err(Error::InvalidProducerIdMapping));
    let producer = driver.begin();
    assert_eq!(driver.add((producer.0 + 1, 0), &[0], false), Err(Error::InvalidProducerIdMapping));
    assert_eq!(driver.add((producer.0, 1), &[0], false), Err(Error::Fenced));
    assert_eq!(driver.end((producer.0, 1), true, true), Err(Error::Fenced));
}
