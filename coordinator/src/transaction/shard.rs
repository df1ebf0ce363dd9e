use alloc::{collections::BTreeMap, string::String, sync::Arc, vec::Vec};
use highwater_records::{ProducerEpoch, ProducerId};

use super::{
    known::{Known, NONE, Status, signed},
    request::{
        AddPartitions, BeginProducer, DescribedTransaction, EndMarkers, EndTransaction, TransactionError,
        TransactionReply, TransactionRequest,
    },
};
use crate::{
    deadlines::Deadlines,
    format::{FormatError, transaction_key, transactional_id},
    museum::{self, Bug},
    shard::{Logged, Marker, Moment, ReplyTo, Shard, Step},
};

/// What a shard is configured with.
#[derive(Clone, Copy, Debug)]
pub struct TransactionConfig {
    /// The longest time-out that a producer may ask for, in milliseconds (`transaction.max.timeout.ms`).
    pub timeout_max_ms: i32,
    /// How long an unused id is remembered, in milliseconds (`transactional.id.expiration.ms`).
    pub id_expiration_ms: i64,
    /// How often unused ids are looked for, in milliseconds.
    pub expiration_check_ms: u64,
}

/// One partition of `__transaction_state`: transactional ids and their transactions.
///
/// Follows Kafka's coordinator with KIP-360 (producers that go on after an error) and KIP-890 (epochs that grow with
/// each transaction). A state is taken as soon as its record is appended; replies and markers wait until it counts.
#[derive(Debug)]
pub struct TransactionShard {
    config: TransactionConfig,
    known: BTreeMap<Arc<str>, Known>,
    deadlines: Deadlines<Timer>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A transaction has taken too long.
    TimeOut(Arc<str>),
    /// Unused ids are to be looked for.
    Expiry,
}

impl TransactionShard {
    /// A shard before its replay.
    pub fn new(config: TransactionConfig) -> TransactionShard {
        TransactionShard { config, known: BTreeMap::new(), deadlines: Deadlines::default() }
    }

    /// How many transactional ids there are.
    pub fn id_count(&self) -> usize {
        self.known.len()
    }

    fn begin(
        &mut self,
        at: &Moment<'_>,
        request: BeginProducer,
        step: &mut Step<TransactionShard>,
    ) -> Result<(ProducerId, ProducerEpoch), TransactionError> {
        let BeginProducer { id, timeout_ms, expected, fresh } = request;
        if id.is_empty() {
            return Err(TransactionError::InvalidRequest);
        }
        if timeout_ms <= 0 || timeout_ms > self.config.timeout_max_ms {
            return Err(TransactionError::InvalidTimeout);
        }
        let now = at.wall.0;
        let Some(key) = self.known.get_key_value(&*id).map(|(key, _)| key.clone()) else {
            let producer_id = fresh.ok_or(TransactionError::NeedsProducerId)?;
            let key: Arc<str> = id.into();
            let known = Known { epoch: 0, ..Known::new(producer_id, timeout_ms, now) };
            self.store(&key, known, step);
            return Ok((producer_id, ProducerEpoch(0)));
        };
        let known = self.known[&key].clone();
        // Unless it is the one that this producer id belongs to now, or the one before whose epochs were used up.
        let is_own = expected.is_none_or(|(producer, epoch)| {
            producer == signed(known.producer_id)
                || (known.previous.map(signed) == Some(producer) && epoch >= i16::MAX - 1)
        });
        if !is_own {
            return Err(TransactionError::Fenced);
        }
        match known.status {
            Status::PrepareCommit | Status::PrepareAbort => Err(TransactionError::Concurrent),
            Status::Ongoing if !museum::has(Bug::SuccessorDoesNotAbort) => {
                // The epoch that this takes is told to nobody: the caller comes back and gets the next one.
                self.fence(at, &key, step);
                Err(TransactionError::Concurrent)
            }
            Status::Empty | Status::Ongoing | Status::CompleteCommit | Status::CompleteAbort => {
                let exhausted =
                    known.is_exhausted() && expected.is_none_or(|(_, epoch)| epoch == known.epoch);
                let next = if exhausted {
                    let producer_id = fresh.ok_or(TransactionError::NeedsProducerId)?;
                    Known {
                        producer_id,
                        previous: Some(known.producer_id),
                        epoch: 0,
                        last_epoch: if expected.is_some() { known.epoch } else { NONE },
                        ..known
                    }
                } else {
                    let (epoch, last_epoch) = match expected {
                        None if museum::has(Bug::SuccessorDoesNotFence) => (known.epoch, NONE),
                        None => (known.epoch.saturating_add(1), NONE),
                        Some((_, epoch)) if epoch == known.epoch => {
                            (known.epoch.saturating_add(1), known.epoch)
                        }
                        // It did not hear of the epoch it was given.
                        Some((_, epoch)) if epoch == known.last_epoch && epoch != NONE => {
                            (known.epoch, known.last_epoch)
                        }
                        Some(_) => return Err(TransactionError::Fenced),
                    };
                    Known { previous: Some(known.producer_id), epoch, last_epoch, ..known }
                };
                let next = Known {
                    timeout_ms,
                    status: Status::Empty,
                    partitions: BTreeMap::new(),
                    started_ms: -1,
                    updated_ms: now,
                    next: None,
                    bumped: false,
                    ..next
                };
                let given = (next.producer_id, next.producer_epoch());
                self.store(&key, next, step);
                Ok(given)
            }
        }
    }

