//! A load generator: each connection sends its next request when the previous answer is complete.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// Writes the next request. Returns false if there is none.
pub type Next<'a> = &'a mut dyn FnMut(&mut Vec<u8>) -> bool;

pub struct Load {
    poll: Poll,
    connections: Vec<Connection>,
}

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
    is_busy: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub requests: u64,
    /// The number of answers with another status than expected.
    pub bad: u64,
    pub time: Duration,
}

impl Load {
    pub fn connect(address: SocketAddr, connections: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let connections = (0..connections)
            .map(|number| {
                let stream = std::net::TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                let mut stream = TcpStream::from_std(stream);
                poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
                Ok(Connection { stream, request: vec![], answer: vec![], is_busy: false })
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { poll, connections })
    }

    /// Keeps every connection busy until the time is over or there is no next request. Then waits for the
    /// remaining answers.
    pub fn run(&mut self, next: Next<'_>, status: u16, time: Duration) -> io::Result<Done> {
        let mut done = Done::default();
        let mut events = Events::with_capacity(self.connections.len());
        let begin = Instant::now();
        let mut busy = 0;
        for connection in &mut self.connections {
            busy += usize::from(connection.send(next)?);
        }
        let mut is_over = false;
        while busy > 0 {
            self.look_for(&mut events)?;
            is_over = is_over || begin.elapsed() >= time;
            for event in &events {
                let connection = &mut self.connections[event.token().0];
                if !connection.is_busy {
                    return Err(io::Error::other("the server hung up"));
                }
                let Some(found) = connection.receive()? else { continue };
                done.requests += 1;
                done.bad += u64::from(found != status);
                if is_over || !connection.send(next)? {
                    connection.is_busy = false;
                    busy -= 1;
                }
            }
        }
        done.time = begin.elapsed();
        Ok(done)
    }

    /// Waits for answers by busy polling. If it slept, the server would have to wake it by an interrupt, which on a virtual
    /// machine goes through the host; and the longer a server takes, the more often.
    fn look_for(&mut self, events: &mut Events) -> io::Result<()> {
        let begin = Instant::now();
        loop {
            self.poll.poll(events, Some(Duration::ZERO))?;
            if !events.is_empty() {
                return Ok(());
            }
            if begin.elapsed() > Duration::from_secs(10) {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not answer"));
            }
        }
    }

    /// Sends one request and returns its complete answer.
    pub fn once(&mut self, next: Next<'_>) -> io::Result<String> {
        let connection = &mut self.connections[0];
        connection.send(next)?;
        let mut events = Events::with_capacity(1);
        while connection.receive()?.is_none() {
            self.poll.poll(&mut events, Some(Duration::from_secs(10)))?;
        }
        connection.is_busy = false;
        Ok(String::from_utf8_lossy(&connection.answer).into_owned())
    }
}

impl Connection {
    fn send(&mut self, next: Next<'_>) -> io::Result<bool> {
        self.request.clear();
        self.answer.clear();
        self.is_busy = next(&mut self.request);
        if self.is_busy {
            // A few kilobytes always fit into a socket's empty send buffer.
            let written = self.stream.write(&self.request)?;
            if written < self.request.len() {
                return Err(io::Error::other("a request did not fit into the socket's buffer"));
            }
        }
        Ok(self.is_busy)
    }

    /// Returns the status if the answer is complete.
    fn receive(&mut self) -> io::Result<Option<u16>> {
        let mut part = [0; 4096];
        loop {
            match self.stream.read(&mut part) {
                Ok(0) => return Err(io::Error::other("the server hung up")),
                Ok(bytes) => {
                    self.answer.extend_from_slice(&part[..bytes]);
                    if let Some(status) = complete(&self.answer)? {
                        return Ok(Some(status));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

fn complete(answer: &[u8]) -> io::Result<Option<u16>> {
    let mut headers = [httparse::EMPTY_HEADER; 24];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(answer).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let length = response.headers.iter().find(|it| it.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|it| std::str::from_utf8(it.value).ok()?.parse::<usize>().ok());
    let is_complete = match length {
        Some(length) => answer.len() >= head + length,
        // Chunked: an event stream that ends.
        None => answer.ends_with(b"\r\n0\r\n\r\n"),
    };
    Ok(is_complete.then_some(response.code.unwrap_or_default()))
}
