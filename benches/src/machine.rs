//! What a figure means nothing without: which machine, when, and how much of it a process used.

use std::{fs, io, process::Command};

/// Clock ticks in a second, the unit of `/proc/PID/stat`. Linux has answered 100 to programs on every architecture
/// for twenty years.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time that a process and its threads have used, in seconds.
///
/// # Errors
/// When there is no such process, or no `/proc`.
pub fn cpu_seconds(pid: u32) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th field behind it.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks: f64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS_PER_SECOND)
}

/// Calls that write, by those threads of a process whose names begin with `name`.
///
/// # Errors
/// When there is no such process, or no `/proc`.
pub fn writes(pid: u32, name: &str) -> io::Result<u64> {
    let mut writes = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?.path();
        if fs::read_to_string(thread.join("comm"))?.starts_with(name) {
            let counted = fs::read_to_string(thread.join("io"))?;
            let calls = counted.lines().find_map(|line| line.strip_prefix("syscw: ")).unwrap_or_default();
            writes += calls.parse::<u64>().unwrap_or(0);
        }
    }
    Ok(writes)
}

/// Resident memory of a process in MiB.
///
/// # Errors
/// When there is no such process, or no `/proc`.
pub fn resident_mib(pid: u32) -> io::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib: f64 = line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(f64::NAN);
    Ok(kib / 1024.0)
}

/// Processor, cores, memory, kernel and day, in one line.
pub fn description() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: f64 = memory.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(f64::NAN);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let day = Command::new("date").arg("+%Y-%m-%d").output().map(|out| out.stdout).unwrap_or_default();
    format!(
        "{cores} x {}, {:.0} GiB, Linux {}, {}",
        model.trim_start_matches([' ', '\t', ':']),
        kib / 1024.0 / 1024.0,
        kernel.trim(),
        String::from_utf8_lossy(&day).trim()
    )
}
