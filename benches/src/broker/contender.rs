//! The servers that are measured, each a process of its own.

use std::{
    fs::{self, File},
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long a server may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(30);

/// What to start.
#[derive(Clone, Debug)]
pub enum Contender {
    /// The floor, in this very program.
    Floor,
    /// The `highwater` binary at this path, with topics of this durability and so many partitions.
    Highwater(PathBuf, &'static str, u32),
}

/// A started server; killed when dropped.
pub struct Running {
    child: Child,
    /// Where it serves.
    pub address: SocketAddr,
    /// From the start of the process to the first connection it took.
    pub start: Duration,
}

impl Contender {
    /// Its name in the table.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Highwater(..) => "highwater",
        }
    }

    /// Starts it in `folder`, pinned to `cores` (as `taskset -c` takes them), and waits until it takes connections.
    ///
    /// # Errors
    /// When it cannot be started, ends, or does not serve in time.
    pub fn start(&self, folder: &Path, cores: &str) -> io::Result<Running> {
        fs::create_dir_all(folder)?;
        let address = free_address()?;
        let mut command = Command::new("taskset");
        command.args(["-c", cores]);
        match self {
            Self::Floor => {
                command
                    .arg(std::env::current_exe()?)
                    .arg("floor")
                    .arg(address.port().to_string())
                    .arg(folder);
            }
            Self::Highwater(binary, durability, partitions) => {
                let settings = folder.join("server.properties");
                fs::write(&settings, settings_text(address, folder, durability, *partitions))?;
                command.arg(binary).arg("serve").arg(settings);
            }
        }
        let output = File::options().create(true).append(true).open(folder.join("output.log"))?;
        let errors = output.try_clone()?;
        let began = Instant::now();
        let mut child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn()?;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = child.try_wait()? {
                let said = fs::read_to_string(folder.join("output.log")).unwrap_or_default();
                return Err(io::Error::other(format!("{} ended with {status}: {said}", self.name())));
            }
            if began.elapsed() > START_LIMIT {
                child.kill()?;
                return Err(io::Error::other(format!("{} does not serve", self.name())));
            }
            thread::sleep(Duration::from_micros(200));
        }
        Ok(Running { child, address, start: began.elapsed() })
    }
}

impl Running {
    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end and waits.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn stop(mut self) -> io::Result<()> {
        Command::new("kill").arg(self.pid().to_string()).status()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else to do about it here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings_text(address: SocketAddr, folder: &Path, durability: &str, partitions: u32) -> String {
    let data = folder.join("data");
    format!(
        "listeners=PLAINTEXT://{address}\nlog.dirs={}\nnum.partitions={partitions}\nhighwater.durability={durability}\n",
        data.display()
    )
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
