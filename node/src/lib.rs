//! Everything a broker does except sockets: runs the cores against the logs, the bucket and the metadata log.
//!
//! Requests come in as plain values ([`request`]) and know nothing of Kafka's wire format.

pub mod request;
