use std::sync::Arc;

use highwater_env::BoxFuture;
use highwater_node::{
    Node,
    request::{
        Caller, CreateTopic, CreateTopicError, DeleteTopicError, Fetch, FetchedPartition,
        InitProducerIdError, ListOffset, ListOffsetsError, ListedOffset, Produce, ProduceError, Produced,
        TopicRef,
    },
};
use highwater_records::{ProducerEpoch, ProducerId, TopicId};

use crate::broker::{Broker, Errand, Whom};

/// The real node as clients call it.
pub(super) struct Service {
    node: Arc<Node>,
    caller: Caller,
}

impl Service {
    pub(super) fn new(node: Arc<Node>) -> Service {
        Service { node, caller: Caller { client_id: "simulated".into(), address: "simulated".into() } }
    }
}

impl Broker for Service {
    fn produce(self: Arc<Self>, request: Produce) -> BoxFuture<'static, Vec<Result<Produced, ProduceError>>> {
        Box::pin(async move { self.node.produce(&self.caller, request).await.wait().await })
    }

    fn fetch(self: Arc<Self>, request: Fetch) -> BoxFuture<'static, Vec<FetchedPartition>> {
        Box::pin(async move { self.node.fetch(&self.caller, request).await })
    }

    fn list_offsets(
        self: Arc<Self>,
        request: Vec<ListOffset>,
    ) -> BoxFuture<'static, Vec<Result<ListedOffset, ListOffsetsError>>> {
        Box::pin(async move { self.node.list_offsets(&self.caller, request).await })
    }

    fn init_producer_id(
        self: Arc<Self>,
    ) -> BoxFuture<'static, Result<(ProducerId, ProducerEpoch), InitProducerIdError>> {
        Box::pin(async move { self.node.init_producer_id(&self.caller).await })
    }

    fn create_topic(
        self: Arc<Self>,
        request: CreateTopic,
    ) -> BoxFuture<'static, Result<TopicId, CreateTopicError>> {
        Box::pin(async move {
            let mut answers = self.node.create_topics(&self.caller, vec![request], false).await;
            match answers.pop() {
                Some(answer) => answer.map(|created| created.id),
                None => Err(CreateTopicError::Unavailable("no answer".into())),
            }
        })
    }

    fn delete_topic(self: Arc<Self>, topic: TopicRef) -> BoxFuture<'static, Result<(), DeleteTopicError>> {
        Box::pin(async move {
            let mut answers = self.node.delete_topics(&self.caller, vec![topic]).await;
            match answers.pop() {
                Some(answer) => answer.map(drop),
                None => Err(DeleteTopicError::Unavailable("no answer".into())),
            }
        })
    }

    fn topic_named(&self, name: &str) -> Option<TopicId> {
        self.node.image().topic_named(name).map(|topic| topic.id)
    }

    fn on_node(self: Arc<Self>, _: Whom, errand: Errand) -> BoxFuture<'static, bool> {
        Box::pin(async move {
            errand(self.node.clone()).await;
            true
        })
    }

    fn stop(self: Arc<Self>) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async move { self.node.stop().await.map_err(|error| error.to_string()) })
    }
}
