//! EndTxn: commit or abort

declare! {
    /// How the transaction ends.
    request EndTxnRequest -> EndTxnResponse = 26, [0-5], flexible [3+] {
        transactional_id: String, [0+];
        producer_id: i64, [0+];
        producer_epoch: i16, [0+];
        committed: bool, [0+];
    }

    /// Whether it was decided, and from version 5 on the id and epoch to go on with.
    response EndTxnResponse = 26, [0-5], flexible [3+] {
        throttle_time_ms: i32, [0+];
        error_code: i16, [0+];
        producer_id: i64, [5+], default -1;
        producer_epoch: i16, [5+], default -1;
    }
}
