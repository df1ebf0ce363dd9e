//! DeleteRecords: everything below an offset goes

declare! {
    /// Partitions and where they shall start.
    request DeleteRecordsRequest -> DeleteRecordsResponse = 21, [0-2], flexible [2+] {
        topics: Vec<DeleteRecordsTopic>, [0+];
        timeout_ms: i32, [0+];
    }

    /// Partitions of one topic.
    struct DeleteRecordsTopic {
        name: String, [0+];
        partitions: Vec<DeleteRecordsPartition>, [0+];
    }

    /// A partition and its new start; -1 for the high watermark.
    struct DeleteRecordsPartition {
        partition_index: i32, [0+];
        offset: i64, [0+];
    }

    /// Where the partitions start now.
    response DeleteRecordsResponse = 21, [0-2], flexible [2+] {
        throttle_time_ms: i32, [0+];
        topics: Vec<DeleteRecordsTopicResult>, [0+];
    }

    /// What became of one topic.
    struct DeleteRecordsTopicResult {
        name: String, [0+];
        partitions: Vec<DeleteRecordsPartitionResult>, [0+];
    }

    /// The new start of a partition, -1 where it failed.
    struct DeleteRecordsPartitionResult {
        partition_index: i32, [0+];
        low_watermark: i64, [0+];
        error_code: i16, [0+];
    }
}
