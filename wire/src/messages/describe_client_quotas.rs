//! DescribeClientQuotas: what is set for whom

declare! {
    /// Which entities to tell of; `strict` leaves out those with more components.
    request DescribeClientQuotasRequest -> DescribeClientQuotasResponse = 48, [0-1], flexible [1+] {
        components: Vec<ComponentData>, [0+];
        strict: bool, [0+];
    }

    /// A component: this name (0), the default (1), or any (2).
    struct ComponentData {
        entity_type: String, [0+];
        match_type: i8, [0+];
        r#match: Option<String>, [0+], null [0+];
    }

    /// The entities and their quotas.
    response DescribeClientQuotasResponse = 48, [0-1], flexible [1+] {
        throttle_time_ms: i32, [0+];
        error_code: i16, [0+];
        error_message: Option<String>, [0+], null [0+];
        entries: Option<Vec<EntryData>>, [0+], null [0+];
    }

    /// One entity.
    struct EntryData {
        entity: Vec<EntityData>, [0+];
        values: Vec<ValueData>, [0+];
    }

    /// A component of an entity; no name for the default.
    struct EntityData {
        entity_type: String, [0+];
        entity_name: Option<String>, [0+], null [0+];
    }

    /// One quota.
    struct ValueData {
        key: String, [0+];
        value: f64, [0+];
    }
}
