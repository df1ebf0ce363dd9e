//! Client quotas.

use crate::{Image, MetadataRecord, QuotaEntity, QuotaRecord, QuotaValue};
use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};

/// Why a quota is not set. The caller fixes the call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlterQuotasError {
    /// Nobody is named.
    #[error("Invalid empty client quota entity")]
    NoEntity,
    /// Addresses stand alone.
    #[error("Invalid quota entity combination, IP entity should not be combined with User or ClientId")]
    Combination,
    /// Nothing of that name is measured for this entity.
    #[error("Invalid configuration key {0}")]
    UnknownKey(String),
    /// Kafka has it; refused until it is enforced, rather than accepted and not honoured.
    #[error("{0} is not enforced yet")]
    NotBuilt(String),
    /// Zero or less.
    #[error("Quota {0} must be greater than 0")]
    NotPositive(String),
    /// More than a number of 64 bits holds.
    #[error("Proposed value for {0} is too large for a LONG.")]
    TooLarge(String),
    /// Bytes and connections come whole.
    #[error("{0} cannot be a fractional value.")]
    Fraction(String),
}

/// What is measured in whole numbers, per second.
const WHOLE: [&str; 2] = ["producer_byte_rate", "consumer_byte_rate"];
/// Share of one thread's time, in percent.
const PERCENTAGE: &str = "request_percentage";

/// Sets and removes (`None`) quotas of one entity. Nothing to decide where all is as wished.
pub fn alter_quotas(
    image: &Image,
    entity: &QuotaEntity,
    wishes: &BTreeMap<String, Option<f64>>,
) -> Result<Vec<MetadataRecord>, AlterQuotasError> {
    let of_clients = entity.user.is_some() || entity.client_id.is_some();
    match (&entity.ip, of_clients) {
        (None, false) => return Err(AlterQuotasError::NoEntity),
        (Some(_), true) => return Err(AlterQuotasError::Combination),
        _ => {}
    }
    let none = BTreeMap::new();
    let before = image.quotas().get(entity).unwrap_or(&none);
    let mut records = Vec::new();
    for (key, wish) in wishes {
        let value = match wish {
            None if before.contains_key(key) => None,
            None => continue,
            Some(value) => Some(check(key, *value, of_clients)?),
        };
        if value != before.get(key).copied() {
            let record = QuotaRecord { entity: entity.clone(), key: key.clone(), value };
            records.push(MetadataRecord::Quota(record));
        }
    }
    Ok(records)
}

fn check(key: &str, value: f64, of_clients: bool) -> Result<QuotaValue, AlterQuotasError> {
    let whole = WHOLE.contains(&key);
    match (of_clients, key) {
        (true, "controller_mutation_rate") | (false, "connection_creation_rate") => {
            return Err(AlterQuotasError::NotBuilt(key.to_string()));
        }
        (true, _) if whole || key == PERCENTAGE => {}
        _ => return Err(AlterQuotasError::UnknownKey(key.to_string())),
    }
    let quota = QuotaValue::new(value).ok_or_else(|| AlterQuotasError::NotPositive(key.to_string()))?;
    if whole && value > i64::MAX as f64 {
        return Err(AlterQuotasError::TooLarge(key.to_string()));
    }
    // Kafka's tolerance: the number has travelled as a fraction.
    if whole && value % 1.0 > 1e-6 {
        return Err(AlterQuotasError::Fraction(key.to_string()));
    }
    Ok(quota)
}
