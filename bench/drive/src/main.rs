//! Measures what a request costs a server behind mcp-auth and one behind oauth-resource-server, in one run.

mod load;

use std::collections::BTreeMap;
use std::error::Error;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use bench_issuer::{Issuer, Kind, NOBODY, Token};
use bench_process::Server;
use load::{Done, Load};

const AUDIENCE: &str = "https://api.example.com/mcp";
const CONNECTIONS: usize = 32;
/// The number of slices in a round. Each slice measures every row of one server and then of the other. So rows that
/// are compared run shortly after each other, and other load on the machine slows them down equally.
const SLICES: usize = 4;
/// Runs before each measurement, since earlier ones left other code and data in the CPU caches.
const WARM_UP: Duration = Duration::from_millis(40);
const FOREVER: Duration = Duration::from_secs(3600);

/// The number of the next call. All numbers have as many digits.
static NUMBER: AtomicU64 = AtomicU64::new(1_000_000_000);

/// The core of the servers, of which only one works at a time. The load generator has the other core.
const SERVERS: usize = 0;
const LOAD: usize = 1;

struct Settings {
    is_strict: bool,
    rounds: usize,
    time: Duration,
    /// The number of never-seen tokens in each round.
    tokens: usize,
    /// The number of tokens in the memory run. With 0 there is no such run.
    memory: usize,
    /// Only rows whose names contain one of these words are measured. Without words, all rows are.
    words: Vec<String>,
}

/// One row of the table of costs.
struct Scenario {
    name: &'static str,
    head: &'static str,
    status: u16,
    tokens: Tokens,
    /// The rest of a POST: the headers of its protocol version, and the body.
    call: Call,
}

/// A `tools/call` as a client of one protocol version sends it.
#[derive(Clone)]
struct Call {
    headers: String,
    /// With `#` in place of the number of the request, which is unique.
    body: &'static str,
}

enum Tokens {
    None,
    /// The same token in each request.
    One(String),
    /// Each token once. A round uses `Settings::tokens` of them.
    Fresh(Arc<Vec<String>>),
}

/// The measurements of one scenario at one server, round by round.
#[derive(Default)]
struct Measured {
    cpu: Vec<f64>,
    rate: Vec<f64>,
    bad: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::read()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let issuer = Arc::new(Issuer::new(format!("http://{}", listener.local_addr()?), AUDIENCE));
    issuer.clone().serve(listener);

    eprintln!("signing {} tokens of each kind ...", settings.rounds * settings.tokens);
    let mut scenarios = scenarios(&issuer, &settings);
    scenarios.retain(|scenario| settings.wants(scenario.name));
    let is_pinned = bench_process::can_pin();
    if is_pinned {
        bench_process::pin_self(LOAD);
    }
    let core = is_pinned.then_some(SERVERS);
    let here = std::env::current_exe()?.parent().ok_or("no folder")?.to_owned();
    let start = |name: &str| -> Result<Server, Box<dyn Error>> {
        let address = bench_process::free_address()?;
        let mut command = bench_process::on_core(here.join(name), core);
        command
            .env("PORT", address.port().to_string())
            .env("ISSUER", &issuer.url)
            .env("AUDIENCE", &issuer.audience)
            .env("BARE_KEYS", issuer.bare_keys())
            .env("WORKERS", "1");
        Ok(Server::start(command, address)?)
    };

    let servers = [start("bench-server")?, start("bench-peer")?];
    let at_start = servers.each_ref().map(|server| server.memory().0);
    let mut loads = [
        Load::connect(servers[0].address, CONNECTIONS)?,
        Load::connect(servers[1].address, CONNECTIONS)?,
    ];
    let mut table: BTreeMap<(usize, usize), Measured> = BTreeMap::new();
    for (row, scenario) in scenarios.iter_mut().enumerate() {
        for (server, load) in loads.iter_mut().enumerate() {
            table.insert((row, server), Measured::default());
            if scenario.is_at(server) {
                scenario.begin_session(load)?;
                scenario.look(load, server)?;
            }
        }
    }
    for round in 0..settings.rounds {
        eprintln!("round {} of {} ...", round + 1, settings.rounds);
        for slice in 0..SLICES {
            for (server, load) in loads.iter_mut().enumerate() {
                for (row, scenario) in scenarios.iter().enumerate() {
                    if !scenario.is_at(server) || (slice > 0 && scenario.is_fresh()) {
                        continue;
                    }
                    let measured = table.get_mut(&(row, server)).ok_or("no cell")?;
                    scenario.measure(round, &settings, load, &servers[server], measured)?;
                }
            }
        }
    }
    let after_load = servers.each_ref().map(|server| server.memory().0);
    drop(loads);
    drop(servers);

