//! Produce against the floor: the same load for both, one core for the server, the other for the load.

pub mod contender;
pub mod floor;
pub mod frames;
pub mod load;
