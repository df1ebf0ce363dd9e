//! The cluster as shards see it.

use highwater_coordinator::{GroupConfigs, GroupOverrides, TopicFacts, Topics};
use highwater_metadata::{
    Image, Topic,
    config::{self, GroupBounds},
};
use highwater_records::TopicId;

/// The cluster's topics as shards see them.
pub(super) struct TopicsView<'a>(pub(super) &'a Image);

fn facts(topic: &Topic) -> TopicFacts {
    TopicFacts { id: topic.id, partitions: u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX) }
}

impl Topics for TopicsView<'_> {
    fn named(&self, name: &str) -> Option<TopicFacts> {
        self.0.topic_named(name).map(|topic| facts(topic))
    }

    fn name_of(&self, id: TopicId) -> Option<String> {
        self.0.topic(id).map(|topic| topic.name.clone())
    }

    fn for_each_name(&self, each: &mut dyn FnMut(&str)) {
        for topic in self.0.topics() {
            each(&topic.name);
        }
    }
}

/// What is set for single groups, as shards see it.
pub(super) struct GroupsView<'a> {
    pub(super) image: &'a Image,
    pub(super) bounds: &'a GroupBounds,
}

impl GroupConfigs for GroupsView<'_> {
    fn of_group(&self, group: &str) -> GroupOverrides {
        let set = config::GroupOverrides::new(self.image.group_config(group), self.bounds);
        GroupOverrides {
            session_timeout_ms: set.session_timeout_ms,
            heartbeat_interval_ms: set.heartbeat_interval_ms,
            assignment_interval_ms: set.assignment_interval_ms,
        }
    }
}
