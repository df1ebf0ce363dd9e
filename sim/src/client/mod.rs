//! Simulated clients: they know only what an answer told them, and report what they asked and saw.

mod admin;
mod auditor;
mod producer;
mod reader;

pub use admin::{create_topics, make_and_break_topics};
pub use auditor::{Audit, audit};
pub use producer::{idempotent_producer, plain_producer};
pub use reader::reader;

use std::{sync::Arc, time::Duration};

use crate::{random::Random, topic::Topic, world::World};

/// One of the topics and one of its partitions, if there is any topic.
fn some_partition(world: &World, random: &mut Random) -> Option<(Arc<Topic>, u32)> {
    let topics = world.topics();
    if topics.is_empty() {
        return None;
    }
    let topic = random.pick(&topics).clone();
    let index = random.below(u64::from(topic.partitions)) as u32;
    Some((topic, index))
}

/// Lets a moment pass before something is tried again.
async fn a_moment(world: &World) {
    world.pause(Duration::from_millis(20), Duration::from_millis(200)).await;
}
