//! AddOffsetsToTxn: the offsets of a group join a transaction.

use super::{Decoded, reply, transaction_codes::code};
use crate::server::Step;
use highwater_coordinator::AddPartitions;
use highwater_wire::{
    ErrorCode,
    messages::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse},
};

const FENCED_SINCE: i16 = 2;

pub(super) fn answer(call: Decoded<AddOffsetsToTxnRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
    Step::Later(Box::pin(async move {
        let add = AddPartitions {
            id: request.transactional_id,
            producer_id: request.producer_id,
            producer_epoch: request.producer_epoch,
            partitions: Vec::new(),
            verify_only: false,
        };
        let error = match node.add_offsets_to_transaction(&caller, &request.group_id, add).await {
            Ok(()) => ErrorCode::None,
            Err(error) => code(error, start.api_version >= FENCED_SINCE),
        };
        let error_code = error.code();
        reply(start, &AddOffsetsToTxnResponse { error_code, ..AddOffsetsToTxnResponse::default() })
    }))
}
