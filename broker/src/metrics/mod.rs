//! What the broker counts, as Prometheus text over HTTP.
//!
//! Names are those that dashboards for Kafka query, as the usual JMX exporter spells them; what Kafka does not have is
//! called `highwater_...`.

mod endpoint;
mod exposition;
mod page;

pub use endpoint::{MetricsEndpoint, Source};
pub use exposition::{Exposition, Kind};
pub use page::{Page, Snapshot};
