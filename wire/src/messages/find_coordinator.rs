//! FindCoordinator: which broker coordinates a group or a transactional id.

declare! {
    /// Asks for coordinators of groups (`key_type` 0), transactions (1) or share groups (2): one up to version
    /// 3, many from 4 on.
    request FindCoordinatorRequest -> FindCoordinatorResponse = 10, [0-6], flexible [3+] {
        key: String, [0-3];
        key_type: i8, [1+];
        coordinator_keys: Vec<String>, [4+];
    }

    /// The coordinators.
    response FindCoordinatorResponse = 10, [0-6], flexible [3+] {
        throttle_time_ms: i32, [1+];
        error_code: i16, [0-3];
        error_message: Option<String>, [1-3], null [1-3];
        node_id: i32, [0-3];
        host: String, [0-3];
        port: i32, [0-3];
        coordinators: Vec<Coordinator>, [4+];
    }

    /// The coordinator of one key.
    struct Coordinator {
        key: String, [4+];
        node_id: i32, [4+];
        host: String, [4+];
        port: i32, [4+];
        error_code: i16, [4+];
        error_message: Option<String>, [4+], null [4+];
    }
}
