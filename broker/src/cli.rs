//! The command line: `highwater serve`, `highwater demo`, `highwater log` and `highwater adopt`.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, value_parser};

use crate::{
    adopt::{self, AdoptArguments},
    tools::{self, LogArguments},
};

/// What the program was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The command with its arguments.
    pub command: Command,
    /// How much to log; `None` leaves it to `HIGHWATER_LOG`.
    pub log_level: Option<String>,
}

/// A command with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run a broker until it is told to stop.
    Serve(ServeArguments),
    /// Show the whole way of a record on this machine.
    Demo(DemoArguments),
    /// Look at a data directory that nobody has open, or put it right.
    Log(LogArguments),
    /// Take over a Kafka broker's data directory, or give it back.
    Adopt(AdoptArguments),
}

/// Arguments of `highwater serve`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServeArguments {
    /// The properties file; defaults alone without one.
    pub properties: Option<PathBuf>,
    /// `key=value` pairs that win over the file, in the order given.
    pub overrides: Vec<String>,
    /// Where to serve metrics over HTTP.
    pub metrics: Option<SocketAddr>,
}

/// Arguments of `highwater demo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DemoArguments {
    /// A file whose lines become the records; made-up records without one.
    pub input: Option<PathBuf>,
}

/// Reads the command line, program name first.
///
/// # Errors
/// The arguments make no sense, or help or the version was asked for: print the error and exit with its code
/// (2 for a mistake, 0 for help).
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, clap::Error> {
    let matches = definition().try_get_matches_from(arguments)?;
    let (name, of) = matches.subcommand().unwrap_or_else(|| unreachable!("clap requires a command"));
    let command = match name {
        "serve" => Command::Serve(ServeArguments {
            properties: of.get_one("properties").cloned(),
            overrides: of.get_many("override").map(|given| given.cloned().collect()).unwrap_or_default(),
            metrics: of.get_one("metrics").copied(),
        }),
        "demo" => Command::Demo(DemoArguments { input: of.get_one("input").cloned() }),
        "log" => Command::Log(tools::parse(of)),
        "adopt" => Command::Adopt(adopt::parse(of)),
        other => unreachable!("{other} is not a command of ours, and clap refuses those"),
    };
    Ok(Invocation { command, log_level: log_level(of) })
}

fn log_level(of: &ArgMatches) -> Option<String> {
    of.get_one("log-level").cloned()
}

fn definition() -> clap::Command {
    clap::Command::new("highwater")
        .about("A Kafka-compatible partitioned log with tiered storage")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(
            "Exit codes: 0 stopped cleanly, 1 failed, 2 the arguments or the configuration are wrong.",
        )
        .arg(
            Arg::new("log-level")
                .long("log-level")
                .value_name("LEVEL")
                .global(true)
                .value_parser(["error", "warn", "info", "debug", "trace", "off"])
                .help("How much to log to standard error [default: $HIGHWATER_LOG, or info]"),
        )
        .subcommand(serve())
        .subcommand(demo())
        .subcommand(tools::command())
        .subcommand(adopt::command())
}

fn serve() -> clap::Command {
    clap::Command::new("serve")
        .about("Run a broker for any Kafka client until SIGTERM or SIGINT")
        .arg(
            Arg::new("properties")
                .value_name("server.properties")
                .value_parser(value_parser!(PathBuf))
                .help("Kafka's configuration file [default: none, one broker on 127.0.0.1:9092]"),
        )
        .arg(
            Arg::new("override")
                .long("override")
                .value_name("key=value")
                .action(ArgAction::Append)
                .help("A setting that wins over the file; may be repeated"),
        )
        .arg(
            Arg::new("metrics")
                .long("metrics")
                .value_name("ADDR")
                .value_parser(value_parser!(SocketAddr))
                .help("Serve /metrics (Prometheus text) and /healthz over HTTP here, e.g. 127.0.0.1:9644"),
        )
}

