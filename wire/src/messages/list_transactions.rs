//! ListTransactions: transactions that a broker coordinates

declare! {
    /// Which ones; everything for empty lists and -1.
    request ListTransactionsRequest -> ListTransactionsResponse = 66, [0-2], flexible [0+] {
        state_filters: Vec<String>, [0+];
        producer_id_filters: Vec<i64>, [0+];
        duration_filter: i64, [1+], default -1;
        transactional_id_pattern: Option<String>, [2+], null [2+];
    }

    /// The transactions.
    response ListTransactionsResponse = 66, [0-2], flexible [0+] {
        throttle_time_ms: i32, [0+];
        error_code: i16, [0+];
        unknown_state_filters: Vec<String>, [0+];
        transaction_states: Vec<TransactionState>, [0+];
    }

    /// One transaction.
    struct TransactionState {
        transactional_id: String, [0+];
        producer_id: i64, [0+];
        transaction_state: String, [0+];
    }
}
