//! `highwater groups`.

use std::collections::BTreeMap;

use highwater_wire::messages::{
    consumer_group_describe::ConsumerGroupDescribeRequest,
    delete_groups::DeleteGroupsRequest,
    describe_groups::DescribeGroupsRequest,
    list_groups::{ListGroupsRequest, ListedGroup},
    offset_commit::{
        OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
    },
    offset_fetch::{OffsetFetchRequest, OffsetFetchResponse},
};

use super::{
    CommandError, GroupAction, Position,
    cluster::Cluster,
    consume::{chosen, resolve},
    members::assignment,
    names::unknown,
    output::{Output, numbers},
    topics::{END, offset},
};
use crate::{
    client::{check, only},
    counted::counted,
    json::Json,
};

/// The last version of OffsetFetch that asks for one group.
const FETCH_OF_ONE: i16 = 7;
/// The last version of OffsetCommit that names topics by name.
const COMMIT_BY_NAME: i16 = 9;

pub(super) async fn run(
    cluster: &mut Cluster,
    action: &GroupAction,
    out: &mut Output,
) -> Result<(), CommandError> {
    match action {
        GroupAction::List => list(cluster, out).await,
        GroupAction::Describe { group } => describe(cluster, group, out).await,
        GroupAction::Reset { group, topic, partition, to, dry_run } => {
            reset(cluster, group, topic, *partition, *to, *dry_run, out).await
        }
        GroupAction::Delete { group } => delete(cluster, group, out).await,
    }
}

/// The groups of all brokers, by name, with the broker that coordinates each.
async fn all(cluster: &mut Cluster) -> Result<Vec<(ListedGroup, i32)>, CommandError> {
    let brokers: Vec<i32> = cluster.brokers().keys().copied().collect();
    let mut groups = Vec::new();
    for broker in brokers {
        let doing = || CommandError::request(format!("asking broker {broker} for its groups"));
        let answer = cluster.broker(broker).await?.connection().call(&ListGroupsRequest::default()).await;
        let answer = answer.map_err(doing())?;
        check(answer.error_code, None).map_err(doing())?;
        groups.extend(answer.groups.into_iter().map(|group| (group, broker)));
    }
    groups.sort_by(|(one, _), (other, _)| one.group_id.cmp(&other.group_id));
    Ok(groups)
}

/// One group that exists.
async fn find(cluster: &mut Cluster, name: &str) -> Result<ListedGroup, CommandError> {
    let groups = all(cluster).await?;
    match groups.iter().find(|(group, _)| group.group_id == name) {
        Some((group, _)) => Ok(group.clone()),
        None => Err(unknown("group", name, groups.iter().map(|(group, _)| group.group_id.as_str()))),
    }
}

async fn list(cluster: &mut Cluster, out: &mut Output) -> Result<(), CommandError> {
    let groups = all(cluster).await?;
    if out.json {
        for (group, broker) in groups {
            out.value(&Json::Object(vec![
                ("group", Json::text(group.group_id)),
                ("type", Json::text(group.group_type)),
                ("state", Json::text(group.group_state)),
                ("coordinator", Json::number(broker)),
            ]))?;
        }
        return Ok(());
    }
    if groups.is_empty() {
        return out.line("there are no groups");
    }
    let rows: Vec<[String; 4]> = groups
        .into_iter()
        .map(|(group, broker)| [group.group_id, group.group_type, group.group_state, broker.to_string()])
        .collect();
    out.table(["GROUP", "TYPE", "STATE", "COORDINATOR"], &rows)
}

/// Who has what.
struct Member {
    id: String,
    client: String,
    host: String,
    topics: Vec<(String, Vec<i32>)>,
}

