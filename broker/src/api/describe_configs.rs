//! DescribeConfigs: every key with its value and where that comes from.

use super::{Decoded, reply};
use crate::server::Reply;
use highwater_node::request::{ConfigEntry, DescribeConfigsError};
use highwater_wire::{
    ErrorCode,
    messages::describe_configs::{
        DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
        DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
    },
};

/// Kafka's numbers for kinds of resources.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;
/// Those that have configurations in Kafka: loggers and metrics of clients besides.
const KINDS: [i8; 5] = [TOPIC, BROKER, 8, 16, GROUP];

/// What else the client wants to know of each key.
#[derive(Clone, Copy)]
struct Detail {
    synonyms: bool,
    documentation: bool,
}

pub(super) fn answer(call: Decoded<DescribeConfigsRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    let detail = Detail { synonyms: request.include_synonyms, documentation: request.include_documentation };
    // As in Kafka, one of a kind that nobody has spoils the whole request.
    let strange =
        request.resources.iter().map(|resource| resource.resource_type).find(|kind| !KINDS.contains(kind));
    let results = request.resources.into_iter().map(|resource| {
        let found = match strange.unwrap_or(resource.resource_type) {
            TOPIC => node.describe_topic_config(&caller, &resource.resource_name),
            BROKER => node.describe_broker_config(&caller, &resource.resource_name),
            GROUP => node.describe_group_config(&caller, &resource.resource_name),
            other => Err(DescribeConfigsError::InvalidRequest(format!(
                "resources of type {other} have no configuration here; topics (2), brokers (4) and groups (32) have"
            ))),
        };
        result(resource, found, detail)
    });
    reply(
        start,
        &DescribeConfigsResponse { results: results.collect(), ..DescribeConfigsResponse::default() },
    )
}

fn result(
    resource: DescribeConfigsResource,
    found: Result<Vec<ConfigEntry>, DescribeConfigsError>,
    detail: Detail,
) -> DescribeConfigsResult {
    let wanted = |entry: &ConfigEntry| match &resource.configuration_keys {
        // Kafka takes an empty list for all of them too.
        Some(keys) => keys.is_empty() || keys.contains(&entry.name),
        None => true,
    };
    let (error_code, error_message, configs) = match found {
        Ok(entries) => {
            let configs = entries.into_iter().filter(wanted).map(|entry| config(entry, detail)).collect();
            (ErrorCode::None, None, configs)
        }
        Err(error) => (code(&error), Some(error.to_string()), Vec::new()),
    };
    DescribeConfigsResult {
        error_code: error_code.code(),
        error_message,
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        configs,
    }
}

fn config(entry: ConfigEntry, detail: Detail) -> DescribeConfigsResourceResult {
    let synonym = |(name, value, source)| DescribeConfigsSynonym { name, value, source };
    DescribeConfigsResourceResult {
        name: entry.name,
        value: entry.value,
        read_only: entry.read_only,
        config_source: entry.source,
        is_sensitive: entry.sensitive,
        synonyms: if detail.synonyms {
            entry.synonyms.into_iter().map(synonym).collect()
        } else {
            Vec::new()
        },
        config_type: entry.kind,
        documentation: detail.documentation.then_some(entry.documentation),
    }
}

fn code(error: &DescribeConfigsError) -> ErrorCode {
    match error {
        DescribeConfigsError::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
        DescribeConfigsError::InvalidName(_) => ErrorCode::InvalidTopicException,
        DescribeConfigsError::InvalidRequest(_) => ErrorCode::InvalidRequest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> ConfigEntry {
        ConfigEntry {
            name: name.into(),
            value: Some("1".into()),
            source: 5,
            is_default: true,
            read_only: false,
            sensitive: false,
            kind: 5,
            documentation: "what it does".into(),
            synonyms: vec![("log.x".into(), None, 4)],
        }
    }

    #[test]
    fn only_what_was_asked_for_is_told() {
        let resource = |keys: Option<&[&str]>| DescribeConfigsResource {
            resource_type: TOPIC,
            resource_name: "t".into(),
            configuration_keys: keys.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect()),
        };
        let nothing = Detail { synonyms: false, documentation: false };
        let some = result(resource(Some(&["b", "unknown"])), Ok(vec![entry("a"), entry("b")]), nothing);
        assert_eq!(some.configs.iter().map(|config| config.name.as_str()).collect::<Vec<_>>(), ["b"]);
        assert_eq!((some.configs[0].synonyms.len(), &some.configs[0].documentation), (0, &None));
        let all =
            result(resource(None), Ok(vec![entry("a")]), Detail { synonyms: true, documentation: true });
        assert_eq!(all.configs[0].synonyms[0].name, "log.x");
        assert_eq!(all.configs[0].documentation.as_deref(), Some("what it does"));
        let unknown = result(resource(None), Err(DescribeConfigsError::UnknownTopic), nothing);
        assert_eq!((unknown.error_code, unknown.configs.len()), (3, 0));
    }
}
