//! Asking other brokers for their part of a transaction.

use highwater_coordinator::{AddPartitions, TransactionError};
use highwater_env::EnvExt;
use highwater_records::BrokerId;

use super::Membership;
use crate::{
    first_of::{First, first_of},
    peers::{JoinTransaction, MarkerRefusal, TransactionAnswer, TransactionCall, WriteMarkers},
    request::Caller,
};

impl Membership {
    /// Asks the coordinator whether partitions are in a transaction, or to take them in.
    pub(crate) async fn join_transaction(
        &self,
        coordinator: BrokerId,
        caller: &Caller,
        partitions: AddPartitions,
    ) -> Result<Vec<Result<(), TransactionError>>, TransactionError> {
        let (from, broker_epoch, caller) = (self.broker, self.broker_epoch(), caller.clone());
        let call = TransactionCall::Join(JoinTransaction { from, broker_epoch, caller, partitions });
        match self.call(coordinator, call).await {
            Some(TransactionAnswer::Join(answer)) => answer,
            Some(TransactionAnswer::Markers(_)) | None => Err(TransactionError::NotAvailable),
        }
    }

    /// Has a leader write markers; `None` without an answer in time.
    pub(crate) async fn write_markers(
        &self,
        leader: BrokerId,
        markers: WriteMarkers,
    ) -> Option<Vec<Result<(), MarkerRefusal>>> {
        match self.call(leader, TransactionCall::Markers(markers)).await? {
            TransactionAnswer::Markers(answers) => Some(answers),
            TransactionAnswer::Join(_) => None,
        }
    }

    async fn call(&self, to: BrokerId, call: TransactionCall) -> Option<TransactionAnswer> {
        match first_of(self.peers.transaction(to, call), self.env.sleep(self.times.answer)).await {
            First::Left(Ok(Ok(answer))) => Some(answer),
            First::Left(Ok(Err(refused))) => {
                tracing::debug!(broker = %to, %refused, "has no part in a transaction now");
                None
            }
            First::Left(Err(_)) | First::Right(()) => None,
        }
    }
}
