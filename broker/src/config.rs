//! From arguments and a file to a configuration, and what the core cannot know: this machine.

use std::{
    env, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use highwater_metadata::config::{BrokerConfig, BucketLocation, ConfigError, Settings};

use crate::{
    cli::ServeArguments,
    properties::{Properties, PropertiesError},
};

/// A configuration that a broker can start with.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: BrokerConfig,
    /// Keys that Kafka knows and nothing here reads, in order: to be named once in the log.
    pub unused: Vec<String>,
}

/// Why there is no configuration. The operator fixes it; nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file or an override cannot be read.
    #[error("{}{source}", file.as_deref().map(|file| format!("{} ", file.display())).unwrap_or_default())]
    Properties {
        /// The file, where the error does not name it itself.
        file: Option<PathBuf>,
        /// What is wrong.
        source: PropertiesError,
    },
    /// A key or value is refused. Every one that is, by the order of where they were given.
    #[error("{}", refusals.iter().map(Refusal::to_string).collect::<Vec<_>>().join("\n"))]
    Refused {
        /// At least one.
        refusals: Vec<Refusal>,
    },
    /// The current directory is unknown, so that relative paths mean nothing.
    #[error("the current directory is unknown: {0}")]
    NoDirectory(io::Error),
}

/// A key or value that is refused, and where it was given.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{error}", place.as_deref().map(|place| format!("{place}: ")).unwrap_or_default())]
pub struct Refusal {
    /// `server.properties line 3` or `--override`; `None` for a default that does not go with the rest.
    pub place: Option<String>,
    /// What is wrong.
    pub error: ConfigError,
}

/// Reads the file, lays the overrides over it, and checks every key and value.
///
/// # Errors
/// [`LoadError`], whose text is for whoever wrote the file.
pub fn load(arguments: &ServeArguments) -> Result<Loaded, LoadError> {
    let mut properties = match &arguments.properties {
        Some(file) => Properties::read(file).map_err(|source| LoadError::Properties {
            file: matches!(source, PropertiesError::Malformed { .. }).then(|| file.clone()),
            source,
        })?,
        None => Properties::default(),
    };
    for given in &arguments.overrides {
        properties.override_with(given).map_err(|source| LoadError::Properties { file: None, source })?;
    }
    let mut loaded = check(&properties)?;
    let directory = env::current_dir().map_err(LoadError::NoDirectory)?;
    make_absolute(&mut loaded.config, &directory);
    Ok(loaded)
}

fn check(properties: &Properties) -> Result<Loaded, LoadError> {
    let refusal = |error: ConfigError| Refusal { place: properties.place_of(&error.key), error };
    let mut settings = Settings::new();
    let mut unused = Vec::new();
    let mut refused = Vec::new();
    for (key, entry) in properties.iter() {
        match settings.give(key, &entry.value) {
            Ok(true) => {}
            Ok(false) => unused.push(key.to_owned()),
            Err(error) => refused.push((entry.origin, refusal(error))),
        }
    }
    if !refused.is_empty() {
        refused.sort_by_key(|(origin, _)| *origin);
        return Err(LoadError::Refused {
            refusals: refused.into_iter().map(|(_, refusal)| refusal).collect(),
        });
    }
    match BrokerConfig::new(settings) {
        Ok(config) => Ok(Loaded { config, unused }),
        Err(error) => Err(LoadError::Refused { refusals: vec![refusal(error)] }),
    }
}

fn make_absolute(config: &mut BrokerConfig, directory: &Path) {
    // Paths came as text and stay text: joining with a directory that is not UTF-8 must not change its name.
    let absolute = |path: &str| match directory.join(path.strip_prefix("./").unwrap_or(path)).to_str() {
        Some(absolute) => absolute.to_owned(),
        None => path.to_owned(),
    };
    config.log_dir = absolute(&config.log_dir);
    config.metadata_log_dir = absolute(&config.metadata_log_dir);
    if let Some(BucketLocation::Directory(path)) = &mut config.bucket {
        *path = absolute(path);
    }
}

/// The bucket as a URL: `file:///...` or `s3://...`; `None` where there is none.
pub fn bucket_url(config: &BrokerConfig) -> Option<String> {
    match config.bucket.as_ref()? {
        BucketLocation::Url(url) => Some(url.clone()),
        BucketLocation::Directory(path) => Some(format!("file://{path}")),
    }
}

/// Host and port that clients are told, for the first listener, which was bound to `bound`. What the configuration
/// leaves open is filled in: the port that was free, and for every interface the name of this machine.
pub fn advertised(config: &BrokerConfig, bound: SocketAddr) -> (String, u16) {
    let listener = config.advertised_listeners.first().or_else(|| config.listeners.first());
    let (host, port) = listener.map_or(("", 0), |listener| (listener.host.as_str(), listener.port));
    let host = match host {
        "" if bound.ip().is_unspecified() => machine_name(),
        "" => bound.ip().to_string(),
        host => host.to_owned(),
    };
    (host, if port == 0 { bound.port() } else { port })
}

