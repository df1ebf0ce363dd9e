//! The roles of one partition: leader, in-sync set, high watermark, acknowledgements.
#![no_std]
extern crate alloc;
