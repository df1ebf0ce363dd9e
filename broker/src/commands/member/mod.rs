//! A member of a group, over either protocol: it says that it lives, is told what it has, and leaves.

mod classic;
mod newer;
mod offsets;
mod range;
mod reading;

use std::collections::BTreeSet;

use highwater_wire::{
    ErrorCode, Request, messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest as Beat,
};
use tokio::time::{Duration, Instant};

use super::{
    CommandError,
    cluster::{Cluster, Topic},
};
use crate::client::ClientError;
use classic::Classic;
use newer::Newer;

pub(super) use reading::run;

/// How a group agrees on who has what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupProtocol {
    /// One of the members decides (JoinGroup, SyncGroup).
    Classic,
    /// The coordinator decides (KIP-848).
    Consumer,
}

/// How soon something is tried again that could not be done now.
const SOON: Duration = Duration::from_millis(200);

/// A member that reads one topic.
struct Member<'t> {
    name: Name<'t>,
    speaks: Speaks,
    /// Whether the newer protocol was asked for, rather than chosen because the broker has it.
    insists: bool,
    /// When it is to be heard next.
    due: Instant,
}

/// Who it is.
struct Name<'t> {
    group: &'t str,
    topic: &'t Topic,
    /// Given by the coordinator; empty before.
    id: String,
    /// The generation, or the member's epoch.
    epoch: i32,
}

enum Speaks {
    Classic(Classic),
    Newer(Newer),
}

/// What a member was told.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// Nothing new.
    Nothing,
    /// It is to have these partitions and no others. [`Member::takes`] says that it does.
    Has(BTreeSet<i32>),
    /// It is no member any more: whatever it had, others may have.
    Lost,
}

impl<'t> Member<'t> {
    async fn new(
        cluster: &mut Cluster,
        group: &'t str,
        topic: &'t Topic,
        wanted: Option<GroupProtocol>,
    ) -> Result<Member<'t>, CommandError> {
        let has_newer = cluster.coordinator(group).await?.version::<Beat>(i16::MAX).is_some();
        let speaks = match wanted {
            Some(GroupProtocol::Classic) => Speaks::Classic(Classic::default()),
            None if !has_newer => Speaks::Classic(Classic::default()),
            Some(GroupProtocol::Consumer) | None => Speaks::Newer(Newer::default()),
        };
        let name = Name { group, topic, id: String::new(), epoch: 0 };
        Ok(Member { name, speaks, insists: wanted.is_some(), due: Instant::now() })
    }

    /// Says that it lives, if it is time to.
    async fn beat(&mut self, cluster: &mut Cluster) -> Result<Heard, CommandError> {
        if Instant::now() < self.due {
            return Ok(Heard::Nothing);
        }
        let told = match &mut self.speaks {
            Speaks::Classic(member) => member.beat(&mut self.name, cluster).await,
            Speaks::Newer(member) => member.beat(&mut self.name, cluster).await,
        };
        match told {
            Ok((heard, next)) => {
                self.due = Instant::now() + next;
                Ok(heard)
            }
            // The coordinator is gone or busy: it is looked for again with the next request.
            Err(CommandError::Request { error: ClientError::Refused { code, .. }, .. })
                if code.is_retriable() =>
            {
                self.due = Instant::now() + SOON;
                Ok(Heard::Nothing)
            }
            // The broker knows the newer protocol, and this group, or this cluster, does not have it.
            Err(CommandError::Request { error: ClientError::Refused { code, .. }, .. })
                if matches!(code, ErrorCode::UnsupportedVersion | ErrorCode::GroupIdNotFound)
                    && matches!(self.speaks, Speaks::Newer(_))
                    && !self.insists =>
            {
                self.speaks = Speaks::Classic(Classic::default());
                Ok(Heard::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    /// It has what it was told to have, and says so at once where somebody waits for that.
    fn takes(&mut self, parts: BTreeSet<i32>) {
        match &mut self.speaks {
            Speaks::Classic(_) => {}
            Speaks::Newer(member) => member.takes(parts),
        }
        if !self.is_settled() {
            self.due = Instant::now();
        }
    }

    /// Whether it waits for nothing that it was promised.
    fn is_settled(&self) -> bool {
        match &self.speaks {
            Speaks::Classic(member) => member.is_in(),
            Speaks::Newer(member) => member.has_told(),
        }
    }

    /// Whether it is a member now.
    fn is_in(&self) -> bool {
        match &self.speaks {
            Speaks::Classic(member) => member.is_in(),
            Speaks::Newer(_) => self.name.epoch > 0,
        }
    }

    /// Leaves, so that others need not wait for its silence.
    async fn leave(&mut self, cluster: &mut Cluster) -> Result<(), CommandError> {
        match &mut self.speaks {
            Speaks::Classic(member) => member.leave(&self.name, cluster).await,
            Speaks::Newer(member) => member.leave(&self.name, cluster).await,
        }
    }
}

impl Name<'_> {
    /// Asks the group's coordinator. The answer's own error is for the caller.
    async fn ask<R: Request>(
        &self,
        cluster: &mut Cluster,
        doing: &str,
        request: &R,
        highest: i16,
    ) -> Result<R::Response, CommandError> {
        let doing = || CommandError::request(self.doing(doing));
        let connection = cluster.coordinator(self.group).await?;
        connection.send(request, highest).await.map_err(doing())?;
        connection.receive().await.map_err(doing())
    }

    fn doing(&self, doing: &str) -> String {
        format!("{doing} group {:?}", self.group)
    }

    fn refused(&self, doing: &str, code: ErrorCode, message: Option<String>) -> CommandError {
        let error = ClientError::Refused { code, message: message.unwrap_or_default() };
        CommandError::Request { doing: self.doing(doing), error }
    }
}

/// An error code of an answer.
fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)
}