async fn describe(cluster: &mut Cluster, name: &str, out: &mut Output) -> Result<(), CommandError> {
    let group = find(cluster, name).await?;
    let members = match group.group_type.eq_ignore_ascii_case("consumer") {
        true => consumers(cluster, name).await?,
        false => classic_members(cluster, name).await?,
    };
    let owners: BTreeMap<(&str, i32), &str> = members
        .iter()
        .flat_map(|member| {
            let each = |(topic, partitions)| (member.id.as_str(), topic, partitions);
            member.topics.iter().map(move |(topic, partitions)| each((topic.as_str(), partitions)))
        })
        .flat_map(|(id, topic, partitions): (_, _, &Vec<i32>)| {
            partitions.iter().map(move |partition| ((topic, *partition), id))
        })
        .collect();
    let committed = committed(cluster, name, false).await?;
    let mut rows = Vec::new();
    for (topic, partition, offset) in lagging(cluster, &committed, &owners).await? {
        let owner = owners.get(&(topic.as_str(), partition)).copied();
        rows.push((topic, partition, offset, owner));
    }
    if out.json {
        let topics = |member: &Member| {
            Json::list(&member.topics, |(topic, partitions)| {
                let partitions = Json::list(partitions.iter().copied(), Json::number);
                Json::Object(vec![("topic", Json::text(topic)), ("partitions", partitions)])
            })
        };
        return out.value(&Json::Object(vec![
            ("group", Json::text(name)),
            ("type", Json::text(&group.group_type)),
            ("state", Json::text(&group.group_state)),
            (
                "members",
                Json::list(&members, |member| {
                    Json::Object(vec![
                        ("id", Json::text(&member.id)),
                        ("client", Json::text(&member.client)),
                        ("host", Json::text(&member.host)),
                        ("assigned", topics(member)),
                    ])
                }),
            ),
            (
                "partitions",
                Json::list(rows, |(topic, partition, (committed, end), owner)| {
                    Json::Object(vec![
                        ("topic", Json::Text(topic)),
                        ("partition", Json::number(partition)),
                        ("committed", Json::or_null(committed, Json::number)),
                        ("end", Json::or_null(end, Json::number)),
                        ("lag", Json::or_null(lag(committed, end), Json::number)),
                        ("member", Json::or_null(owner, Json::text)),
                    ])
                }),
            ),
        ]));
    }
    out.heading(&format!("{name}: {}, {}", group.group_state, counted(members.len(), "member", "members")))?;
    let number = |value: Option<i64>| value.map_or("-".to_owned(), |value| value.to_string());
    let shown: Vec<[String; 6]> = rows
        .into_iter()
        .map(|(topic, partition, (committed, end), owner)| {
            [
                topic,
                partition.to_string(),
                number(committed),
                number(end),
                number(lag(committed, end)),
                owner.unwrap_or("-").to_owned(),
            ]
        })
        .collect();
    if shown.is_empty() {
        out.line("it has committed nothing, and nothing is assigned")?;
    } else {
        out.table(["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER"], &shown)?;
    }
    if members.is_empty() {
        return Ok(());
    }
    out.line("")?;
    let shown: Vec<[String; 4]> = members
        .into_iter()
        .map(|member| {
            let topic =
                |(topic, partitions): &(String, Vec<i32>)| format!("{topic} ({})", numbers(partitions));
            let topics: Vec<String> = member.topics.iter().map(topic).collect();
            [member.id, member.client, member.host, topics.join(", ")]
        })
        .collect();
    out.table(["MEMBER", "CLIENT", "HOST", "ASSIGNED"], &shown)
}

fn lag(committed: Option<i64>, end: Option<i64>) -> Option<i64> {
    Some(end?.saturating_sub(committed?).max(0))
}

type Offsets = (Option<i64>, Option<i64>);

/// What was committed and where the log ends, for every partition that was committed or is assigned. Topics that are
/// gone have no end.
async fn lagging(
    cluster: &mut Cluster,
    committed: &BTreeMap<(String, i32), i64>,
    owners: &BTreeMap<(&str, i32), &str>,
) -> Result<Vec<(String, i32, Offsets)>, CommandError> {
    let owned = owners.keys().map(|(topic, partition)| ((*topic).to_owned(), *partition));
    let mut keys: Vec<(String, i32)> = committed.keys().cloned().chain(owned).collect();
    keys.sort();
    keys.dedup();
    let topics = cluster.topics().await?;
    let mut rows = Vec::new();
    for (topic, partition) in keys {
        let known = topics.iter().find(|known| known.name == topic);
        let led = known.filter(|known| {
            known.partitions.iter().any(|one| one.index == partition && one.leader.is_some())
        });
        let end = match led {
            Some(known) => offset(cluster, known, partition, END).await?,
            None => None,
        };
        let at = committed.get(&(topic.clone(), partition)).copied();
        rows.push((topic, partition, (at, end)));
    }
    Ok(rows)
}

async fn classic_members(cluster: &mut Cluster, name: &str) -> Result<Vec<Member>, CommandError> {
    let doing = format!("describing group {name:?}");
    let request = DescribeGroupsRequest { groups: vec![name.to_owned()], ..DescribeGroupsRequest::default() };
    let answer = cluster.coordinator(name).await?.call(&request).await;
    let group =
        only(answer.map_err(CommandError::request(&doing))?.groups).map_err(CommandError::request(&doing))?;
    check(group.error_code, group.error_message).map_err(CommandError::request(doing))?;
    let member = |member: highwater_wire::messages::describe_groups::DescribedGroupMember| Member {
        id: member.member_id,
        client: member.client_id,
        host: member.client_host,
        topics: assignment(member.member_assignment).unwrap_or_default(),
    };
    Ok(group.members.into_iter().map(member).collect())
}

async fn consumers(cluster: &mut Cluster, name: &str) -> Result<Vec<Member>, CommandError> {
    let doing = format!("describing group {name:?}");
    let request = ConsumerGroupDescribeRequest {
        group_ids: vec![name.to_owned()],
        ..ConsumerGroupDescribeRequest::default()
    };
    let answer = cluster.coordinator(name).await?.call(&request).await;
    let group =
        only(answer.map_err(CommandError::request(&doing))?.groups).map_err(CommandError::request(&doing))?;
    check(group.error_code, group.error_message).map_err(CommandError::request(doing))?;
    let member = |member: highwater_wire::messages::consumer_group_describe::Member| Member {
        id: member.member_id,
        client: member.client_id,
        host: member.client_host,
        topics: member
            .assignment
            .topic_partitions
            .into_iter()
            .map(|topic| (topic.topic_name, topic.partitions))
            .collect(),
    };
    Ok(group.members.into_iter().map(member).collect())
}

