//! The arguments of the commands that talk to a cluster.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use highwater_records::compression::Codec;

use super::{GroupProtocol, Position};

/// Arguments that all of these commands have, and the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientArguments {
    /// Brokers to begin with, as `host:port`, separated by commas.
    pub bootstrap: String,
    /// Whether to write JSON, one value a line.
    pub json: bool,
    /// What to do.
    pub command: ClientCommand,
}

/// What to do with a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCommand {
    /// Topics.
    Topics(TopicAction),
    /// Write records.
    Produce(ProduceArguments),
    /// Read records.
    Consume(ConsumeArguments),
    /// Groups of consumers.
    Groups(GroupAction),
    /// Configurations of topics, brokers and groups.
    Configs(ConfigAction),
}

/// What to do with topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicAction {
    /// All of them, internal ones only if asked for.
    List {
        /// Whether to show internal topics too.
        internal: bool,
    },
    /// Partitions, leaders, offsets and sizes of one.
    Describe {
        /// Its name.
        topic: String,
    },
    /// A new one.
    Create {
        /// Its name.
        topic: String,
        /// How many partitions; the broker's default without.
        partitions: Option<i32>,
        /// How many replicas of each; the broker's default without.
        replicas: Option<i16>,
        /// `key=value`.
        configs: Vec<String>,
    },
    /// More partitions for one.
    Grow {
        /// Its name.
        topic: String,
        /// How many it is to have.
        partitions: i32,
    },
    /// Away with it and all its records.
    Delete {
        /// Its name.
        topic: String,
    },
}

/// Arguments of `highwater produce`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProduceArguments {
    /// Where to.
    pub topic: String,
    /// A file whose lines become the records; standard input without.
    pub file: Option<PathBuf>,
    /// What stands between key and value; without, records have no keys.
    pub key_separator: Option<String>,
    /// The partition; without, keys decide.
    pub partition: Option<i32>,
    /// How batches are compressed.
    pub codec: Codec,
    /// `name=value` for every record.
    pub headers: Vec<String>,
}

/// Arguments of `highwater consume`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumeArguments {
    /// Where from.
    pub topic: String,
    /// The partition; all without.
    pub partition: Option<i32>,
    /// The group to be a member of; without, nobody is told how far reading has come.
    pub group: Option<String>,
    /// The group's protocol; the newer one without, where the broker has it.
    pub protocol: Option<GroupProtocol>,
    /// Where to begin in each, of which the group has no offset.
    pub from: Position,
    /// How many records to read at most.
    pub count: Option<u64>,
    /// Whether to wait for more at the end.
    pub follow: bool,
    /// Whether to leave out records of transactions that are open or were aborted.
    pub committed: bool,
    /// Whether to show keys, offsets and times beside the values.
    pub verbose: bool,
}

/// What to do with groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupAction {
    /// All of them.
    List,
    /// Members, offsets and lag of one.
    Describe {
        /// Its name.
        group: String,
    },
    /// Moves its committed offsets; it must be empty.
    Reset {
        /// Its name.
        group: String,
        /// The topic.
        topic: String,
        /// The partition; all without.
        partition: Option<i32>,
        /// Where to.
        to: Position,
        /// Whether to only say what would be done.
        dry_run: bool,
    },
    /// Forgets it and its offsets; it must be empty.
    Delete {
        /// Its name.
        group: String,
    },
}

/// What to do with configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigAction {
    /// Every key, or only those that were set.
    Describe {
        /// Whose.
        of: ConfigOf,
        /// Whether to show defaults too.
        all: bool,
    },
    /// Sets and removes keys.
    Alter {
        /// Whose.
        of: ConfigOf,
        /// `key=value`.
        set: Vec<String>,
        /// Keys that are to have their default again.
        unset: Vec<String>,
    },
}

/// Whose configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigOf {
    /// That of a topic.
    Topic(String),
    /// That of one broker, or, without a number, of all.
    Broker(Option<i32>),
    /// That of a group.
    Group(String),
}

/// The names of these commands.
pub(crate) const NAMES: [&str; 5] = ["topics", "produce", "consume", "groups", "configs"];

