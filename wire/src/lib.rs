//! Kafka's protocol bytes to plain values and back, in both directions, safe on hostile input.
//!
//! Each message is declared once, in [`messages`]; struct, defaults, decoding, encoding and size follow from
//! that declaration, and so does the table in [`declaration`] that a test compares with Kafka's own.
//!
//! - A request arrives as one frame, a [`bytes::Bytes`] without its length prefix. [`RequestStart`] says what
//!   it is, [`RequestHeader::decode`] where its body starts, [`Message::from_start`] reads that body. Record sets
//!   are slices of the frame, never copies.
//! - A response leaves as a [`Frame`]: a list of segments, length prefix included, in which record sets are
//!   the slices they were given as.
//! - [`versions`] is the table of what a broker advertises.
//!
//! Decoding is total: any bytes give a message or a [`DecodeError`], never a panic, and what it allocates is
//! bounded by [`ALLOCATION_FACTOR`] times the bytes received.

mod decoder;
mod encoder;
mod error_code;
mod frame;
mod header;
#[macro_use]
mod declare;
pub mod declaration;
pub mod messages;
#[cfg(test)]
mod roundtrip_tests;
#[cfg(any(test, feature = "sample"))]
pub mod sample;
mod value;
pub mod versions;

pub use decoder::{ALLOCATION_FACTOR, DecodeError, Decoder};
pub use encoder::{EncodeError, Encoder};
pub use error_code::ErrorCode;
pub use frame::{Frame, decode_response, encode_request, encode_response};
pub use header::{RequestHeader, RequestStart};
pub use value::{Message, Request, Value};
