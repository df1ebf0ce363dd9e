//! `highwater adopt`: takes over the data directory of a Kafka broker that was its cluster's only one. The batches stay
//! as and where they are; what Kafka's metadata log says of them goes into ours.

mod apply;
mod kafka_image;
mod kafka_record;
mod plan;
mod run;
mod undo;

pub use apply::ApplyError;
pub use kafka_image::{KafkaMetadataError, topics_in};
pub use plan::{Plan, PlanError};
pub use run::{AdoptArguments, AdoptError, run};
pub(crate) use run::{command, parse};
pub use undo::UndoError;