    fn add(
        &mut self,
        at: &Moment<'_>,
        request: &AddPartitions,
        step: &mut Step<TransactionShard>,
    ) -> Result<Vec<Result<(), TransactionError>>, TransactionError> {
        if request.id.is_empty() {
            return Err(TransactionError::InvalidRequest);
        }
        let (key, known) =
            self.known.get_key_value(&*request.id).ok_or(TransactionError::InvalidProducerIdMapping)?;
        if signed(known.producer_id) != request.producer_id {
            return Err(TransactionError::InvalidProducerIdMapping);
        }
        if known.epoch != request.producer_epoch {
            return Err(TransactionError::Fenced);
        }
        if known.status.is_ending() && !museum::has(Bug::JoinsWhileEnding) {
            return Err(TransactionError::Concurrent);
        }
        let is_in = |(topic, partition): &(String, i32)| known.has(topic, *partition);
        if request.verify_only {
            let answer = |partition| {
                if is_in(partition) { Ok(()) } else { Err(TransactionError::NotInTransaction) }
            };
            return Ok(request.partitions.iter().map(answer).collect());
        }
        let exists = |(topic, partition): &(String, i32)| {
            let found = at.topics.named(topic);
            found.is_some_and(|facts| u32::try_from(*partition).is_ok_and(|index| index < facts.partitions))
        };
        if !request.partitions.iter().all(exists) {
            // All of them, or none.
            let answer = |partition| {
                let missing = !exists(partition);
                Err(if missing {
                    TransactionError::UnknownTopicOrPartition
                } else {
                    TransactionError::NotAttempted
                })
            };
            return Ok(request.partitions.iter().map(answer).collect());
        }
        let answers = alloc::vec![Ok(()); request.partitions.len()];
        if known.status == Status::Ongoing && request.partitions.iter().all(is_in) {
            return Ok(answers);
        }
        let (key, mut next) = (key.clone(), known.clone());
        if next.status != Status::Ongoing {
            next.status = Status::Ongoing;
            next.started_ms = at.wall.0;
            next.bumped = false;
            self.deadlines.set(Timer::TimeOut(key.clone()), due(at, at.wall.0, next.timeout_ms));
        }
        for (topic, partition) in &request.partitions {
            next.partitions.entry(topic.clone()).or_default().insert(*partition);
        }
        next.updated_ms = at.wall.0;
        self.store(&key, next, step);
        Ok(answers)
    }

