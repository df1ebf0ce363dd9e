use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use highwater_env::{BoxFuture, Env};
use highwater_node::request::{Produce, ProduceError, ProducePartition, Produced};
use highwater_records::TopicIdPartition;
use highwater_replication::Acks;

use super::{a_moment, some_partition};
use crate::{
    batch::{NewBatch, content_of},
    broker::Broker,
    history::{Event, OpId, Said},
    invariant::{p2_valid_batches, p6_error_hygiene::is_final},
    observer::Violation,
    random::Random,
    topic::Topic,
    world::World,
};

/// A batch on its way.
struct Pending {
    op: OpId,
    topic: Arc<Topic>,
    index: u32,
    count: u32,
    /// As it travels, however often.
    bytes: Bytes,
    content: u64,
}

impl Pending {
    fn begin(world: &World, topic: Arc<Topic>, index: u32, batch: NewBatch) -> Pending {
        let bytes = batch.encode();
        let (op, content) = (world.op(), content_of(&bytes));
        let pending = Pending { op, topic, index, count: batch.count, bytes, content };
        world.event(&Event::ProduceInvoked {
            op: pending.op,
            at: pending.topic.partition(index),
            content: pending.content,
        });
        pending
    }

    fn request(&self, random: &mut Random) -> ProducePartition {
        ProducePartition {
            topic: self.topic.reference(random),
            partition: self.index as i32,
            records: self.bytes.clone(),
        }
    }

    fn acked(&self, world: &World, produced: &Produced) {
        let base = produced.base_offset.get();
        world.stats.progress("batches acknowledged");
        world.event(&Event::ProduceAcked {
            op: self.op,
            at: self.topic.partition(self.index),
            base,
            last: base + u64::from(self.count) - 1,
            content: self.content,
            log_start: produced.log_start.get(),
        });
    }
}

fn new_batch(world: &World, random: &mut Random) -> NewBatch {
    let large = random.chance(1, 10);
    NewBatch {
        tag: world.tag(),
        count: random.between(1, if large { 10 } else { 4 }) as u32,
        value_size: random.between(8, if large { 150 } else { 80 }) as usize,
        timestamp_ms: world.clients.wall_ms(),
        producer: None,
    }
}

/// Sends a request, for batches of so many records; see [`World::call`].
pub(super) async fn send(
    world: &Arc<World>,
    batches: Vec<(TopicIdPartition, u32)>,
    request: Produce,
) -> Option<Vec<Result<Produced, ProduceError>>> {
    let (inside, told) = (world.clone(), request.acks != Acks::None);
    let ask = move |broker: Arc<dyn Broker>| -> BoxFuture<'static, _> {
        Box::pin(async move {
            let answers = broker.produce(request).await;
            for ((at, count), answer) in batches.iter().zip(&answers) {
                if let (Ok(produced), true) = (answer, told) {
                    inside.probe_power(
                        *at,
                        Said::Acknowledged,
                        produced.base_offset.get() + u64::from(*count),
                    );
                }
            }
            answers
        })
    };
    world.call(ask).await
}

/// Sends batches without a producer id, to several partitions at once, with any `acks`. A batch whose outcome is not
/// known is not sent again: a second one would be another record.
pub async fn plain_producer(world: Arc<World>, mut random: Random) {
    let think = Duration::from_millis(random.between(5, 100));
    while !world.is_quiet() {
        world.pause(think / 4, think * 2).await;
        let acks = *random.pick(&[Acks::None, Acks::Leader, Acks::All, Acks::All]);
        let mut pending: Vec<Pending> = Vec::new();
        for _ in 0..random.between(1, 3) {
            let Some((topic, index)) = some_partition(&world, &mut random) else { break };
            // One batch per partition in a request.
            if !pending.iter().any(|other| (&other.topic, other.index) == (&topic, index)) {
                let batch = new_batch(&world, &mut random);
                pending.push(Pending::begin(&world, topic, index, batch));
            }
        }
        if pending.is_empty() {
            continue;
        }
        let partitions = pending.iter().map(|pending| pending.request(&mut random)).collect();
        let timeout = Duration::from_millis(random.between(50, 5_000));
        let request = Produce { acks, timeout, transactional: false, partitions };
        let batches = pending.iter().map(|one| (one.topic.partition(one.index), one.count)).collect();
        let Some(answers) = send(&world, batches, request).await else {
            world.stats.count("produce: no answer");
            continue;
        };
        for (pending, answer) in pending.iter().zip(answers) {
            match answer {
                // With acks=0 nobody is told anything.
                Ok(_) if acks == Acks::None => {}
                Ok(produced) => pending.acked(&world, &produced),
                Err(error) => refused(&world, pending, &error),
            }
        }
    }
}