    let memory = match settings.memory {
        0 => None,
        number => {
            eprintln!("{number} requests with as many tokens ...");
            let server = start("bench-server")?;
            Some(million(&issuer, &server, number)?)
        }
    };

    // ---- the tables ----
    let nothing = Measured::default();
    let cell = |name: &str, server: usize| {
        let row = scenarios.iter().position(|scenario| scenario.name == name);
        row.map_or(&nothing, |row| &table[&(row, server)])
    };
    let pinned = if is_pinned { "pinned to one core each" } else { "not pinned" };
    println!(
        "\nServer CPU per request at {CONNECTIONS} connections; server and load {pinned}; {} rounds of {:?} (never-seen: {} tokens), medians\n",
        settings.rounds, settings.time, settings.tokens,
    );
    println!("{:<28}{:^20}{:^20}{:^22}", "", "mcp-auth, µs", "peer, µs", "requests/s");
    println!(
        "{:<28}{:>10}{:>10}{:>10}{:>10}{:>12}{:>10}",
        "", "median", "least", "median", "least", "mcp-auth", "peer"
    );
    for scenario in &scenarios {
        let [ours, peers] = [0, 1].map(|server| cell(scenario.name, server));
        print!("{:<28}", scenario.name);
        for measured in [ours, peers] {
            if measured.cpu.is_empty() {
                print!("{:>10}{:>10}", "-", "-");
            } else {
                print!("{:>10.2}{:>10.2}", median(&measured.cpu), least(&measured.cpu));
            }
        }
        let [ours, peers] = [ours, peers].map(|measured| match median(&measured.rate) {
            rate if rate.is_nan() => "-".to_owned(),
            rate => format!("{rate:.0}"),
        });
        println!("{ours:>12}{peers:>10}");
    }
    let bad: u64 = table.values().map(|measured| measured.bad).sum();
    println!("answers with an unexpected status: {bad}");
    println!(
        "RSS in MB: at start {:.1} and {:.1}, after the load {:.1} and {:.1}\n",
        at_start[0], at_start[1], after_load[0], after_load[1]
    );

    // The title; our value by medians and by minima, the peer's by medians; the limit.
    let mut verdicts = vec![];
    let mut over = |title: &str, name: &str, base: &str, limit: f64| {
        if cell(name, 0).cpu.is_empty() || cell(base, 0).cpu.is_empty() {
            return;
        }
        let by = |of: fn(&[f64]) -> f64, server| {
            // Only our server has the routes that verify a signature alone.
            let base_server = if cell(base, server).cpu.is_empty() { 0 } else { server };
            of(&cell(name, server).cpu) - of(&cell(base, base_server).cpu)
        };
        verdicts.push((title.to_owned(), [by(median, 0), by(least, 0), by(median, 1)], limit));
    };
    over("repeated RS256, over open, µs", "whoami, repeated RS256", "open", 2.0);
    over("repeated RS256 on /mcp, over /mcp-open, µs", "mcp, repeated RS256", "mcp-open", 2.0);
    for name in Kind::ALL.map(Kind::name) {
        let title = format!("never-seen {name}, over open and its signature, µs");
        let (name, base) = (format!("whoami, never-seen {name}"), format!("signature of {name}"));
        over(&title, &name, &base, 3.0);
    }
    // Slice by slice: see `SLICES`. The last two are only for comparison.
    for (what, name, base, limit) in [
        ("stateless", "mcp with rules", "mcp-open, a token sent", 5.0),
        ("2026-07-28", "2026 with rules", "2026-open, a token sent", 5.0),
        ("2026-07-28, streamed", "2026 stream with rules", "2026 stream-open, a token sent", 5.0),
        ("sessions", "session with rules", "session-open, a token sent", 5.0),
        ("beside uncopied", "mcp with rules", "mcp uncopied, a token sent", f64::INFINITY),
        ("the least beside it", "mcp, the least", "mcp uncopied, a token sent", f64::INFINITY),
    ] {
        let (ruled, bare) = (cell(name, 0), cell(base, 0));
        let pairs = ruled.rate.iter().zip(&bare.rate);
        let lost: Vec<f64> = pairs.map(|(ruled, bare)| 100.0 * (1.0 - ruled / bare)).collect();
        if !lost.is_empty() {
            let title = format!("tools/call throughput lost, {what}, %");
            let by_least = 100.0 * (1.0 - least(&bare.cpu) / least(&ruled.cpu));
            verdicts.push((title, [median(&lost), by_least, f64::NAN], limit));
        }
    }
    if let Some(memory) = &memory {
        let title = format!("RSS after {} different tokens, MB", memory.requests);
        verdicts.push((title, [memory.after, f64::NAN, f64::NAN], 64.0));
    }
    println!("{:<48}{:>10}{:>10}{:>10}{:>10}", "", "mcp-auth", "(least)", "peer", "limit");
    for (name, values, limit) in &verdicts {
        print!("{name:<48}");
        for value in values.iter().chain([limit]) {
            print!("{:>10}", if value.is_finite() { format!("{value:.2}") } else { "-".into() });
        }
        println!("  {}", if values[0] <= *limit { "ok" } else { "OVER" });
    }
    if let Some(memory) = &memory {
        println!(
            "memory run: RSS {:.1} MB before, {:.1} after, {:.1} at most; {} requests in {:.0?}, {} bad\n",
            memory.before, memory.after, memory.most, memory.requests, memory.time, memory.bad
        );
    }
    let bad = bad + memory.map_or(0, |memory| memory.bad);
    let is_fine = bad == 0 && verdicts.iter().all(|(_, values, limit)| values[0] <= *limit);
    if settings.is_strict && !is_fine {
        std::process::exit(1);
    }
    Ok(())
}

