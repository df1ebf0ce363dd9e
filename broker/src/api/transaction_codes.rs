//! What the APIs of transactions share: Kafka's codes.

use highwater_coordinator::TransactionError;
use highwater_wire::ErrorCode;

/// Kafka's code for what a coordinator refused. Clients that are older than the code for fenced producers
/// (`knows_fenced`) are told what they know.
pub(super) fn code(error: TransactionError, knows_fenced: bool) -> ErrorCode {
    match error {
        TransactionError::InvalidRequest => ErrorCode::InvalidRequest,
        TransactionError::InvalidTimeout => ErrorCode::InvalidTransactionTimeout,
        TransactionError::Concurrent => ErrorCode::ConcurrentTransactions,
        TransactionError::Fenced if knows_fenced => ErrorCode::ProducerFenced,
        TransactionError::Fenced => ErrorCode::InvalidProducerEpoch,
        TransactionError::InvalidProducerIdMapping => ErrorCode::InvalidProducerIdMapping,
        TransactionError::InvalidState => ErrorCode::InvalidTxnState,
        TransactionError::NotInTransaction => ErrorCode::TransactionAbortable,
        TransactionError::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
        TransactionError::NotAttempted => ErrorCode::OperationNotAttempted,
        TransactionError::UnknownId => ErrorCode::TransactionalIdNotFound,
        TransactionError::NotCoordinator => ErrorCode::NotCoordinator,
        TransactionError::Loading => ErrorCode::CoordinatorLoadInProgress,
        TransactionError::NotAvailable | TransactionError::NeedsProducerId => {
            ErrorCode::CoordinatorNotAvailable
        }
    }
}

/// The same for a producer's batches: errors that older ones would take for fatal make them try again.
pub(super) fn produce_code(error: TransactionError, version: i16) -> ErrorCode {
    match code(error, false) {
        ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator => ErrorCode::NotEnoughReplicas,
        ErrorCode::ConcurrentTransactions if version < JOINS_SINCE => ErrorCode::NotEnoughReplicas,
        ErrorCode::TransactionAbortable if version < ABORTABLE_SINCE => ErrorCode::InvalidTxnState,
        code => code,
    }
}

/// Versions of Produce from which on its partitions join the transaction by it, and from which on its clients know
/// errors that ask for an abort.
pub(super) const JOINS_SINCE: i16 = 12;
const ABORTABLE_SINCE: i16 = 11;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_what_they_know() {
        assert_eq!(code(TransactionError::Fenced, true), ErrorCode::ProducerFenced);
        assert_eq!(code(TransactionError::Fenced, false), ErrorCode::InvalidProducerEpoch);
        assert_eq!(produce_code(TransactionError::Concurrent, 11), ErrorCode::NotEnoughReplicas);
        assert_eq!(produce_code(TransactionError::Concurrent, 12), ErrorCode::ConcurrentTransactions);
        assert_eq!(produce_code(TransactionError::NotInTransaction, 10), ErrorCode::InvalidTxnState);
        assert_eq!(produce_code(TransactionError::NotInTransaction, 11), ErrorCode::TransactionAbortable);
        assert_eq!(produce_code(TransactionError::Fenced, 13), ErrorCode::InvalidProducerEpoch);
    }
}
