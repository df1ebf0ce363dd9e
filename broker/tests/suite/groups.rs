//! The APIs of groups at every version that is advertised, over TCP: one member's life in each.

use crate::running::{Raw, Running, ask, served};
use bytes::Bytes;
use highwater_records::TopicId;
use highwater_wire::{
    ErrorCode,
    messages::{
        consumer_group_describe::ConsumerGroupDescribeRequest,
        consumer_group_heartbeat::ConsumerGroupHeartbeatRequest, delete_groups::*, describe_groups::*,
        find_coordinator::*, heartbeat::*, join_group::*, leave_group::*, list_groups::*, offset_commit::*,
        offset_delete::*, offset_fetch::*, sync_group::*,
    },
};

/// Asks again while the answer is one that clients retry.
macro_rules! patiently {
    ($ask:expr, |$answer:ident| $code:expr) => {
        loop {
            let $answer = $ask;
            match ErrorCode::from_code($code) {
                Some(ErrorCode::CoordinatorLoadInProgress | ErrorCode::CoordinatorNotAvailable) => {
                    tokio::task::yield_now().await;
                }
                _ => break $answer,
            }
        }
    };
}

struct Member {
    raw: Raw,
    topic_id: TopicId,
}

impl Member {
    async fn new(running: &Running) -> Member {
        let topic_id = running.client().await.create_topic("t", 2, &[]).await.unwrap();
        let mut raw = Raw::connect(running).await;
        let find = FindCoordinatorRequest { key: "g".into(), ..FindCoordinatorRequest::default() };
        let found = ask(&mut raw, 0, &find).await;
        assert_eq!(found.error_code, 0);
        Member { raw, topic_id }
    }

