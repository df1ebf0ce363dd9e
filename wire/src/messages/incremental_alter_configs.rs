//! IncrementalAlterConfigs: single keys of topics and brokers

declare! {
    /// Resources and what is to change in them.
    request IncrementalAlterConfigsRequest -> IncrementalAlterConfigsResponse = 44, [0-1], flexible [1+] {
        resources: Vec<AlterConfigsResource>, [0+];
        validate_only: bool, [0+];
    }

    /// A topic (2), a broker (4) or another resource.
    struct AlterConfigsResource {
        resource_type: i8, [0+];
        resource_name: String, [0+];
        configs: Vec<AlterableConfig>, [0+];
    }

    /// One key: set (0), delete (1), append to (2) or subtract from (3) a list.
    struct AlterableConfig {
        name: String, [0+];
        config_operation: i8, [0+];
        value: Option<String>, [0+], null [0+];
    }

    /// What became of each resource.
    response IncrementalAlterConfigsResponse = 44, [0-1], flexible [1+] {
        throttle_time_ms: i32, [0+];
        responses: Vec<AlterConfigsResourceResponse>, [0+];
    }

    /// What became of one resource.
    struct AlterConfigsResourceResponse {
        error_code: i16, [0+];
        error_message: Option<String>, [0+], null [0+];
        resource_type: i8, [0+];
        resource_name: String, [0+];
    }
}
