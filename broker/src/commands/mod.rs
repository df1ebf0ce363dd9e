//! `highwater topics`, `produce`, `consume`, `groups` and `configs`: a cluster from the command line, for people without
//! Java. They speak Kafka's protocol and nothing else, so they serve with any Kafka-compatible cluster.

mod arguments;
mod cluster;
mod configs;
mod consume;
mod error;
mod groups;
mod isolation;
mod member;
mod members;
mod names;
mod output;
mod partitioner;
mod position;
mod produce;
mod run;
mod topics;

pub use arguments::{
    ClientArguments, ClientCommand, ConfigAction, ConfigOf, ConsumeArguments, GroupAction, ProduceArguments,
    TopicAction,
};
pub(crate) use arguments::{NAMES, commands, parse};
pub use error::CommandError;
pub use member::GroupProtocol;
pub use position::Position;
pub use run::run;
