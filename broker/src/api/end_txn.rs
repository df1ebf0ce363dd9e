//! EndTxn: commit or abort. From version 5 on the producer goes on with another epoch (KIP-890).

use super::{Decoded, reply, transaction_codes::code};
use crate::server::Step;
use highwater_coordinator::EndTransaction;
use highwater_wire::messages::end_txn::{EndTxnRequest, EndTxnResponse};

const FENCED_SINCE: i16 = 2;
const BUMPS_SINCE: i16 = 5;

pub(super) fn answer(call: Decoded<EndTxnRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
    Step::Later(Box::pin(async move {
        let end = EndTransaction {
            id: request.transactional_id,
            producer_id: request.producer_id,
            producer_epoch: request.producer_epoch,
            committed: request.committed,
            bumps_epoch: start.api_version >= BUMPS_SINCE,
            fresh: None,
        };
        let response = match node.end_transaction(&caller, end).await {
            Ok((id, epoch)) if start.api_version >= BUMPS_SINCE => EndTxnResponse {
                producer_id: id.0.cast_signed(),
                producer_epoch: epoch.0.cast_signed(),
                ..EndTxnResponse::default()
            },
            Ok(_) => EndTxnResponse::default(),
            Err(error) => EndTxnResponse {
                error_code: code(error, start.api_version >= FENCED_SINCE).code(),
                ..EndTxnResponse::default()
            },
        };
        reply(start, &response)
    }))
}
