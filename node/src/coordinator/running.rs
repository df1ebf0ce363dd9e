use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use highwater_coordinator::{Marker, Moment, ReplyTo, Shard, Step, Transaction};
use highwater_env::{EnvExt, Instant, Lane};
use highwater_records::{LeaderEpoch, TimestampMs, TopicIdPartition};
use highwater_replication::Acks;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::{
    batches::batches,
    counted::until_counted,
    host::{EffectOf, Ground, Unavailable},
    load::replay,
    topics_view::{GroupsView, TopicsView},
};
use crate::{
    first_of::{First, first_of},
    partition::{AppendOutcome, Partition, State},
    request::{EndTransaction, ProduceError},
};

/// A shard that is being loaded or serves, for as long as this broker leads its partition in this epoch.
pub(super) struct Running<S: Shard> {
    pub(super) id: TopicIdPartition,
    pub(super) epoch: LeaderEpoch,
    life: Life,
    queue: Mutex<Queue<S>>,
    wake: Notify,
}

/// One life of a shard, from a replay of its partition until it ends: the next one may begin in the same leader epoch.
#[derive(Clone)]
pub(crate) struct Life {
    pub(crate) partition: u32,
    pub(crate) epoch: LeaderEpoch,
    ended: Arc<AtomicBool>,
}

impl Life {
    /// Whether it has ended. No other one begins before that.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    fn is(&self, other: &Life) -> bool {
        Arc::ptr_eq(&self.ended, &other.ended)
    }
}

struct Queue<S: Shard> {
    phase: Phase,
    commands: VecDeque<Command<S>>,
    topics_changed: bool,
    lost: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Loading,
    Serving,
    Ended,
}

pub(super) enum Command<S: Shard> {
    /// A request.
    Ask(S::Request, oneshot::Sender<S::Reply>),
    /// The end of a transaction in this partition, to be appended.
    Mark(EndTransaction, MarkSender),
}

/// Who waits for a marker to count, or to be refused.
pub(super) type MarkSender = oneshot::Sender<Result<(), ProduceError>>;

/// What became of a marker, to be told once everything before it counts.
struct Marked(MarkSender, Result<(), ProduceError>);

/// How many commands are handled before their records are appended, together.
const COMMANDS_MAX: usize = 256;

/// How many deadlines are handled before requests get their turn again.
const DEADLINES_MAX: usize = 256;

/// How large a batch of several records may be. A larger record has one of its own.
const BATCH_BYTES: usize = 512 << 10;

/// Why a shard ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("another broker leads, or this one in another epoch")]
    Lost,
    #[error("its partition cannot be replayed: {0}")]
    Load(String),
    #[error("its records could not be appended: {0}")]
    Append(ProduceError),
}

/// A shard ended by an error, which was logged.
pub(super) struct Failed;

impl From<ProduceError> for End {
    fn from(error: ProduceError) -> End {
        match error {
            ProduceError::NotLeader => End::Lost,
            error => End::Append(error),
        }
    }
}

impl<S: Shard> Running<S> {
    pub(super) fn new(id: TopicIdPartition, epoch: LeaderEpoch) -> Running<S> {
        let queue =
            Queue { phase: Phase::Loading, commands: VecDeque::new(), topics_changed: false, lost: false };
        let life = Life { partition: id.partition.0, epoch, ended: Arc::new(AtomicBool::new(false)) };
        Running { id, epoch, life, queue: Mutex::new(queue), wake: Notify::new() }
    }

    /// Whether nothing more will come of it.
    pub(super) fn has_ended(&self) -> bool {
        self.queue.lock().phase == Phase::Ended
    }

    /// Whether it has loaded, and not ended.
    #[cfg(test)]
    pub(super) fn serves(&self) -> bool {
        self.queue.lock().phase == Phase::Serving
    }

    /// Whether this is the shard in that life.
    pub(super) fn is(&self, life: &Life) -> bool {
        self.life.is(life)
    }

    /// Puts a command into the queue.
    pub(super) fn push(&self, command: Command<S>) -> Result<(), Unavailable> {
        let mut queue = self.queue.lock();
        match queue.phase {
            _ if queue.lost => Err(Unavailable::NotCoordinator),
            Phase::Ended => Err(Unavailable::NotCoordinator),
            Phase::Loading => Err(Unavailable::Loading),
            Phase::Serving => {
                queue.commands.push_back(command);
                drop(queue);
                self.wake.notify_one();
                Ok(())
            }
        }
    }

