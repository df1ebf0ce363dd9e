//! From a producer's bytes to the log.

use bytes::Bytes;
use highwater_engine::AppendError;
use highwater_metadata::config::TopicConfig;
use highwater_records::{
    Offset, TimestampMs,
    batch::{BatchError, CheckPolicy, CheckedBatch},
    compression::CompressionError,
};
use highwater_replication::{AckState, Acks};
use tokio::sync::oneshot;

use super::{attempts::Attempt, state::State, waiting::WaitingProduce};
use crate::request::{EndTransaction, MarkerAttempt, ProduceError, Produced, RecordError};

/// A batch is in the log.
pub(crate) struct AppendOutcome {
    pub(crate) produced: Produced,
    /// The acknowledgement, where it must be waited for.
    pub(crate) waiting: Option<oneshot::Receiver<Result<(), ProduceError>>>,
    /// Whether a sync is to be asked for.
    pub(crate) wants_commit: bool,
    /// Batches and bytes that were new; zero for a duplicate.
    pub(crate) appended: Option<Appended>,
}

/// What to count.
#[derive(Clone, Copy)]
pub(crate) struct Appended {
    pub(crate) bytes: u64,
    pub(crate) records: u64,
}

impl State {
    /// Appends one checked batch and arranges for its acknowledgement.
    pub(crate) fn append(
        &mut self,
        batch: CheckedBatch,
        acks: Acks,
        now: TimestampMs,
    ) -> Result<AppendOutcome, ProduceError> {
        if !self.tier_known {
            return Err(ProduceError::Storage(
                "the partition's head in the bucket has not been read yet".into(),
            ));
        }
        let epoch = self.admit(acks)?;
        let size =
            Appended { bytes: batch.bytes().len() as u64, records: u64::from(batch.view().record_count()) };
        let appended = self.log.append(batch, epoch, now).map_err(append_error)?;
        self.after_append(appended, acks, size)
    }

    /// Appends the marker that ends a producer's transaction and arranges for its acknowledgement.
    pub(crate) fn end_transaction(
        &mut self,
        request: &EndTransaction,
        now: TimestampMs,
    ) -> Result<AppendOutcome, ProduceError> {
        if !self.tier_known {
            return Err(ProduceError::Storage(
                "the partition's head in the bucket has not been read yet".into(),
            ));
        }
        let epoch = self.admit(Acks::All)?;
        if let Some(MarkerAttempt { leader_epoch, number }) = request.attempt {
            if leader_epoch != epoch {
                return Err(ProduceError::NotLeader);
            }
            let attempt = (request.marker.coordinator_epoch, number);
            match self.attempts.take(request.producer_id, attempt, |id| self.log.producer(id).is_some()) {
                Attempt::Latest => {}
                Attempt::Overtaken => return Err(ProduceError::OvertakenMarker),
                Attempt::Former => {
                    return Err(ProduceError::CoordinatorFenced("a later one was here before".into()));
                }
            }
        }
        let producer = (request.producer_id, request.producer_epoch);
        self.verifications.ended(request.producer_id);
        let appended = self.log.end_transaction(producer, request.marker, request.rule, epoch, now);
        self.after_append(appended.map_err(append_error)?, Acks::All, Appended { bytes: 0, records: 0 })
    }

    fn after_append(
        &mut self,
        appended: highwater_engine::Appended,
        acks: Acks,
        size: Appended,
    ) -> Result<AppendOutcome, ProduceError> {
        self.progress();
        let produced = Produced {
            base_offset: appended.base_offset,
            append_time: appended.append_time,
            log_start: self.log_start(),
        };
        // A duplicate waits for the same condition as the batch it repeats (design.md, decision 11).
        let next_offset = appended.last_offset.checked_add(1).unwrap_or(Offset::MAX);
        let waiting = match self.leader().ok_or(ProduceError::NotLeader)?.ack(acks, next_offset) {
            AckState::Satisfied => None,
            AckState::NotEnoughReplicasAfterAppend => return Err(ProduceError::NotEnoughReplicasAfterAppend),
            AckState::Waiting => {
                let (reply, answer) = oneshot::channel();
                self.produces.push(WaitingProduce { acks, next_offset, reply });
                Some(answer)
            }
        };
        Ok(AppendOutcome {
            produced,
            waiting,
            // Whoever finishes a commit asks for the next one.
            wants_commit: self.wants_commit() && !self.log.is_committing(),
            appended: (!appended.duplicate).then_some(size),
        })
    }
}

