//! `highwater log`: looking at data directories that nobody has open, and putting them right. What is done is the
//! engine's; here it is shown.

mod arguments;
mod run;
mod show;

pub use arguments::{LogAction, LogArguments};
pub(crate) use arguments::{command, parse};
pub use run::{ToolError, run};