    fn end(
        &mut self,
        at: &Moment<'_>,
        request: &EndTransaction,
        step: &mut Step<TransactionShard>,
    ) -> Result<(ProducerId, ProducerEpoch), TransactionError> {
        if request.id.is_empty() {
            return Err(TransactionError::InvalidRequest);
        }
        let (key, known) =
            self.known.get_key_value(&*request.id).ok_or(TransactionError::InvalidProducerIdMapping)?;
        let (asked, current) = (request.producer_epoch, known.epoch);
        // The same request again, whose answer was lost: what it asked for has raised the epoch already.
        let after_bump = known.bumped && asked != i16::MAX && current == asked + 1;
        let after_overflow = known.bumped
            && known.previous.map(signed) == Some(request.producer_id)
            && asked == i16::MAX - 1
            && current == 0;
        let is_again = after_bump || after_overflow;
        if signed(known.producer_id) != request.producer_id && !after_overflow {
            return Err(TransactionError::InvalidProducerIdMapping);
        }
        if asked != current && !is_again && !museum::has(Bug::EndsNotFenced) {
            return Err(TransactionError::Fenced);
        }
        let told = (known.producer_id, known.producer_epoch());
        let decided = if request.committed { Status::PrepareCommit } else { Status::PrepareAbort };
        let ends_nothing = match known.status {
            Status::Ongoing => false,
            // The epoch is the next transaction's already: this one gives up before the coordinator is done with the last.
            Status::PrepareCommit | Status::PrepareAbort if known.bumped && !is_again => {
                return Err(TransactionError::Concurrent);
            }
            Status::PrepareCommit | Status::PrepareAbort if known.status != decided => {
                return Err(TransactionError::InvalidState);
            }
            Status::PrepareCommit | Status::PrepareAbort => return Err(TransactionError::Concurrent),
            Status::CompleteCommit if request.committed && (is_again || !known.bumped) => return Ok(told),
            Status::CompleteAbort if !request.committed && (is_again || !known.bumped) => return Ok(told),
            // Who goes on with another epoch each time may end a transaction that has no partition yet.
            Status::Empty | Status::CompleteCommit | Status::CompleteAbort
                if request.bumps_epoch && !request.committed && !is_again =>
            {
                true
            }
            Status::Empty | Status::CompleteCommit | Status::CompleteAbort => {
                return Err(TransactionError::InvalidState);
            }
        };
        let mut next = known.clone();
        let key = key.clone();
        next.next = None;
        if request.bumps_epoch {
            if next.is_exhausted() {
                next.next = Some(request.fresh.ok_or(TransactionError::NeedsProducerId)?);
            }
            next.last_epoch = next.epoch;
            next.epoch = next.epoch.saturating_add(1);
        }
        next.bumped = request.bumps_epoch;
        if ends_nothing {
            next.started_ms = at.wall.0;
        }
        let told = match next.next {
            Some(id) => (id, ProducerEpoch(0)),
            None => (next.producer_id, next.producer_epoch()),
        };
        self.decide(at, &key, next, decided, step);
        Ok(told)
    }

    /// Aborts a transaction that is going on, with an epoch that its producer does not have.
    fn fence(&mut self, at: &Moment<'_>, key: &Arc<str>, step: &mut Step<TransactionShard>) {
        let Some(known) = self.known.get(key) else { return };
        // Two further, as in Kafka: one further is what the producer itself would have if it had ended the transaction,
        // and its answer was lost.
        let epoch = known.epoch.saturating_add(2);
        let next = Known { epoch, last_epoch: NONE, bumped: true, ..known.clone() };
        self.decide(at, key, next, Status::PrepareAbort, step);
    }

    fn decide(
        &mut self,
        at: &Moment<'_>,
        key: &Arc<str>,
        next: Known,
        decided: Status,
        step: &mut Step<TransactionShard>,
    ) {
        self.deadlines.cancel(&Timer::TimeOut(key.clone()));
        let next = Known { status: decided, updated_ms: at.wall.0, ..next };
        step.effects.push(next.markers(key));
        self.store(key, next, step);
    }

    fn marked(
        &mut self,
        at: &Moment<'_>,
        id: &str,
        producer: (ProducerId, ProducerEpoch),
        step: &mut Step<TransactionShard>,
    ) {
        let Some((key, known)) = self.known.get_key_value(id) else { return };
        // Of another transaction than the one that is being ended.
        if (known.producer_id, known.producer_epoch()) != producer || !known.status.is_ending() {
            return;
        }
        let status = match known.status {
            Status::PrepareCommit => Status::CompleteCommit,
            _ => Status::CompleteAbort,
        };
        let (key, mut next) = (key.clone(), known.clone());
        next.status = status;
        next.partitions = BTreeMap::new();
        next.updated_ms = at.wall.0;
        if next.bumped {
            next.previous = Some(next.producer_id);
        }
        if let Some(id) = next.next.take() {
            next.last_epoch = next.epoch;
            (next.producer_id, next.epoch) = (id, 0);
        }
        self.store(&key, next, step);
    }

    fn describe(&self, id: &str) -> Result<DescribedTransaction, TransactionError> {
        if id.is_empty() {
            return Err(TransactionError::InvalidRequest);
        }
        let known = self.known.get(id).ok_or(TransactionError::UnknownId)?;
        Ok(DescribedTransaction {
            listed: known.listed(id),
            producer_epoch: known.epoch,
            timeout_ms: known.timeout_ms,
            partitions: known.plain_partitions(),
        })
    }

