//! AlterClientQuotas: set and remove quotas

declare! {
    /// Entities and what is to change.
    request AlterClientQuotasRequest -> AlterClientQuotasResponse = 49, [0-1], flexible [1+] {
        entries: Vec<EntryData>, [0+];
        validate_only: bool, [0+];
    }

    /// One entity.
    struct EntryData {
        entity: Vec<EntityData>, [0+];
        ops: Vec<OpData>, [0+];
    }

    /// A component of an entity; no name for the default.
    struct EntityData {
        entity_type: String, [0+];
        entity_name: Option<String>, [0+], null [0+];
    }

    /// One quota, set or removed.
    struct OpData {
        key: String, [0+];
        value: f64, [0+];
        remove: bool, [0+];
    }

    /// What became of each entity.
    response AlterClientQuotasResponse = 49, [0-1], flexible [1+] {
        throttle_time_ms: i32, [0+];
        entries: Vec<EntryResult>, [0+];
    }

    /// What became of one entity.
    struct EntryResult {
        error_code: i16, [0+];
        error_message: Option<String>, [0+], null [0+];
        entity: Vec<EntityData>, [0+];
    }
}
