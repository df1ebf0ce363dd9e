//! `highwater configs`.

use highwater_wire::messages::{
    describe_configs::{DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult},
    incremental_alter_configs::{AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest},
};

use super::{CommandError, ConfigAction, arguments::ConfigOf, cluster::Cluster, output::Output, run::pair};
use crate::{
    client::{check, only},
    json::Json,
};

// Kafka's numbers of resource types and operations.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;
const SET: i8 = 0;
const DELETE: i8 = 1;
/// The source of what nobody set.
const DEFAULT: i8 = 5;

pub(super) async fn run(
    cluster: &mut Cluster,
    action: &ConfigAction,
    out: &mut Output,
) -> Result<(), CommandError> {
    match action {
        ConfigAction::Describe { of, all } => describe(cluster, of, *all, out).await,
        ConfigAction::Alter { of, set, unset } => alter(cluster, of, set, unset, out).await,
    }
}

/// Type and name of a resource, and how to call it.
async fn resource(cluster: &mut Cluster, of: &ConfigOf) -> Result<(i8, String, String), CommandError> {
    match of {
        ConfigOf::Topic(topic) => {
            cluster.topic(topic).await?;
            Ok((TOPIC, topic.clone(), format!("topic {topic}")))
        }
        ConfigOf::Broker(Some(id)) => Ok((BROKER, id.to_string(), format!("broker {id}"))),
        ConfigOf::Broker(None) => Ok((BROKER, String::new(), "all brokers".to_owned())),
        // What is set for a group may be there before it.
        ConfigOf::Group(group) => Ok((GROUP, group.clone(), format!("group {group}"))),
    }
}

/// Where a value comes from, in words.
fn source(source: i8) -> &'static str {
    match source {
        1 => "topic",
        2 => "broker, dynamic",
        3 => "all brokers, dynamic",
        4 => "broker's file",
        DEFAULT => "default",
        8 => "group",
        _ => "unknown",
    }
}

async fn describe(
    cluster: &mut Cluster,
    of: &ConfigOf,
    all: bool,
    out: &mut Output,
) -> Result<(), CommandError> {
    let (resource_type, resource_name, called) = resource(cluster, of).await?;
    let doing = format!("describing {called}");
    let asked = DescribeConfigsResource { resource_type, resource_name, configuration_keys: None };
    let request = DescribeConfigsRequest { resources: vec![asked], ..DescribeConfigsRequest::default() };
    // What a broker was started with only it can tell.
    let answer = match of {
        ConfigOf::Broker(Some(id)) => {
            let answer = cluster.broker(*id).await?.connection().call(&request).await;
            answer.map_err(CommandError::request(&doing))?
        }
        _ => cluster.control(&doing, &request).await?,
    };
    let answer = only(answer.results).map_err(CommandError::request(&doing))?;
    check(answer.error_code, answer.error_message).map_err(CommandError::request(doing))?;
    let configs: Vec<DescribeConfigsResourceResult> =
        answer.configs.into_iter().filter(|config| all || config.config_source != DEFAULT).collect();
    if out.json {
        for config in configs {
            out.value(&Json::Object(vec![
                ("of", Json::text(&called)),
                ("key", Json::text(config.name)),
                ("value", Json::or_null(config.value, Json::Text)),
                ("source", Json::text(source(config.config_source))),
                ("read_only", Json::Bool(config.read_only)),
                ("sensitive", Json::Bool(config.is_sensitive)),
            ]))?;
        }
        return Ok(());
    }
    out.heading(&called)?;
    if configs.is_empty() {
        return out.line("everything has its default; --all shows it");
    }
    let rows: Vec<[String; 3]> = configs
        .into_iter()
        .map(|config| {
            let value = match config.is_sensitive {
                true => "(hidden)".to_owned(),
                false => config.value.unwrap_or_default(),
            };
            [config.name, value, source(config.config_source).to_owned()]
        })
        .collect();
    out.table(["KEY", "VALUE", "FROM"], &rows)
}

async fn alter(
    cluster: &mut Cluster,
    of: &ConfigOf,
    set: &[String],
    unset: &[String],
    out: &mut Output,
) -> Result<(), CommandError> {
    let (resource_type, resource_name, called) = resource(cluster, of).await?;
    let mut configs = Vec::new();
    for wish in set {
        let (key, value) = pair(wish)?;
        let value = Some(value.to_owned());
        configs.push(AlterableConfig { name: key.to_owned(), config_operation: SET, value });
    }
    for key in unset {
        configs.push(AlterableConfig { name: key.clone(), config_operation: DELETE, value: None });
    }
    let wishes = AlterConfigsResource { resource_type, resource_name, configs };
    let request = IncrementalAlterConfigsRequest { resources: vec![wishes], validate_only: false };
    let doing = format!("changing {called}");
    let answer = match of {
        ConfigOf::Broker(Some(id)) => {
            let answer = cluster.broker(*id).await?.connection().call(&request).await;
            answer.map_err(CommandError::request(&doing))?
        }
        _ => cluster.control(&doing, &request).await?,
    };
    let answer = only(answer.responses).map_err(CommandError::request(&doing))?;
    check(answer.error_code, answer.error_message).map_err(CommandError::request(doing))?;
    let changes: Vec<String> =
        set.iter().cloned().chain(unset.iter().map(|key| format!("{key} has its default again"))).collect();
    out.done(
        &format!("{called}: {}", changes.join(", ")),
        Json::Object(vec![("changed", Json::Text(called.clone()))]),
    )
}
