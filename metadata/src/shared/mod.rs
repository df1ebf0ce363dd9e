//! Collections whose copies share what they have in common: taking a copy costs nothing, and a change of one copies only
//! what lies on the way to what changed. An image is replaced with every entry while readers keep the old one.

mod iter;
mod map;
#[cfg(test)]
mod tests;

pub(crate) use iter::Iter;
pub use map::SharedMap;
