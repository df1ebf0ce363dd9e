//! What the cluster agrees on: controller decisions as records, the image they add up to, and the
//! `MetadataLog` trait through which every decision goes.
#![no_std]
extern crate alloc;
