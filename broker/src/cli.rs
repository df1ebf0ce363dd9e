//! The command line: what runs a broker (`serve`, `demo`), what looks at directories (`log`, `adopt`), what talks to a
//! cluster (`topics`, `produce`, `consume`, `groups`, `configs`), and completion for shells.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use clap_complete::Shell;

use crate::{
    adopt::{self, AdoptArguments},
    commands::{self, ClientArguments},
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
    /// Talk to a cluster.
    Client(ClientArguments),
    /// Write the completion of a shell to standard output.
    Completion(Shell),
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
        "completion" => Command::Completion(shell(of)),
        name if commands::NAMES.contains(&name) => Command::Client(commands::parse(name, of)),
        other => unreachable!("{other} is not a command of ours, and clap refuses those"),
    };
    Ok(Invocation { command, log_level: log_level(of) })
}

fn shell(of: &ArgMatches) -> Shell {
    *of.get_one("shell").unwrap_or_else(|| unreachable!("clap requires a shell"))
}

/// Writes what makes a shell complete our commands and arguments.
///
/// # Errors
/// It could not be written.
pub fn write_completion(shell: Shell, out: &mut impl std::io::Write) -> std::io::Result<()> {
    // In memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definition(), "highwater", &mut script);
    out.write_all(&script)
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
        .subcommands(commands::commands())
        .subcommand(completion())
}

fn completion() -> clap::Command {
    clap::Command::new("completion")
        .about("Write a script that makes a shell complete these commands")
        .after_help("For bash, in this shell: source <(highwater completion bash)")
        .arg(
            Arg::new("shell")
                .value_name("SHELL")
                .required(true)
                .value_parser(clap::builder::EnumValueParser::<Shell>::new())
                .help("Which shell"),
        )
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

    use highwater_records::compression::Codec;

    use super::*;
    use crate::{
        commands::{ClientCommand, ConfigAction, ConfigOf, Position, TopicAction},
        tools::LogAction,
    };

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

    fn client(words: &str) -> ClientArguments {
        match parse_words(words).unwrap().command {
            Command::Client(arguments) => arguments,
            other => panic!("{words} is {other:?}"),
        }
    }

    #[test]
    fn commands_for_clusters_take_a_bootstrap_and_json_anywhere() {
        let plain = client("highwater topics list");
        assert_eq!(plain.bootstrap, "127.0.0.1:9092");
        assert!(!plain.json);
        assert_eq!(plain.command, ClientCommand::Topics(TopicAction::List { internal: false }));
        for words in [
            "highwater topics --bootstrap h:1 --json list",
            "highwater topics list --bootstrap h:1 --json",
            "highwater topics --json list -b h:1",
        ] {
            let given = client(words);
            assert_eq!((given.bootstrap.as_str(), given.json), ("h:1", true), "{words}");
        }
    }

    #[test]
    fn consume_and_produce_take_what_kcat_does() {
        let ClientCommand::Consume(consume) =
            client("highwater consume t --from -10 -p 3 -n 5 -f -v").command
        else {
            panic!("not consume")
        };
        assert_eq!((consume.from, consume.partition, consume.count), (Position::Last(10), Some(3), Some(5)));
        assert!(consume.follow && consume.verbose && !consume.committed);
        let ClientCommand::Produce(produce) =
            client("highwater produce t f -k : -z zstd -H a=b -H c=d").command
        else {
            panic!("not produce")
        };
        assert_eq!(produce.key_separator.as_deref(), Some(":"));
        assert_eq!(produce.codec, Codec::Zstd);
        assert_eq!(produce.headers, ["a=b", "c=d"]);
    }

    #[test]
    fn configurations_belong_to_one() {
        let of = |words| match client(words).command {
            ClientCommand::Configs(ConfigAction::Describe { of, .. }) => of,
            other => panic!("{other:?}"),
        };
        assert_eq!(of("highwater configs describe --topic t"), ConfigOf::Topic("t".into()));
        assert_eq!(of("highwater configs describe --broker 3"), ConfigOf::Broker(Some(3)));
        assert_eq!(of("highwater configs describe --brokers"), ConfigOf::Broker(None));
        for (words, kind) in [
            ("highwater configs describe", ErrorKind::MissingRequiredArgument),
            ("highwater configs describe --topic t --broker 3", ErrorKind::ArgumentConflict),
            ("highwater configs alter --topic t", ErrorKind::MissingRequiredArgument),
            ("highwater topics grow t", ErrorKind::MissingRequiredArgument),
            ("highwater topics create t --partitions 0", ErrorKind::ValueValidation),
            ("highwater consume t --from sometime", ErrorKind::ValueValidation),
            ("highwater produce t -z brotli", ErrorKind::InvalidValue),
            ("highwater completion tcsh", ErrorKind::InvalidValue),
        ] {
            assert_eq!(parse_words(words), Err(kind), "{words}");
        }
    }

    #[test]
    fn every_shell_gets_a_completion_that_knows_our_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let mut script = Vec::new();
            write_completion(shell, &mut script).unwrap();
            let script = String::from_utf8(script).unwrap();
            assert!(commands::NAMES.iter().all(|name| script.contains(name)), "{shell}");
        }
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
