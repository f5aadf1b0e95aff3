//! The clients and the upstream of a proxy, in one loop of this process: only the proxy runs elsewhere.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const FIRST_CLIENT: usize = 1 << 20;
const FIRST_SERVED: usize = 1 << 40;
/// The most connections that a proxy keeps for later.
const IDLE: usize = 128;

/// What the upstream answers to a POST: a result as a tool gives it.
const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"It is sunny, 21 degrees, and there is no wind."}]}}"#;
/// The only event of a stream, after which it is idle.
const EVENT: &str = ": hello\n\n";

pub struct Net {
    poll: Poll,
    events: Events,
    /// The addresses at which the upstream listens. `None` once it is gone.
    listeners: Vec<Option<TcpListener>>,
    served: HashMap<usize, Served>,
    next_served: usize,
    clients: Vec<Client>,
}

/// A connection of the proxy to the upstream.
struct Served {
    stream: TcpStream,
    listener: usize,
    input: Vec<u8>,
}

struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
    request: Vec<u8>,
    answer: Vec<u8>,
    is_busy: bool,
    /// When its request should have been sent.
    due: Instant,
}

/// How requests are sent.
#[derive(Clone, Copy)]
pub enum Pace {
    /// Each client sends its next request when its last one is answered.
    Closed,
    /// So many requests a second, whatever happens. A request that no client is free for is late, which counts.
    Open(f64),
}

#[derive(Default)]
pub struct Done {
    pub requests: u64,
    pub time: Duration,
    /// The number of answers by status.
    pub statuses: HashMap<u16, u64>,
    /// Requests without an answer: the connection was closed.
    pub lost: u64,
    /// From when a request should have been sent until its answer was complete, in microseconds.
    pub latencies: Vec<u32>,
}

impl Done {
    /// The number of answers with another status.
    pub fn other_than(&self, status: u16) -> u64 {
        self.statuses.iter().filter(|(it, _)| **it != status).map(|(_, number)| number).sum()
    }

    /// The latency that 99 % do not exceed, in microseconds.
    pub fn p99(&mut self) -> f64 {
        self.latencies.sort_unstable();
        self.latencies.get(self.latencies.len() * 99 / 100).map_or(f64::NAN, |it| f64::from(*it))
    }
}

