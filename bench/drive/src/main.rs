//! What a request costs a server behind mcp-auth, and one behind oauth-resource-server, in one run.

mod load;
mod process;

use std::collections::BTreeMap;
use std::error::Error;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use bench_issuer::{Issuer, Kind, Token};
use load::{Done, Load};
use process::Server;

const AUDIENCE: &str = "https://api.example.com/mcp";
const CONNECTIONS: usize = 32;
const FOREVER: Duration = Duration::from_secs(3600);

/// The core of the servers, one of which works at a time, and that of the load.
const SERVERS: usize = 0;
const LOAD: usize = 1;

struct Settings {
    is_strict: bool,
    rounds: usize,
    time: Duration,
    /// Never-seen tokens of each round.
    tokens: usize,
    /// Tokens of the memory run.
    memory: usize,
}

/// One row of the table of costs.
struct Scenario {
    name: &'static str,
    head: &'static str,
    status: u16,
    tokens: Tokens,
}

enum Tokens {
    None,
    /// The same token again and again.
    One(String),
    /// Each token once: this many for each round.
    Fresh(Arc<Vec<String>>),
}

/// What was measured of one scenario at one server, round by round.
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
    let scenarios = scenarios(&issuer, &settings);
    let is_pinned = process::can_pin();
    if is_pinned {
        process::pin_self(LOAD);
    }
    let core = is_pinned.then_some(SERVERS);
    let here = std::env::current_exe()?.parent().ok_or("no folder")?.to_owned();
    let start = |name: &str| -> Result<Server, Box<dyn Error>> {
        Ok(Server::start(&here.join(name), &issuer, core)?)
    };

    let servers = [start("bench-server")?, start("bench-peer")?];
    let at_start = servers.each_ref().map(|server| server.memory().0);
    let mut loads = [
        Load::connect(servers[0].address, CONNECTIONS)?,
        Load::connect(servers[1].address, CONNECTIONS)?,
    ];
    let mut table: BTreeMap<(usize, usize), Measured> = BTreeMap::new();
    for (row, scenario) in scenarios.iter().enumerate() {
        for (server, load) in loads.iter_mut().enumerate() {
            table.insert((row, server), Measured::default());
            if scenario.is_at(server) {
                scenario.look(load, server)?;
            }
        }
    }
    for round in 0..settings.rounds {
        eprintln!("round {} of {} ...", round + 1, settings.rounds);
        for (row, scenario) in scenarios.iter().enumerate() {
            for (server, load) in loads.iter_mut().enumerate() {
                if !scenario.is_at(server) {
                    continue;
                }
                let measured = table.get_mut(&(row, server)).ok_or("no cell")?;
                scenario.measure(round, &settings, load, &servers[server], measured)?;
            }
        }
    }
    let after_load = servers.each_ref().map(|server| server.memory().0);
    drop(loads);
    drop(servers);

    eprintln!("{} requests with as many tokens ...", settings.memory);
    let memory =
        start("bench-server").and_then(|server| million(&issuer, &server, settings.memory))?;

    // ---- the tables ----
    let cell = |name: &str, server: usize| {
        let row = scenarios.iter().position(|scenario| scenario.name == name).unwrap_or_default();
        &table[&(row, server)]
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

    // Each: ours by the medians and by the least, the peer's by the medians, and the limit.
    let mut verdicts = vec![];
    let mut over = |title: &str, name: &str, base: &str, limit: f64| {
        let by = |of: fn(&[f64]) -> f64, server| {
            // Only our server has the bare signatures.
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
    // Round by round, since what runs within the same seconds is slowed down alike.
    let (ruled, bare) = (cell("mcp with rules", 0), cell("mcp-open, a token sent", 0));
    let lost: Vec<f64> =
        ruled.rate.iter().zip(&bare.rate).map(|(ruled, bare)| 100.0 * (1.0 - ruled / bare)).collect();
    let title = "tools/call throughput lost to layer and rules, %";
    verdicts.push((title.to_owned(), [median(&lost), least(&lost), f64::NAN], 5.0));
    let title = format!("RSS after {} different tokens, MB", memory.requests);
    verdicts.push((title, [memory.after, f64::NAN, f64::NAN], 64.0));
    println!("{:<48}{:>10}{:>10}{:>10}{:>10}", "", "mcp-auth", "(least)", "peer", "limit");
    for (name, values, limit) in &verdicts {
        print!("{name:<48}");
        for value in values {
            print!("{:>10}", if value.is_nan() { "-".into() } else { format!("{value:.2}") });
        }
        println!("{limit:>10.2}  {}", if values[0] <= *limit { "ok" } else { "OVER" });
    }
    println!(
        "memory run: RSS {:.1} MB before, {:.1} after, {:.1} at most; {} requests in {:.0?}, {} bad\n",
        memory.before, memory.after, memory.most, memory.requests, memory.time, memory.bad
    );
    let is_fine =
        bad + memory.bad == 0 && verdicts.iter().all(|(_, values, limit)| values[0] <= *limit);
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
    let row = |name, head, status, tokens| Scenario { name, head, status, tokens };
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
        row("no token (401)", "GET /whoami", 401, Tokens::None),
        row("expired RS256 (401)", "GET /whoami", 401, Tokens::One(expired)),
        row("mcp-open", "POST /mcp-open", 200, Tokens::None),
        row("mcp, repeated RS256", "POST /mcp", 200, one(Kind::Rs256)),
        row("mcp-open, a token sent", "POST /mcp-open", 200, one(Kind::Rs256)),
        row("mcp with rules", "POST /mcp-rules", 200, one(Kind::Rs256)),
    ]
}

/// Tokens of consecutive serials, signed by two threads.
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
        let is_ours_alone = ["GET /signature", "POST /mcp-rules"];
        server == 0 || !is_ours_alone.iter().any(|head| self.head.starts_with(head))
    }

    /// Looks once whether the answer is what it should be.
    fn look(&self, load: &mut Load, server: usize) -> Result<(), Box<dyn Error>> {
        let token = match &self.tokens {
            Tokens::One(token) => Some(token),
            Tokens::None | Tokens::Fresh(_) => None,
        };
        if matches!(self.tokens, Tokens::Fresh(_)) {
            return Ok(());
        }
        let answer =
            load.once(&mut |request| write_request(request, self.head, token.map(String::as_str)))?;
        let is_named = self.head.ends_with("open") || self.status != 200;
        let sub = if is_named { "nobody" } else { "user-00000001" };
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
        let head = self.head;
        let mut run = |time: Duration,
                       status,
                       next: load::Next<'_>|
         -> Result<(Done, Duration), Box<dyn Error>> {
            let before = server.cpu();
            let done = load.run(next, status, time)?;
            Ok((done, server.cpu() - before))
        };
        let warm_up = Duration::from_millis(50);
        let (done, cpu) = match &self.tokens {
            Tokens::None | Tokens::One(_) => {
                let token =
                    if let Tokens::One(token) = &self.tokens { Some(&**token) } else { None };
                let mut next = |request: &mut Vec<u8>| write_request(request, head, token);
                run(warm_up, self.status, &mut next)?;
                run(settings.time, self.status, &mut next)?
            }
            Tokens::Fresh(tokens) => {
                run(warm_up, 200, &mut |request| write_request(request, "GET /open", None))?;
                let mut tokens =
                    tokens.chunks(settings.tokens).nth(round).unwrap_or_default().iter();
                run(FOREVER, self.status, &mut |request| {
                    tokens.next().is_some_and(|token| write_request(request, head, Some(token)))
                })?
            }
        };
        measured.cpu.push(cpu.as_secs_f64() * 1e6 / done.requests as f64);
        measured.rate.push(done.requests as f64 / done.time.as_secs_f64());
        measured.bad += done.bad;
        Ok(())
    }
}

