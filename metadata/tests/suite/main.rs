//! Codec, image, decisions and configuration, from outside.

mod codec;
mod config;
mod creation;
mod growth;
mod image;