/// Their definitions.
pub(crate) fn commands() -> [Command; 5] {
    [topics(), produce(), consume(), groups(), configs()].map(|command| {
        command
            .arg(
                Arg::new("bootstrap")
                    .long("bootstrap")
                    .short('b')
                    .value_name("HOST:PORT")
                    .global(true)
                    .default_value(BOOTSTRAP)
                    .hide_default_value(true)
                    .help(
                        "A broker of the cluster, or several separated by commas [default: 127.0.0.1:9092]",
                    ),
            )
            .arg(
                Arg::new("json")
                    .long("json")
                    .global(true)
                    .action(ArgAction::SetTrue)
                    .help("Write JSON, one value a line"),
            )
    })
}

/// Where these commands find a cluster when they are not told.
const BOOTSTRAP: &str = "127.0.0.1:9092";

fn name(id: &'static str, help: &'static str) -> Arg {
    let value_name = if id == "group" { "GROUP" } else { "TOPIC" };
    Arg::new(id).value_name(value_name).required(true).help(help)
}

fn partition() -> Arg {
    Arg::new("partition")
        .long("partition")
        .short('p')
        .value_name("N")
        .value_parser(value_parser!(i32).range(0..))
}

fn count_of_partitions() -> Arg {
    Arg::new("partitions").long("partitions").value_name("N").value_parser(value_parser!(i32).range(1..))
}

fn position(id: &'static str) -> Arg {
    Arg::new(id)
        .long(id)
        .value_name("POSITION")
        .allow_hyphen_values(true)
        .value_parser(|text: &str| text.parse::<Position>())
}

fn switch(id: &'static str, help: &'static str) -> Arg {
    Arg::new(id).long(id).action(ArgAction::SetTrue).help(help)
}

fn pairs(id: &'static str, value_name: &'static str) -> Arg {
    Arg::new(id).long(id).value_name(value_name).action(ArgAction::Append)
}

const POSITIONS: &str = "Positions: beginning, end, an offset (42), so many records before the end (-10), or a time \
                         (@2026-11-21T17:30:00Z, or @ and milliseconds since 1970).";

fn group(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).subcommand_required(true).arg_required_else_help(true)
}

fn topics() -> Command {
    group("topics", "List, describe, create, grow and delete topics")
        .subcommand(
            Command::new("list").about("All topics").arg(switch("internal", "Show internal topics, too")),
        )
        .subcommand(
            Command::new("describe")
                .about("Partitions, leaders, offsets and sizes of a topic")
                .arg(name("topic", "The topic")),
        )
        .subcommand(
            Command::new("create")
                .about("Create a topic")
                .arg(name("topic", "Its name"))
                .arg(count_of_partitions().help("How many partitions [default: the broker's num.partitions]"))
                .arg(
                    Arg::new("replicas")
                        .long("replicas")
                        .value_name("N")
                        .value_parser(value_parser!(i16).range(1..))
                        .help("How many replicas of each [default: the broker's default.replication.factor]"),
                )
                .arg(pairs("config", "key=value").help("A configuration of the topic; may be repeated")),
        )
        .subcommand(
            Command::new("grow")
                .about("Give a topic more partitions; they are never taken away")
                .arg(name("topic", "The topic"))
                .arg(count_of_partitions().required(true).help("How many partitions it is to have")),
        )
        .subcommand(
            Command::new("delete")
                .about("Delete a topic and all its records")
                .arg(name("topic", "The topic")),
        )
}

fn produce() -> Command {
    Command::new("produce")
        .about("Write lines as records")
        .arg(name("topic", "The topic to write to"))
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Lines to write [default: standard input]"),
        )
        .arg(
            Arg::new("key-separator")
                .long("key-separator")
                .short('k')
                .value_name("TEXT")
                .value_parser(clap::builder::NonEmptyStringValueParser::new())
                .help("What stands between key and value in a line [default: lines have no keys]"),
        )
        .arg(
            partition()
                .help("The partition [default: by the key, as Kafka's producers do; in turn without keys]"),
        )
        .arg(
            Arg::new("compression")
                .long("compression")
                .short('z')
                .value_name("CODEC")
                .default_value("none")
                .value_parser(["none", "gzip", "snappy", "lz4", "zstd"])
                .help("How to compress"),
        )
        .arg(pairs("header", "name=value").short('H').help("A header of every record; may be repeated"))
}

