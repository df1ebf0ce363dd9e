use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use highwater_records::{ProducerEpoch, ProducerId};

use super::request::{EndMarkers, ListedTransaction};
use crate::format::{FormatError, TransactionValue};

/// No epoch, or no time.
pub(super) const NONE: i16 = -1;

/// Where a transaction stands, by Kafka's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Empty = 0,
    Ongoing = 1,
    PrepareCommit = 2,
    PrepareAbort = 3,
    CompleteCommit = 4,
    CompleteAbort = 5,
}

impl Status {
    fn of(number: i8) -> Option<Status> {
        Some(match number {
            0 => Status::Empty,
            1 => Status::Ongoing,
            2 => Status::PrepareCommit,
            3 => Status::PrepareAbort,
            4 => Status::CompleteCommit,
            5 => Status::CompleteAbort,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Status::Empty => "Empty",
            Status::Ongoing => "Ongoing",
            Status::PrepareCommit => "PrepareCommit",
            Status::PrepareAbort => "PrepareAbort",
            Status::CompleteCommit => "CompleteCommit",
            Status::CompleteAbort => "CompleteAbort",
        }
    }

    /// Whether it was decided how the transaction ends, and not every partition knows.
    pub(super) const fn is_ending(self) -> bool {
        matches!(self, Status::PrepareCommit | Status::PrepareAbort)
    }
}

/// What is known of one transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) producer_id: ProducerId,
    pub(super) previous: Option<ProducerId>,
    /// What the producer was told to go on with after this transaction, where its epochs are used up.
    pub(super) next: Option<ProducerId>,
    /// [`NONE`] before the first.
    pub(super) epoch: i16,
    /// The epoch before, where a client may not know yet that it was raised; not persisted.
    pub(super) last_epoch: i16,
    pub(super) timeout_ms: i32,
    pub(super) status: Status,
    pub(super) partitions: BTreeMap<String, BTreeSet<i32>>,
    /// -1 without a transaction.
    pub(super) started_ms: i64,
    pub(super) updated_ms: i64,
    /// Whether the transaction ended with another epoch than its records have (KIP-890).
    pub(super) bumped: bool,
}

impl Known {
    pub(super) fn new(producer_id: ProducerId, timeout_ms: i32, now: i64) -> Known {
        Known {
            producer_id,
            previous: None,
            next: None,
            epoch: NONE,
            last_epoch: NONE,
            timeout_ms,
            status: Status::Empty,
            partitions: BTreeMap::new(),
            started_ms: -1,
            updated_ms: now,
            bumped: false,
        }
    }

    /// Whether no further producer may begin with this producer id: the last epoch is for fencing.
    pub(super) const fn is_exhausted(&self) -> bool {
        self.epoch >= i16::MAX - 1
    }

    pub(super) fn has(&self, topic: &str, partition: i32) -> bool {
        self.partitions.get(topic).is_some_and(|partitions| partitions.contains(&partition))
    }

    pub(super) fn producer_epoch(&self) -> ProducerEpoch {
        // Not negative once a producer has begun.
        ProducerEpoch(u16::try_from(self.epoch).unwrap_or(0))
    }

    /// The markers that the decision asks for.
    pub(super) fn markers(&self, id: &str) -> EndMarkers {
        EndMarkers {
            id: id.into(),
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch(),
            committed: self.status == Status::PrepareCommit,
            epoch_is_newer: self.bumped,
            partitions: self.plain_partitions(),
        }
    }

    pub(super) fn plain_partitions(&self) -> BTreeMap<String, Vec<i32>> {
        let plain = |(topic, partitions): (&String, &BTreeSet<i32>)| {
            (topic.clone(), partitions.iter().copied().collect())
        };
        self.partitions.iter().map(plain).collect()
    }

    pub(super) fn listed(&self, id: &str) -> ListedTransaction {
        ListedTransaction {
            id: id.into(),
            producer_id: signed(self.producer_id),
            state: self.status.name(),
            started_ms: self.started_ms,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let value = TransactionValue {
            producer_id: signed(self.producer_id),
            previous_producer_id: self.previous.map_or(-1, signed),
            next_producer_id: self.next.map_or(-1, signed),
            producer_epoch: self.epoch,
            timeout_ms: self.timeout_ms,
            status: self.status as i8,
            partitions: (self.status != Status::Empty).then(|| self.plain_partitions().into_iter().collect()),
            updated_ms: self.updated_ms,
            started_ms: self.started_ms,
            client_version: if self.bumped { 2 } else { 0 },
        };
        value.encode()
    }

    /// What a record says; `None` for a state that this program does not know.
    pub(super) fn decode(bytes: &[u8]) -> Result<Option<Known>, FormatError> {
        let value = TransactionValue::decode(bytes)?;
        let Some(status) = Status::of(value.status) else { return Ok(None) };
        let producer = |id: i64| u64::try_from(id).ok().map(ProducerId);
        let partitions = value.partitions.unwrap_or_default().into_iter();
        Ok(Some(Known {
            producer_id: producer(value.producer_id).ok_or(FormatError::Missing)?,
            previous: producer(value.previous_producer_id),
            next: producer(value.next_producer_id),
            epoch: value.producer_epoch,
            last_epoch: NONE,
            timeout_ms: value.timeout_ms,
            status,
            partitions: partitions
                .map(|(topic, partitions)| (topic, partitions.into_iter().collect()))
                .collect(),
            started_ms: value.started_ms,
            updated_ms: value.updated_ms,
            bumped: value.client_version >= 2,
        }))
    }
}

/// Producer ids are given out below 2^63.
pub(super) const fn signed(id: ProducerId) -> i64 {
    id.0.cast_signed()
}
