//! The command.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::{
    apply::{ApplyError, apply},
    plan::{Plan, PlanError},
    undo::{UndoError, undo},
};

/// Arguments of `highwater adopt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptArguments {
    /// Kafka's data directory.
    pub directory: PathBuf,
    /// Where Kafka's metadata log is, if not in the data directory.
    pub kafka_metadata: Option<PathBuf>,
    /// Where our metadata log goes, if not beside the data directory.
    pub metadata_log_dir: Option<PathBuf>,
    /// Whether to do it; else only what would be done is said.
    pub apply: bool,
    /// Whether to give an adopted directory back instead.
    pub undo: bool,
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// There is nothing to adopt.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It could not be done.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// It could not be undone.
    #[error(transparent)]
    Undo(#[from] UndoError),
    /// Standard output is gone.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl AdoptError {
    /// What the process exits with: 3 if it is refused, 1 otherwise.
    pub const fn exit_code(&self) -> u8 {
        match self {
            AdoptError::Undo(UndoError::Refused(_)) => 3,
            _ => 1,
        }
    }
}

/// Says what adopting the directory means, and does it if asked to. Returns the code to exit with: 3 if it is refused.
///
/// # Errors
/// [`AdoptError`].
pub fn run(arguments: &AdoptArguments) -> Result<u8, AdoptError> {
    let out = &mut io::stdout().lock();
    if arguments.undo {
        for (from, to) in undo(&arguments.directory)? {
            writeln!(out, "moved {} to {}", from.display(), to.display())?;
        }
        writeln!(out, "{} is Kafka's again", arguments.directory.display())?;
        return Ok(0);
    }
    let plan = Plan::of(
        &arguments.directory,
        arguments.kafka_metadata.as_deref(),
        arguments.metadata_log_dir.as_deref(),
    )?;
    show(&plan, out)?;
    if !plan.refusals.is_empty() {
        writeln!(out, "cannot be adopted; nothing was changed")?;
        return Ok(3);
    }
    if !arguments.apply {
        writeln!(out, "can be adopted; nothing was changed: --apply does it")?;
        return Ok(0);
    }
    apply(&plan)?;
    writeln!(
        out,
        "adopted; Kafka must not be started on it again before: highwater adopt --undo {}",
        plan.directory.display()
    )?;
    writeln!(
        out,
        "highwater serve --override log.dirs={} --override metadata.log.dir={} --override node.id={}",
        plan.directory.display(),
        plan.metadata_log_dir.display(),
        plan.node_id
    )?;
    Ok(0)
}

fn show(plan: &Plan, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}: cluster {}, node {}", plan.directory.display(), plan.cluster_id, plan.node_id)?;
    for (name, partitions) in &plan.topics {
        writeln!(out, "  topic {name}, {partitions} partitions")?;
    }
    for note in &plan.notes {
        writeln!(out, "  note: {note}")?;
    }
    for refusal in &plan.refusals {
        writeln!(out, "  refused: {refusal}")?;
    }
    Ok(())
}

pub(crate) fn command() -> clap::Command {
    let path = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("DIR").value_parser(value_parser!(PathBuf)).help(help)
    };
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    clap::Command::new("adopt")
        .about(
            "Take over the data directory of a single Kafka broker; without --apply only say what that means",
        )
        .after_help(
            "Exit codes: 0 it can be, or was, done; 1 it failed; 2 the arguments are wrong; 3 it is refused.",
        )
        .arg(
            Arg::new("directory")
                .value_name("DIR")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("Kafka's log.dirs, after a clean stop"),
        )
        .arg(path("kafka-metadata", "Kafka's metadata.log.dir [default: DIR]"))
        .arg(path("metadata-log-dir", "Where our metadata log goes [default: beside DIR]"))
        .arg(flag("apply", "Do it").conflicts_with("undo"))
        .arg(flag("undo", "Give an adopted directory back to Kafka, with what was written since"))
}

pub(crate) fn parse(of: &ArgMatches) -> AdoptArguments {
    AdoptArguments {
        directory: of
            .get_one::<PathBuf>("directory")
            .cloned()
            .unwrap_or_else(|| unreachable!("clap requires it")),
        kafka_metadata: of.get_one("kafka-metadata").cloned(),
        metadata_log_dir: of.get_one("metadata-log-dir").cloned(),
        apply: of.get_flag("apply"),
        undo: of.get_flag("undo"),
    }
}