    /// Ends the shard: whoever waits is told to look for the coordinator again.
    pub(super) fn lose(&self) {
        self.queue.lock().lost = true;
        self.wake.notify_one();
    }

    /// Says that the cluster's topics changed.
    pub(super) fn topics_changed(&self) {
        self.queue.lock().topics_changed = true;
        self.wake.notify_one();
    }

    /// Loads and serves until the end; an error if the partition's leadership was not all that ended it.
    pub(super) async fn run(
        self: Arc<Self>,
        ground: Ground,
        shard: S,
        effect: EffectOf<S>,
    ) -> Result<(), Failed> {
        let end = match self.load(&ground, shard).await {
            Ok((shard, partition)) => self.serve(ground, shard, partition, effect).await,
            Err(end) => end,
        };
        // Before the next one may begin: what this one has others do is none of their business any more.
        self.life.ended.store(true, Ordering::SeqCst);
        let mut queue = self.queue.lock();
        queue.phase = Phase::Ended;
        queue.commands.clear();
        drop(queue);
        match end {
            End::Lost => {
                tracing::debug!(partition = %self.id, "coordinator shard ended: {end}");
                Ok(())
            }
            End::Load(_) | End::Append(_) => {
                tracing::error!(partition = %self.id, "coordinator shard ended: {end}");
                Err(Failed)
            }
        }
    }

    async fn load(&self, ground: &Ground, mut shard: S) -> Result<(S, Arc<Partition>), End> {
        let image = ground.cluster.image();
        let topic = image.topic(self.id.topic_id).ok_or(End::Lost)?;
        let partition = ground
            .partitions
            .get(&image, topic, self.id.partition)
            .await
            .map_err(|error| End::Load(error.to_string()))?;
        let view = partition.see(|state| state.view()).await.map_err(|_| End::Lost)?;
        if view.leader_epoch != self.epoch {
            return Err(End::Lost);
        }
        let started = ground.env.now();
        let shard = ground
            .env
            .run_blocking(Lane::ColdRead, move || replay(&view.reader, &mut shard).map(|()| shard))
            .await
            .map_err(|error| End::Load(error.to_string()))?
            .map_err(End::Load)?;
        // What a former leader appended last may still be cut off: before it counts nobody must be told of it, and no
        // marker be written for it.
        let (here, end) = (partition.clone(), view.positions.log_end);
        let counted = async { until_counted(&here, self.epoch, end).await };
        if !matches!(first_of(counted, self.is_lost()).await, First::Left(true)) {
            return Err(End::Lost);
        }
        let took = ground.env.now().since(started);
        tracing::debug!(partition = %partition.name, ?took, "coordinator shard loaded");
        Ok((shard, partition))
    }

    /// Completes once the shard is to end.
    async fn is_lost(&self) {
        while !self.queue.lock().lost {
            self.wake.notified().await;
        }
    }

    async fn serve(&self, ground: Ground, shard: S, partition: Arc<Partition>, effect: EffectOf<S>) -> End {
        let mut turn = Turn {
            ground,
            partition,
            life: self.life.clone(),
            shard,
            effect,
            senders: BTreeMap::new(),
            next_ticket: 0,
            waiting: VecDeque::new(),
        };
        let mut step = Step::default();
        turn.take_step(|shard, at| shard.loaded(at, &mut step));
        if let Err(end) = turn.append(step, Vec::new()).await {
            return end;
        }
        self.queue.lock().phase = Phase::Serving;
        loop {
            match self.round(&mut turn).await {
                Ok(true) => {}
                Ok(false) => {
                    if let Err(end) = turn.wait(&self.wake).await {
                        return end;
                    }
                }
                Err(end) => return end,
            }
        }
    }

