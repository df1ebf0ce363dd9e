//! ListConfigResources: what has a configuration

declare! {
    /// Kinds of resources; empty for all.
    request ListConfigResourcesRequest -> ListConfigResourcesResponse = 74, [0-1], flexible [0+] {
        resource_types: Vec<i8>, [1+];
    }

    /// The resources.
    response ListConfigResourcesResponse = 74, [0-1], flexible [0+] {
        throttle_time_ms: i32, [0+];
        error_code: i16, [0+];
        config_resources: Vec<ConfigResource>, [0+];
    }

    /// One resource.
    struct ConfigResource {
        resource_name: String, [0+];
        resource_type: i8, [1+], default 16;
    }
}
