//! What a log knows of its idempotent and transactional producers.

mod complete;
mod snapshot;
mod state;
mod transactions;

pub(crate) use snapshot::{decode_kafka, decode_window, encode_kafka, encode_window};
pub use state::ProducerState;
pub(crate) use state::{ProducerStates, SequenceError, Verdict};
pub use transactions::MarkerEpoch;
pub(crate) use transactions::{TransactionError, marker_of};
