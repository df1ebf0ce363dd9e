//! AlterClientQuotas: who may use how much.

use super::{Decoded, reply};
use crate::server::Reply;
use highwater_metadata::{QuotaEntity, QuotaName};
use highwater_node::request::AlterQuotasError;
use highwater_wire::{
    ErrorCode,
    messages::alter_client_quotas::{
        AlterClientQuotasRequest, AlterClientQuotasResponse, EntityData, EntryData, EntryResult, OpData,
    },
};
use std::collections::BTreeMap;

type Failure = (ErrorCode, String);

pub(super) async fn answer(call: Decoded<AlterClientQuotasRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    let mut results = Vec::with_capacity(request.entries.len());
    let mut wishes = Vec::new();
    for EntryData { entity, ops } in request.entries {
        let wish = named(&entity).and_then(|named| Ok((named, wishes_of(ops)?)));
        let wish = match wish {
            Ok((named, _)) if wishes.iter().any(|(_, (other, _))| *other == named) => {
                Err((ErrorCode::InvalidRequest, "Ignoring duplicate entity".to_owned()))
            }
            wish => wish,
        };
        let failure = match wish {
            Ok(wish) => {
                wishes.push((results.len(), wish));
                None
            }
            Err(failure) => Some(failure),
        };
        results.push((entity, failure));
    }
    let (places, wishes): (Vec<_>, Vec<_>) = wishes.into_iter().unzip();
    let answers = node.alter_quotas(&caller, wishes, request.validate_only).await;
    for (place, answer) in places.into_iter().zip(answers) {
        results[place].1 = answer.err().map(|error| (code(&error), error.to_string()));
    }
    let entries = results.into_iter().map(|(entity, failure)| {
        let (code, error_message) = match failure {
            None => (ErrorCode::None, None),
            Some((code, message)) => (code, Some(message)),
        };
        EntryResult { error_code: code.code(), error_message, entity }
    });
    let entries = entries.collect();
    reply(start, &AlterClientQuotasResponse { entries, ..AlterClientQuotasResponse::default() })
}

fn named(entity: &[EntityData]) -> Result<QuotaEntity, Failure> {
    let invalid = |message: String| Err((ErrorCode::InvalidRequest, message));
    let mut named = QuotaEntity::default();
    for EntityData { entity_type, entity_name } in entity {
        let component = match entity_type.as_str() {
            "user" => &mut named.user,
            "client-id" => &mut named.client_id,
            "ip" => &mut named.ip,
            other => return invalid(format!("Unhandled client quota entity type: {other}")),
        };
        if component.is_some() {
            return invalid(format!("Invalid client quota entity, duplicate entity entry {entity_type}"));
        }
        *component = Some(match entity_name {
            None => QuotaName::Default,
            Some(name) if name.is_empty() => return invalid(format!("Empty {entity_type} not supported")),
            Some(name) => QuotaName::Named(name.clone()),
        });
    }
    Ok(named)
}

fn wishes_of(ops: Vec<OpData>) -> Result<BTreeMap<String, Option<f64>>, Failure> {
    let mut wishes = BTreeMap::new();
    for OpData { key, value, remove } in ops {
        let message = format!("Duplicate quota key {key}");
        if wishes.insert(key, (!remove).then_some(value)).is_some() {
            return Err((ErrorCode::InvalidRequest, message));
        }
    }
    Ok(wishes)
}

fn code(error: &AlterQuotasError) -> ErrorCode {
    match error {
        AlterQuotasError::Refused(_) => ErrorCode::InvalidRequest,
        AlterQuotasError::Unavailable(_) => ErrorCode::RequestTimedOut,
    }
}