fn scenarios(issuer: &Arc<Issuer>, settings: &Settings) -> Vec<Scenario> {
    let one = |kind| Tokens::One(issuer.sign(Token::new(kind, 1)));
    let expired = issuer.sign(Token { expires_in: -3600, ..Token::new(Kind::Rs256, 2) });
    let mut first = 1000;
    let mut fresh = |kind| {
        let number = settings.rounds * settings.tokens;
        first += number;
        Arc::new(sign_many(issuer, kind, first, number))
    };
    let [rs256, es256, eddsa] = Kind::ALL.map(&mut fresh);
    let fresh = |tokens: &Arc<Vec<String>>| Tokens::Fresh(tokens.clone());
    let row =
        |name, head, status, tokens| Scenario { name, head, status, tokens, call: Call::of_2025() };
    let row_2026 =
        |name, head| Scenario { call: Call::of_2026(), ..row(name, head, 200, one(Kind::Rs256)) };
    vec![
        row("open", "GET /open", 200, Tokens::None),
        row("open, a token sent", "GET /open", 200, one(Kind::Rs256)),
        row("whoami, repeated RS256", "GET /whoami", 200, one(Kind::Rs256)),
        row("signature of RS256", "GET /signature/RS256", 200, fresh(&rs256)),
        row("signature of ES256", "GET /signature/ES256", 200, fresh(&es256)),
        row("signature of EdDSA", "GET /signature/EdDSA", 200, fresh(&eddsa)),
        row("whoami, never-seen RS256", "GET /whoami", 200, fresh(&rs256)),
        row("whoami, never-seen ES256", "GET /whoami", 200, fresh(&es256)),
        row("whoami, never-seen EdDSA", "GET /whoami", 200, fresh(&eddsa)),
        row("least, never-seen RS256", "GET /least", 200, fresh(&rs256)),
        row("least, never-seen ES256", "GET /least", 200, fresh(&es256)),
        row("least, never-seen EdDSA", "GET /least", 200, fresh(&eddsa)),
        row("no token (401)", "GET /whoami", 401, Tokens::None),
        row("expired RS256 (401)", "GET /whoami", 401, Tokens::One(expired)),
        row("mcp-open", "POST /mcp-open", 200, Tokens::None),
        row("mcp, repeated RS256", "POST /mcp", 200, one(Kind::Rs256)),
        row("mcp-open, a token sent", "POST /mcp-open", 200, one(Kind::Rs256)),
        row("mcp with rules", "POST /mcp-rules", 200, one(Kind::Rs256)),
        row("mcp uncopied, a token sent", "POST /uncopied-open", 200, one(Kind::Rs256)),
        row("mcp, the least", "POST /least-open", 200, one(Kind::Rs256)),
        row("session-open, a token sent", "POST /session-open", 200, one(Kind::Rs256)),
        row("session with rules", "POST /session-rules", 200, one(Kind::Rs256)),
        row_2026("2026-open, a token sent", "POST /mcp-open"),
        row_2026("2026 with rules", "POST /mcp-rules"),
        row_2026("2026 stream-open, a token sent", "POST /session-open"),
        row_2026("2026 stream with rules", "POST /session-rules"),
    ]
}

