//! What is said on standard error, and how much of it.

use std::io::{self, IsTerminal};

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    util::{SubscriberInitExt, TryInitError},
};

/// The environment variable that says how much to log when the command line does not.
pub const VARIABLE: &str = "HIGHWATER_LOG";

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The wish is neither a level nor a list of `target=level`.
    #[error(
        "cannot log at {wish:?}: expected off, error, warn, info, debug, trace or a list of target=level"
    )]
    Unknown {
        /// What was wished for.
        wish: String,
    },
    /// Something else in this process has set up logging.
    #[error("logging is already set up")]
    AlreadySet(#[from] TryInitError),
}

/// Logs to standard error: at `level`, or as `HIGHWATER_LOG` says, or at `info`. A level alone is ours; the libraries
/// below us say no more than `info`.
///
/// # Errors
/// The level is not one, or logging is already set up.
pub fn start(level: Option<&str>) -> Result<(), LoggingError> {
    let variable = std::env::var(VARIABLE).ok();
    let targets = targets(level.or(variable.as_deref()).unwrap_or("info"))?;
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).with_target(false);
    tracing_subscriber::registry().with(lines).with(targets).try_init()?;
    Ok(())
}

fn targets(wish: &str) -> Result<Targets, LoggingError> {
    let wish = wish.trim();
    if let Ok(level) = wish.parse::<LevelFilter>() {
        let others = level.min(LevelFilter::INFO);
        return Ok(Targets::new().with_default(others).with_target("highwater", level));
    }
    wish.parse().map_err(|_| LoggingError::Unknown { wish: wish.to_owned() })
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_level_is_ours_and_a_list_is_taken_as_it_stands() {
        let debug = targets("debug").unwrap();
        assert!(debug.would_enable("highwater_node::upkeep", &Level::DEBUG));
        assert!(!debug.would_enable("highwater_node", &Level::TRACE));
        assert!(debug.would_enable("hyper", &Level::INFO));
        assert!(!debug.would_enable("hyper", &Level::DEBUG));
        let quiet = targets(" error ").unwrap();
        assert!(!quiet.would_enable("hyper", &Level::WARN));
        assert!(!targets("off").unwrap().would_enable("highwater", &Level::ERROR));
        let list = targets("warn,highwater_node=trace").unwrap();
        assert!(list.would_enable("highwater_node", &Level::TRACE));
        assert!(!list.would_enable("highwater_broker", &Level::INFO));
        assert!(matches!(targets("highwater=loud"), Err(LoggingError::Unknown { .. })));
    }
}
