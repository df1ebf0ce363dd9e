use highwater_env::BoxFuture;
use highwater_node::{
    Node,
    request::{
        CreateTopic, CreateTopicError, DeleteTopicError, Fetch, FetchedPartition, InitProducerIdError,
        ListOffset, ListOffsetsError, ListedOffset, Produce, ProduceError, Produced, TopicRef,
    },
};
use highwater_records::{ProducerEpoch, ProducerId, TopicId, TopicIdPartition};
use std::sync::Arc;

use crate::{executor::SimEnv, history::Stop, world::World};

/// Whom a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Any broker.
    Anybody,
    /// Whoever coordinates this group.
    Group(String),
    /// Whoever coordinates this transactional id.
    Transaction(String),
    /// Whoever leads this partition.
    Leader(&'static str, u32),
}

/// Something to be done with a node.
pub type Errand = Box<dyn FnOnce(Arc<Node>) -> BoxFuture<'static, ()> + Send>;

/// What simulated clients ask of a broker: the seam between the two, where a test can put a broken one.
///
/// The futures own what they need, so that they can run as tasks of the broker's process and die with it.
pub trait Broker: Send + Sync {
    /// Appends, and waits for the acknowledgements.
    fn produce(self: Arc<Self>, request: Produce) -> BoxFuture<'static, Vec<Result<Produced, ProduceError>>>;

    /// Reads.
    fn fetch(self: Arc<Self>, request: Fetch) -> BoxFuture<'static, Vec<FetchedPartition>>;

    /// Looks offsets up.
    fn list_offsets(
        self: Arc<Self>,
        request: Vec<ListOffset>,
    ) -> BoxFuture<'static, Vec<Result<ListedOffset, ListOffsetsError>>>;

    /// A new producer session.
    fn init_producer_id(
        self: Arc<Self>,
    ) -> BoxFuture<'static, Result<(ProducerId, ProducerEpoch), InitProducerIdError>>;

    /// Creates one topic.
    fn create_topic(
        self: Arc<Self>,
        request: CreateTopic,
    ) -> BoxFuture<'static, Result<TopicId, CreateTopicError>>;

    /// Deletes one topic.
    fn delete_topic(self: Arc<Self>, topic: TopicRef) -> BoxFuture<'static, Result<(), DeleteTopicError>>;

    /// The identity of the topic with this name, if there is one now.
    fn topic_named(&self, name: &str) -> Option<TopicId>;

    /// Runs something on the node that this is for, for what no other broker has; `false` if there is none, or nothing
    /// came back.
    fn on_node(self: Arc<Self>, whom: Whom, errand: Errand) -> BoxFuture<'static, bool> {
        drop((whom, errand));
        Box::pin(async { false })
    }

    /// Stops cleanly.
    fn stop(self: Arc<Self>) -> BoxFuture<'static, Result<(), String>>;
}

/// A kind of broker that a simulation can start, stop and look into.
pub trait System: Send + Sync {
    /// Starts one in the process `env`, on what an earlier one left.
    ///
    /// # Errors
    /// Why it does not start; it may be tried again.
    fn boot(&self, env: Arc<SimEnv>) -> BoxFuture<'static, Result<Arc<dyn Broker>, String>>;

    /// Reports what lies on the disk and in the bucket, while no broker runs.
    fn inspect(&self, world: &World, how: Stop);

    /// The end of what a power cut at this instant would leave of a partition at least; `None` if that cannot be told.
    fn survives_power_cut(&self, at: TopicIdPartition) -> Option<u64>;
}
