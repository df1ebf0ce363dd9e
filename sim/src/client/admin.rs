use std::{sync::Arc, time::Duration};

use highwater_node::request::{CreateTopicError, DeleteTopicError, TopicRef};
use highwater_records::TopicId;

use super::a_moment;
use crate::{observer::Violation, random::Random, topic::TopicPlan, world::World};

/// Makes these topics, however often it takes.
pub async fn create_topics(world: Arc<World>, plans: Vec<TopicPlan>) {
    for plan in plans {
        if let Some(id) = create(&world, &plan).await {
            world.add_topic(Arc::new(plan.topic(id)));
        }
    }
}

/// Makes a topic, lets clients use it for a while, deletes it, and makes another one of the same name, until it is
/// time to be quiet; the last one stays.
pub async fn make_and_break_topics(world: Arc<World>, plan: TopicPlan, mut random: Random) {
    let mut previous = None;
    while !world.is_quiet() {
        let Some(id) = create(&world, &plan).await else { return };
        if previous == Some(id) {
            let why = format!("topic {id} came back after it was deleted");
            return world.violate(Violation { invariant: "topic ids are never reused", why });
        }
        previous = Some(id);
        let topic = Arc::new(plan.topic(id));
        world.add_topic(topic.clone());
        world.pause(Duration::from_secs(1), Duration::from_secs(1 + random.below(10))).await;
        if world.is_quiet() {
            return;
        }
        world.remove_topic(&topic);
        delete(&world, id).await;
    }
}

/// The new topic's id; `None` if the broker refuses for good.
async fn create(world: &World, plan: &TopicPlan) -> Option<TopicId> {
    loop {
        let request = plan.request();
        match world.call(move |broker| broker.create_topic(request)).await {
            Some(Ok(id)) => {
                world.stats.progress("topics created");
                return Some(id);
            }
            // An earlier try whose outcome was not known did it.
            Some(Err(CreateTopicError::AlreadyExists(_))) => {
                if let Some(id) = world.topic_named(&plan.name) {
                    world.stats.progress("topics created, seen later");
                    return Some(id);
                }
            }
            Some(Err(CreateTopicError::Unavailable(_))) | None => {}
            Some(Err(error)) => {
                let why = format!("{plan:?} was refused: {error}");
                world.violate(Violation { invariant: "a valid topic can be made", why });
                return None;
            }
        }
        a_moment(world).await;
    }
}

async fn delete(world: &World, id: TopicId) {
    loop {
        match world.call(move |broker| broker.delete_topic(TopicRef::Id(id))).await {
            Some(Ok(())) => {
                world.stats.progress("topics deleted");
                return;
            }
            Some(Err(DeleteTopicError::UnknownTopic | DeleteTopicError::UnknownTopicId)) => {
                world.stats.progress("topics deleted, seen later");
                return;
            }
            Some(Err(_)) | None => a_moment(world).await,
        }
    }
}