fn demo() -> clap::Command {
    clap::Command::new("demo")
        .about("Write, offload, drop the local copy, read back from the bucket and compare, on this machine")
        .arg(
            Arg::new("input")
                .long("input")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Use the lines of this file as records"),
        )
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;
    use crate::tools::LogAction;

    fn parse_words(words: &str) -> Result<Invocation, ErrorKind> {
        parse(words.split(' ').map(OsString::from)).map_err(|error| error.kind())
    }

    #[test]
    fn the_definition_is_consistent() {
        definition().debug_assert();
    }

    #[test]
    fn serve_takes_a_file_overrides_and_a_metrics_address() {
        let plain = parse_words("highwater serve").unwrap();
        assert_eq!(plain.command, Command::Serve(ServeArguments::default()));
        let words = "highwater serve --override a=b server.properties --override c=d=e --metrics 127.0.0.1:9 \
                     --log-level debug";
        let full = parse_words(words).unwrap();
        let expected = ServeArguments {
            properties: Some("server.properties".into()),
            overrides: vec!["a=b".into(), "c=d=e".into()],
            metrics: Some("127.0.0.1:9".parse().unwrap()),
        };
        assert_eq!(full, Invocation { command: Command::Serve(expected), log_level: Some("debug".into()) });
    }

    #[test]
    fn demo_takes_an_input() {
        let demo = |input| Command::Demo(DemoArguments { input });
        assert_eq!(parse_words("highwater demo").unwrap().command, demo(None));
        assert_eq!(parse_words("highwater demo --input x").unwrap().command, demo(Some("x".into())));
    }

    #[test]
    fn adopt_takes_a_directory_and_what_to_do() {
        let plain = AdoptArguments {
            directory: "d".into(),
            kafka_metadata: None,
            metadata_log_dir: None,
            apply: false,
            undo: false,
        };
        assert_eq!(parse_words("highwater adopt d").unwrap().command, Command::Adopt(plain.clone()));
        let full = AdoptArguments {
            kafka_metadata: Some("k".into()),
            metadata_log_dir: Some("m".into()),
            apply: true,
            ..plain
        };
        let words = "highwater adopt d --kafka-metadata k --metadata-log-dir m --apply";
        assert_eq!(parse_words(words).unwrap().command, Command::Adopt(full));
        assert_eq!(parse_words("highwater adopt d --apply --undo"), Err(ErrorKind::ArgumentConflict));
    }

    #[test]
    fn log_takes_an_action_and_a_path() {
        let verify = LogArguments { action: LogAction::Verify, path: "d".into(), json: true, deep: true };
        assert_eq!(
            parse_words("highwater log verify --deep d --json").unwrap().command,
            Command::Log(verify)
        );
        let settle = LogArguments { action: LogAction::Settle, path: "d".into(), json: false, deep: false };
        assert_eq!(parse_words("highwater log settle d").unwrap().command, Command::Log(settle));
    }

    #[test]
    fn mistakes_are_usage_errors() {
        for (words, kind) in [
            ("highwater", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
            ("highwater sevre", ErrorKind::InvalidSubcommand),
            ("highwater serve --metric 127.0.0.1:9", ErrorKind::UnknownArgument),
            ("highwater serve --metrics here", ErrorKind::ValueValidation),
            ("highwater serve a b", ErrorKind::UnknownArgument),
            ("highwater log", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
            ("highwater log repair", ErrorKind::MissingRequiredArgument),
            ("highwater log repair --deep d", ErrorKind::UnknownArgument),
            ("highwater serve --log-level loud", ErrorKind::InvalidValue),
            ("highwater --help", ErrorKind::DisplayHelp),
            ("highwater --version", ErrorKind::DisplayVersion),
        ] {
            assert_eq!(parse_words(words), Err(kind), "{words}");
        }
        let mistake = parse(["highwater", "sevre"].map(OsString::from)).unwrap_err();
        assert_eq!(mistake.exit_code(), 2);
    }
}
