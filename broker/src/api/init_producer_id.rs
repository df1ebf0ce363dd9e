//! InitProducerId: an identity for idempotent producers.

use super::{Decoded, reply};
use crate::server::Reply;
use highwater_node::request::InitProducerIdError;
use highwater_wire::{
    ErrorCode,
    messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse},
};

pub(super) async fn answer(call: Decoded<InitProducerIdRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    let given = match request.transactional_id.as_deref() {
        None => match node.init_producer_id(&caller).await {
            Ok(given) => Ok(given),
            Err(InitProducerIdError::Unavailable(detail)) => {
                tracing::warn!("no producer id: {detail}");
                // The one retriable code that every client knows here.
                Err(ErrorCode::CoordinatorLoadInProgress)
            }
        },
        Some("") => Err(ErrorCode::InvalidRequest),
        // Transactions are not built yet.
        Some(_) => Err(ErrorCode::UnsupportedVersion),
    };
    let response = match given {
        Ok((id, epoch)) => InitProducerIdResponse {
            producer_id: id.0.cast_signed(),
            producer_epoch: epoch.0.cast_signed(),
            ..InitProducerIdResponse::default()
        },
        Err(error) => InitProducerIdResponse {
            error_code: error.code(),
            producer_epoch: -1,
            ..InitProducerIdResponse::default()
        },
    };
    reply(start, &response)
}
