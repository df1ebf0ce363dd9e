//! The transaction coordinator: which producer an id belongs to, and how its transactions end.

mod known;
mod request;
mod shard;
#[cfg(test)]
mod tests;

pub use request::{
    AddPartitions, BeginProducer, DescribedTransaction, EndMarkers, EndTransaction, ListedTransaction,
    TransactionError, TransactionReply, TransactionRequest,
};
pub use shard::{TransactionConfig, TransactionShard};
