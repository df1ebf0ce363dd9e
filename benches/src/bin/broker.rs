//! CPU-seconds per GiB that a broker needs to take records, against the floor, alternating in one run.
//!
//! usage: broker HIGHWATER-BINARY FOLDER [GIB-PER-RUN] [ROUNDS]
//!        broker synced FOLDER ROUNDS PARTITIONS HIGHWATER-BINARY...
//!
//! The server runs on core 0 and the load on core 1 (`taskset`); records of 1 KiB, two connections with a partition
//! each, five requests in flight, acks=1, page cache (`highwater.durability=replicated`). The first touch of guest
//! memory costs about as much as the whole floor, so the run begins with a file as large as the free memory, and
//! nothing is deleted before the end.
//!
//! `synced`: appends of 4 KiB to the partitions of a synced topic, and the same where nobody waits for a sync, with each of
//! the binaries in turns; server and load share both cores.

use std::{
    error::Error,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use highwater_benches::{
    broker::{
        contender::{Contender, Running},
        floor, load,
    },
    machine,
};

const BATCHES: [usize; 2] = [16 * 1024, 256 * 1024];
const CONNECTIONS: i32 = 2;
/// Bytes of a batch for the synced topic.
const SYNCED_BATCH: usize = 4096;
/// How long each line of the synced topic is measured.
const SPAN: Duration = Duration::from_secs(2);
const GIB: f64 = (1_u64 << 30) as f64;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["floor", port, folder] => Ok(floor::serve(port.parse()?, Path::new(folder))?),
        ["load", address, topic, batch, bytes] => one_load(address, topic, batch, bytes),
        ["spread", address, connections, in_flight, partitions] => {
            one_spread(address, (connections.parse()?, in_flight.parse()?, partitions.parse()?))
        }
        ["synced", folder, rounds, partitions, ref binaries @ ..] => {
            synced(Path::new(folder), rounds.parse()?, partitions.parse()?, binaries)
        }
        [binary, folder, ref rest @ ..] => {
            let gib = rest.first().map_or(Ok(1.0), |gib| gib.parse::<f64>())?;
            let rounds = rest.get(1).map_or(Ok(3), |rounds| rounds.parse::<usize>())?;
            compare(&PathBuf::from(binary), Path::new(folder), gib, rounds)
        }
        _ => Err("usage: broker HIGHWATER-BINARY FOLDER [GIB-PER-RUN] [ROUNDS], or broker synced FOLDER ROUNDS PARTITIONS BINARY..."
            .into()),
    }
}

/// The load as a process of its own, so that it can be pinned. Prints bytes and microseconds.
fn one_load(address: &str, topic: &str, batch: &str, bytes: &str) -> Result<(), Box<dyn Error>> {
    let done = load::run(address.parse()?, topic, batch.parse()?, bytes.parse()?, CONNECTIONS)?;
    println!("{} {}", done.bytes, done.elapsed.as_micros());
    Ok(())
}

/// The load over many partitions as a process of its own. Prints appends, microseconds for all of them, and for one at the
/// median and at the 99th percentile.
fn one_spread(address: &str, shape: (usize, usize, u32)) -> Result<(), Box<dyn Error>> {
    let done = load::spread(address.parse()?, "bench", SYNCED_BATCH, shape, SPAN)?;
    let at = |share: f64| done.took[((done.took.len() - 1) as f64 * share) as usize].as_micros();
    println!("{} {} {} {}", done.took.len(), done.elapsed.as_micros(), at(0.5), at(0.99));
    Ok(())
}

/// One line for each load and contender, medians of the rounds. All servers are there from the beginning: those that are not
/// asked do nothing.
fn synced(folder: &Path, rounds: usize, partitions: u32, binaries: &[&str]) -> Result<(), Box<dyn Error>> {
    println!("{}\n", machine::description());
    println!(
        "| connections x requests | binary, topic | acks/s | p50 / p99, ms | CPU-ms each | writes by commits each |"
    );
    println!("|---|---|---|---|---|---|");
    let unsynced = binaries.last().map(|binary| (*binary, "replicated"));
    let mut servers = Vec::new();
    for (binary, durability) in binaries.iter().map(|binary| (*binary, "synced")).chain(unsynced) {
        let contender = Contender::Highwater(PathBuf::from(binary), durability, partitions);
        let server = contender.start(&folder.join(servers.len().to_string()), "0,1")?;
        load::create_topic(server.address, "bench")?;
        servers.push((format!("{binary}, {durability}"), server));
    }
    for (connections, in_flight) in [(1, 1), (8, 1), (8, 5), (16, 16)] {
        let mut found = vec![vec![Vec::new(); 5]; servers.len()];
        // The first round warms up.
        for round in 0..=rounds {
            for ((_, server), found) in servers.iter().zip(&mut found) {
                let figures = measure_synced(server, [connections, in_flight, partitions as usize])?;
                if round > 0 {
                    found.iter_mut().zip(figures).for_each(|(found, figure)| found.push(figure));
                }
            }
        }
        for ((name, _), found) in servers.iter().zip(&found) {
            let [rate, p50, p99, cpu, writes] = [0, 1, 2, 3, 4].map(|which| median(&found[which]));
            println!(
                "| {connections} x {in_flight} | {name} | {rate:.0} | {p50:.2} / {p99:.2} | {cpu:.3} | {writes:.3} |"
            );
        }
    }
    Ok(())
}

