//! `highwater topics`.

use highwater_wire::messages::{
    create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic},
    create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest},
    delete_topics::{DeleteTopicState, DeleteTopicsRequest},
    describe_log_dirs::{DescribableLogDirTopic, DescribeLogDirsRequest},
};

use super::{
    CommandError, TopicAction,
    cluster::{Cluster, Topic},
    output::{Output, numbers, size},
    run::pair,
};
use crate::{
    client::{check, only},
    counted::counted,
    json::Json,
};

const PATIENCE_MS: i32 = 30_000;
/// ListOffsets' words for the end and the start.
pub(super) const END: i64 = -1;
pub(super) const START: i64 = -2;

pub(super) async fn run(
    cluster: &mut Cluster,
    action: &TopicAction,
    out: &mut Output,
) -> Result<(), CommandError> {
    match action {
        TopicAction::List { internal } => list(cluster, *internal, out).await,
        TopicAction::Describe { topic } => describe(cluster, topic, out).await,
        TopicAction::Create { topic, partitions, replicas, configs } => {
            create(cluster, topic, partitions.unwrap_or(-1), replicas.unwrap_or(-1), configs, out).await
        }
        TopicAction::Grow { topic, partitions } => grow(cluster, topic, *partitions, out).await,
        TopicAction::Delete { topic } => delete(cluster, topic, out).await,
    }
}

async fn list(cluster: &mut Cluster, internal: bool, out: &mut Output) -> Result<(), CommandError> {
    let topics: Vec<Topic> =
        cluster.topics().await?.into_iter().filter(|topic| internal || !topic.internal).collect();
    if out.json {
        for topic in &topics {
            out.value(&Json::Object(vec![
                ("topic", Json::text(&topic.name)),
                ("partitions", Json::number(topic.partitions.len() as u64)),
                ("replicas", Json::number(replicas(topic) as u64)),
                ("internal", Json::Bool(topic.internal)),
            ]))?;
        }
        return Ok(());
    }
    if topics.is_empty() {
        return out.line("there are no topics");
    }
    let rows: Vec<[String; 4]> = topics
        .iter()
        .map(|topic| {
            [
                topic.name.clone(),
                topic.partitions.len().to_string(),
                replicas(topic).to_string(),
                health(topic).to_owned(),
            ]
        })
        .collect();
    out.table(["TOPIC", "PARTITIONS", "REPLICAS", "STATE"], &rows)
}

fn replicas(topic: &Topic) -> usize {
    topic.partitions.iter().map(|partition| partition.replicas.len()).max().unwrap_or(0)
}

fn health(topic: &Topic) -> &'static str {
    if topic.partitions.iter().any(|partition| partition.leader.is_none()) {
        "no leader"
    } else if topic.partitions.iter().any(|partition| partition.in_sync.len() < partition.replicas.len()) {
        "replicas behind"
    } else {
        "ok"
    }
}

struct Described {
    start: Option<i64>,
    end: Option<i64>,
    size: Option<i64>,
}

async fn describe(cluster: &mut Cluster, name: &str, out: &mut Output) -> Result<(), CommandError> {
    let topic = cluster.topic(name).await?;
    let mut rows = Vec::new();
    for partition in &topic.partitions {
        let mut found = Described { start: None, end: None, size: None };
        if let Some(leader) = partition.leader {
            found.start = offset(cluster, &topic, partition.index, START).await?;
            found.end = offset(cluster, &topic, partition.index, END).await?;
            found.size = local_size(cluster, leader, name, partition.index).await?;
        }
        rows.push((partition, found));
    }
    if out.json {
        let list = |values: &[i32]| Json::list(values.iter().copied(), Json::number);
        for (partition, found) in rows {
            out.value(&Json::Object(vec![
                ("topic", Json::text(name)),
                ("id", Json::text(topic.id)),
                ("partition", Json::number(partition.index)),
                ("leader", Json::or_null(partition.leader, Json::number)),
                ("replicas", list(&partition.replicas)),
                ("in_sync", list(&partition.in_sync)),
                ("start", Json::or_null(found.start, Json::number)),
                ("end", Json::or_null(found.end, Json::number)),
                ("local_bytes", Json::or_null(found.size, Json::number)),
            ]))?;
        }
        return Ok(());
    }
    out.heading(&format!("{name} ({})", topic.id))?;
    let number = |value: Option<i64>| value.map_or("-".to_owned(), |value| value.to_string());
    let rows: Vec<[String; 7]> = rows
        .into_iter()
        .map(|(partition, found)| {
            [
                partition.index.to_string(),
                partition.leader.map_or("none".to_owned(), |leader| leader.to_string()),
                numbers(&partition.replicas),
                numbers(&partition.in_sync),
                number(found.start),
                number(found.end),
                found.size.map_or("-".to_owned(), size),
            ]
        })
        .collect();
    out.table(["PARTITION", "LEADER", "REPLICAS", "IN SYNC", "START", "END", "LOCAL SIZE"], &rows)
}

