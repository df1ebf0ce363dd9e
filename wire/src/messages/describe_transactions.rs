//! DescribeTransactions: transactions in full

declare! {
    /// Transactional ids to tell of.
    request DescribeTransactionsRequest -> DescribeTransactionsResponse = 65, [0], flexible [0+] {
        transactional_ids: Vec<String>, [0+];
    }

    /// The transactions.
    response DescribeTransactionsResponse = 65, [0], flexible [0+] {
        throttle_time_ms: i32, [0+];
        transaction_states: Vec<TransactionState>, [0+];
    }

    /// One transaction.
    struct TransactionState {
        error_code: i16, [0+];
        transactional_id: String, [0+];
        transaction_state: String, [0+];
        transaction_timeout_ms: i32, [0+];
        transaction_start_time_ms: i64, [0+];
        producer_id: i64, [0+];
        producer_epoch: i16, [0+];
        topics: Vec<TopicData>, [0+];
    }

    /// Partitions of one topic.
    struct TopicData {
        topic: String, [0+];
        partitions: Vec<i32>, [0+];
    }
}