/// Writes a request, `head` being its method and path.
fn write_request(request: &mut Vec<u8>, head: &str, token: Option<&str>) -> bool {
    const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}"#;
    request.extend_from_slice(head.as_bytes());
    request.extend_from_slice(b" HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    if let Some(token) = token {
        request.extend_from_slice(b"Authorization: Bearer ");
        request.extend_from_slice(token.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    if head.starts_with("POST") {
        let more = "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\nMCP-Protocol-Version: 2025-06-18\r\nContent-Length: ";
        request.extend_from_slice(more.as_bytes());
        request.extend_from_slice(CALL.len().to_string().as_bytes());
        request.extend_from_slice(b"\r\n\r\n");
        request.extend_from_slice(CALL.as_bytes());
    } else {
        request.extend_from_slice(b"\r\n");
    }
    true
}

/// What the memory run found.
struct Memory {
    before: f64,
    after: f64,
    most: f64,
    requests: u64,
    bad: u64,
    time: Duration,
}

/// As many requests, each with a token of its own. Ed25519, which is quick to sign.
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
    load.once(&mut |request| write_request(request, "GET /open", None))?;
    let (before, _) = server.memory();
    let done = load.run(
        &mut |request| {
            tokens.recv().is_ok_and(|token| write_request(request, "GET /whoami", Some(&token)))
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
                _ => {
                    return Err(format!(
                        "{word}? known: --strict --rounds N --milliseconds N --tokens N --memory N"
                    )
                    .into());
                }
            }
        }
        Ok(settings)
    }
}
