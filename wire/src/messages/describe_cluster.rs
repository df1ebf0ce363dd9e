//! DescribeCluster: the brokers of a cluster, without its topics.

declare! {
    /// Asks for brokers (`endpoint_type` 1) or controllers (2).
    request DescribeClusterRequest -> DescribeClusterResponse = 60, [0-2], flexible [0+] {
        include_cluster_authorized_operations: bool, [0+];
        endpoint_type: i8, [1+], default 1;
        include_fenced_brokers: bool, [2+];
    }

    /// The cluster.
    response DescribeClusterResponse = 60, [0-2], flexible [0+] {
        throttle_time_ms: i32, [0+];
        error_code: i16, [0+];
        error_message: Option<String>, [0+], null [0+];
        endpoint_type: i8, [1+], default 1;
        cluster_id: String, [0+];
        controller_id: i32, [0+], default -1;
        brokers: Vec<DescribeClusterBroker>, [0+];
        cluster_authorized_operations: i32, [0+], default i32::MIN;
    }

    /// A broker and where to reach it.
    struct DescribeClusterBroker {
        broker_id: i32, [0+];
        host: String, [0+];
        port: i32, [0+];
        rack: Option<String>, [0+], null [0+];
        is_fenced: bool, [2+];
    }
}