fn consume() -> Command {
    Command::new("consume")
        .about("Read the records of a topic up to its end, or on from there")
        .after_help(POSITIONS)
        .arg(name("topic", "The topic to read"))
        .arg(partition().help("The partition [default: all]"))
        .arg(position("from").default_value("beginning").help("Where to begin in each partition"))
        .arg(
            Arg::new("group")
                .long("group")
                .short('g')
                .value_name("GROUP")
                .conflicts_with("partition")
                .help("Read as a member of a group: share partitions, go on where it stopped, commit"),
        )
        .arg(
            Arg::new("protocol")
                .long("protocol")
                .value_name("PROTOCOL")
                .requires("group")
                .value_parser(["classic", "consumer"])
                .help("How the group shares partitions out [default: consumer, where the broker has it]"),
        )
        .arg(
            Arg::new("count")
                .long("count")
                .short('n')
                .value_name("N")
                .value_parser(value_parser!(u64))
                .help("Stop after so many records"),
        )
        .arg(switch("follow", "At the end wait for more, until interrupted").short('f'))
        .arg(switch("committed", "Leave out records of transactions that are open or were aborted"))
        .arg(switch("verbose", "Show partition, offset, time, key and headers, too").short('v'))
}

fn groups() -> Command {
    group("groups", "List, describe, reset and delete groups of consumers")
        .subcommand(Command::new("list").about("All groups"))
        .subcommand(
            Command::new("describe")
                .about("Members, committed offsets and lag of a group")
                .arg(name("group", "The group")),
        )
        .subcommand(
            Command::new("reset")
                .about("Move the committed offsets of a group that has no members")
                .after_help(POSITIONS)
                .arg(name("group", "The group"))
                .arg(Arg::new("topic").long("topic").value_name("TOPIC").required(true).help("The topic"))
                .arg(partition().help("The partition [default: all]"))
                .arg(position("to").required(true).help("Where the group is to go on"))
                .arg(switch("dry-run", "Only say what would be done")),
        )
        .subcommand(
            Command::new("delete")
                .about("Forget a group that has no members, and its offsets")
                .arg(name("group", "The group")),
        )
}

fn configs() -> Command {
    let of = |command: Command| {
        command
            .arg(Arg::new("topic").long("topic").value_name("TOPIC").help("Those of a topic"))
            .arg(
                Arg::new("broker")
                    .long("broker")
                    .value_name("ID")
                    .value_parser(value_parser!(i32).range(0..))
                    .help("Those of one broker"),
            )
            .arg(switch("brokers", "Those that all brokers share"))
            .arg(Arg::new("group").long("group").value_name("GROUP").help("Those of a group"))
            .group(clap::ArgGroup::new("whose").args(["topic", "broker", "brokers", "group"]).required(true))
    };
    group("configs", "Show and change the configuration of topics, brokers and groups")
        .subcommand(
            of(Command::new("describe").about("Configurations, and where their values come from"))
                .arg(switch("all", "Show defaults, too")),
        )
        .subcommand(
            of(Command::new("alter").about("Set and remove configurations"))
                .arg(pairs("set", "key=value").help("Set a key; may be repeated"))
                .arg(pairs("unset", "key").help("Give a key its default again; may be repeated"))
                .group(clap::ArgGroup::new("what").args(["set", "unset"]).required(true).multiple(true)),
        )
}

