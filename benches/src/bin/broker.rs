//! CPU-seconds per GiB that a broker needs to take records, against the floor, alternating in one run.
//!
//! usage: broker HIGHWATER-BINARY FOLDER [GIB-PER-RUN] [ROUNDS]
//!
//! The server runs on core 0 and the load on core 1 (`taskset`); records of 1 KiB, two connections with a partition
//! each, five requests in flight, acks=1, page cache (`highwater.durability=replicated`). The first touch of guest
//! memory costs about as much as the whole floor, so the run begins with a file as large as the free memory, and
//! nothing is deleted before the end.

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
    broker::{contender::Contender, floor, load},
    machine,
};

const BATCHES: [usize; 2] = [16 * 1024, 256 * 1024];
const CONNECTIONS: i32 = 2;
const GIB: f64 = (1_u64 << 30) as f64;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["floor", port, folder] => Ok(floor::serve(port.parse()?, Path::new(folder))?),
        ["load", address, topic, batch, bytes] => one_load(address, topic, batch, bytes),
        [binary, folder, ref rest @ ..] => {
            let gib = rest.first().map_or(Ok(1.0), |gib| gib.parse::<f64>())?;
            let rounds = rest.get(1).map_or(Ok(3), |rounds| rounds.parse::<usize>())?;
            compare(&PathBuf::from(binary), Path::new(folder), gib, rounds)
        }
        _ => Err("usage: broker HIGHWATER-BINARY FOLDER [GIB-PER-RUN] [ROUNDS]".into()),
    }
}

/// The load as a process of its own, so that it can be pinned. Prints bytes and microseconds.
fn one_load(address: &str, topic: &str, batch: &str, bytes: &str) -> Result<(), Box<dyn Error>> {
    let done = load::run(address.parse()?, topic, batch.parse()?, bytes.parse()?, CONNECTIONS)?;
    println!("{} {}", done.bytes, done.elapsed.as_micros());
    Ok(())
}

fn compare(binary: &Path, folder: &Path, gib: f64, rounds: usize) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    println!("{}\n", machine::description());
    touch_memory(&folder.join("memory"))?;
    let contenders = [Contender::Floor, Contender::Highwater(binary.canonicalize()?)];
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
    let server = contender.start(folder)?;
    if matches!(contender, Contender::Highwater(_)) {
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
        let first = contender.start(&place)?;
        empty.push(first.start.as_secs_f64() * 1e3);
        load::create_topic(first.address, "one")?;
        first.stop()?;
        let second = contender.start(&place)?;
        again.push(second.start.as_secs_f64() * 1e3);
        second.stop()?;
    }
    let idle = contender.start(&folder.join("idle"))?;
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