/// Checks what a producer sent for one partition: exactly one batch of the current format, within the topic's
/// rules. Nothing is looked at again under the lock.
pub(crate) fn check_batch(
    records: Bytes,
    config: &TopicConfig,
    transactional: bool,
) -> Result<CheckedBatch, ProduceError> {
    let keys_required = config.compaction.is_some();
    let policy = CheckPolicy { keys_required, ..CheckPolicy::client(config.max_message_bytes as usize) };
    let batch = CheckedBatch::check(records, &policy).map_err(batch_error)?;
    if batch.view().is_transactional() && !transactional {
        return Err(ProduceError::TransactionsUnsupported);
    }
    let Some(how) = config.compression else { return Ok(batch) };
    let batch = batch.compressed(how, policy.decompressed_max).map_err(batch_error)?;
    let (size, max) = (batch.bytes().len(), config.max_message_bytes as usize);
    // As in Kafka the limit holds for what is stored, too.
    if size > max {
        return Err(batch_error(BatchError::TooLarge { size, max }));
    }
    Ok(batch)
}

/// What a producer is told about bytes that no log accepts.
fn batch_error(error: BatchError) -> ProduceError {
    match error {
        BatchError::TooLarge { .. } => ProduceError::MessageTooLarge(error.to_string()),
        // An older format is a client's mistake. A newer one nobody writes: the byte is damaged.
        BatchError::UnsupportedMagic { magic } if magic > 2 => ProduceError::Corrupt(error.to_string()),
        BatchError::UnknownCodec { .. } => ProduceError::UnsupportedCompression(error.to_string()),
        BatchError::InvalidTimestamp(_) => ProduceError::InvalidTimestamp(error.to_string()),
        BatchError::InvalidRecord { index, reason } => ProduceError::InvalidRecord {
            message: error.to_string(),
            records: vec![RecordError { index, message: reason.into() }],
        },
        // As in Kafka a request without a whole batch in it is no damage: sending it again would not mend it.
        BatchError::Invalid(_) | BatchError::UnsupportedMagic { .. } | BatchError::Truncated { .. } => {
            ProduceError::InvalidRecord { message: error.to_string(), records: Vec::new() }
        }
        BatchError::Compression(CompressionError::NotCompiledIn(_)) => {
            ProduceError::UnsupportedCompression(error.to_string())
        }
        BatchError::Corrupt(_) | BatchError::Checksum { .. } | BatchError::Compression(_) => {
            ProduceError::Corrupt(error.to_string())
        }
    }
}

/// What a producer is told about a batch that its log did not take.
fn append_error(error: AppendError) -> ProduceError {
    match error {
        AppendError::OutOfOrderSequence { .. } => ProduceError::OutOfOrderSequence(error.to_string()),
        AppendError::InvalidProducerEpoch { .. } => ProduceError::InvalidProducerEpoch(error.to_string()),
        AppendError::DuplicateBeyondWindow => ProduceError::DuplicateSequence,
        AppendError::TooLarge { .. } => ProduceError::MessageTooLarge(error.to_string()),
        AppendError::InvalidTimestamp { .. } => ProduceError::InvalidTimestamp(error.to_string()),
        AppendError::CoordinatorFenced { .. } => ProduceError::CoordinatorFenced(error.to_string()),
        AppendError::TransactionOpen { .. } => ProduceError::InvalidTxnState(error.to_string()),
        AppendError::StaleLeaderEpoch { .. } => ProduceError::NotLeader,
        AppendError::OutOfPlace { .. }
        | AppendError::NoLeaderEpoch
        | AppendError::OffsetsExhausted
        | AppendError::Disk(_)
        | AppendError::Offline(_)
        | AppendError::Broken(_)
        | AppendError::Busy => ProduceError::Storage(error.to_string()),
    }
}
