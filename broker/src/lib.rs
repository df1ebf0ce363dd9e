//! The shell around a broker: sockets, configuration, metrics and the command line.

pub mod cli;
pub mod client;
pub mod config;
pub mod demo;
mod first_of;
pub mod logging;
pub mod metrics;
pub mod properties;
pub mod server;
pub mod signals;
