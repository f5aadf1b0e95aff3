//! Bodies of a gibibyte, in both directions.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

const BYTES: u64 = 1 << 30;

/// An upstream that reads any body, and answers a GET with a big one.
pub fn upstream() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || drop(answer(stream)));
        }
    });
    Ok(address)
}

fn answer(stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(1 << 16, &stream);
    let (first, length) = read_head(&mut reader)?;
    io::copy(&mut reader.take(length), &mut io::sink())?;
    let bytes = if first.starts_with("GET") { BYTES } else { 2 };
    write!(
        &stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n"
    )?;
    io::copy(&mut io::repeat(b' ').take(bytes), &mut &stream).map(drop)
}

/// Sends a big body and reads the answer, then reads a big answer.
pub fn through(proxy: SocketAddr, token: &str) -> io::Result<()> {
    for method in ["POST", "GET"] {
        let stream = TcpStream::connect(proxy)?;
        let sent = if method == "POST" { BYTES } else { 0 };
        write!(
            &stream,
            "{method} /big HTTP/1.1\r\nHost: {proxy}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: {sent}\r\n\r\n"
        )?;
        io::copy(&mut io::repeat(b' ').take(sent), &mut &stream)?;
        let mut reader = BufReader::with_capacity(1 << 16, &stream);
        let (first, length) = read_head(&mut reader)?;
        let read = io::copy(&mut reader.take(length), &mut io::sink())?;
        let expected = if method == "GET" { BYTES } else { 2 };
        if !first.contains(" 200 ") || read != expected {
            return Err(io::Error::other(format!("{method}: {first}, {read} bytes")));
        }
    }
    Ok(())
}

/// The first line, and the length of the body.
fn read_head(reader: &mut impl io::BufRead) -> io::Result<(String, u64)> {
    let (mut first, mut length) = (String::new(), 0);
    for line in reader.by_ref().lines() {
        let line = line?.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if line.is_empty() {
            return Ok((first.to_ascii_uppercase(), length));
        }
        if first.is_empty() {
            first = line;
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}
