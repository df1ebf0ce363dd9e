//! A node as the layer above meets it, on real disks. One binary, because each one links the whole node.

mod commits;
mod compaction;
mod groups;
mod idle;
mod one_node;
mod started;
mod transactions;
