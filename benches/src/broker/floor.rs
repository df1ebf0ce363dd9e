//! The least a broker can do with a produce request: receive it, check its batch, write that to the partition's file,
//! acknowledge; whatever has arrived together in one go. One thread per connection, the page cache, no idea of offsets.
//! What a real broker costs above this is its own doing.

use std::{
    fs::{File, OpenOptions},
    io::{self, IoSlice, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    thread,
};

use super::frames;

/// Serves until the process is killed.
///
/// # Errors
/// When the port is taken or a file cannot be made; errors of a connection end that connection.
pub fn serve(port: u16, folder: &Path) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    for (number, connection) in listener.incoming().enumerate() {
        let file = OpenOptions::new().create(true).append(true).open(folder.join(format!("{number}.log")))?;
        let connection = connection?;
        thread::spawn(move || {
            if let Err(error) = connection_loop(connection, file) {
                eprintln!("floor: {error}");
            }
        });
    }
    Ok(())
}

/// Bytes received at once at most: what fits into a core's second-level cache together with what is written from it.
const RECEIVE_LEN: usize = 256 * 1024;

/// Whatever has arrived is served together: one receive, one write of all its batches, one write of all answers.
fn connection_loop(mut connection: TcpStream, mut file: File) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut received = vec![0; RECEIVE_LEN];
    let mut held = 0;
    let mut answers = Vec::new();
    loop {
        let len = connection.read(&mut received[held..])?;
        if len == 0 {
            return Ok(());
        }
        held += len;
        let served = serve_frames(&received[..held], &mut file, &mut answers)?;
        if !answers.is_empty() {
            connection.write_all(&answers)?;
            answers.clear();
        }
        received.copy_within(served..held, 0);
        held -= served;
        if let Some(size) = frame_size(&received[..held]).filter(|size| *size > received.len()) {
            received.resize(size, 0);
        }
    }
}

/// Checks and writes the batches of all whole frames, appends their answers, and returns the bytes they took.
fn serve_frames(received: &[u8], file: &mut File, answers: &mut Vec<u8>) -> io::Result<usize> {
    let mut batches = Vec::new();
    let mut served = 0;
    while let Some(frame) =
        frame_size(&received[served..]).and_then(|size| received.get(served + 4..served + size))
    {
        let Some(batch) = frames::batch_of(frame) else {
            return Err(io::Error::other("not a produce request of the load generator"));
        };
        if crc32c::crc32c(&batch[frames::CRC_END..]).to_be_bytes()
            != batch[frames::CRC_END - 4..frames::CRC_END]
        {
            return Err(io::Error::other("a batch with a wrong checksum"));
        }
        batches.push(IoSlice::new(batch));
        answers.extend(frames::produce_answer(frame));
        served += 4 + frame.len();
    }
    let mut rest = &mut batches[..];
    while !rest.is_empty() {
        let written = file.write_vectored(rest)?;
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(served)
}

/// Bytes of the frame that begins here, its length included, once the length has arrived.
fn frame_size(received: &[u8]) -> Option<usize> {
    let len: [u8; 4] = received.get(..4)?.try_into().ok()?;
    Some(4 + u32::from_be_bytes(len) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_frames_are_served_together_and_the_rest_waits() {
        let batch = frames::batch(2048);
        let frame = frames::produce("bench", 0, &batch);
        let mut received = [&frame[..], &frame[..], &frame[..100]].concat();
        let mut file = tempfile::tempfile().unwrap();
        let mut answers = Vec::new();
        assert_eq!(serve_frames(&received, &mut file, &mut answers).unwrap(), 2 * frame.len());
        assert_eq!(answers, frames::produce_answer(&frame[4..]).repeat(2));
        assert_eq!(file.metadata().unwrap().len(), 2 * batch.len() as u64);
        received[frame.len() - 1] ^= 1;
        assert!(serve_frames(&received, &mut file, &mut answers).is_err());
    }
}
