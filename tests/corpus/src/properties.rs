//! `server.properties`, and the configuration it gives.

use highwater_broker::properties::Properties;
use highwater_metadata::config::{self, BrokerConfig, ConfigError, ConfigProblem, Settings, TopicConfig};
use std::collections::BTreeMap;

/// The input is a file.
pub(crate) fn run(input: &[u8]) {
    let Ok(properties) = Properties::parse(input) else { return };
    let values = properties.values();
    let rewritten: String =
        values.iter().map(|(key, value)| format!("{}={}\n", escaped(key), escaped(value))).collect();
    let again = Properties::parse(rewritten.as_bytes()).expect("it was escaped").values();
    assert_eq!(again, values);

    let mut settings = Settings::new();
    for (key, value) in &values {
        let known = config::broker_key(key).is_some() || config::is_known_but_unused(key);
        if !known && !input.len().is_multiple_of(16) {
            // The answer names the nearest key, which takes longer than all the rest: not for every input.
            continue;
        }
        match settings.give(key, value) {
            Ok(used) => {
                assert_eq!(settings.given(key), Some(value.trim()));
                assert!(used != config::is_known_but_unused(key), "{key}");
            }
            Err(ConfigError { problem: ConfigProblem::UnknownKey { nearest }, .. }) => {
                assert!(config::broker_key(nearest).is_some() || config::is_known_but_unused(nearest));
                // A start ends here too.
                break;
            }
            Err(_) => {}
        }
        if config::topic_key(key).is_some() {
            let _ = config::check_topic(key, value);
        }
    }
    let Ok(broker) = BrokerConfig::new(settings) else { return };
    config::describe_broker(&broker);
    // Settings that are good each by itself may still not go together.
    for replicas in [1, 3] {
        if let Ok(stored) = TopicConfig::complete(BTreeMap::new(), &broker, replicas) {
            TopicConfig::resolve(&stored, &broker, replicas)
                .expect("what is stored at creation can be resolved");
            config::describe_topic(&stored, &broker);
        }
    }
}

/// Every character as the file's syntax spells it when in doubt.
fn escaped(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut all = String::new();
    for key in config::broker_keys() {
        all.push_str(key.name);
        all.push_str("=1\n");
    }
    vec![
        b"# a comment\nnode.id=1\nlisteners=PLAINTEXT://127.0.0.1:9092\nlog.dirs=/tmp/a, /tmp/b\n".to_vec(),
        b"log.retention.hours : 168\r\nlog.segment.bytes 1048576\n! another\nnum.partitions=\\\n   3\n".to_vec(),
        b"remote.log.storage.url=s3\\://bucket/prefix\nkey\\ with\\ blanks=\\u00e4\\t\\n\nlog.retention.mss=1\n".to_vec(),
        b"zookeeper.connect=localhost:2181\nnum.network.threads=3\nhighwater.durability=synced\n".to_vec(),
        all.into_bytes(),
    ]
}
