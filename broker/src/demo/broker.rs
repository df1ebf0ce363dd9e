//! The broker as a child process.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use super::{DemoError, places::Places};

/// How long a broker may take to say that it is ready, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of its log is shown when it fails.
const TAIL_LINES: usize = 20;

/// This program as `serve`, in a process of its own that dies with the demo's.
pub(super) struct ChildBroker {
    child: Child,
    address: String,
    log: PathBuf,
    /// Kept open: a process that prints into a closed pipe is told so with a signal.
    _output: BufReader<ChildStdout>,
}

impl ChildBroker {
    pub(super) async fn start(places: &Places) -> Result<ChildBroker, DemoError> {
        let program = std::env::current_exe().map_err(DemoError::Internal)?;
        let log = places.broker_log();
        let mut command = Command::new(program);
        command.arg("serve").args(["--log-level", "info"]);
        for (key, value) in [
            ("listeners", "PLAINTEXT://127.0.0.1:0".to_owned()),
            ("log.dirs", text(&places.data())?),
            ("remote.log.storage.url", format!("file://{}", text(&places.bucket())?)),
            // What takes minutes by default is to be seen here.
            ("log.retention.check.interval.ms", "100".to_owned()),
            ("remote.log.manager.task.interval.ms", "100".to_owned()),
        ] {
            command.arg("--override").arg(format!("{key}={value}"));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(append(&log)?).kill_on_drop(true);
        let mut child = command.spawn().map_err(DemoError::Internal)?;
        let output = child.stdout.take().ok_or_else(|| failed("has no output".to_owned(), &log))?;
        let mut output = BufReader::new(output);
        let address = match timeout(PATIENCE, ready_address(&mut output)).await {
            Ok(Some(address)) => address,
            Ok(None) => return Err(failed("ended before it was ready".to_owned(), &log)),
            Err(_) => return Err(failed(format!("was not ready in {} seconds", PATIENCE.as_secs()), &log)),
        };
        Ok(ChildBroker { child, address, log, _output: output })
    }

    /// Host and port.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Ends it as a power cut of its process would: nothing of it runs any more when this returns.
    pub(super) async fn kill(&mut self) -> Result<(), DemoError> {
        self.child.kill().await.map_err(DemoError::Internal)
    }

    /// Asks it to stop and waits until it has.
    pub(super) async fn stop(mut self) -> Result<(), DemoError> {
        let id = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let id = id.ok_or_else(|| failed("had died".to_owned(), &self.log))?;
        kill_process(id, Signal::TERM).map_err(|error| DemoError::Internal(error.into()))?;
        match timeout(PATIENCE, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(failed(format!("stopped with {status}"), &self.log)),
            Ok(Err(error)) => Err(DemoError::Internal(error)),
            Err(_) => Err(failed(format!("did not stop in {} seconds", PATIENCE.as_secs()), &self.log)),
        }
    }
}

/// The address in the line that says that the broker is ready; `None` when its output ends without one.
async fn ready_address(output: &mut BufReader<ChildStdout>) -> Option<String> {
    let mut lines = output.lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(address) = address_in(&line) {
            return Some(address.to_owned());
        }
    }
    None
}

fn address_in(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("ready on ")?;
    rest.split([' ', ',']).next().filter(|address| address.contains(':'))
}

fn text(path: &Path) -> Result<String, DemoError> {
    path.to_str().map(str::to_owned).ok_or_else(|| DemoError::File {
        path: path.to_owned(),
        source: std::io::Error::other("not UTF-8, which configuration is"),
    })
}

fn append(path: &Path) -> Result<File, DemoError> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|source| DemoError::File { path: path.to_owned(), source })
}

fn failed(what: String, log: &Path) -> DemoError {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
    DemoError::Broker { what, log: log.to_owned(), tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_the_ready_line() {
        assert_eq!(address_in("highwater 0.1.0 ready on 127.0.0.1:9092"), Some("127.0.0.1:9092"));
        assert_eq!(address_in("ready on [::1]:9092, node 1"), Some("[::1]:9092"));
        assert_eq!(address_in("not ready"), None);
        assert_eq!(address_in("ready on time"), None);
    }
}