    /// Handles what there is; `false` if there was nothing.
    async fn round(&self, turn: &mut Turn<S>) -> Result<bool, End> {
        let (commands, topics_changed) = {
            let mut queue = self.queue.lock();
            if queue.lost {
                return Err(End::Lost);
            }
            let count = queue.commands.len().min(COMMANDS_MAX);
            let commands: Vec<_> = queue.commands.drain(..count).collect();
            (commands, std::mem::take(&mut queue.topics_changed))
        };
        let mut busy = topics_changed || !commands.is_empty();
        let mut step = Step::default();
        let mut marks = Vec::new();
        for command in commands {
            match command {
                Command::Ask(request, sender) => {
                    let reply_to = turn.ticket(sender);
                    turn.take_step(|shard, at| shard.handle(at, request, reply_to, &mut step));
                }
                Command::Mark(request, sender) => {
                    // What came before it stands before it in the log.
                    turn.append(std::mem::take(&mut step), std::mem::take(&mut marks)).await?;
                    let marked = turn.mark(request).await?;
                    marks.push(Marked(sender, marked));
                }
            }
        }
        if topics_changed {
            turn.take_step(|shard, at| shard.topics_changed(at, &mut step));
        }
        for _ in 0..DEADLINES_MAX {
            let now = turn.elapsed_ms();
            if turn.shard.next_deadline().is_none_or(|due| due > now) {
                break;
            }
            turn.take_step(|shard, at| shard.on_deadline(at, &mut step));
            busy = true;
        }
        turn.append(step, marks).await?;
        turn.release()?;
        Ok(busy)
    }
}

/// A shard at work.
struct Turn<S: Shard> {
    ground: Ground,
    partition: Arc<Partition>,
    life: Life,
    shard: S,
    effect: EffectOf<S>,
    senders: BTreeMap<ReplyTo, oneshot::Sender<S::Reply>>,
    next_ticket: u64,
    /// In the order of the log.
    waiting: VecDeque<Waiting<S>>,
}

/// The acknowledgement of what was appended.
type Ack = oneshot::Receiver<Result<(), ProduceError>>;

/// What is released once records count.
struct Waiting<S: Shard> {
    /// Nothing for what counts already, or as soon as what stands before it in the queue does.
    ack: Option<Ack>,
    replies: Vec<(ReplyTo, S::Reply)>,
    effects: Vec<S::Effect>,
    marks: Vec<Marked>,
}

impl<S: Shard> Turn<S> {
    fn elapsed_ms(&self) -> u64 {
        self.ground.env.now().as_nanos() / 1_000_000
    }

    fn ticket(&mut self, sender: oneshot::Sender<S::Reply>) -> ReplyTo {
        let reply_to = ReplyTo(self.next_ticket);
        self.next_ticket += 1;
        self.senders.insert(reply_to, sender);
        reply_to
    }

