//! DescribeLogDirs: directories and what the logs in them take

declare! {
    /// Partitions to tell of; `None` for all.
    request DescribeLogDirsRequest -> DescribeLogDirsResponse = 35, [1-5], flexible [2+] {
        topics: Option<Vec<DescribableLogDirTopic>>, [0+], null [0+];
    }

    /// Partitions of one topic.
    struct DescribableLogDirTopic {
        topic: String, [0+];
        partitions: Vec<i32>, [0+];
    }

    /// The directories of this broker.
    response DescribeLogDirsResponse = 35, [1-5], flexible [2+] {
        throttle_time_ms: i32, [0+];
        error_code: i16, [3+];
        results: Vec<DescribeLogDirsResult>, [0+];
    }

    /// One directory; sizes are -1 where unknown.
    struct DescribeLogDirsResult {
        error_code: i16, [0+];
        log_dir: String, [0+];
        topics: Vec<DescribeLogDirsTopic>, [0+];
        total_bytes: i64, [4+], default -1;
        usable_bytes: i64, [4+], default -1;
        is_cordoned: bool, [5+];
    }

    /// The logs of one topic.
    struct DescribeLogDirsTopic {
        name: String, [0+];
        partitions: Vec<DescribeLogDirsPartition>, [0+];
    }

    /// One log: bytes on local disk, and how far it is behind.
    struct DescribeLogDirsPartition {
        partition_index: i32, [0+];
        partition_size: i64, [0+];
        offset_lag: i64, [0+];
        is_future_key: bool, [0+];
    }
}