    /// Joins at a version, by the two steps that it asks for.
    async fn join(&mut self, version: i16) -> JoinGroupResponse {
        let protocol = JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: Bytes::from_static(&[0, 0, 0, 0, 0, 1, 0, 1, b't']),
        };
        let mut request = JoinGroupRequest {
            group_id: "g".into(),
            session_timeout_ms: 30_000,
            rebalance_timeout_ms: if version >= 1 { 30_000 } else { -1 },
            protocol_type: "consumer".into(),
            protocols: vec![protocol],
            ..JoinGroupRequest::default()
        };
        let first = patiently!(ask(&mut self.raw, version, &request).await, |answer| answer.error_code);
        if version < 4 {
            return first;
        }
        assert_eq!(first.error_code, ErrorCode::MemberIdRequired.code(), "version {version}");
        request.member_id = first.member_id;
        ask(&mut self.raw, version, &request).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_joins_works_and_leaves_at_every_version() {
    let running = Running::start_with(&[("group.initial.rebalance.delay.ms", "0")]).await;
    let mut member = Member::new(&running).await;
    let syncs: Vec<i16> = served::<SyncGroupRequest>().collect();
    let beats: Vec<i16> = served::<HeartbeatRequest>().collect();
    let leaves: Vec<i16> = served::<LeaveGroupRequest>().collect();
    for (turn, version) in served::<JoinGroupRequest>().enumerate() {
        let joined = member.join(version).await;
        assert_eq!((joined.error_code, joined.members.len()), (0, 1), "version {version}");
        assert_eq!((&joined.leader, joined.protocol_name.as_deref()), (&joined.member_id, Some("range")));
        let id = joined.member_id;
        let assignment = SyncGroupRequestAssignment {
            member_id: id.clone(),
            assignment: Bytes::from(format!("turn {turn}")),
        };
        let at = syncs[turn % syncs.len()];
        let sync = SyncGroupRequest {
            group_id: "g".into(),
            generation_id: joined.generation_id,
            member_id: id.clone(),
            protocol_type: (at >= 5).then(|| "consumer".into()),
            protocol_name: (at >= 5).then(|| "range".into()),
            assignments: vec![assignment],
            ..SyncGroupRequest::default()
        };
        if at >= 5 {
            let mute = SyncGroupRequest { protocol_type: None, ..sync.clone() };
            let refused = ask(&mut member.raw, at, &mute).await;
            assert_eq!(refused.error_code, ErrorCode::InconsistentGroupProtocol.code());
        }
        let synced = ask(&mut member.raw, at, &sync).await;
        assert_eq!(
            (synced.error_code, synced.assignment),
            (0, format!("turn {turn}").into()),
            "version {at}"
        );
        let mut beat = HeartbeatRequest {
            group_id: "g".into(),
            generation_id: joined.generation_id,
            member_id: id.clone(),
            ..HeartbeatRequest::default()
        };
        let at = beats[turn % beats.len()];
        assert_eq!(ask(&mut member.raw, at, &beat).await.error_code, 0, "version {at}");
        beat.generation_id += 1;
        let stale = ask(&mut member.raw, at, &beat).await;
        assert_eq!(stale.error_code, ErrorCode::IllegalGeneration.code(), "version {at}");
        let at = leaves[turn % leaves.len()];
        let leave = LeaveGroupRequest {
            group_id: "g".into(),
            member_id: if at < 3 { id.clone() } else { String::new() },
            members: if at < 3 {
                Vec::new()
            } else {
                vec![MemberIdentity { member_id: id.clone(), ..MemberIdentity::default() }]
            },
        };
        let left = ask(&mut member.raw, at, &leave).await;
        assert_eq!((left.error_code, left.members.len()), (0, usize::from(at >= 3)), "version {at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_are_kept_and_told_at_every_version() {
    let running = Running::start().await;
    let mut member = Member::new(&running).await;
    let by_id = |version: i16| version >= 10;
    for version in served::<OffsetCommitRequest>() {
        let partition = OffsetCommitRequestPartition {
            partition_index: 1,
            committed_offset: 100 + i64::from(version),
            committed_leader_epoch: if version >= 6 { 5 } else { -1 },
            committed_metadata: Some(format!("by {version}")),
        };
        let mut topics = vec![OffsetCommitRequestTopic {
            name: if by_id(version) { String::new() } else { "t".into() },
            topic_id: if by_id(version) { member.topic_id } else { TopicId::ZERO },
            partitions: vec![partition.clone()],
        }];
        topics.push(OffsetCommitRequestTopic {
            name: if by_id(version) { String::new() } else { "nowhere".into() },
            topic_id: if by_id(version) { TopicId::from_bytes([9; 16]) } else { TopicId::ZERO },
            partitions: vec![partition],
        });
        let commit = OffsetCommitRequest { group_id: "g".into(), topics, ..OffsetCommitRequest::default() };
        let answer = patiently!(ask(&mut member.raw, version, &commit).await, |answer| answer.topics[0]
            .partitions[0]
            .error_code);
        let unknown =
            if by_id(version) { ErrorCode::UnknownTopicId } else { ErrorCode::UnknownTopicOrPartition };
        let codes: Vec<_> = answer.topics.iter().map(|topic| topic.partitions[0].error_code).collect();
        assert_eq!(codes, [0, unknown.code()], "version {version}");
    }
    for version in served::<OffsetFetchRequest>() {
        let answer = ask(&mut member.raw, version, &fetch(version, member.topic_id)).await;
        let (offset, epoch, metadata, other) = if version < 8 {
            let found = &answer.topics[0].partitions;
            let epoch = found[0].committed_leader_epoch;
            (found[0].committed_offset, epoch, found[0].metadata.clone(), found[1].committed_offset)
        } else {
            let found = &answer.groups[0].topics[0].partitions;
            let epoch = found[0].committed_leader_epoch;
            (found[0].committed_offset, epoch, found[0].metadata.clone(), found[1].committed_offset)
        };
        let epoch_told = if version >= 5 { 5 } else { -1 };
        assert_eq!((offset, epoch, other), (110, epoch_told, -1), "version {version}");
        assert_eq!(metadata.as_deref(), Some("by 10"), "version {version}");
    }
    for version in served::<OffsetDeleteRequest>() {
        let partitions = vec![OffsetDeleteRequestPartition { partition_index: 1 }];
        let topics = vec![OffsetDeleteRequestTopic { name: "t".into(), partitions }];
        let delete = OffsetDeleteRequest { group_id: "g".into(), topics };
        let answer = ask(&mut member.raw, version, &delete).await;
        assert_eq!((answer.error_code, answer.topics[0].partitions[0].error_code), (0, 0));
        let nobody = OffsetDeleteRequest { group_id: "nobody".into(), topics: Vec::new() };
        let answer = ask(&mut member.raw, version, &nobody).await;
        assert_eq!(answer.error_code, ErrorCode::GroupIdNotFound.code());
    }
    let answer = ask(&mut member.raw, 9, &fetch(9, member.topic_id)).await;
    assert_eq!(answer.groups[0].topics[0].partitions[0].committed_offset, -1);
}

/// Partitions 1 and 0 of `t`.
fn fetch(version: i16, topic_id: TopicId) -> OffsetFetchRequest {
    let name = || if version >= 10 { String::new() } else { "t".to_owned() };
    if version < 8 {
        let topic = OffsetFetchRequestTopic { name: name(), partition_indexes: vec![1, 0] };
        return OffsetFetchRequest {
            group_id: "g".into(),
            topics: Some(vec![topic]),
            ..OffsetFetchRequest::default()
        };
    }
    let topic = OffsetFetchRequestTopics {
        name: name(),
        topic_id: if version >= 10 { topic_id } else { TopicId::ZERO },
        partition_indexes: vec![1, 0],
    };
    let group = OffsetFetchRequestGroup {
        group_id: "g".into(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequestGroup::default()
    };
    OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_listed_described_and_deleted_at_every_version() {
    let running = Running::start_with(&[("group.initial.rebalance.delay.ms", "0")]).await;
    let mut member = Member::new(&running).await;
    let joined = member.join(9).await;
    for version in served::<ListGroupsRequest>() {
        let all = ListGroupsRequest::default();
        let answer = patiently!(ask(&mut member.raw, version, &all).await, |answer| answer.error_code);
        assert_eq!(answer.groups.len(), 1, "version {version}");
        assert_eq!((&*answer.groups[0].group_id, &*answer.groups[0].protocol_type), ("g", "consumer"));
        if version >= 4 {
            assert_eq!(answer.groups[0].group_state, "CompletingRebalance");
            let empty = ListGroupsRequest { states_filter: vec!["Empty".into()], ..all };
            assert!(ask(&mut member.raw, version, &empty).await.groups.is_empty(), "version {version}");
        }
    }
    for version in served::<DescribeGroupsRequest>() {
        let request = DescribeGroupsRequest {
            groups: vec!["g".into(), "nobody".into()],
            include_authorized_operations: version >= 3,
        };
        let answer = ask(&mut member.raw, version, &request).await;
        let (found, nobody) = (&answer.groups[0], &answer.groups[1]);
        assert_eq!((found.error_code, found.members.len()), (0, 1), "version {version}");
        assert_eq!((&found.members[0].member_id, &*found.members[0].client_id), (&joined.member_id, "test"));
        assert_eq!(found.authorized_operations != i32::MIN, version >= 3);
        let code = if version >= 6 { ErrorCode::GroupIdNotFound } else { ErrorCode::None };
        assert_eq!((nobody.error_code, &*nobody.group_state), (code.code(), "Dead"), "version {version}");
    }
    for version in served::<DeleteGroupsRequest>() {
        let request = DeleteGroupsRequest { groups_names: vec!["g".into(), "nobody".into(), String::new()] };
        let codes: Vec<_> = ask(&mut member.raw, version, &request)
            .await
            .results
            .iter()
            .map(|result| result.error_code)
            .collect();
        let expected = [ErrorCode::NonEmptyGroup, ErrorCode::GroupIdNotFound, ErrorCode::GroupIdNotFound];
        assert_eq!(codes, expected.map(ErrorCode::code), "version {version}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumer_groups_are_served_at_every_version() {
    let running = Running::start().await;
    let mut member = Member::new(&running).await;
    for version in served::<ConsumerGroupHeartbeatRequest>() {
        let group = format!("c{version}");
        let mut beat = ConsumerGroupHeartbeatRequest {
            group_id: group.clone(),
            member_id: "me".into(),
            rebalance_timeout_ms: 30_000,
            subscribed_topic_names: Some(vec!["t".into()]),
            topic_partitions: Some(Vec::new()),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        let joined = patiently!(ask(&mut member.raw, version, &beat).await, |answer| answer.error_code);
        assert_eq!((joined.error_code, joined.member_id.as_deref()), (0, Some("me")), "version {version}");
        let assigned = joined.assignment.expect("a new member is told what it has").topic_partitions;
        assert_eq!((assigned.len(), assigned[0].topic_id), (1, member.topic_id));
        assert_eq!(assigned[0].partitions, [0, 1]);
        beat.member_epoch = joined.member_epoch;
        beat.topic_partitions = None;
        beat.subscribed_topic_names = None;
        beat.rebalance_timeout_ms = -1;
        let again = ask(&mut member.raw, version, &beat).await;
        assert_eq!((again.error_code, again.assignment), (0, None), "version {version}");
        let stale = ConsumerGroupHeartbeatRequest { member_epoch: beat.member_epoch + 5, ..beat.clone() };
        let fenced = ask(&mut member.raw, version, &stale).await;
        assert_eq!(fenced.error_code, ErrorCode::FencedMemberEpoch.code());
        for version in served::<ConsumerGroupDescribeRequest>() {
            let describe = ConsumerGroupDescribeRequest {
                group_ids: vec![group.clone(), "nobody".into()],
                include_authorized_operations: true,
            };
            let told = ask(&mut member.raw, version, &describe).await.groups;
            assert_eq!((told[0].error_code, &*told[0].group_state), (0, "Stable"), "version {version}");
            assert_eq!((&*told[0].assignor_name, told[0].members.len()), ("uniform", 1));
            let has = &told[0].members[0].assignment.topic_partitions[0];
            assert_eq!((&*has.topic_name, &has.partitions[..]), ("t", &[0, 1][..]));
            assert_eq!(told[1].error_code, ErrorCode::GroupIdNotFound.code());
        }
        let classic = member.join(9).await;
        assert_eq!(classic.error_code, 0, "another group is of the other kind");
        let left = ConsumerGroupHeartbeatRequest { member_epoch: -1, ..beat };
        assert_eq!(ask(&mut member.raw, version, &left).await.member_epoch, -1);
    }
}