/// Tokens with consecutive serials, signed by two threads.
fn sign_many(issuer: &Issuer, kind: Kind, first: usize, number: usize) -> Vec<String> {
    let sign = |from: usize, to: usize| -> Vec<String> {
        (from..to).map(|serial| issuer.sign(Token::new(kind, serial))).collect()
    };
    let middle = first + number / 2;
    std::thread::scope(|scope| {
        let half = scope.spawn(|| sign(first, middle));
        let rest = sign(middle, first + number);
        half.join().expect("tokens").into_iter().chain(rest).collect()
    })
}

impl Scenario {
    fn is_at(&self, server: usize) -> bool {
        const OURS: [&str; 6] = [
            "GET /signature",
            "GET /least",
            "POST /least",
            "POST /uncopied",
            "POST /mcp-rules",
            "POST /session",
        ];
        let is_ours = OURS.iter().any(|head| self.head.starts_with(head));
        server == 0 || !(is_ours || self.name.starts_with("2026"))
    }

    /// Whether each token is used once, so that the row is measured once per round.
    fn is_fresh(&self) -> bool {
        matches!(self.tokens, Tokens::Fresh(_))
    }

    /// Starts a session, if the row has sessions. All its calls are made in this session.
    fn begin_session(&mut self, load: &mut Load) -> Result<(), Box<dyn Error>> {
        const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":#,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"drive","version":"0"}}}"#;
        const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        if !self.name.starts_with("session") {
            return Ok(());
        }
        let Tokens::One(token) = &self.tokens else { return Ok(()) };
        let mut say = |call: &Call| {
            load.once(&mut |request| write_request(request, self.head, Some(token), call))
        };
        let answer = say(&Call { body: INITIALIZE, ..Call::of_2025() })?;
        let id = answer.lines().find_map(|line| line.strip_prefix("mcp-session-id: "));
        let id = id.ok_or_else(|| format!("no session: {answer}"))?;
        self.call.headers += &format!("Mcp-Session-Id: {id}\r\n");
        let answer = say(&Call { body: INITIALIZED, ..self.call.clone() })?;
        answer.starts_with("HTTP/1.1 202").then_some(()).ok_or_else(|| answer.into())
    }

    /// Checks once that the answer is as expected.
    fn look(&self, load: &mut Load, server: usize) -> Result<(), Box<dyn Error>> {
        let token = match &self.tokens {
            Tokens::One(token) => Some(token),
            Tokens::None | Tokens::Fresh(_) => None,
        };
        if self.is_fresh() {
            return Ok(());
        }
        let answer = load.once(&mut |request| {
            write_request(request, self.head, token.map(String::as_str), &self.call)
        })?;
        let is_named = self.head.ends_with("open") || self.status != 200;
        let sub = if is_named { NOBODY } else { "user-00000001" };
        let is_fine = answer.starts_with(&format!("HTTP/1.1 {}", self.status))
            && (self.status != 200 || answer.contains(sub));
        is_fine
            .then_some(())
            .ok_or_else(|| format!("{} at server {server}: {answer}", self.name).into())
    }

    fn measure(
        &self,
        round: usize,
        settings: &Settings,
        load: &mut Load,
        server: &Server,
        measured: &mut Measured,
    ) -> Result<(), Box<dyn Error>> {
        let (head, call) = (self.head, &self.call);
        let mut run = |time: Duration,
                       status,
                       next: load::Next<'_>|
         -> Result<(Done, Duration), Box<dyn Error>> {
            let before = server.cpu();
            let done = load.run(next, status, time)?;
            Ok((done, server.cpu() - before))
        };
        let (done, cpu) = match &self.tokens {
            Tokens::None | Tokens::One(_) => {
                let token =
                    if let Tokens::One(token) = &self.tokens { Some(&**token) } else { None };
                let mut next = |request: &mut Vec<u8>| write_request(request, head, token, call);
                run(WARM_UP, self.status, &mut next)?;
                run(settings.time / SLICES as u32, self.status, &mut next)?
            }
            Tokens::Fresh(tokens) => {
                run(WARM_UP, 200, &mut |request| write_request(request, "GET /open", None, call))?;
                let mut tokens =
                    tokens.chunks(settings.tokens).nth(round).unwrap_or_default().iter();
                run(FOREVER, self.status, &mut |request| {
                    tokens
                        .next()
                        .is_some_and(|token| write_request(request, head, Some(token), call))
                })?
            }
        };
        measured.cpu.push(cpu.as_secs_f64() * 1e6 / done.requests as f64);
        measured.rate.push(done.requests as f64 / done.time.as_secs_f64());
        measured.bad += done.bad;
        Ok(())
    }
}

