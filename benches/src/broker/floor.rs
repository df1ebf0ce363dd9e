//! The least a broker can do with a produce request: receive it, check its batch, write that to the partition's file,
//! acknowledge. One thread per connection, the page cache, no idea of offsets. What a real broker costs above this is
//! its own doing.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
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

fn connection_loop(mut connection: TcpStream, mut file: File) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut frame = Vec::new();
    let mut size = [0; 4];
    loop {
        match connection.read_exact(&mut size) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        }
        frame.resize(u32::from_be_bytes(size) as usize, 0);
        connection.read_exact(&mut frame)?;
        let Some(batch) = frames::batch_of(&frame) else {
            return Err(io::Error::other("not a produce request of the load generator"));
        };
        if crc32c::crc32c(&batch[frames::CRC_END..]).to_be_bytes()
            != batch[frames::CRC_END - 4..frames::CRC_END]
        {
            return Err(io::Error::other("a batch with a wrong checksum"));
        }
        file.write_all(batch)?;
        connection.write_all(&frames::produce_answer(&frame))?;
    }
}