/// What a group has committed. Where it is asked for what is `stable`, offsets that a transaction has not decided are an
/// error, to be tried again.
pub(super) async fn committed(
    cluster: &mut Cluster,
    name: &str,
    stable: bool,
) -> Result<BTreeMap<(String, i32), i64>, CommandError> {
    let doing = || CommandError::request(format!("asking for the offsets of group {name:?}"));
    let request = OffsetFetchRequest {
        group_id: name.to_owned(),
        topics: None,
        require_stable: stable,
        ..OffsetFetchRequest::default()
    };
    let connection = cluster.coordinator(name).await?;
    connection.send(&request, FETCH_OF_ONE).await.map_err(doing())?;
    let answer: OffsetFetchResponse = connection.receive().await.map_err(doing())?;
    check(answer.error_code, None).map_err(doing())?;
    let mut offsets = BTreeMap::new();
    for topic in answer.topics {
        for partition in topic.partitions {
            check(partition.error_code, None).map_err(doing())?;
            if partition.committed_offset >= 0 {
                offsets.insert((topic.name.clone(), partition.partition_index), partition.committed_offset);
            }
        }
    }
    Ok(offsets)
}

async fn reset(
    cluster: &mut Cluster,
    group: &str,
    topic: &str,
    partition: Option<i32>,
    to: Position,
    dry_run: bool,
    out: &mut Output,
) -> Result<(), CommandError> {
    let topic = cluster.topic(topic).await?;
    let before = committed(cluster, group, false).await?;
    let mut wishes = Vec::new();
    for partition in chosen(&topic, partition)? {
        let wish = resolve(cluster, &topic, partition, to).await?;
        wishes.push((partition, wish));
    }
    if !dry_run {
        let doing = format!("moving group {group:?}");
        let partitions = wishes.iter().map(|(partition, offset)| OffsetCommitRequestPartition {
            partition_index: *partition,
            committed_offset: *offset,
            ..OffsetCommitRequestPartition::default()
        });
        let commits = OffsetCommitRequestTopic {
            name: topic.name.clone(),
            partitions: partitions.collect(),
            ..OffsetCommitRequestTopic::default()
        };
        let request = OffsetCommitRequest {
            group_id: group.to_owned(),
            topics: vec![commits],
            ..OffsetCommitRequest::default()
        };
        let connection = cluster.coordinator(group).await?;
        connection.send(&request, COMMIT_BY_NAME).await.map_err(CommandError::request(&doing))?;
        let answer: OffsetCommitResponse =
            connection.receive().await.map_err(CommandError::request(&doing))?;
        for partition in only(answer.topics).map_err(CommandError::request(&doing))?.partitions {
            let doing = format!("{doing} in partition {}", partition.partition_index);
            check(partition.error_code, None).map_err(CommandError::request(doing))?;
        }
    }
    let old = |partition: i32| before.get(&(topic.name.clone(), partition)).copied();
    if out.json {
        for (partition, offset) in wishes {
            out.value(&Json::Object(vec![
                ("group", Json::text(group)),
                ("topic", Json::text(&topic.name)),
                ("partition", Json::number(partition)),
                ("before", Json::or_null(old(partition), Json::number)),
                ("after", Json::number(offset)),
                ("dry_run", Json::Bool(dry_run)),
            ]))?;
        }
        return Ok(());
    }
    out.heading(&format!(
        "{group}{}",
        if dry_run { ", not moved: this is what --dry-run shows" } else { "" }
    ))?;
    let rows: Vec<[String; 4]> = wishes
        .into_iter()
        .map(|(partition, offset)| {
            let before = old(partition).map_or("-".to_owned(), |before| before.to_string());
            [topic.name.clone(), partition.to_string(), before, offset.to_string()]
        })
        .collect();
    out.table(["TOPIC", "PARTITION", "BEFORE", "AFTER"], &rows)
}

async fn delete(cluster: &mut Cluster, name: &str, out: &mut Output) -> Result<(), CommandError> {
    find(cluster, name).await?;
    let doing = format!("deleting group {name:?}");
    let request = DeleteGroupsRequest { groups_names: vec![name.to_owned()] };
    let answer = cluster.coordinator(name).await?.call(&request).await;
    let answer = only(answer.map_err(CommandError::request(&doing))?.results)
        .map_err(CommandError::request(&doing))?;
    check(answer.error_code, None).map_err(CommandError::request(doing))?;
    out.done(&format!("deleted {name}"), Json::Object(vec![("deleted", Json::text(name))]))
}