impl Net {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            listeners: vec![],
            served: HashMap::new(),
            next_served: FIRST_SERVED,
            clients: vec![],
        })
    }

    /// One more address of the upstream.
    pub fn listen(&mut self) -> io::Result<SocketAddr> {
        let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
        let token = Token(self.listeners.len());
        self.poll.registry().register(&mut listener, token, Interest::READABLE)?;
        let address = listener.local_addr()?;
        self.listeners.push(Some(listener));
        Ok(address)
    }

    /// Ends the upstream at this address, as if it was killed.
    pub fn kill(&mut self, listener: usize) {
        if let Some(listener) = self.listeners.get_mut(listener) {
            *listener = None;
        }
        self.served.retain(|_, served| served.listener != listener);
    }

    pub fn connect(&mut self, address: SocketAddr, number: usize) -> io::Result<Range<usize>> {
        let first = self.clients.len();
        for number in first..first + number {
            let stream = Some(self.connection(number, address)?);
            let due = Instant::now();
            let (request, answer) = (vec![], vec![]);
            self.clients.push(Client { address, stream, request, answer, is_busy: false, due });
        }
        Ok(first..self.clients.len())
    }

    /// Closes connections, and waits until the proxy has closed those that it made for them.
    pub fn disconnect(&mut self, clients: Range<usize>) -> io::Result<()> {
        for client in &mut self.clients[clients] {
            (client.stream, client.is_busy) = (None, false);
        }
        let begin = Instant::now();
        while self.served.len() > IDLE && begin.elapsed() < Duration::from_secs(20) {
            self.turn()?;
        }
        Ok(())
    }

    fn connection(&self, number: usize, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let token = Token(FIRST_CLIENT + number);
        self.poll.registry().register(&mut stream, token, Interest::READABLE)?;
        Ok(stream)
    }

    /// Sends requests for this time, and waits for their answers. `each` is called in each turn of the loop.
    pub fn run(
        &mut self,
        clients: Range<usize>,
        request: &[u8],
        pace: Pace,
        time: Duration,
        mut each: impl FnMut(&mut Self, Duration),
    ) -> io::Result<Done> {
        let mut done = Done::default();
        let begin = Instant::now();
        let mut free: Vec<usize> = clients.rev().collect();
        let number = free.len();
        let mut sent = 0_u64;
        loop {
            let elapsed = begin.elapsed();
            let is_over = elapsed >= time;
            if is_over && free.len() == number {
                break;
            }
            if elapsed > time + Duration::from_secs(20) {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the proxy does not answer"));
            }
            each(self, elapsed);
            while !is_over && !free.is_empty() {
                let due = match pace {
                    Pace::Closed => Instant::now(),
                    Pace::Open(rate) => begin + Duration::from_secs_f64(sent as f64 / rate),
                };
                if due > Instant::now() {
                    break;
                }
                let Some(client) = free.pop() else { break };
                if !self.send(client, request, due)? {
                    // Nobody listens any more.
                    done.time = begin.elapsed();
                    return Ok(done);
                }
                sent += 1;
            }
            for client in self.turn()? {
                match self.clients[client].receive() {
                    Received::Nothing => continue,
                    Received::Answer(status) => {
                        done.requests += 1;
                        *done.statuses.entry(status).or_default() += 1;
                        let late = self.clients[client].due.elapsed().as_micros();
                        done.latencies.push(u32::try_from(late).unwrap_or(u32::MAX));
                    }
                    Received::Lost => done.lost += 1,
                }
                free.push(client);
            }
        }
        done.time = begin.elapsed();
        Ok(done)
    }

    /// Opens an event stream with each client, some at a time, and waits for their first events. They stay open.
    pub fn open_streams(
        &mut self,
        clients: Range<usize>,
        request: impl Fn(usize) -> Vec<u8>,
    ) -> io::Result<()> {
        const AT_ONCE: usize = 32;
        let mut next = clients.clone();
        let (mut waiting, mut open) = (0, 0);
        let mut last = Instant::now();
        while open < clients.len() {
            while waiting < AT_ONCE
                && let Some(client) = next.next()
            {
                self.send(client, &request(client), Instant::now())?;
                waiting += 1;
            }
            for readable in self.turn()? {
                let is_open = self.clients[readable].request.is_empty();
                if !matches!(self.clients[readable].receive(), Received::Nothing) || is_open {
                    let answer = String::from_utf8_lossy(&self.clients[readable].answer);
                    return Err(io::Error::other(format!("a stream ended: {answer}")));
                }
                let Client { answer, request, .. } = &mut self.clients[readable];
                if answer.windows(EVENT.len()).any(|it| it == EVENT.as_bytes()) {
                    (*answer, *request) = (vec![], vec![]);
                    (waiting, open, last) = (waiting - 1, open + 1, Instant::now());
                }
            }
            if last.elapsed() > Duration::from_secs(10) {
                return Err(io::Error::other("a stream has no first event"));
            }
        }
        Ok(())
    }

    /// One request, and its whole answer.
    pub fn once(&mut self, address: SocketAddr, request: &[u8]) -> io::Result<String> {
        let client = self.connect(address, 1)?;
        self.send(client.start, request, Instant::now())?;
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(10) {
            if self.turn()?.contains(&client.start)
                && !matches!(self.clients[client.start].receive(), Received::Nothing)
            {
                let answer =
                    String::from_utf8_lossy(&self.clients[client.start].answer).into_owned();
                self.disconnect(client)?;
                return Ok(answer);
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "the proxy does not answer"))
    }

    /// Returns false if nobody listens.
    fn send(&mut self, number: usize, request: &[u8], due: Instant) -> io::Result<bool> {
        if self.clients[number].stream.is_none() {
            let Ok(stream) = self.connection(number, self.clients[number].address) else {
                return Ok(false);
            };
            self.clients[number].stream = Some(stream);
        }
        let client = &mut self.clients[number];
        client.request.clear();
        client.request.extend_from_slice(request);
        client.answer.clear();
        (client.is_busy, client.due) = (true, due);
        if let Some(stream) = &mut client.stream {
            // A few kilobytes fit into an empty send buffer. If the connection is closed, the answer is missed later.
            match stream.write(request) {
                Ok(written) if written < request.len() => {
                    return Err(io::Error::other("a request did not fit into the socket's buffer"));
                }
                _ => {}
            }
        }
        Ok(true)
    }

    /// Serves as the upstream, and returns the clients that can read. It polls without sleeping: a proxy that has to
    /// wake this process pays for it, and the longer it takes, the more often.
    fn turn(&mut self) -> io::Result<Vec<usize>> {
        self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
        let tokens: Vec<usize> = self.events.iter().map(|event| event.token().0).collect();
        let mut readable = vec![];
        for token in tokens {
            if token >= FIRST_SERVED {
                if !self.served.get_mut(&token).is_some_and(Served::serve) {
                    self.served.remove(&token);
                }
            } else if token >= FIRST_CLIENT {
                let client = &mut self.clients[token - FIRST_CLIENT];
                match client.is_busy {
                    true => readable.push(token - FIRST_CLIENT),
                    false => client.stream = None, // closed while idle
                }
            } else {
                while let Some(Ok((mut stream, _))) =
                    self.listeners[token].as_ref().map(TcpListener::accept)
                {
                    stream.set_nodelay(true)?;
                    let number = self.next_served;
                    self.next_served += 1;
                    let interest = Interest::READABLE;
                    self.poll.registry().register(&mut stream, Token(number), interest)?;
                    self.served.insert(number, Served { stream, listener: token, input: vec![] });
                }
            }
        }
        Ok(readable)
    }
}

