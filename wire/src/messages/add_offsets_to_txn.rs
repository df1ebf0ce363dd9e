//! AddOffsetsToTxn: the offsets of a group join a transaction

declare! {
    /// The group whose offsets follow.
    request AddOffsetsToTxnRequest -> AddOffsetsToTxnResponse = 25, [0-4], flexible [3+] {
        transactional_id: String, [0+];
        producer_id: i64, [0+];
        producer_epoch: i16, [0+];
        group_id: String, [0+];
    }

    /// Whether they may.
    response AddOffsetsToTxnResponse = 25, [0-4], flexible [3+] {
        throttle_time_ms: i32, [0+];
        error_code: i16, [0+];
    }
}
