//! AlterConfigs: the whole configuration of topics and brokers, as it is to be

declare! {
    /// Resources whose configuration is replaced.
    request AlterConfigsRequest -> AlterConfigsResponse = 33, [0-2], flexible [2+] {
        resources: Vec<AlterConfigsResource>, [0+];
        validate_only: bool, [0+];
    }

    /// A topic (2), a broker (4) or another resource; what is not listed is unset.
    struct AlterConfigsResource {
        resource_type: i8, [0+];
        resource_name: String, [0+];
        configs: Vec<AlterableConfig>, [0+];
    }

    /// One key.
    struct AlterableConfig {
        name: String, [0+];
        value: Option<String>, [0+], null [0+];
    }

    /// What became of each resource.
    response AlterConfigsResponse = 33, [0-2], flexible [2+] {
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
