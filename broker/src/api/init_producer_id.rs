//! InitProducerId: an identity for idempotent and transactional producers.

use super::{Decoded, reply, transaction_codes::code};
use crate::server::{Reply, Step};
use highwater_coordinator::BeginProducer;
use highwater_node::request::InitProducerIdError;
use highwater_records::{ProducerEpoch, ProducerId};
use highwater_wire::{
    ErrorCode, RequestStart,
    messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse},
};

/// From here on clients know that they can be fenced.
const FENCED_SINCE: i16 = 4;

/// No producer id, and no epoch.
const NONE: i64 = -1;

pub(super) fn answer(call: Decoded<InitProducerIdRequest>) -> Step {
    let Decoded { node, caller, start, request } = call;
    // Two-phase commit (KIP-939) is not built.
    if request.enable2_pc || request.keep_prepared_txn {
        return Step::Now(respond(start, Err(ErrorCode::UnsupportedVersion)));
    }
    // An id and an epoch say together who goes on; one of them says nothing.
    if (request.producer_id == NONE) != (i64::from(request.producer_epoch) == NONE) {
        return Step::Now(respond(start, Err(ErrorCode::InvalidRequest)));
    }
    Step::Later(Box::pin(async move {
        let given = match request.transactional_id {
            None => node.init_producer_id(&caller).await.map_err(|error| match error {
                InitProducerIdError::Unavailable(detail) => {
                    tracing::warn!("no producer id: {detail}");
                    // The one retriable code that every client knows here.
                    ErrorCode::CoordinatorLoadInProgress
                }
            }),
            Some(id) => {
                let begin = BeginProducer {
                    id,
                    timeout_ms: request.transaction_timeout_ms,
                    expected: (request.producer_id != NONE)
                        .then_some((request.producer_id, request.producer_epoch)),
                    fresh: None,
                };
                let given = node.begin_transactional(&caller, begin).await;
                given.map_err(|error| code(error, start.api_version >= FENCED_SINCE))
            }
        };
        respond(start, given)
    }))
}

fn respond(start: RequestStart, given: Result<(ProducerId, ProducerEpoch), ErrorCode>) -> Reply {
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