/// Reads the arguments of one of [`NAMES`].
pub(crate) fn parse(name: &str, of: &ArgMatches) -> ClientArguments {
    let action = of.subcommand();
    let command = match (name, action) {
        ("topics", Some(action)) => ClientCommand::Topics(topic_action(action)),
        ("produce", _) => ClientCommand::Produce(ProduceArguments {
            topic: text(of, "topic"),
            file: of.get_one("file").cloned(),
            key_separator: of.get_one("key-separator").cloned(),
            partition: of.get_one("partition").copied(),
            codec: of
                .get_one::<String>("compression")
                .and_then(|name| Codec::from_name(name))
                .unwrap_or_else(|| unreachable!("clap allows only codecs")),
            headers: texts(of, "header"),
        }),
        ("consume", _) => ClientCommand::Consume(ConsumeArguments {
            topic: text(of, "topic"),
            partition: of.get_one("partition").copied(),
            group: of.get_one("group").cloned(),
            protocol: of.get_one::<String>("protocol").map(|name| match name.as_str() {
                "classic" => GroupProtocol::Classic,
                _ => GroupProtocol::Consumer,
            }),
            from: place(of, "from"),
            count: of.get_one("count").copied(),
            follow: of.get_flag("follow"),
            committed: of.get_flag("committed"),
            verbose: of.get_flag("verbose"),
        }),
        ("groups", Some(action)) => ClientCommand::Groups(group_action(action)),
        ("configs", Some(action)) => ClientCommand::Configs(config_action(action)),
        other => unreachable!("clap refuses {other:?}"),
    };
    // Global arguments are found where the command ends.
    let last = action.map_or(of, |(_, of)| of);
    ClientArguments { bootstrap: text(last, "bootstrap"), json: last.get_flag("json"), command }
}

fn topic_action((name, of): (&str, &ArgMatches)) -> TopicAction {
    let topic = || text(of, "topic");
    match name {
        "list" => TopicAction::List { internal: of.get_flag("internal") },
        "describe" => TopicAction::Describe { topic: topic() },
        "create" => TopicAction::Create {
            topic: topic(),
            partitions: of.get_one("partitions").copied(),
            replicas: of.get_one("replicas").copied(),
            configs: texts(of, "config"),
        },
        "grow" => {
            let partitions = of.get_one("partitions").copied();
            let partitions = partitions.unwrap_or_else(|| unreachable!("clap requires it"));
            TopicAction::Grow { topic: topic(), partitions }
        }
        "delete" => TopicAction::Delete { topic: topic() },
        other => unreachable!("clap refuses {other}"),
    }
}

fn group_action((name, of): (&str, &ArgMatches)) -> GroupAction {
    match name {
        "list" => GroupAction::List,
        "describe" => GroupAction::Describe { group: text(of, "group") },
        "reset" => GroupAction::Reset {
            group: text(of, "group"),
            topic: text(of, "topic"),
            partition: of.get_one("partition").copied(),
            to: place(of, "to"),
            dry_run: of.get_flag("dry-run"),
        },
        "delete" => GroupAction::Delete { group: text(of, "group") },
        other => unreachable!("clap refuses {other}"),
    }
}

fn config_action((name, of): (&str, &ArgMatches)) -> ConfigAction {
    let whose = match (of.get_one::<String>("topic"), of.get_one::<String>("group")) {
        (Some(topic), _) => ConfigOf::Topic(topic.clone()),
        (None, Some(group)) => ConfigOf::Group(group.clone()),
        (None, None) => ConfigOf::Broker(of.get_one("broker").copied()),
    };
    match name {
        "describe" => ConfigAction::Describe { of: whose, all: of.get_flag("all") },
        "alter" => ConfigAction::Alter { of: whose, set: texts(of, "set"), unset: texts(of, "unset") },
        other => unreachable!("clap refuses {other}"),
    }
}

fn text(of: &ArgMatches, id: &str) -> String {
    of.get_one::<String>(id)
        .cloned()
        .unwrap_or_else(|| unreachable!("clap requires {id}, or has its default"))
}

fn texts(of: &ArgMatches, id: &str) -> Vec<String> {
    of.get_many(id).map(|given| given.cloned().collect()).unwrap_or_default()
}

fn place(of: &ArgMatches, id: &str) -> Position {
    of.get_one(id).copied().unwrap_or_else(|| unreachable!("clap requires {id}, or has its default"))
}
