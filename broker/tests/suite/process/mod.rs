//! The real program as a child process.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    thread::JoinHandle,
};

use rustix::process::{Pid, Signal, kill_process};

/// A `highwater serve` that is killed when dropped.
pub(crate) struct Process {
    child: Child,
    out: BufReader<ChildStdout>,
    log: Option<JoinHandle<String>>,
}

/// What a process left behind.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// What it printed after what had been read.
    pub(crate) out: String,
    /// What it logged.
    pub(crate) log: String,
}

impl Process {
    /// Starts it with everything below `directory` and a port that is free, and more arguments.
    pub(crate) fn start(directory: &Path, arguments: &[&str]) -> Process {
        let data = format!("log.dirs={}", directory.join("data").display());
        let placed = ["--override", "listeners=PLAINTEXT://127.0.0.1:0", "--override", &data];
        Process::start_with(directory, &[&placed, arguments].concat())
    }

    /// Starts it with these arguments alone, in `directory`.
    pub(crate) fn start_with(directory: &Path, arguments: &[&str]) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
        command.arg("serve").args(arguments);
        Process::spawn(command, directory)
    }

    /// Starts it like [`Process::start`], allowed so many open files.
    pub(crate) fn start_with_few_files(directory: &Path, files: u32) -> Process {
        let mut command = Command::new("sh");
        let limited = format!("ulimit -n {files}; exec \"$0\" serve \"$@\"");
        command.args(["-c", &limited, env!("CARGO_BIN_EXE_highwater")]);
        command.args(["--override", "listeners=PLAINTEXT://127.0.0.1:0"]);
        command.arg("--override").arg(format!("log.dirs={}", directory.join("data").display()));
        Process::spawn(command, directory)
    }

    fn spawn(mut command: Command, directory: &Path) -> Process {
        let mut child = command
            .current_dir(directory)
            .env_remove("HIGHWATER_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).unwrap();
            log
        });
        Process { child, out, log: Some(log) }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the line that says where clients connect.
    pub(crate) fn ready(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        let address = line.split_once(" ready on ").and_then(|(_, rest)| rest.split_once(','));
        match address {
            Some((address, _)) => address.to_owned(),
            None => panic!("not ready: {line:?}, {}", self.log.take().unwrap().join().unwrap()),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn ended(mut self) -> Ended {
        let mut out = String::new();
        self.out.read_to_string(&mut out).unwrap();
        let status = self.child.wait().unwrap();
        Ended { status, out, log: self.log.take().unwrap().join().unwrap() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
