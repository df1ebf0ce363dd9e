//! ApiVersions: what a broker can do, and the first question of every client.

declare! {
    /// Asks what the broker can do. The fields tell it who asks.
    request ApiVersionsRequest -> ApiVersionsResponse = 18, [0-4], flexible [3+] {
        client_software_name: String, [3+];
        client_software_version: String, [3+];
    }

    /// What the broker can do. Its header has no tagged fields in any version.
    response ApiVersionsResponse = 18, [0-4], flexible [3+] {
        error_code: i16, [0+];
        api_keys: Vec<ApiVersion>, [0+];
        throttle_time_ms: i32, [1+];
        supported_features: Vec<SupportedFeatureKey>, [3+], tag 0 [3+];
        finalized_features_epoch: i64, [3+], tag 1 [3+], default -1;
        finalized_features: Vec<FinalizedFeatureKey>, [3+], tag 2 [3+];
        zk_migration_ready: bool, [3+], tag 3 [3+];
    }

    /// An API and the versions of it, both inclusive.
    struct ApiVersion {
        api_key: i16, [0+];
        min_version: i16, [0+];
        max_version: i16, [0+];
    }

    /// A feature the broker knows, with its levels, both inclusive.
    struct SupportedFeatureKey {
        name: String, [3+];
        min_version: i16, [3+];
        max_version: i16, [3+];
    }

    /// A feature the cluster has switched on, with its levels, both inclusive.
    struct FinalizedFeatureKey {
        name: String, [3+];
        max_version_level: i16, [3+];
        min_version_level: i16, [3+];
    }
}
