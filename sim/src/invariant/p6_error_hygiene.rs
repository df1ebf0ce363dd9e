//! P6: an error that says that a batch is not in the log is true: nobody ever sees that batch, and no other try of it is
//! acknowledged. Whoever does not know what became of an append says so, with another error.

use highwater_node::request::ProduceError;

use super::Invariant;
use crate::{ghost::Ghost, history::Event};

/// See the file's text.
pub struct ErrorHygiene;

/// Whether the error says that the batch is not in the log and never will be.
pub fn is_final(error: &ProduceError) -> bool {
    match error {
        ProduceError::UnknownTopicOrPartition
        | ProduceError::UnknownTopicId
        | ProduceError::MessageTooLarge(_)
        | ProduceError::Corrupt(_)
        | ProduceError::InvalidRecord { .. }
        | ProduceError::InvalidTimestamp(_)
        | ProduceError::UnsupportedCompression(_)
        | ProduceError::InvalidTxnState(_)
        | ProduceError::CoordinatorFenced(_)
        | ProduceError::OvertakenMarker
        | ProduceError::Transaction(_)
        | ProduceError::TransactionsUnsupported
        | ProduceError::InternalTopic
        | ProduceError::NotEnoughReplicas => true,
        ProduceError::NotLeader
        | ProduceError::OutOfOrderSequence(_)
        | ProduceError::InvalidProducerEpoch(_)
        | ProduceError::DuplicateSequence
        | ProduceError::NotEnoughReplicasAfterAppend
        | ProduceError::TimedOut
        | ProduceError::Storage(_) => false,
    }
}

impl Invariant for ErrorHygiene {
    fn name(&self) -> &'static str {
        "P6 what was refused for good is not there"
    }

    fn check(&mut self, ghost: &Ghost, event: &Event) -> Result<(), String> {
        let Some((known, _)) = event.partition().and_then(|at| ghost.partition(at)) else { return Ok(()) };
        let one = |base: u64, last: u64, content: u64| match known.refused.contains_key(&content) {
            true => Err(format!("batch {base}..={last} was refused for good")),
            false => Ok(()),
        };
        match event {
            Event::ProduceAcked { base, last, content, .. } => one(*base, *last, *content),
            Event::Fetched { batches, .. } => {
                batches.good.iter().try_for_each(|batch| one(batch.base, batch.last, batch.content))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{history::OpId, invariant::testing::*};

    #[test]
    fn what_was_refused_turns_up() {
        let refusal = || Event::ProduceRefused { op: OpId(1), at: AT, content: 7 };
        let read = fetched(2, 0, 9, &[batch(0, 2, 7)]);
        refused(ErrorHygiene, &[invoked(1, 7), refusal(), read], "refused for good");
        let other = fetched(2, 0, 9, &[batch(0, 2, 8)]);
        accepted(ErrorHygiene, &[invoked(1, 7), refusal(), invoked(3, 8), other]);
    }
}