/// Writes a request. `head` is its method and path.
fn write_request(request: &mut Vec<u8>, head: &str, token: Option<&str>, call: &Call) -> bool {
    request.extend_from_slice(head.as_bytes());
    request.extend_from_slice(b" HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    if let Some(token) = token {
        request.extend_from_slice(b"Authorization: Bearer ");
        request.extend_from_slice(token.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    if head.starts_with("POST") {
        let more = "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\nContent-Length: ";
        request.extend_from_slice(more.as_bytes());
        let number = NUMBER.fetch_add(1, Ordering::Relaxed).to_string();
        let body = call.body.replacen('#', &number, 1);
        request.extend_from_slice(body.len().to_string().as_bytes());
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(call.headers.as_bytes());
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body.as_bytes());
    } else {
        request.extend_from_slice(b"\r\n");
    }
    true
}

impl Call {
    fn of_2025() -> Self {
        let body = r#"{"jsonrpc":"2.0","id":#,"method":"tools/call","params":{"name":"whoami","arguments":{}}}"#;
        Self { headers: "MCP-Protocol-Version: 2025-06-18\r\n".to_owned(), body }
    }

    fn of_2026() -> Self {
        let headers =
            "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: whoami\r\n";
        let body = r#"{"jsonrpc":"2.0","id":#,"method":"tools/call","params":{"name":"whoami","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"drive","version":"0"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#;
        Self { headers: headers.to_owned(), body }
    }
}

/// The results of the memory run.
struct Memory {
    before: f64,
    after: f64,
    most: f64,
    requests: u64,
    bad: u64,
    time: Duration,
}

/// Sends this many requests, each with another token. They are signed with Ed25519, which is quick.
fn million(issuer: &Arc<Issuer>, server: &Server, number: usize) -> Result<Memory, Box<dyn Error>> {
    let (sender, tokens) = mpsc::sync_channel(4096);
    let signer = issuer.clone();
    std::thread::spawn(move || {
        let tokens =
            (0..number).map(|serial| signer.sign(Token::new(Kind::Ed25519, 50_000_000 + serial)));
        for token in tokens {
            if sender.send(token).is_err() {
                return;
            }
        }
    });
    let mut load = Load::connect(server.address, CONNECTIONS)?;
    load.once(&mut |request| write_request(request, "GET /open", None, &Call::of_2025()))?;
    let (before, _) = server.memory();
    let done = load.run(
        &mut |request| {
            tokens.recv().is_ok_and(|token| {
                write_request(request, "GET /whoami", Some(&token), &Call::of_2025())
            })
        },
        200,
        FOREVER,
    )?;
    let (after, most) = server.memory();
    Ok(Memory { before, after, most, requests: done.requests, bad: done.bad, time: done.time })
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Settings {
    fn read() -> Result<Self, Box<dyn Error>> {
        let mut settings = Self {
            is_strict: false,
            rounds: 15,
            time: Duration::from_millis(400),
            tokens: 8_000,
            memory: 1_000_000,
            words: vec![],
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut number = || -> Result<usize, Box<dyn Error>> {
                Ok(words.next().ok_or(format!("{word} needs a number"))?.parse()?)
            };
            match &*word {
                "--strict" => settings.is_strict = true,
                "--rounds" => settings.rounds = number()?,
                "--milliseconds" => settings.time = Duration::from_millis(number()? as u64),
                "--tokens" => settings.tokens = number()?,
                "--memory" => settings.memory = number()?,
                _ if !word.starts_with("--") => settings.words.push(word),
                _ => {
                    return Err(format!(
                        "{word}? known: names of rows, --strict --rounds N --milliseconds N --tokens N --memory N"
                    )
                    .into());
                }
            }
        }
        Ok(settings)
    }

    fn wants(&self, row: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| row.contains(&**word))
    }
}
