//! The shell around a broker: sockets, configuration, metrics and the command line, and [`Broker`], a whole one inside
//! this process.

pub mod adopt;
pub mod api;
mod broker;
pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
mod counted;
pub mod demo;
mod descriptors;
mod first_of;
mod holder;
mod json;
pub mod logging;
pub mod metrics;
pub mod properties;
pub mod serve;
pub mod server;
pub mod signals;
mod times;
pub mod tools;

pub use broker::{Broker, BrokerOptions, StartError, StopError};
