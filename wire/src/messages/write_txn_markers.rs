//! WriteTxnMarkers: what ends a transaction in a partition

declare! {
    /// Markers to write.
    request WriteTxnMarkersRequest -> WriteTxnMarkersResponse = 27, [1-2], flexible [1+] {
        markers: Vec<WritableTxnMarker>, [0+];
    }

    /// The end of one producer's transaction.
    struct WritableTxnMarker {
        producer_id: i64, [0+];
        producer_epoch: i16, [0+];
        transaction_result: bool, [0+];
        topics: Vec<WritableTxnMarkerTopic>, [0+];
        coordinator_epoch: i32, [0+];
        transaction_version: i8, [2+];
    }

    /// Partitions of one topic.
    struct WritableTxnMarkerTopic {
        name: String, [0+];
        partition_indexes: Vec<i32>, [0+];
    }

    /// What became of each marker.
    response WriteTxnMarkersResponse = 27, [1-2], flexible [1+] {
        markers: Vec<WritableTxnMarkerResult>, [0+];
    }

    /// What became of one producer's.
    struct WritableTxnMarkerResult {
        producer_id: i64, [0+];
        topics: Vec<WritableTxnMarkerTopicResult>, [0+];
    }

    /// What became of one topic.
    struct WritableTxnMarkerTopicResult {
        name: String, [0+];
        partitions: Vec<WritableTxnMarkerPartitionResult>, [0+];
    }

    /// What became of one partition.
    struct WritableTxnMarkerPartitionResult {
        partition_index: i32, [0+];
        error_code: i16, [0+];
    }
}
