//! InitProducerId: an identity for an idempotent or transactional producer.

declare! {
    /// Asks for an identity. `transactional_id` is `None` for a producer that is only idempotent.
    request InitProducerIdRequest -> InitProducerIdResponse = 22, [0-6], flexible [2+] {
        transactional_id: Option<String>, [0+], null [0+];
        transaction_timeout_ms: i32, [0+];
        producer_id: i64, [3+], default -1;
        producer_epoch: i16, [3+], default -1;
        enable2_pc: bool, [6+];
        keep_prepared_txn: bool, [6+];
    }

    /// The identity; -1 with an error.
    response InitProducerIdResponse = 22, [0-6], flexible [2+] {
        throttle_time_ms: i32, [0+];
        error_code: i16, [0+];
        producer_id: i64, [0+], default -1;
        producer_epoch: i16, [0+];
        ongoing_txn_producer_id: i64, [6+], default -1;
        ongoing_txn_producer_epoch: i16, [6+], default -1;
    }
}