fn refused(world: &World, pending: &Pending, error: &ProduceError) {
    world.stats.count(name(error));
    if is_final(error) {
        world.event(&Event::ProduceRefused {
            op: pending.op,
            at: pending.topic.partition(pending.index),
            content: pending.content,
        });
    }
    unexpected(world, pending, error);
}

/// Refusals that a broker of valid batches never gives.
fn unexpected(world: &World, pending: &Pending, error: &ProduceError) {
    let gone = !world.topics().iter().any(|topic| topic.id == pending.topic.id);
    let wrong = p2_valid_batches::is_wrong(error, pending.topic.promise, gone);
    if wrong && !world.gave_up(pending.topic.partition(pending.index)) {
        let why =
            format!("{} at {} was answered: {error}", pending.op.0, pending.topic.partition(pending.index));
        world.violate(Violation { invariant: p2_valid_batches::NAME, why });
    }
}

fn name(error: &ProduceError) -> &'static str {
    match error {
        ProduceError::Storage(_) => "produce: storage error",
        ProduceError::TimedOut => "produce: timed out",
        ProduceError::NotLeader => "produce: not leader",
        ProduceError::UnknownTopicOrPartition | ProduceError::UnknownTopicId => "produce: unknown topic",
        ProduceError::OutOfOrderSequence(_) => "produce: out of order",
        _ => "produce: other error",
    }
}

/// Sends batches under a producer id, one at a time per partition, each again and again until it is acknowledged.
pub async fn idempotent_producer(world: Arc<World>, mut random: Random) {
    let think = Duration::from_millis(random.between(5, 100));
    let mut session = None;
    while !world.is_quiet() {
        world.pause(think / 4, think * 2).await;
        let Some((topic, index)) = some_partition(&world, &mut random) else { continue };
        let session = match &mut session {
            Some(session) => session,
            none => match Session::begin(&world).await {
                Some(begun) => none.insert(begun),
                None => continue,
            },
        };
        let at = topic.partition(index);
        let sequence = session.next_sequence(at);
        let mut batch = new_batch(&world, &mut random);
        batch.producer = Some((session.id, session.epoch, sequence));
        let pending = Pending::begin(&world, topic, index, batch);
        if send_until_decided(&world, &mut random, &pending).await {
            let next = sequence.wrapping_add(batch.count as i32) & i32::MAX;
            if next < sequence {
                world.stats.count("mark: sequences wrap");
            }
            session.next.insert(at, next);
        } else {
            // What the broker knows of this session is gone, or the topic is: begin anew.
            session.next.clear();
            *session = match Session::begin(&world).await {
                Some(begun) => begun,
                None => return,
            };
        }
    }
}

struct Session {
    id: u64,
    epoch: u16,
    next: BTreeMap<TopicIdPartition, i32>,
    /// Where it begins in a partition. Brokers take any sequence of a producer that they do not know.
    first: i32,
}

impl Session {
    fn next_sequence(&self, at: TopicIdPartition) -> i32 {
        self.next.get(&at).copied().unwrap_or(self.first)
    }

    /// A new session; `None` when it is time to be quiet.
    async fn begin(world: &World) -> Option<Session> {
        while !world.is_quiet() {
            if let Some(Ok((id, epoch))) = world.call(|broker| broker.init_producer_id()).await {
                world.stats.progress("producer ids");
                // Every third one begins so close to the end that it soon begins anew.
                let first =
                    if world.has_replicas() && id.0 % 3 == 1 { i32::MAX - (id.0 % 7) as i32 } else { 0 };
                return Some(Session { id: id.0, epoch: epoch.0, next: BTreeMap::new(), first });
            }
            a_moment(world).await;
        }
        None
    }
}

/// Whether the batch was acknowledged; otherwise its session can go on no more.
async fn send_until_decided(world: &Arc<World>, random: &mut Random, pending: &Pending) -> bool {
    loop {
        let timeout = Duration::from_millis(random.between(50, 5_000));
        let partitions = vec![pending.request(random)];
        let request = Produce { acks: Acks::All, timeout, transactional: false, partitions };
        let batches = vec![(pending.topic.partition(pending.index), pending.count)];
        let answer = send(world, batches, request).await;
        match answer.and_then(|answers| answers.into_iter().next()) {
            Some(Ok(produced)) => {
                pending.acked(world, &produced);
                return true;
            }
            Some(Err(error)) => {
                world.stats.count(name(&error));
                unexpected(world, pending, &error);
                if is_final(&error) || matches!(error, ProduceError::OutOfOrderSequence(_)) {
                    return false;
                }
            }
            None => world.stats.count("produce: no answer"),
        }
        if !world.topics().iter().any(|topic| topic.id == pending.topic.id) || world.violation().is_some() {
            return false;
        }
        a_moment(world).await;
    }
}
