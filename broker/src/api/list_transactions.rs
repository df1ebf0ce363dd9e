//! ListTransactions: what this broker coordinates.

use super::{Decoded, reply, transaction_codes::code};
use crate::server::Reply;
use highwater_coordinator::{ListedTransaction, Pattern};
use highwater_wire::{
    ErrorCode,
    messages::list_transactions::{ListTransactionsRequest, ListTransactionsResponse, TransactionState},
};
use std::time::{SystemTime, UNIX_EPOCH};

/// The states that can be asked for.
const STATES: [&str; 7] =
    ["Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead"];

pub(super) async fn answer(call: Decoded<ListTransactionsRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    let (known, unknown): (Vec<_>, Vec<_>) =
        request.state_filters.iter().cloned().partition(|state| STATES.contains(&state.as_str()));
    let mut response =
        ListTransactionsResponse { unknown_state_filters: unknown, ..ListTransactionsResponse::default() };
    let pattern = request.transactional_id_pattern.filter(|pattern| !pattern.is_empty());
    let pattern = match pattern.as_deref().map(Pattern::new).transpose() {
        Ok(pattern) => pattern,
        Err(_) => {
            response.error_code = ErrorCode::InvalidRegularExpression.code();
            return reply(start, &response);
        }
    };
    if known.is_empty() && !request.state_filters.is_empty() {
        return reply(start, &response);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    match node.list_transactions(&caller).await {
        Ok(listed) => {
            response.transaction_states = listed
                .into_iter()
                .filter(|one| known.is_empty() || known.iter().any(|state| state == one.state))
                .filter(|one| {
                    request.producer_id_filters.is_empty()
                        || request.producer_id_filters.contains(&one.producer_id)
                })
                .filter(|one| {
                    request.duration_filter < 0
                        || now.saturating_sub(one.started_ms) > request.duration_filter
                })
                .filter(|one| pattern.as_ref().is_none_or(|pattern| pattern.matches(&one.id)))
                .map(state)
                .collect();
        }
        Err(error) => response.error_code = code(error, true).code(),
    }
    reply(start, &response)
}

fn state(listed: ListedTransaction) -> TransactionState {
    TransactionState {
        transactional_id: listed.id,
        producer_id: listed.producer_id,
        transaction_state: listed.state.to_owned(),
    }
}
