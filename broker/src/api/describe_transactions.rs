//! DescribeTransactions: transactions in full.

use super::{Decoded, reply, transaction_codes::code};
use crate::server::Reply;
use highwater_coordinator::{DescribedTransaction, TransactionError};
use highwater_wire::messages::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TopicData, TransactionState,
};

pub(super) async fn answer(call: Decoded<DescribeTransactionsRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    let mut transaction_states = Vec::with_capacity(request.transactional_ids.len());
    for id in request.transactional_ids {
        let found = node.describe_transaction(&caller, &id).await;
        transaction_states.push(state(id, found));
    }
    reply(
        start,
        &DescribeTransactionsResponse { transaction_states, ..DescribeTransactionsResponse::default() },
    )
}

fn state(id: String, found: Result<DescribedTransaction, TransactionError>) -> TransactionState {
    match found {
        Ok(found) => TransactionState {
            error_code: 0,
            transactional_id: id,
            transaction_state: found.listed.state.to_owned(),
            transaction_timeout_ms: found.timeout_ms,
            transaction_start_time_ms: found.listed.started_ms,
            producer_id: found.listed.producer_id,
            producer_epoch: found.producer_epoch,
            topics: found
                .partitions
                .into_iter()
                .map(|(topic, partitions)| TopicData { topic, partitions })
                .collect(),
        },
        Err(error) => TransactionState {
            error_code: code(error, true).code(),
            transactional_id: id,
            ..TransactionState::default()
        },
    }
}