/// An offset by time, or by one of ListOffsets' words.
pub(super) async fn offset(
    cluster: &mut Cluster,
    topic: &Topic,
    partition: i32,
    timestamp: i64,
) -> Result<Option<i64>, CommandError> {
    let leader = cluster.leader(topic, partition).await?;
    let found = leader.list_offset(&topic.name, partition, timestamp).await;
    let doing = format!("looking for offsets of partition {partition} of {:?}", topic.name);
    Ok(found.map_err(CommandError::request(doing))?.map(|found| found.offset.as_i64()))
}

/// What a partition takes on the disk of a broker.
async fn local_size(
    cluster: &mut Cluster,
    broker: i32,
    topic: &str,
    partition: i32,
) -> Result<Option<i64>, CommandError> {
    let asked = DescribableLogDirTopic { topic: topic.to_owned(), partitions: vec![partition] };
    let request = DescribeLogDirsRequest { topics: Some(vec![asked]) };
    let answer = cluster.broker(broker).await?.connection().call(&request).await;
    let answer = answer.map_err(CommandError::request("asking for sizes"))?;
    let found = answer.results.iter().flat_map(|dir| &dir.topics).flat_map(|topic| &topic.partitions);
    Ok(found.map(|partition| partition.partition_size).next())
}

async fn create(
    cluster: &mut Cluster,
    name: &str,
    partitions: i32,
    replicas: i16,
    configs: &[String],
    out: &mut Output,
) -> Result<(), CommandError> {
    let mut pairs = Vec::new();
    for config in configs {
        let (key, value) = pair(config)?;
        pairs.push(CreatableTopicConfig { name: key.to_owned(), value: Some(value.to_owned()) });
    }
    let topic = CreatableTopic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor: replicas,
        configs: pairs,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: PATIENCE_MS, validate_only: false };
    let doing = format!("creating topic {name:?}");
    let answer =
        only(cluster.control(&doing, &request).await?.topics).map_err(CommandError::request(&doing))?;
    check(answer.error_code, answer.error_message).map_err(CommandError::request(doing))?;
    out.done(
        &format!(
            "created {name}: {}, id {}",
            counted(answer.num_partitions, "partition", "partitions"),
            answer.topic_id
        ),
        Json::Object(vec![
            ("created", Json::text(name)),
            ("id", Json::text(answer.topic_id)),
            ("partitions", Json::number(answer.num_partitions)),
        ]),
    )
}

async fn grow(
    cluster: &mut Cluster,
    name: &str,
    partitions: i32,
    out: &mut Output,
) -> Result<(), CommandError> {
    cluster.topic(name).await?;
    let topic = CreatePartitionsTopic {
        name: name.to_owned(),
        count: partitions,
        ..CreatePartitionsTopic::default()
    };
    let request =
        CreatePartitionsRequest { topics: vec![topic], timeout_ms: PATIENCE_MS, validate_only: false };
    let doing = format!("growing topic {name:?}");
    let answer =
        only(cluster.control(&doing, &request).await?.results).map_err(CommandError::request(&doing))?;
    check(answer.error_code, answer.error_message).map_err(CommandError::request(doing))?;
    out.done(
        &format!("{name} has {partitions} partitions now"),
        Json::Object(vec![("grown", Json::text(name)), ("partitions", Json::number(partitions))]),
    )
}

async fn delete(cluster: &mut Cluster, name: &str, out: &mut Output) -> Result<(), CommandError> {
    let topic = cluster.topic(name).await?;
    // Named both ways: by its id where the version has one, so that a namesake made meanwhile is not meant.
    let by_id = DeleteTopicState { name: None, topic_id: topic.id };
    let request = DeleteTopicsRequest {
        topics: vec![by_id],
        topic_names: vec![name.to_owned()],
        timeout_ms: PATIENCE_MS,
    };
    let doing = format!("deleting topic {name:?}");
    let answer =
        only(cluster.control(&doing, &request).await?.responses).map_err(CommandError::request(&doing))?;
    check(answer.error_code, answer.error_message).map_err(CommandError::request(doing))?;
    out.done(&format!("deleted {name}"), Json::Object(vec![("deleted", Json::text(name))]))
}
