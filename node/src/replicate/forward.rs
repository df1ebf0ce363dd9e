//! The metadata log as a broker sees it that does not lead it: what it decides goes to the controller.

use std::sync::Arc;

use highwater_metadata::{
    BoxFuture, ConfirmError, EntryId, Leadership, MetadataLog, MetadataRecord, News, NextError, ProposeError,
    Term,
};

use super::Membership;
use crate::peers::{ControlError, ControlReply, ControlRequest, ProposeRecords};

/// Proposes where the log is led, and reads where this broker is. A decision is made on the image of whoever makes it
/// and names that image, so it does not matter where: it takes effect on that image or not at all.
pub(crate) struct ForwardingLog {
    pub(crate) log: Arc<dyn MetadataLog>,
    pub(crate) membership: Arc<Membership>,
}

impl MetadataLog for ForwardingLog {
    fn propose(
        &self,
        expects: Option<EntryId>,
        records: Vec<MetadataRecord>,
    ) -> BoxFuture<'_, Result<EntryId, ProposeError>> {
        let leadership = self.log.leadership();
        if leadership.is_local {
            return self.log.propose(expects, records);
        }
        let Some(controller) = leadership.leader else {
            return Box::pin(async { Err(ProposeError::NotLeader { leader: None }) });
        };
        let (from, broker_epoch) = (self.membership.broker, self.membership.broker_epoch());
        let request = ControlRequest::Propose(ProposeRecords { from, broker_epoch, expects, records });
        Box::pin(async move {
            match self.membership.ask(controller, request).await {
                Some(Ok(ControlReply::Proposed { entry })) => Ok(entry),
                Some(Err(ControlError::NotController { controller })) => {
                    Err(ProposeError::NotLeader { leader: controller })
                }
                Some(Err(ControlError::Busy | ControlError::StaleBrokerEpoch)) => Err(ProposeError::Busy),
                _ => Err(ProposeError::Unknown),
            }
        })
    }

    fn next_after(&self, after: Option<EntryId>) -> BoxFuture<'_, Result<News, NextError>> {
        self.log.next_after(after)
    }

    fn committed(&self) -> Option<EntryId> {
        self.log.committed()
    }

    fn confirm_leadership(&self) -> BoxFuture<'_, Result<Term, ConfirmError>> {
        self.log.confirm_leadership()
    }

    fn leadership(&self) -> Leadership {
        self.log.leadership()
    }

    fn leadership_changed(&self, known: Leadership) -> BoxFuture<'_, Leadership> {
        self.log.leadership_changed(known)
    }
}
