//! DescribeConfigs: the configuration of topics and brokers, with where each value comes from.

declare! {
    /// Resources to describe.
    request DescribeConfigsRequest -> DescribeConfigsResponse = 32, [1-4], flexible [4+] {
        resources: Vec<DescribeConfigsResource>, [0+];
        include_synonyms: bool, [1+];
        include_documentation: bool, [3+];
    }

    /// A topic (2), a broker (4) or another resource, and the keys wanted: all for `None`.
    struct DescribeConfigsResource {
        resource_type: i8, [0+];
        resource_name: String, [0+];
        configuration_keys: Option<Vec<String>>, [0+], null [0+];
    }

    /// The configuration of each resource.
    response DescribeConfigsResponse = 32, [1-4], flexible [4+] {
        throttle_time_ms: i32, [0+];
        results: Vec<DescribeConfigsResult>, [0+];
    }

    /// The configuration of one resource.
    struct DescribeConfigsResult {
        error_code: i16, [0+];
        error_message: Option<String>, [0+], null [0+];
        resource_type: i8, [0+];
        resource_name: String, [0+];
        configs: Vec<DescribeConfigsResourceResult>, [0+];
    }

    /// One key; `config_source` says where its value comes from.
    struct DescribeConfigsResourceResult {
        name: String, [0+];
        value: Option<String>, [0+], null [0+];
        read_only: bool, [0+];
        config_source: i8, [1+], default -1;
        is_sensitive: bool, [0+];
        synonyms: Vec<DescribeConfigsSynonym>, [1+];
        config_type: i8, [3+];
        documentation: Option<String>, [3+], null [0+];
    }

    /// Another place that could set the key, in order of precedence.
    struct DescribeConfigsSynonym {
        name: String, [1+];
        value: Option<String>, [1+], null [0+];
        source: i8, [1+];
    }
}
