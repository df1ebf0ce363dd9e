//! Brokers of one process, connected by function calls.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use bytes::Bytes;
use highwater_env::BoxFuture;
use highwater_records::BrokerId;
use parking_lot::Mutex;

use super::{
    ControlError, ControlReply, ControlRequest, MetadataTail, MetadataTailError, MetadataTailed, PeerError,
    Peers, ReplicaFetch, ReplicaFetchError, ReplicaFetched, ReplicaRead, ReplicaReadError, TransactionAnswer,
    TransactionCall, TransactionCallError,
};
use crate::Node;

/// The brokers of a cluster that live in this process: a call is a function call, without a network and without time-outs.
/// Clones share the same brokers. A broker that was not connected, was disconnected or was dropped does not answer.
///
/// It holds no broker alive.
#[derive(Clone, Default)]
pub struct InProcess {
    nodes: Arc<Mutex<BTreeMap<BrokerId, Weak<Node>>>>,
}

impl InProcess {
    /// From here on `node` answers for `broker`, in place of who did.
    pub fn connect(&self, broker: BrokerId, node: &Arc<Node>) {
        self.nodes.lock().insert(broker, Arc::downgrade(node));
    }

    /// From here on nobody answers for `broker`. Calls that are under way still get their answers.
    pub fn disconnect(&self, broker: BrokerId) {
        self.nodes.lock().remove(&broker);
    }

    fn node(&self, to: BrokerId) -> Result<Arc<Node>, PeerError> {
        let node = self.nodes.lock().get(&to).and_then(Weak::upgrade);
        node.ok_or_else(|| PeerError { to, why: "nobody listens".into() })
    }
}

impl Peers for InProcess {
    fn replica_fetch(
        &self,
        to: BrokerId,
        request: ReplicaFetch,
    ) -> BoxFuture<'static, Result<Result<ReplicaFetched, ReplicaFetchError>, PeerError>> {
        let node = self.node(to);
        Box::pin(async move { Ok(node?.serve_replica_fetch(request).await) })
    }

    fn replica_read(
        &self,
        to: BrokerId,
        read: ReplicaRead,
    ) -> BoxFuture<'static, Result<Result<Bytes, ReplicaReadError>, PeerError>> {
        let node = self.node(to);
        Box::pin(async move { Ok(node?.serve_replica_read(read).await) })
    }

    fn control(
        &self,
        to: BrokerId,
        request: ControlRequest,
    ) -> BoxFuture<'static, Result<Result<ControlReply, ControlError>, PeerError>> {
        let node = self.node(to);
        Box::pin(async move { Ok(node?.serve_control(request).await) })
    }

    fn metadata_tail(
        &self,
        to: BrokerId,
        request: MetadataTail,
    ) -> BoxFuture<'static, Result<Result<MetadataTailed, MetadataTailError>, PeerError>> {
        let node = self.node(to);
        Box::pin(async move { Ok(node?.serve_metadata_tail(request).await) })
    }

    fn transaction(
        &self,
        to: BrokerId,
        call: TransactionCall,
    ) -> BoxFuture<'static, Result<Result<TransactionAnswer, TransactionCallError>, PeerError>> {
        let node = self.node(to);
        Box::pin(async move { Ok(node?.serve_transaction(call).await) })
    }
}