fn machine_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// The one warning for a broker that others can reach without saying who they are.
pub fn open_to_others(config: &BrokerConfig) -> Option<String> {
    let open = config.listeners.iter().find(|listener| !listener.is_loopback())?;
    Some(format!(
        "{open} can be reached from other machines and nobody has to authenticate: anyone who reaches it can read, \
         write and delete everything. Listen on 127.0.0.1 (`listeners=PLAINTEXT://127.0.0.1:{}`), or let only \
         machines you trust reach the port",
        open.port
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(overrides: &[&str]) -> ServeArguments {
        ServeArguments {
            overrides: overrides.iter().map(ToString::to_string).collect(),
            ..Default::default()
        }
    }

    fn file(text: &str) -> (tempfile::TempDir, ServeArguments) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.properties");
        std::fs::write(&path, text).unwrap();
        (directory, ServeArguments { properties: Some(path), ..Default::default() })
    }

    #[test]
    fn defaults_lie_below_the_current_directory() {
        let Loaded { config, unused } = load(&given(&[])).unwrap();
        let here = env::current_dir().unwrap();
        assert!(unused.is_empty());
        assert_eq!(Path::new(&config.log_dir), here.join("highwater/data"));
        assert_eq!(Path::new(&config.metadata_log_dir), here.join("highwater/metadata"));
        assert_eq!(
            bucket_url(&config).unwrap(),
            format!("file://{}", here.join("highwater/bucket").display())
        );
        assert_eq!(open_to_others(&config), None);
    }

    #[test]
    fn overrides_beat_the_file() {
        let (_directory, mut arguments) = file("num.partitions=3\nlog.dirs = /srv/a\nnum.io.threads=2\n");
        arguments.overrides = vec!["num.partitions=7".to_owned()];
        let Loaded { config, unused } = load(&arguments).unwrap();
        assert_eq!(config.num_partitions, 7);
        assert_eq!(config.log_dir, "/srv/a");
        assert_eq!(bucket_url(&config).unwrap(), "file:///srv/bucket");
        assert_eq!(unused, ["num.io.threads"]);
    }

    #[test]
    fn every_refusal_is_named_with_its_line() {
        let (_directory, mut arguments) =
            file("# first\nnum.partitions=0\n\nlog.retention.mss=1\nlog.roll.ms=7\n");
        arguments.overrides = vec!["node.id=x".to_owned()];
        let text = load(&arguments).unwrap_err().to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].contains("server.properties line 2: `num.partitions` cannot be `0`"), "{text}");
        let unknown =
            "line 4: `log.retention.mss` is not a configuration key; the nearest one is `log.retention.ms`";
        assert!(lines[1].ends_with(unknown), "{text}");
        assert!(lines[2].starts_with("--override: `node.id` cannot be `x`"), "{text}");
    }

    #[test]
    fn what_contradicts_the_rest_is_named_with_its_line() {
        let (_directory, arguments) = file("listeners=SSL://127.0.0.1:9093\n");
        let text = load(&arguments).unwrap_err().to_string();
        assert!(text.contains("line 1: `listeners` cannot be `SSL://127.0.0.1:9093` yet"), "{text}");
    }

    #[test]
    fn malformed_files_are_named() {
        let (_directory, arguments) = file("a=\\uXYZW\n");
        let text = load(&arguments).unwrap_err().to_string();
        assert!(text.contains("server.properties line 1: "), "{text}");
        assert!(load(&given(&["nothing"])).unwrap_err().to_string().contains("--override nothing"));
    }

    #[test]
    fn what_is_left_open_is_advertised_as_it_was_bound() {
        let advertise = |overrides: &[&str], bound: &str| {
            advertised(&load(&given(overrides)).unwrap().config, bound.parse().unwrap())
        };
        assert_eq!(advertise(&[], "127.0.0.1:9092"), ("127.0.0.1".to_owned(), 9092));
        assert_eq!(advertise(&["listeners=PLAINTEXT://127.0.0.1:0"], "127.0.0.1:4711").1, 4711);
        let told = ["listeners=PLAINTEXT://:0", "advertised.listeners=PLAINTEXT://kafka.example:19092"];
        assert_eq!(advertise(&told, "0.0.0.0:5"), ("kafka.example".to_owned(), 19092));
        let (host, port) = advertise(&["listeners=PLAINTEXT://:0"], "0.0.0.0:5");
        assert!(!host.is_empty() && host != "0.0.0.0");
        assert_eq!(port, 5);
    }

    #[test]
    fn listening_beyond_this_machine_is_said() {
        let warning = |listeners: &str| open_to_others(&load(&given(&[listeners])).unwrap().config);
        assert_eq!(warning("listeners=PLAINTEXT://localhost:1"), None);
        let text = warning("listeners=PLAINTEXT://:9092").unwrap();
        assert!(text.contains("listeners=PLAINTEXT://127.0.0.1:9092"), "{text}");
    }
}