    fn take_step(&mut self, act: impl FnOnce(&mut S, &Moment<'_>)) {
        let image = self.ground.cluster.image();
        let env = &self.ground.env;
        let at = Moment {
            elapsed_ms: self.elapsed_ms(),
            wall: TimestampMs(env.wall_ms()),
            random: (u128::from(env.random()) << 64) | u128::from(env.random()),
            topics: &TopicsView(&image),
            groups: &GroupsView { image: &image, bounds: &self.ground.bounds },
        };
        act(&mut self.shard, &at);
    }

    /// Appends the records of a step and lets its replies wait for them.
    async fn append(&mut self, step: Step<S>, marks: Vec<Marked>) -> Result<(), End> {
        let Step { records, replies, early, effects } = step;
        for (reply_to, reply) in early {
            self.reply(reply_to, reply);
        }
        let now = TimestampMs(self.ground.env.wall_ms());
        let bytes_max = BATCH_BYTES.min(self.partition.config().max_message_bytes as usize);
        let batches = batches(&records, now, bytes_max)
            .map_err(|error| End::Append(ProduceError::Storage(error.to_string())))?;
        let mut ack = None;
        for batch in batches {
            let appended = self.append_here(move |state| state.append(batch, Acks::All, now)).await?;
            ack = appended.map_err(End::from)?;
        }
        if ack.is_some() || !replies.is_empty() || !effects.is_empty() || !marks.is_empty() {
            self.waiting.push_back(Waiting { ack, replies, effects, marks });
        }
        Ok(())
    }

    /// Appends something while this broker leads in the shard's epoch, and answers what to wait for before it counts;
    /// inside, why the log refused it.
    async fn append_here(
        &mut self,
        append: impl FnOnce(&mut State) -> Result<AppendOutcome, ProduceError> + Send + 'static,
    ) -> Result<Result<Option<Ack>, ProduceError>, End> {
        let epoch = self.life.epoch;
        let appended = self
            .partition
            .with(move |state| {
                // The state was replayed from this epoch's beginning; in another one it may have missed records.
                if state.leading() == Ok(epoch) { append(state) } else { Err(ProduceError::NotLeader) }
            })
            .await
            .map_err(|_| End::Lost)?;
        let outcome = match appended {
            Ok(outcome) => outcome,
            Err(error) => return Ok(Err(error)),
        };
        if outcome.wants_commit {
            self.ground.committer.ask(&self.partition);
        }
        if let Some(appended) = outcome.appended {
            self.partition.counters.bytes_in.add(appended.bytes);
            self.partition.counters.records_in.add(appended.records);
        }
        Ok(Ok(outcome.waiting))
    }

    /// Appends the end of a transaction and applies it; or nothing, if the log refuses it.
    async fn mark(&mut self, request: EndTransaction) -> Result<Result<(), ProduceError>, End> {
        let transaction = Transaction { producer: request.producer_id, epoch: request.producer_epoch };
        let marker = Marker { transaction, committed: request.marker.committed };
        let now = TimestampMs(self.ground.env.wall_ms());
        let ack = match self.append_here(move |state| state.end_transaction(&request, now)).await? {
            Ok(ack) => ack,
            // Whoever wants it is late, or too few replicas are there: nothing was appended, and the state stands.
            Err(
                error @ (ProduceError::InvalidProducerEpoch(_)
                | ProduceError::CoordinatorFenced(_)
                | ProduceError::OvertakenMarker
                | ProduceError::NotEnoughReplicas),
            ) => return Ok(Err(error)),
            Err(error) => return Err(End::from(error)),
        };
        self.shard.marker(marker);
        let none = Waiting { ack, replies: Vec::new(), effects: Vec::new(), marks: Vec::new() };
        self.waiting.push_back(none);
        Ok(Ok(()))
    }

    fn reply(&mut self, reply_to: ReplyTo, reply: S::Reply) {
        if let Some(sender) = self.senders.remove(&reply_to) {
            // Nobody listens where a connection has ended.
            let _ = sender.send(reply);
        }
    }

    /// Releases what counts now, in the order of the log.
    fn release(&mut self) -> Result<(), End> {
        while let Some(front) = self.waiting.front_mut() {
            if let Some(ack) = &mut front.ack {
                match ack.try_recv() {
                    Ok(answer) => answer.map_err(End::from)?,
                    Err(oneshot::error::TryRecvError::Empty) => return Ok(()),
                    Err(oneshot::error::TryRecvError::Closed) => return Err(End::Lost),
                }
                front.ack = None;
            }
            let Some(ready) = self.waiting.pop_front() else { return Ok(()) };
            for (reply_to, reply) in ready.replies {
                self.reply(reply_to, reply);
            }
            for effect in ready.effects {
                (self.effect)(&self.life, effect);
            }
            for Marked(sender, answer) in ready.marks {
                let _ = sender.send(answer);
            }
        }
        Ok(())
    }

    /// Waits until there is something to do.
    async fn wait(&mut self, wake: &Notify) -> Result<(), End> {
        let due = self.shard.next_deadline().map(|due| Instant::from_nanos(due.saturating_mul(1_000_000)));
        let env = self.ground.env.clone();
        let timer = async move {
            match due {
                Some(due) => env.sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let called = first_of(wake.notified(), timer);
        let Some(ack) = self.waiting.front_mut().and_then(|front| front.ack.as_mut()) else {
            called.await;
            return Ok(());
        };
        match first_of(ack, called).await {
            First::Left(Ok(Ok(()))) => {
                if let Some(front) = self.waiting.front_mut() {
                    front.ack = None;
                }
                self.release()
            }
            First::Left(Ok(Err(error))) => Err(End::from(error)),
            First::Left(Err(_)) => Err(End::Lost),
            First::Right(_) => Ok(()),
        }
    }
}
