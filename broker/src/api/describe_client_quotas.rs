//! DescribeClientQuotas: what is set for whom.

use super::{Decoded, reply};
use crate::server::Reply;
use highwater_metadata::{QuotaEntity, QuotaName};
use highwater_wire::{
    ErrorCode,
    messages::describe_client_quotas::{
        ComponentData, DescribeClientQuotasRequest, DescribeClientQuotasResponse, EntityData, EntryData,
        ValueData,
    },
};
use std::collections::BTreeMap;

/// What a component of an entity is compared with.
enum Wanted {
    Exactly(String),
    Default,
    Any,
}

pub(super) fn answer(call: Decoded<DescribeClientQuotasRequest>) -> Reply {
    let Decoded { node, start, request, .. } = call;
    let filter = match filter(request.components) {
        Ok(filter) => filter,
        Err((code, message)) => {
            let response = DescribeClientQuotasResponse {
                error_code: code.code(),
                error_message: Some(message),
                ..DescribeClientQuotasResponse::default()
            };
            return reply(start, &response);
        }
    };
    let image = node.image();
    let found = image.quotas().iter().filter(|(entity, _)| matches(&filter, request.strict, entity));
    let entries = found.map(|(entity, quotas)| EntryData {
        entity: components(entity)
            .map(|(kind, name)| EntityData { entity_type: kind.to_owned(), entity_name: name_of(name) })
            .collect(),
        values: quotas
            .iter()
            .map(|(key, value)| ValueData { key: key.clone(), value: value.get() })
            .collect(),
    });
    let entries = Some(entries.collect());
    reply(start, &DescribeClientQuotasResponse { entries, ..DescribeClientQuotasResponse::default() })
}

/// The components that an entity has.
fn components(entity: &QuotaEntity) -> impl Iterator<Item = (&'static str, &QuotaName)> {
    [("user", &entity.user), ("client-id", &entity.client_id), ("ip", &entity.ip)]
        .into_iter()
        .filter_map(|(kind, name)| Some((kind, name.as_ref()?)))
}

fn name_of(name: &QuotaName) -> Option<String> {
    match name {
        QuotaName::Default => None,
        QuotaName::Named(name) => Some(name.clone()),
    }
}

fn filter(asked: Vec<ComponentData>) -> Result<BTreeMap<&'static str, Wanted>, (ErrorCode, String)> {
    let invalid = |message: String| Err((ErrorCode::InvalidRequest, message));
    let mut filter = BTreeMap::new();
    for ComponentData { entity_type, match_type, r#match } in asked {
        let kind = match entity_type.as_str() {
            "user" => "user",
            "client-id" => "client-id",
            "ip" => "ip",
            "" => return invalid("Invalid empty entity type.".to_owned()),
            other => {
                let message = format!("Custom entity type '{other}' not supported");
                return Err((ErrorCode::UnsupportedVersion, message));
            }
        };
        let wanted = match (match_type, r#match) {
            (0, Some(name)) => Wanted::Exactly(name),
            (1, None) => Wanted::Default,
            (2, None) => Wanted::Any,
            (0..=2, name) => return invalid(format!("match type {match_type} does not go with {name:?}")),
            (other, _) => return invalid(format!("Unknown match type {other}")),
        };
        if filter.insert(kind, wanted).is_some() {
            return invalid(format!("Duplicate filter component for entity type: {entity_type}"));
        }
    }
    if filter.contains_key("ip") && filter.len() > 1 {
        return invalid(
            "Invalid entity filter component combination, IP filter component should not be used with \
                        User or ClientId filter component."
                .to_owned(),
        );
    }
    Ok(filter)
}

fn matches(filter: &BTreeMap<&'static str, Wanted>, strict: bool, entity: &QuotaEntity) -> bool {
    let has: BTreeMap<_, _> = components(entity).collect();
    let fits = filter.iter().all(|(kind, wanted)| match (wanted, has.get(kind)) {
        (_, None) => false,
        (Wanted::Any, Some(_)) => true,
        (Wanted::Default, Some(name)) => **name == QuotaName::Default,
        (Wanted::Exactly(wanted), Some(name)) => **name == QuotaName::Named(wanted.clone()),
    });
    fits && (!strict || has.len() == filter.len())
}
