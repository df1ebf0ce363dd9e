//! Doing what was asked, with a bar while it lasts.

use std::{
    io,
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use highwater_engine::{
    disk::{Disk, RealDisk},
    inspect::{self, InspectError, Progress, SettleError, Severity},
};
use highwater_records::TimestampMs;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{LogAction, LogArguments, show};
use crate::holder;

/// Exit code when something is damaged, or `verify` found anything to do.
const NOT_SOUND: u8 = 3;

/// Why a tool did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// There is nothing of ours, or it cannot be read.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// It could not be put right.
    #[error("{source}{}", holder.as_deref().map(|who| format!(": {who} holds it")).unwrap_or_default())]
    Settle {
        /// Why.
        source: SettleError,
        /// Who holds the directory, if somebody does.
        holder: Option<String>,
    },
    /// Standard output is gone.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl ToolError {
    /// What the process exits with: 2 if the arguments are to be changed, 1 otherwise.
    pub const fn exit_code(&self) -> u8 {
        match self {
            ToolError::Inspect(InspectError::Foreign { .. })
            | ToolError::Settle {
                source: SettleError::Alone { .. } | SettleError::Place(InspectError::Foreign { .. }),
                ..
            } => 2,
            _ => 1,
        }
    }
}

/// Does what was asked and shows it on standard output. Returns the code to exit with.
///
/// # Errors
/// [`ToolError`], with the code to exit with.
pub fn run(arguments: &LogArguments) -> Result<u8, ToolError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let path = &arguments.path;
    let out = &mut io::BufWriter::new(io::stdout().lock());
    let settle_error = |source| {
        let place = path.to_string_lossy();
        ToolError::Settle { source, holder: holder::of_any(&[&place]) }
    };
    let started = Instant::now();
    match arguments.action {
        LogAction::Inspect => {
            show::inspected(&*disk, &inspect::inspect(&*disk, path)?, arguments.json, out)?;
            Ok(0)
        }
        LogAction::Verify => {
            let bar = bytes_bar("verifying");
            let found =
                inspect::verify(&*disk, path, arguments.deep, &mut |progress| advance(&bar, progress));
            bar.finish_and_clear();
            let found = found?;
            show::verified(&found, path, started.elapsed(), arguments.json, out)?;
            Ok(if found.worst() > Some(Severity::Note) { NOT_SOUND } else { 0 })
        }
        LogAction::Repair => {
            let bar = bytes_bar("reading");
            let done = inspect::repair(&disk, path, now(), &mut |progress| advance(&bar, progress));
            bar.finish_and_clear();
            let done = done.map_err(settle_error)?;
            show::repaired(&done, arguments.json, out)?;
            let lost = done.found.count(Severity::Damage) > 0 || !done.settled.unidentified.is_empty();
            Ok(if lost { NOT_SOUND } else { 0 })
        }
        LogAction::Settle => {
            let bar = count_bar("settling");
            let done = inspect::settle(&disk, path, now(), &mut |name, at, of| {
                bar.set_length(of as u64);
                bar.set_position(at as u64);
                bar.set_message(name.to_string());
            });
            bar.finish_and_clear();
            let done = done.map_err(settle_error)?;
            show::settled(&done, arguments.json, out)?;
            let lost = done.logs.iter().any(|(_, report)| !report.quarantined.is_empty()) || !done.clean;
            Ok(if lost { NOT_SOUND } else { 0 })
        }
    }
}

fn now() -> TimestampMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn advance(bar: &ProgressBar, progress: Progress<'_>) {
    bar.set_length(progress.bytes_total);
    bar.set_position(progress.bytes_done);
    if let Some(name) = progress.file.parent().and_then(|log| log.file_name()) {
        bar.set_message(name.to_string_lossy().into_owned());
    }
}

/// To standard error, and only if that is a terminal.
fn bar(prefix: &'static str, template: &str) -> ProgressBar {
    let bar =
        ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10)).with_prefix(prefix);
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn bytes_bar(prefix: &'static str) -> ProgressBar {
    bar(prefix, "{prefix:>10} {bar:40} {percent:>3}% {bytes} of {total_bytes}, {bytes_per_sec}  {msg}")
}

fn count_bar(prefix: &'static str) -> ProgressBar {
    bar(prefix, "{prefix:>10} {bar:40} {percent:>3}% {pos} of {len} logs  {msg}")
}
