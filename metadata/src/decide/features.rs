//! Features: what every broker supports may be switched on.

use crate::{Image, MetadataRecord, ReplicationRecord};
use alloc::{string::String, vec, vec::Vec};
use highwater_records::BrokerId;

/// Why a feature's level is not set. Nothing was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeatureError {
    /// A registered broker does not support that level.
    #[error("broker {0} does not support that level")]
    Unsupported(BrokerId),
    /// Levels only rise, unless `downgrade` is asked for.
    #[error("the level is {0}: lowering it must be asked for")]
    Downgrade(u16),
}

/// Sets a feature's level; zero switches it off. Nothing to decide if it has that level.
pub fn set_feature(
    image: &Image,
    feature: &str,
    level: u16,
    downgrade: bool,
) -> Result<Vec<MetadataRecord>, FeatureError> {
    let current = image.features().get(feature).copied().unwrap_or(0);
    if level == current {
        return Ok(Vec::new());
    }
    if level < current && !downgrade {
        return Err(FeatureError::Downgrade(current));
    }
    for (broker, registration) in image.registrations() {
        let supports = registration
            .features
            .iter()
            .any(|range| range.feature == feature && (range.min..=range.max).contains(&level));
        if level > 0 && !supports {
            return Err(FeatureError::Unsupported(*broker));
        }
    }
    let feature = String::from(feature);
    Ok(vec![MetadataRecord::Replication(ReplicationRecord::FeatureLevelSet { feature, level })])
}
