//! The arguments of `highwater log`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, value_parser};

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogAction {
    /// Say what is there.
    Inspect,
    /// Read everything and say what does not fit.
    Verify,
    /// Move aside what cannot be used, and recover.
    Repair,
    /// Bring a directory to the state of a clean stop.
    Settle,
}

/// Arguments of `highwater log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogArguments {
    /// What to do.
    pub action: LogAction,
    /// A data directory, a log's directory or one file.
    pub path: PathBuf,
    /// Whether to write JSON to standard output instead of text.
    pub json: bool,
    /// `verify`: whether to decompress every batch and walk its records.
    pub deep: bool,
}

const ACTIONS: [(&str, LogAction, &str); 4] = [
    ("inspect", LogAction::Inspect, "Say what is in a data directory, a log or one file; changes nothing"),
    (
        "verify",
        LogAction::Verify,
        "Read every batch, index, snapshot and checkpoint and say what does not fit; changes nothing",
    ),
    (
        "repair",
        LogAction::Repair,
        "Move aside what cannot be used, rebuild it from the batches, recover; deletes nothing",
    ),
    (
        "settle",
        LogAction::Settle,
        "Bring a data directory to the state of a clean stop, so that Kafka or an older version takes it",
    ),
];

pub(crate) fn command() -> clap::Command {
    let base = clap::Command::new("log")
        .about("Inspect, verify, repair or settle a data directory that no broker has open")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(
            "Exit codes: 0 all is well, 1 it could not be done, 2 the arguments are wrong, 3 something is damaged \
             or, with verify, not as it should be.",
        );
    ACTIONS.into_iter().fold(base, |base, (name, action, about)| {
        let mut command = clap::Command::new(name)
            .about(about)
            .arg(
                Arg::new("path")
                    .value_name("PATH")
                    .required(true)
                    .value_parser(value_parser!(PathBuf))
                    .help("A data directory, the directory of one partition, or one file"),
            )
            .arg(
                Arg::new("json")
                    .long("json")
                    .action(ArgAction::SetTrue)
                    .help("Write JSON to standard output"),
            );
        if action == LogAction::Verify {
            let help = "Decompress every batch and look at every record, too";
            command = command.arg(Arg::new("deep").long("deep").action(ArgAction::SetTrue).help(help));
        }
        base.subcommand(command)
    })
}

pub(crate) fn parse(matches: &ArgMatches) -> LogArguments {
    let (name, of) = matches.subcommand().unwrap_or_else(|| unreachable!("clap requires an action"));
    let action = ACTIONS.iter().find(|(known, ..)| *known == name);
    let (_, action, _) = action.unwrap_or_else(|| unreachable!("clap refuses other actions"));
    LogArguments {
        action: *action,
        path: of.get_one::<PathBuf>("path").cloned().unwrap_or_else(|| unreachable!("clap requires a path")),
        json: of.get_flag("json"),
        deep: *action == LogAction::Verify && of.get_flag("deep"),
    }
}