enum Received {
    Nothing,
    Answer(u16),
    Lost,
}

impl Client {
    fn receive(&mut self) -> Received {
        let mut part = [0; 16 * 1024];
        loop {
            let Some(stream) = &mut self.stream else { return Received::Lost };
            match stream.read(&mut part) {
                Ok(bytes) if bytes > 0 => {
                    self.answer.extend_from_slice(&part[..bytes]);
                    if let Some((status, closes)) = complete_answer(&self.answer) {
                        self.is_busy = false;
                        if closes {
                            self.stream = None;
                        }
                        return Received::Answer(status);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Received::Nothing;
                }
                _ => {
                    (self.is_busy, self.stream) = (false, None);
                    return Received::Lost;
                }
            }
        }
    }
}

impl Served {
    /// Answers what has come. Returns false if the connection is closed.
    fn serve(&mut self) -> bool {
        let mut part = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut part) {
                Ok(0) => return false,
                Ok(bytes) => self.input.extend_from_slice(&part[..bytes]),
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        return false;
                    }
                    break;
                }
            }
        }
        while let Some(length) = complete_request(&self.input) {
            let answer = match self.input.starts_with(b"GET") {
                true => format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{EVENT}\r\n",
                    EVENT.len()
                ),
                false => format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{RESULT}",
                    RESULT.len()
                ),
            };
            self.input.drain(..length);
            if self.stream.write_all(answer.as_bytes()).is_err() {
                return false;
            }
        }
        true
    }
}

/// The length of the first request, if all of it has come.
fn complete_request(input: &[u8]) -> Option<usize> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let head = request.parse(input).ok().filter(httparse::Status::is_complete)?.unwrap();
    let end = end_of_body(request.headers, &input[head..])?;
    Some(head + end)
}

/// The status of an answer that is complete, and whether the connection is closed after it.
fn complete_answer(answer: &[u8]) -> Option<(u16, bool)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let head = response.parse(answer).ok().filter(httparse::Status::is_complete)?.unwrap();
    end_of_body(response.headers, &answer[head..])?;
    let closes =
        header(response.headers, "connection").is_some_and(|it| it.eq_ignore_ascii_case("close"));
    Some((response.code?, closes))
}

/// The length of a body on the wire, if all of it has come.
fn end_of_body(headers: &[httparse::Header<'_>], body: &[u8]) -> Option<usize> {
    if header(headers, "transfer-encoding").is_some() {
        const END: &[u8] = b"0\r\n\r\n";
        return body.ends_with(END).then_some(body.len());
    }
    let length = header(headers, "content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
    (body.len() >= length).then_some(length)
}

fn header<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a str> {
    let header = headers.iter().find(|it| it.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(header.value).ok()
}
