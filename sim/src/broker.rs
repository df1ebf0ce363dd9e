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

    /// The node itself, for what no other broker has; `None` if there is none, or several.
    fn node(&self) -> Option<Arc<Node>> {
        None
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
