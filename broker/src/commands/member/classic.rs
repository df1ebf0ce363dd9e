//! The classic protocol: everybody joins, one of the members shares the partitions out, and a rebalance makes all of them
//! give up what they have and join again.

use std::collections::BTreeSet;

use bytes::Bytes;
use highwater_wire::{
    ErrorCode,
    messages::{
        heartbeat::HeartbeatRequest,
        join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse},
        leave_group::{LeaveGroupRequest, MemberIdentity},
        sync_group::{SyncGroupRequest, SyncGroupRequestAssignment},
    },
};
use tokio::time::Duration;

use super::{Heard, Name, SOON, code, range};
use crate::commands::{
    CommandError,
    cluster::Cluster,
    members::{assignment, subscription},
};

const SESSION_MS: i32 = 30_000;
const REBALANCE_MS: i32 = 60_000;
const INTERVAL: Duration = Duration::from_secs(3);
const PROTOCOL_TYPE: &str = "consumer";

#[derive(Default)]
pub(super) struct Classic {
    is_in: bool,
}

impl Classic {
    pub(super) fn is_in(&self) -> bool {
        self.is_in
    }

    pub(super) async fn beat(
        &mut self,
        name: &mut Name<'_>,
        cluster: &mut Cluster,
    ) -> Result<(Heard, Duration), CommandError> {
        if !self.is_in {
            return self.join(name, cluster).await;
        }
        let request = HeartbeatRequest {
            group_id: name.group.to_owned(),
            generation_id: name.epoch,
            member_id: name.id.clone(),
            group_instance_id: None,
        };
        let doing = "staying in";
        let told = name.ask(cluster, doing, &request, i16::MAX).await?;
        match code(told.error_code) {
            ErrorCode::None => Ok((Heard::Nothing, INTERVAL)),
            ErrorCode::RebalanceInProgress => {
                self.is_in = false;
                Ok((Heard::Has(BTreeSet::new()), Duration::ZERO))
            }
            refused => self.outside(name, refused, doing, None),
        }
    }

    /// What follows from an error that may say that it is no member any more.
    fn outside(
        &mut self,
        name: &mut Name<'_>,
        refused: ErrorCode,
        doing: &str,
        why: Option<String>,
    ) -> Result<(Heard, Duration), CommandError> {
        match refused {
            ErrorCode::UnknownMemberId => name.id.clear(),
            ErrorCode::IllegalGeneration | ErrorCode::RebalanceInProgress => {}
            refused => return Err(name.refused(doing, refused, why)),
        }
        self.is_in = false;
        Ok((Heard::Lost, Duration::ZERO))
    }

    async fn join(
        &mut self,
        name: &mut Name<'_>,
        cluster: &mut Cluster,
    ) -> Result<(Heard, Duration), CommandError> {
        let doing = "joining";
        let request = JoinGroupRequest {
            group_id: name.group.to_owned(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: REBALANCE_MS,
            member_id: name.id.clone(),
            protocol_type: PROTOCOL_TYPE.to_owned(),
            protocols: vec![JoinGroupRequestProtocol {
                name: range::NAME.to_owned(),
                metadata: subscription(&name.topic.name),
            }],
            ..JoinGroupRequest::default()
        };
        let joined = name.ask(cluster, doing, &request, i16::MAX).await?;
        match code(joined.error_code) {
            ErrorCode::None => {}
            ErrorCode::MemberIdRequired => {
                name.id = joined.member_id;
                return Ok((Heard::Nothing, Duration::ZERO));
            }
            ErrorCode::InconsistentGroupProtocol => {
                let why = format!("its members do not all know the assignor {:?}", range::NAME);
                return Err(name.refused(doing, ErrorCode::InconsistentGroupProtocol, Some(why)));
            }
            refused => return self.outside(name, refused, doing, None),
        }
        name.id.clone_from(&joined.member_id);
        name.epoch = joined.generation_id;
        let request = SyncGroupRequest {
            group_id: name.group.to_owned(),
            generation_id: name.epoch,
            member_id: name.id.clone(),
            protocol_type: Some(PROTOCOL_TYPE.to_owned()),
            protocol_name: joined.protocol_name.clone(),
            assignments: shares(cluster, joined).await?,
            ..SyncGroupRequest::default()
        };
        let synced = name.ask(cluster, doing, &request, i16::MAX).await?;
        match code(synced.error_code) {
            ErrorCode::None => {}
            refused => return self.outside(name, refused, doing, None),
        }
        let what = || CommandError::Unknown {
            what: format!("{}: its leader shared out something that is no assignment", name.doing(doing)),
        };
        let mine = assignment(synced.assignment).ok_or_else(what)?;
        let of_topic = mine.into_iter().filter(|(topic, _)| *topic == name.topic.name);
        let parts = of_topic.flat_map(|(_, partitions)| partitions).collect();
        self.is_in = true;
        Ok((Heard::Has(parts), INTERVAL.max(SOON)))
    }

    pub(super) async fn leave(&mut self, name: &Name<'_>, cluster: &mut Cluster) -> Result<(), CommandError> {
        self.is_in = false;
        if name.id.is_empty() {
            return Ok(());
        }
        // Named both ways: by a field of its own up to version 2, as one of several from 3 on.
        let request = LeaveGroupRequest {
            group_id: name.group.to_owned(),
            member_id: name.id.clone(),
            members: vec![MemberIdentity { member_id: name.id.clone(), ..MemberIdentity::default() }],
        };
        name.ask(cluster, "leaving", &request, i16::MAX).await.map(drop)
    }
}

/// What each member is to have, if it is on this one to say.
async fn shares(
    cluster: &mut Cluster,
    joined: JoinGroupResponse,
) -> Result<Vec<SyncGroupRequestAssignment>, CommandError> {
    if joined.leader != joined.member_id || joined.skip_assignment {
        return Ok(Vec::new());
    }
    let members: Vec<(String, Bytes)> =
        joined.members.into_iter().map(|member| (member.member_id, member.metadata)).collect();
    let shares = range::share(cluster, &members).await?;
    let share = |(member_id, assignment)| SyncGroupRequestAssignment { member_id, assignment };
    Ok(shares.into_iter().map(share).collect())
}
