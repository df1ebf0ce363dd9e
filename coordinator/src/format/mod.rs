//! Kafka's record formats of `__consumer_offsets` and `__transaction_state`, one file each: layout, encode, decode.
//!
//! `docs/format/consumer-offsets.md` and `docs/format/transaction-state.md` have the whole of it.

mod consumer_group;
mod fields;
mod group_metadata;
mod key;
mod offset_commit;
mod transaction;

pub use consumer_group::{
    ClassicProtocols, ConsumerGroupEpoch, ConsumerMember, CurrentAssignment, ResolvedRegex, decode_target,
    decode_target_epoch, encode_target, encode_target_epoch,
};
pub use fields::FormatError;
pub use group_metadata::{GroupMetadata, MemberMetadata};
pub use key::Key;
pub use offset_commit::OffsetCommit;
pub use transaction::{TransactionValue, transaction_key, transactional_id};
