//! The load: connections that keep five requests in flight until so many bytes are acknowledged.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use super::frames;

/// Requests that one connection has under way at once, as Kafka's producers have.
const IN_FLIGHT: usize = 5;

/// What one run of the load did.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// Bytes of batches that were acknowledged.
    pub bytes: u64,
    /// From the first request to the last acknowledgement.
    pub elapsed: Duration,
}

/// What one run of appends to many partitions did.
#[derive(Clone, Debug)]
pub struct Spread {
    /// How long each acknowledgement took, sorted.
    pub took: Vec<Duration>,
    /// From the first request to the last acknowledgement.
    pub elapsed: Duration,
}

/// Produces one batch of `batch_size` after the other, each to another partition, over `connections` with `in_flight`
/// requests under way each, for as long as `span`.
///
/// # Errors
/// When a connection fails or a request is refused.
pub fn spread(
    address: SocketAddr,
    topic: &str,
    batch_size: usize,
    (connections, in_flight, partitions): (usize, usize, u32),
    span: Duration,
) -> io::Result<Spread> {
    let batch = frames::batch(batch_size);
    let all: Vec<Vec<u8>> = (0..partitions as i32).map(|each| frames::produce(topic, each, &batch)).collect();
    let started = Instant::now();
    let each = |from: usize| {
        let frames = all.iter().cycle().skip(from).step_by(connections);
        spread_one(address, frames, in_flight, started + span)
    };
    let mut took = thread::scope(|scope| {
        let workers: Vec<_> = (0..connections).map(|from| scope.spawn(move || each(from))).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, io::Result<Vec<Duration>>>| {
            worker.join().map_err(|_| io::Error::other("a connection of the load panicked"))?
        };
        workers.into_iter().map(join).collect::<io::Result<Vec<_>>>()
    })?
    .concat();
    let elapsed = started.elapsed();
    took.sort();
    Ok(Spread { took, elapsed })
}

fn spread_one<'a>(
    address: SocketAddr,
    frames: impl Iterator<Item = &'a Vec<u8>>,
    in_flight: usize,
    until: Instant,
) -> io::Result<Vec<Duration>> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_nodelay(true)?;
    let (mut answer, mut took, mut sent) = (Vec::new(), Vec::new(), VecDeque::new());
    let mut frames = frames.take_while(|_| Instant::now() < until);
    loop {
        while sent.len() < in_flight
            && let Some(frame) = frames.next()
        {
            sent.push_back(Instant::now());
            connection.write_all(frame)?;
        }
        let Some(began) = sent.pop_front() else { return Ok(took) };
        read_answer(&mut connection, &mut answer)?;
        match frames::produce_error(&answer) {
            Some(0) => took.push(began.elapsed()),
            other => return Err(io::Error::other(format!("refused with {other:?}"))),
        }
    }
}

/// Produces `bytes` in batches of `batch_size` over `connections`, each to a partition of its own.
///
/// # Errors
/// When a connection fails or a request is refused.
pub fn run(
    address: SocketAddr,
    topic: &str,
    batch_size: usize,
    bytes: u64,
    connections: i32,
) -> io::Result<Done> {
    let batch = frames::batch(batch_size);
    let requests = bytes / batch.len() as u64 / u64::from(connections.unsigned_abs()) + 1;
    let started = Instant::now();
    let workers: Vec<_> = (0..connections)
        .map(|partition| {
            let frame = frames::produce(topic, partition, &batch);
            thread::spawn(move || one_connection(address, &frame, requests))
        })
        .collect();
    for worker in workers {
        worker.join().map_err(|_| io::Error::other("a connection of the load panicked"))??;
    }
    let acknowledged = requests * u64::from(connections.unsigned_abs()) * batch.len() as u64;
    Ok(Done { bytes: acknowledged, elapsed: started.elapsed() })
}

/// Asks for a topic until its partitions are there. The broker creates it on the first request.
///
/// # Errors
/// When the connection fails.
pub fn create_topic(address: SocketAddr, topic: &str) -> io::Result<()> {
    let mut connection = TcpStream::connect(address)?;
    connection.write_all(&frames::metadata(topic))?;
    read_answer(&mut connection, &mut Vec::new())
}

fn one_connection(address: SocketAddr, frame: &[u8], requests: u64) -> io::Result<()> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_nodelay(true)?;
    let mut answer = Vec::new();
    let mut sent = 0;
    for acknowledged in 0..requests {
        while sent < requests && sent - acknowledged < IN_FLIGHT as u64 {
            connection.write_all(frame)?;
            sent += 1;
        }
        read_answer(&mut connection, &mut answer)?;
        match frames::produce_error(&answer) {
            Some(0) => {}
            other => return Err(io::Error::other(format!("refused with {other:?}"))),
        }
    }
    Ok(())
}

fn read_answer(connection: &mut TcpStream, answer: &mut Vec<u8>) -> io::Result<()> {
    let mut size = [0; 4];
    connection.read_exact(&mut size)?;
    answer.resize(u32::from_be_bytes(size) as usize, 0);
    connection.read_exact(answer)
}
