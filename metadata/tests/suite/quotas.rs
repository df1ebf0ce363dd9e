//! Quotas are set, replaced, removed and refused.

use crate::creation::{apply, cluster};
use highwater_metadata::{
    QuotaEntity, QuotaName, QuotaValue,
    decide::{AlterQuotasError, alter_quotas},
};
use std::collections::BTreeMap;

fn client(name: &str) -> QuotaEntity {
    QuotaEntity { client_id: Some(QuotaName::Named(name.into())), ..QuotaEntity::default() }
}

fn wishes(wishes: &[(&str, Option<f64>)]) -> BTreeMap<String, Option<f64>> {
    wishes.iter().map(|(key, value)| (key.to_string(), *value)).collect()
}

#[test]
fn quotas_come_and_go() {
    let mut image = cluster(1);
    let set = wishes(&[("producer_byte_rate", Some(1024.0)), ("request_percentage", Some(12.5))]);
    let records = alter_quotas(&image, &client("a"), &set).unwrap();
    apply(&mut image, records);
    assert_eq!(image.quotas()[&client("a")]["request_percentage"].get(), 12.5);
    assert_eq!(alter_quotas(&image, &client("a"), &set), Ok(vec![]), "all is as wished");
    let gone = wishes(&[("producer_byte_rate", None), ("consumer_byte_rate", None)]);
    let records = alter_quotas(&image, &client("a"), &gone).unwrap();
    assert_eq!(records.len(), 1);
    apply(&mut image, records);
    assert_eq!(image.quotas()[&client("a")].len(), 1);
    let records = alter_quotas(&image, &client("a"), &wishes(&[("request_percentage", None)])).unwrap();
    apply(&mut image, records);
    assert!(image.quotas().is_empty());
}

#[test]
fn what_makes_no_sense_is_refused() {
    let image = cluster(1);
    let refused = |entity: &QuotaEntity, key: &str, value: f64| {
        alter_quotas(&image, entity, &wishes(&[(key, Some(value))])).unwrap_err()
    };
    let key = "producer_byte_rate";
    assert_eq!(refused(&QuotaEntity::default(), key, 1.0), AlterQuotasError::NoEntity);
    let address = QuotaEntity { ip: Some(QuotaName::Default), ..QuotaEntity::default() };
    let both = QuotaEntity { user: Some(QuotaName::Default), ..address.clone() };
    assert_eq!(refused(&both, key, 1.0), AlterQuotasError::Combination);
    assert_eq!(refused(&address, key, 1.0), AlterQuotasError::UnknownKey(key.into()));
    let rate = "connection_creation_rate";
    assert_eq!(refused(&address, rate, 1.0), AlterQuotasError::NotBuilt(rate.into()));
    assert_eq!(refused(&client("a"), "speed", 1.0), AlterQuotasError::UnknownKey("speed".into()));
    for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(refused(&client("a"), key, value), AlterQuotasError::NotPositive(key.into()));
        assert_eq!(QuotaValue::new(value), None);
    }
    assert_eq!(refused(&client("a"), key, 1e19), AlterQuotasError::TooLarge(key.into()));
    assert_eq!(refused(&client("a"), key, 1.5), AlterQuotasError::Fraction(key.into()));
}
