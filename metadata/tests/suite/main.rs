//! Codec, image, decisions and configuration, from outside.

mod alteration;
mod codec;
mod config;
mod controller;
mod creation;
mod growth;
mod image;
mod quotas;
