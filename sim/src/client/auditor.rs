use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use highwater_node::request::{FetchError, ListedOffset, OffsetSpec, Produce, ProducePartition};
use highwater_records::TimestampMs;
use highwater_replication::Acks;

use super::{
    a_moment,
    producer::send,
    reader::{fetch, offset_of},
};
use crate::{
    batch::{NewBatch, SeenBatch},
    history::Event,
    invariant::l8_timestamps,
    observer::Violation,
    random::Random,
    topic::Topic,
    world::World,
};

use highwater_env::Env as _;

/// How far an audit has come.
#[derive(Debug, Default)]
pub struct Audit {
    open: AtomicU32,
    waiting_for: parking_lot::Mutex<std::collections::BTreeMap<String, &'static str>>,
}

impl Audit {
    /// Whether every partition is through.
    pub fn is_done(&self) -> bool {
        self.open.load(Ordering::Relaxed) == 0
    }

    /// What is still missing, for people.
    pub fn missing(&self) -> String {
        format!("{:?}", self.waiting_for.lock())
    }
}

/// Asks of every partition what a healthy broker must give in the end: it takes a record, it shows everything from
/// the log start to the watermark, times are found where they are, and a tiered one copies what is sealed.
pub fn audit(world: &Arc<World>) -> Arc<Audit> {
    let audit = Arc::new(Audit::default());
    for topic in world.topics() {
        for index in 0..topic.partitions {
            audit.open.fetch_add(1, Ordering::Relaxed);
            let (inside, audit, topic) = (world.clone(), audit.clone(), topic.clone());
            let random = world.fork_random();
            world.start(async move {
                let name = format!("{}-{index}", topic.name);
                let one = One { world: &inside, topic, index, random };
                one.run(|step| {
                    audit.waiting_for.lock().insert(name.clone(), step);
                })
                .await;
                audit.waiting_for.lock().remove(&name);
                audit.open.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }
    audit
}

struct One<'a> {
    world: &'a Arc<World>,
    topic: Arc<Topic>,
    index: u32,
    random: Random,
}

impl One<'_> {
    async fn run(mut self, step: impl Fn(&'static str)) {
        step("a record to be taken");
        self.produce().await;
        step("everything to be readable");
        let read = self.read_everything().await;
        step("times to be found");
        self.find_times(&read).await;
        if self.topic.tiered {
            step("what is sealed to be in the bucket");
            self.wait_for_offload().await;
        }
    }

    async fn produce(&mut self) {
        loop {
            let batch = NewBatch {
                tag: self.world.tag(),
                count: 1,
                value_size: 8,
                timestamp_ms: self.world.clients.wall_ms(),
                producer: None,
            };
            let (op, at, content) = (self.world.op(), self.topic.partition(self.index), batch.content());
            self.world.event(&Event::ProduceInvoked { op, at, content });
            let request = Produce {
                acks: Acks::All,
                timeout: Duration::from_secs(5),
                transactional: false,
                partitions: vec![ProducePartition {
                    topic: self.topic.reference(&mut self.random),
                    partition: self.index as i32,
                    records: batch.encode(),
                }],
            };
            let answer = send(self.world, vec![(at, 1)], request).await;
            if let Some(Ok(produced)) = answer.and_then(|answers| answers.into_iter().next()) {
                let base = produced.base_offset.get();
                let log_start = produced.log_start.get();
                self.world.event(&Event::ProduceAcked { op, at, base, last: base, content, log_start });
                return;
            }
            a_moment(self.world).await;
        }
    }

    /// Every batch from the log start to the watermark.
    async fn read_everything(&mut self) -> Vec<SeenBatch> {
        let mut batches: Vec<SeenBatch> = Vec::new();
        let mut offset = 0;
        loop {
            let wait = Duration::from_millis(500);
            let from = (offset, None);
            match fetch(self.world, &self.topic, self.index, from, wait, &mut self.random).await {
                Some(Ok(read)) => {
                    batches.extend(read.batches);
                    offset = read.next.unwrap_or(offset);
                    if offset >= read.positions.watermark {
                        return batches;
                    }
                }
                Some(Err(FetchError::OffsetOutOfRange { log_start, .. })) => {
                    batches.clear();
                    offset = log_start.get();
                }
                _ => a_moment(self.world).await,
            }
        }
    }

    /// L8: a time is found at the first record with that timestamp or a later one.
    async fn find_times(&mut self, read: &[SeenBatch]) {
        if read.is_empty() {
            return;
        }
        for _ in 0..3 {
            let batch = self.random.pick(read);
            let wanted = batch.first_timestamp + self.random.below(batch.last - batch.base + 2) as i64;
            let spec = OffsetSpec::At(TimestampMs(wanted));
            let found = loop {
                match offset_of(self.world, &self.topic, self.index, spec, &mut self.random).await {
                    Some(Ok(found)) => break found,
                    _ => a_moment(self.world).await,
                }
            };
            let found = found.offset.map(highwater_records::Offset::get);
            if found.is_none() && self.earliest().await > read.last().map_or(0, |last| last.last) {
                // The leader's clock is so far ahead that retention has passed all of it meanwhile.
                return;
            }
            if let Err(why) = l8_timestamps::check(read, wanted, found) {
                let why = format!("{}: {why}", self.topic.partition(self.index));
                self.world.violate(Violation { invariant: l8_timestamps::NAME, why });
            }
        }
    }

    async fn earliest(&mut self) -> u64 {
        loop {
            let spec = OffsetSpec::Earliest;
            match offset_of(self.world, &self.topic, self.index, spec, &mut self.random).await {
                Some(Ok(ListedOffset { offset: Some(offset), .. })) => return offset.get(),
                _ => a_moment(self.world).await,
            }
        }
    }

    async fn wait_for_offload(&mut self) {
        loop {
            let pending = OffsetSpec::EarliestPendingUpload;
            let pending = offset_of(self.world, &self.topic, self.index, pending, &mut self.random).await;
            let latest = OffsetSpec::Latest;
            let latest = offset_of(self.world, &self.topic, self.index, latest, &mut self.random).await;
            if let (Some(Ok(pending)), Some(Ok(latest))) = (pending, latest)
                && let (Some(pending), Some(latest)) = (pending.offset, latest.offset)
                // The active segment stays; it is rolled by time, and nothing is appended any more.
                && pending >= latest
            {
                return;
            }
            self.world.pause(Duration::from_millis(500), Duration::from_secs(1)).await;
        }
    }
}
