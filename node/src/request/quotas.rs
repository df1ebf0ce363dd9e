use highwater_metadata::decide;

/// Why a quota was not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlterQuotasError {
    /// It is refused.
    #[error(transparent)]
    Refused(decide::AlterQuotasError),
    /// The decision's fate is unknown or it could not be made now. Retry.
    #[error("{0}")]
    Unavailable(String),
}