/// Acknowledgements per second, ms for one at the median and at the 99th percentile, CPU-ms of the server for one, and
/// calls for one that write, by the threads that commit: to the journal, and to wake whoever waits.
fn measure_synced(server: &Running, shape: [usize; 3]) -> Result<[f64; 5], Box<dyn Error>> {
    let used = || -> io::Result<(f64, u64)> {
        Ok((machine::cpu_seconds(server.pid())?, machine::writes(server.pid(), "hw-commit")?))
    };
    let before = used()?;
    let done = Command::new(std::env::current_exe()?)
        .args(["spread", &server.address.to_string()])
        .args(shape.map(|number| number.to_string()))
        .output()?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned().into());
    }
    let after = used()?;
    let printed = String::from_utf8(done.stdout)?;
    let printed = printed.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    let [count, elapsed, p50, p99] = printed[..] else {
        return Err("the load printed something else".into());
    };
    Ok([
        count / (elapsed / 1e6),
        p50 / 1e3,
        p99 / 1e3,
        (after.0 - before.0) * 1e3 / count,
        (after.1 - before.1) as f64 / count,
    ])
}

fn compare(binary: &Path, folder: &Path, gib: f64, rounds: usize) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    println!("{}\n", machine::description());
    touch_memory(&folder.join("memory"))?;
    let contenders = [Contender::Floor, Contender::Highwater(binary.canonicalize()?, "replicated", 2)];
    println!("| batch | server | CPU-s/GiB, each round | median | MiB/s | to the floor |");
    println!("|---|---|---|---|---|---|");
    for batch in BATCHES {
        let mut cpu = vec![Vec::new(); contenders.len()];
        let mut speed = vec![Vec::new(); contenders.len()];
        for round in 0..rounds {
            for (which, contender) in contenders.iter().enumerate() {
                let place = folder.join(format!("{}-{batch}-{round}", contender.name()));
                let (seconds, mib) = measure(contender, &place, batch, gib)?;
                cpu[which].push(seconds);
                speed[which].push(mib);
            }
        }
        let floor = median(&cpu[0]);
        for (which, contender) in contenders.iter().enumerate() {
            let each: Vec<String> = cpu[which].iter().map(|seconds| format!("{seconds:.2}")).collect();
            println!(
                "| {} KiB | {} | {} | {:.2} | {:.0} | {:.2} |",
                batch / 1024,
                contender.name(),
                each.join(", "),
                median(&cpu[which]),
                median(&speed[which]),
                median(&cpu[which]) / floor
            );
        }
    }
    start_and_memory(&contenders[1], &folder.join("start"))
}

/// CPU-seconds per GiB of the server, and MiB per second.
fn measure(
    contender: &Contender,
    folder: &Path,
    batch: usize,
    gib: f64,
) -> Result<(f64, f64), Box<dyn Error>> {
    let server = contender.start(folder, "0")?;
    if matches!(contender, Contender::Highwater(..)) {
        load::create_topic(server.address, "bench")?;
    }
    let run = |bytes: f64| -> Result<(f64, f64), Box<dyn Error>> {
        let bytes = (bytes as u64).to_string();
        let done = Command::new("taskset")
            .args(["-c", "1"])
            .arg(std::env::current_exe()?)
            .args(["load", &server.address.to_string(), "bench", &batch.to_string(), &bytes])
            .output()?;
        if !done.status.success() {
            return Err(format!("{}: {}", contender.name(), String::from_utf8_lossy(&done.stderr)).into());
        }
        let printed = String::from_utf8(done.stdout)?;
        let (bytes, micros) = printed.trim().split_once(' ').ok_or("the load printed nothing")?;
        Ok((bytes.parse()?, micros.parse::<f64>()? / 1e6))
    };
    run(64.0 * 1024.0 * 1024.0)?;
    let before = machine::cpu_seconds(server.pid())?;
    let (bytes, elapsed) = run(gib * GIB)?;
    let used = machine::cpu_seconds(server.pid())? - before;
    Ok((used / (bytes / GIB), bytes / (1 << 20) as f64 / elapsed))
}

/// Start and memory of an idle broker, and what it uses while nobody asks anything.
fn start_and_memory(contender: &Contender, folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut empty = Vec::new();
    let mut again = Vec::new();
    for round in 0..5 {
        let place = folder.join(round.to_string());
        let first = contender.start(&place, "0")?;
        empty.push(first.start.as_secs_f64() * 1e3);
        load::create_topic(first.address, "one")?;
        first.stop()?;
        let second = contender.start(&place, "0")?;
        again.push(second.start.as_secs_f64() * 1e3);
        second.stop()?;
    }
    let idle = contender.start(&folder.join("idle"), "0")?;
    load::create_topic(idle.address, "one")?;
    let before = machine::cpu_seconds(idle.pid())?;
    let watched = Duration::from_secs(10);
    thread::sleep(watched);
    let used = machine::cpu_seconds(idle.pid())? - before;
    println!("\n| {} | |\n|---|---|", contender.name());
    println!("| start in an empty directory, ms (median of 5) | {:.1} |", median(&empty));
    println!("| start after a clean stop, one topic, ms (median of 5) | {:.1} |", median(&again));
    println!("| resident memory, idle with one topic, MiB | {:.1} |", machine::resident_mib(idle.pid())?);
    println!("| CPU of a core while idle, % | {:.2} |", used / watched.as_secs_f64() * 100.0);
    Ok(())
}

/// Writes a file as large as the memory that is free, so that every page has been touched before anything is measured.
fn touch_memory(file: &Path) -> io::Result<()> {
    let meminfo = fs::read_to_string("/proc/meminfo")?;
    let free_kib = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemFree:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or(0);
    let block = vec![0x5A; 1 << 20];
    let mut file = File::create(file)?;
    for _ in 0..free_kib / 1024 {
        file.write_all(&block)?;
    }
    Ok(())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
