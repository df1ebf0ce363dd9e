//! Client quotas: whom they bind, and the record that sets one. The frame is that of `record.rs`.

use alloc::{collections::BTreeMap, string::String, sync::Arc, vec::Vec};
use highwater_records::primitive::Reader;

use crate::{
    Image,
    record::{RecordError, optional, put_optional_text, put_text, start, text},
};

/// Whom a quota binds: users, client ids, both together, or addresses. A component that is not there binds all alike;
/// at least one is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuotaEntity {
    /// Which users.
    pub user: Option<QuotaName>,
    /// Which client ids.
    pub client_id: Option<QuotaName>,
    /// Which addresses.
    pub ip: Option<QuotaName>,
}

/// One, or every one that has no quota of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QuotaName {
    /// The default.
    Default,
    /// The one of this name.
    Named(String),
}

/// How much, as a finite number above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuotaValue(u64);

impl QuotaValue {
    /// The quota, or `None` for what is no finite number above zero.
    pub fn new(value: f64) -> Option<QuotaValue> {
        (value.is_finite() && value > 0.0).then(|| QuotaValue(value.to_bits()))
    }

    /// The number.
    pub const fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// A quota is set, or binds nobody any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaRecord {
    /// Whom it binds.
    pub entity: QuotaEntity,
    /// What is measured, under Kafka's name.
    pub key: String,
    /// How much; `None` removes the quota.
    pub value: Option<QuotaValue>,
}

pub(crate) const QUOTA_SET: u8 = 48;

impl QuotaRecord {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        start(out, QUOTA_SET);
        for component in [&self.entity.user, &self.entity.client_id, &self.entity.ip] {
            match component {
                None => out.push(0),
                Some(QuotaName::Default) => out.extend_from_slice(&[1, 0]),
                Some(QuotaName::Named(name)) => {
                    out.push(1);
                    put_optional_text(out, Some(name));
                }
            }
        }
        put_text(out, &self.key);
        match self.value {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                out.extend_from_slice(&value.0.to_be_bytes());
            }
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<QuotaRecord, RecordError> {
        let entity = QuotaEntity {
            user: optional(reader, name)?,
            client_id: optional(reader, name)?,
            ip: optional(reader, name)?,
        };
        let key = text(reader)?;
        let value = optional(reader, |reader| {
            QuotaValue::new(f64::from_bits(reader.u64()?)).ok_or(RecordError::OutOfRange)
        })?;
        Ok(QuotaRecord { entity, key, value })
    }
}

fn name(reader: &mut Reader<'_>) -> Result<QuotaName, RecordError> {
    Ok(optional(reader, text)?.map_or(QuotaName::Default, QuotaName::Named))
}

impl Image {
    /// Every quota that is set, by whom it binds and under Kafka's names.
    pub fn quotas(&self) -> &BTreeMap<QuotaEntity, BTreeMap<String, QuotaValue>> {
        &self.quotas
    }

    pub(crate) fn apply_quota(&mut self, record: &QuotaRecord) {
        let quotas = Arc::make_mut(&mut self.quotas);
        let keys = quotas.entry(record.entity.clone()).or_default();
        match record.value {
            Some(value) => keys.insert(record.key.clone(), value),
            None => keys.remove(&record.key),
        };
        if keys.is_empty() {
            quotas.remove(&record.entity);
        }
    }
}