    fn store(&mut self, key: &Arc<str>, known: Known, step: &mut Step<TransactionShard>) {
        step.record((transaction_key(key), Some(known.encode())));
        self.known.insert(key.clone(), known);
    }

    fn expire(&mut self, at: &Moment<'_>, step: &mut Step<TransactionShard>) {
        let before = at.wall.0.saturating_sub(self.config.id_expiration_ms);
        let is_unused = |known: &Known| {
            !known.status.is_ending() && known.status != Status::Ongoing && known.updated_ms <= before
        };
        let unused: Vec<Arc<str>> =
            self.known.iter().filter(|(_, known)| is_unused(known)).map(|(key, _)| key.clone()).collect();
        for key in unused {
            step.record((transaction_key(&key), None));
            self.known.remove(&key);
        }
        self.deadlines.set(Timer::Expiry, at.elapsed_ms.saturating_add(self.config.expiration_check_ms));
    }
}

/// When a transaction that began at `started_ms` of the wall clock has taken too long, by the monotonic one.
fn due(at: &Moment<'_>, started_ms: i64, timeout_ms: i32) -> u64 {
    let end = started_ms.saturating_add(i64::from(timeout_ms));
    let left = u64::try_from(end.saturating_sub(at.wall.0)).unwrap_or(0);
    // A clock that was set back must not keep a transaction open for longer than its time-out.
    at.elapsed_ms.saturating_add(left.min(u64::try_from(timeout_ms).unwrap_or(0)))
}

impl Shard for TransactionShard {
    type Request = TransactionRequest;
    type Reply = TransactionReply;
    type Effect = EndMarkers;

    fn replay(&mut self, record: &Logged<'_>) -> Result<(), FormatError> {
        let Some(id) = record.key.map(transactional_id).transpose()?.flatten() else { return Ok(()) };
        match record.value {
            None => {
                self.known.remove(&*id);
            }
            Some(value) => {
                if let Some(known) = Known::decode(value)? {
                    self.known.insert(id.into(), known);
                }
            }
        }
        Ok(())
    }

    fn marker(&mut self, marker: Marker) {
        // Its own records are part of no transaction.
        let _ = marker;
    }

    fn loaded(&mut self, at: &Moment<'_>, step: &mut Step<TransactionShard>) {
        for (key, known) in &self.known {
            if known.status.is_ending() && museum::has(Bug::MarkersForgotten) {
                continue;
            }
            if known.status.is_ending() {
                step.effects.push(known.markers(key));
            } else if known.status == Status::Ongoing && !museum::has(Bug::TimeOutsForgotten) {
                let due = due(at, known.started_ms, known.timeout_ms);
                self.deadlines.set(Timer::TimeOut(key.clone()), due);
            }
        }
        self.deadlines.set(Timer::Expiry, at.elapsed_ms.saturating_add(self.config.expiration_check_ms));
    }

    fn handle(
        &mut self,
        at: &Moment<'_>,
        request: TransactionRequest,
        reply_to: ReplyTo,
        step: &mut Step<TransactionShard>,
    ) {
        let reply = match request {
            TransactionRequest::Begin(request) => TransactionReply::Begin(self.begin(at, request, step)),
            TransactionRequest::Add(request) => TransactionReply::Add(self.add(at, &request, step)),
            TransactionRequest::End(request) => TransactionReply::End(self.end(at, &request, step)),
            TransactionRequest::Marked { id, producer_id, producer_epoch } => {
                self.marked(at, &id, (producer_id, producer_epoch), step);
                TransactionReply::Marked
            }
            TransactionRequest::List => {
                let listed = self.known.iter().map(|(id, known)| known.listed(id));
                TransactionReply::List(listed.collect())
            }
            TransactionRequest::Describe(id) => TransactionReply::Describe(self.describe(&id)),
        };
        step.replies.push((reply_to, reply));
    }

    fn next_deadline(&self) -> Option<u64> {
        self.deadlines.next()
    }

    fn on_deadline(&mut self, at: &Moment<'_>, step: &mut Step<TransactionShard>) {
        match self.deadlines.take_due(at.elapsed_ms) {
            // It was cancelled when the transaction ended.
            Some(Timer::TimeOut(key)) => self.fence(at, &key, step),
            Some(Timer::Expiry) => self.expire(at, step),
            None => {}
        }
    }

    fn topics_changed(&mut self, at: &Moment<'_>, step: &mut Step<TransactionShard>) {
        let _ = (at, step);
    }
}
