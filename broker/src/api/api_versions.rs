//! ApiVersions: what this broker can do.

use super::{Decoded, reply};
use crate::server::Reply;
use highwater_wire::{
    ErrorCode, RequestStart,
    messages::api_versions::{
        ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
    },
    versions::APIS,
};

pub(super) fn answer(call: Decoded<ApiVersionsRequest>) -> Reply {
    let ApiVersionsRequest { client_software_name: name, client_software_version: version } = &call.request;
    if call.start.api_version >= 3 && !(is_software_word(name) && is_software_word(version)) {
        let error_code = ErrorCode::InvalidRequest.code();
        return reply(call.start, &ApiVersionsResponse { error_code, ..ApiVersionsResponse::default() });
    }
    tracing::debug!(client = call.caller.address, name, version, "client software");
    reply(call.start, &all(call.start.api_version, ErrorCode::None))
}

/// The answer to a version from the future: in the layout of version 0, which every client reads, with the versions
/// that there are, so that the client can ask again.
pub(super) fn too_new(start: RequestStart) -> Reply {
    reply(RequestStart { api_version: 0, ..start }, &all(0, ErrorCode::UnsupportedVersion))
}

/// A feature that every cluster of this program has switched on at its highest level, and that clients look for.
struct Feature {
    name: &'static str,
    max: i16,
}

/// `group.version` 1: consumer groups (KIP-848). `transaction.version` 2: epochs that grow with each transaction, and
/// partitions that join by the first record (KIP-890).
const FEATURES: &[Feature] =
    &[Feature { name: "group.version", max: 1 }, Feature { name: "transaction.version", max: 2 }];

/// From here on clients read features whose lowest level is 0 (KAFKA-17492).
const LEVEL_ZERO_SINCE: i16 = 4;

fn all(version: i16, error: ErrorCode) -> ApiVersionsResponse {
    let row = |api: &highwater_wire::versions::Api| ApiVersion {
        api_key: api.key(),
        min_version: api.advertised.min,
        max_version: api.advertised.max,
    };
    ApiVersionsResponse {
        error_code: error.code(),
        api_keys: APIS.iter().map(row).collect(),
        supported_features: FEATURES
            .iter()
            .filter(|_| version >= LEVEL_ZERO_SINCE)
            .map(|feature| SupportedFeatureKey {
                name: feature.name.to_owned(),
                min_version: 0,
                max_version: feature.max,
            })
            .collect(),
        // Features come with the program and never change while it runs.
        finalized_features_epoch: if version >= 3 { 0 } else { -1 },
        finalized_features: FEATURES
            .iter()
            .filter(|_| version >= 3)
            .map(|feature| FinalizedFeatureKey {
                name: feature.name.to_owned(),
                max_version_level: feature.max,
                min_version_level: feature.max,
            })
            .collect(),
        ..ApiVersionsResponse::default()
    }
}

/// Letters, digits, dots and hyphens, the last two not at the ends, as KIP-511 has it: it goes into metrics.
fn is_software_word(word: &str) -> bool {
    let (Some(first), Some(last)) = (word.bytes().next(), word.bytes().last()) else { return false };
    first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use highwater_wire::decode_response;

    #[test]
    fn a_version_from_the_future_is_answered_in_the_first_layout() {
        let start = RequestStart { api_key: 18, api_version: 99, correlation_id: 5 };
        let Reply::Response(segments) = too_new(start) else { panic!("no response") };
        let frame = bytes::Bytes::from(segments.concat()).slice(4..);
        let (correlation_id, response) = decode_response::<ApiVersionsResponse>(&frame, 0).unwrap();
        assert_eq!((correlation_id, response.error_code), (5, 35));
        assert_eq!(response.api_keys.len(), APIS.len());
        assert_eq!((response.api_keys[0].min_version, response.api_keys[0].max_version), (0, 13));
    }

    #[test]
    fn software_words() {
        for word in ["librdkafka", "apache-kafka-java", "2.12.0", "a"] {
            assert!(is_software_word(word), "{word}");
        }
        for word in ["", "-a", "a.", "a b", "ü", "a\n"] {
            assert!(!is_software_word(word), "{word}");
        }
    }
}
