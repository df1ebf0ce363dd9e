//! The broker as its users meet it: as a process, over sockets, inside a program. One binary, because each one links the
//! whole broker.

mod admin;
mod bombs;
mod commands;
mod configs;
mod demo;
mod every_version;
mod groups;
mod hostile;
mod in_process;
mod process;
mod quotas;
mod running;
mod serve;
mod sessions;
mod transactions;
mod waiting;
