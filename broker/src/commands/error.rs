use std::io;

use crate::client::ClientError;

/// Why a command could not be done.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Nobody answers there.
    #[error("no broker at {address}: {error}; `highwater serve` runs one, --bootstrap names another")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What went wrong.
        error: ClientError,
    },
    /// A request failed or was refused.
    #[error("{doing}: {error}")]
    Request {
        /// What was being done.
        doing: String,
        /// What went wrong.
        error: ClientError,
    },
    /// There is no such topic, group or partition.
    #[error("{what}")]
    Unknown {
        /// What is missing, and what comes nearest.
        what: String,
    },
    /// Nobody serves it at the moment.
    #[error("{what}")]
    Unavailable {
        /// What is not served.
        what: String,
    },
    /// What was given makes no sense to the cluster.
    #[error("{0}")]
    Invalid(String),
    /// Input could not be read, or output could not be written.
    #[error("{doing}: {error}")]
    Io {
        /// What was being done.
        doing: String,
        /// What went wrong.
        error: io::Error,
    },
}

impl CommandError {
    /// What the program ends with: 2 for a mistake in the arguments, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            CommandError::Invalid(_) => 2,
            _ => 1,
        }
    }

    /// Whether it may be over in a moment: brokers that are started again, or leadership that moves.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            CommandError::Unavailable { .. } => true,
            CommandError::Unreachable { error, .. } | CommandError::Request { error, .. } => match error {
                ClientError::Io(_) => true,
                ClientError::Refused { code, .. } => code.is_retriable(),
                _ => false,
            },
            _ => false,
        }
    }

    /// The pipe that we write into was closed; whoever reads has seen enough.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, CommandError::Io { error, .. } if error.kind() == io::ErrorKind::BrokenPipe)
    }

    pub(super) fn request(doing: impl Into<String>) -> impl FnOnce(ClientError) -> CommandError {
        let doing = doing.into();
        move |error| CommandError::Request { doing, error }
    }

    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> CommandError {
        let doing = doing.into();
        move |error| CommandError::Io { doing, error }
    }
}
