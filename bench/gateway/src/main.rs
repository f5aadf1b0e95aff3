//! Measures `mcp-auth serve` beside HAProxy and nginx, in one run.
//!
//!     bench-gateway PROGRAM [--strict] [--rounds N] [WORD...]

mod big;
mod net;
mod proxies;

use std::error::Error;
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bench_issuer::{Issuer, Kind, Token};
use bench_process::{Server, free_address};
use net::{Done, Net, Pace};
use proxies::{Folder, Resource, gateway, gateway_file, haproxy, nginx};

type Part = fn(&mut Bench) -> Result;
type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const AUDIENCE: &str = "https://api.example.com/mcp";
const CONNECTIONS: usize = 32;
/// A row is measured for this time in each round, after a warm-up, since other rows leave other code in the CPU caches.
const SLICE: Duration = Duration::from_millis(150);
const WARM_UP: Duration = Duration::from_millis(40);
/// The core of the proxies, of which only one works at a time. Clients and upstream have the other one.
const PROXIES: usize = 0;
const LOAD: usize = 1;
/// This process has two ends of each, and most machines permit 20,000 open files.
const STREAMS: usize = 9_000;

/// What is measured, with its limit.
struct Verdict {
    name: &'static str,
    measured: f64,
    limit: f64,
}

struct Bench {
    program: PathBuf,
    issuer: Arc<Issuer>,
    token: String,
    folder: Folder,
    core: Option<usize>,
    rounds: usize,
    verdicts: Vec<Verdict>,
}

fn main() -> Result {
    let (mut is_strict, mut rounds, mut words) = (false, 21, vec![]);
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().ok_or("the path of `mcp-auth`?")?.into();
    while let Some(word) = arguments.next() {
        match &*word {
            "--strict" => is_strict = true,
            "--rounds" => rounds = arguments.next().ok_or("--rounds needs a number")?.parse()?,
            _ => words.push(word),
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let issuer = Arc::new(Issuer::new(format!("http://{}", listener.local_addr()?), AUDIENCE));
    issuer.clone().serve(listener);
    let core = bench_process::can_pin().then_some(PROXIES);
    if core.is_some() {
        bench_process::pin_self(LOAD);
    }
    let token = issuer.sign(Token::new(Kind::Rs256, 1));
    let folder = Folder::new()?;
    let mut bench = Bench { program, issuer, token, folder, core, rounds, verdicts: vec![] };
    let parts: [(&str, Part); 7] = [
        ("requests", Bench::requests),
        ("streams", Bench::streams),
        ("bodies", Bench::bodies),
        ("reload", Bench::reload),
        ("upstream", Bench::upstream_killed),
        ("end", Bench::end),
        ("resources", Bench::resources),
    ];
    for (name, part) in parts {
        if words.is_empty() || words.iter().any(|word| word == name) {
            part(&mut bench)?;
        }
    }
    println!("\n{:<58}{:>10}{:>10}", "", "measured", "limit");
    for Verdict { name, measured, limit } in &bench.verdicts {
        let is_met = if measured <= limit { "ok" } else { "OVER" };
        println!("{name:<58}{measured:>10.2}{limit:>10.2}  {is_met}");
    }
    if is_strict && bench.verdicts.iter().any(|it| it.measured > it.limit) {
        std::process::exit(1);
    }
    Ok(())
}

/// A row of the table of requests.
struct Row<'a> {
    name: &'static str,
    server: &'a Server,
    request: Vec<u8>,
    clients: Range<usize>,
    cpu: Vec<f64>,
    rate: Vec<f64>,
    p99: Vec<f64>,
}

impl Bench {
    fn verdict(&mut self, name: &'static str, measured: f64, limit: f64) {
        self.verdicts.push(Verdict { name, measured, limit });
    }

    /// Starts the gateway with these resources.
    fn gateway(&self, resources: &[Resource<'_>]) -> Result<(Server, PathBuf)> {
        let address = free_address()?;
        let text = gateway_file(&self.issuer, address, resources);
        let file = self.folder.write(&format!("{}.toml", address.port()), &text)?;
        let log = self.folder.path("gateway.log");
        Ok((gateway(&self.program, &file, address, &log, self.core)?, file))
    }

    /// A `tools/call` of this tool, with `padding` bytes of arguments.
    fn call(&self, address: SocketAddr, path: &str, tool: &str, padding: usize) -> Vec<u8> {
        let padding = "x".repeat(padding);
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{"text":"{padding}"}}}}}}"#
        );
        format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\nMCP-Protocol-Version: 2025-11-25\r\nContent-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        )
        .into_bytes()
    }

    /// What a request costs, and its latency at 70 % of what HAProxy can do.
    fn requests(&mut self) -> Result {
        let mut net = Net::new()?;
        let upstream = net.listen()?;
        let haproxy = haproxy(&self.folder, &self.issuer, upstream, self.core)?;
        let nginx = nginx(&self.folder, upstream, self.core)?;
        let upstreams = [upstream];
        let of = |path, rules| Resource { path, upstreams: &upstreams, rules };
        let (gateway, _) = self.gateway(&[of("/mcp", 0), of("/rules", 200)])?;
        let small = |address| self.call(address, "/mcp", "weather", 0);
        let ours = gateway.address;
        let mut rows = vec![];
        for (name, server, address, request) in [
            (
                "HAProxy, no verification",
                &haproxy.server,
                haproxy.server.address,
                small(haproxy.server.address),
            ),
            ("nginx, no verification", &nginx, nginx.address, small(nginx.address)),
            ("HAProxy, jwt_verify", &haproxy.server, haproxy.verifying, small(haproxy.verifying)),
            ("mcp-auth", &gateway, ours, small(ours)),
            ("mcp-auth, 1 KiB", &gateway, ours, self.call(ours, "/mcp", "tool_50", 940)),
            (
                "mcp-auth, 1 KiB, 200 rules",
                &gateway,
                ours,
                self.call(ours, "/rules", "tool_50", 940),
            ),
        ] {
            let answer = net.once(address, &request)?;
            if !(answer.starts_with("HTTP/1.1 200") && answer.contains("sunny")) {
                return Err(format!("{name}: {answer}").into());
            }
            let clients = net.connect(address, CONNECTIONS)?;
            let (cpu, rate, p99) = (vec![], vec![], vec![]);
            rows.push(Row { name, server, request, clients, cpu, rate, p99 });
        }
        let is_refused = net.once(
            haproxy.verifying,
            b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a.b.c\r\n\r\n",
        )?;
        if !is_refused.starts_with("HTTP/1.1 401") {
            return Err(format!("HAProxy does not verify: {is_refused}").into());
        }

        let mut bad = 0;
        for round in 0..self.rounds {
            eprintln!("round {} of {} ...", round + 1, self.rounds);
            for row in &mut rows {
                let mut run =
                    |pace, time| net.run(row.clients.clone(), &row.request, pace, time, |_, _| {});
                run(Pace::Closed, WARM_UP)?;
                let before = row.server.cpu();
                let done = run(Pace::Closed, SLICE)?;
                let cpu = row.server.cpu() - before;
                row.cpu.push(cpu.as_secs_f64() * 1e6 / done.requests as f64);
                row.rate.push(done.requests as f64 / done.time.as_secs_f64());
                bad += done.lost + done.other_than(200);
            }
        }
        let rate = 0.7 * median(&rows[0].rate);
        for _ in 0..self.rounds {
            for row in rows.iter_mut().take(4) {
                let mut run = |time| {
                    net.run(row.clients.clone(), &row.request, Pace::Open(rate), time, |_, _| {})
                };
                run(WARM_UP)?;
                let mut done = run(2 * SLICE)?;
                row.p99.push(done.p99());
                bad += done.lost + done.other_than(200);
            }
        }

        println!(
            "CPU of the proxy per request at {CONNECTIONS} connections, and latency at {rate:.0} requests/s; medians of {} rounds\n",
            self.rounds
        );
        println!("{:<32}{:>10}{:>10}{:>14}{:>12}", "", "CPU, µs", "least", "requests/s", "p99, µs");
        for row in &rows {
            let p99 = median(&row.p99);
            let p99 = if p99.is_nan() { "-".into() } else { format!("{p99:.0}") };
            println!(
                "{:<32}{:>10.2}{:>10.2}{:>14.0}{p99:>12}",
                row.name,
                median(&row.cpu),
                least(&row.cpu),
                median(&row.rate)
            );
        }
        println!("answers with an unexpected status, or none: {bad}");
        let cpu = |a: usize, b: usize| ratio(&rows[a].cpu, &rows[b].cpu);
        let verdicts = [
            ("CPU / HAProxy with jwt_verify", cpu(3, 2), 0.5),
            ("CPU / HAProxy without verification", cpu(3, 0), 1.25),
            ("CPU with 200 rules, 1 KiB / without rules", cpu(5, 4), 1.1),
            (
                "p99 at 70 % of HAProxy's throughput / HAProxy's",
                ratio(&rows[3].p99, &rows[0].p99),
                1.5,
            ),
            ("wrong or missing answers", bad as f64, 0.0),
        ];
        for (name, measured, limit) in verdicts {
            self.verdict(name, measured, limit);
        }
        Ok(())
    }

    /// The memory of idle event streams.
    fn streams(&mut self) -> Result {
        let mut net = Net::new()?;
        let upstream = net.listen()?;
        let haproxy = haproxy(&self.folder, &self.issuer, upstream, self.core)?;
        let nginx = nginx(&self.folder, upstream, self.core)?;
        let resource = Resource { path: "/mcp", upstreams: &[upstream], rules: 0 };
        let (gateway, _) = self.gateway(&[resource])?;
        // One caller may have a quarter of the requests that are under way.
        let tokens: Vec<_> =
            (0..100).map(|serial| self.issuer.sign(Token::new(Kind::Rs256, serial))).collect();
        let mut of = |server: &Server| -> Result<f64> {
            let (before, _) = server.memory();
            let clients = net.connect(server.address, STREAMS)?;
            net.open_streams(clients.clone(), |number| {
                let token = &tokens[number % tokens.len()];
                format!("GET /mcp HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nAccept: text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\n\r\n", server.address).into_bytes()
            })?;
            let (after, _) = server.memory();
            net.disconnect(clients)?;
            Ok((after - before) * 1024.0 / STREAMS as f64)
        };
        let [haproxy, nginx, ours] = [of(&haproxy.server)?, of(&nginx)?, of(&gateway)?];
        println!(
            "\nmemory of an idle event stream, in KiB, {STREAMS} of them: HAProxy {haproxy:.1}, nginx {nginx:.1}, mcp-auth {ours:.1}"
        );
        self.verdict("memory of an idle event stream / HAProxy's", ours / haproxy, 1.0);
        Ok(())
    }

    fn bodies(&mut self) -> Result {
        let upstream = big::upstream()?;
        let resource = Resource { path: "/big", upstreams: &[upstream], rules: 0 };
        let (gateway, _) = self.gateway(&[resource])?;
        let (before, _) = gateway.memory();
        big::through(gateway.address, &self.token)?;
        let (_, most) = gateway.memory();
        println!("\n1 GiB in each direction: RSS {before:.1} MB before, {most:.1} MB at most");
        // Two connections with their buffers, and the first token: a body that is held would be 1,024.
        self.verdict("growth of memory by bodies of 1 GiB, MB", most - before, 8.0);
        Ok(())
    }

    /// Sends requests for this time while something happens, and counts what is lost.
    fn under_load(
        &self,
        net: &mut Net,
        gateway: &Server,
        time: Duration,
        each: impl FnMut(&mut Net, Duration),
    ) -> Result<Done> {
        let clients = net.connect(gateway.address, CONNECTIONS)?;
        let request = self.call(gateway.address, "/mcp", "weather", 0);
        Ok(net.run(clients, &request, Pace::Closed, time, each)?)
    }

    fn reload(&mut self) -> Result {
        let mut net = Net::new()?;
        let upstream = net.listen()?;
        let of =
            |rules| [Resource { path: "/mcp", upstreams: std::slice::from_ref(&upstream), rules }];
        let (gateway, file) = self.gateway(&of(2))?;
        let texts = [2, 4].map(|rules| gateway_file(&self.issuer, gateway.address, &of(rules)));
        let mut reloads = 0;
        let done = self.under_load(&mut net, &gateway, Duration::from_secs(4), |_, elapsed| {
            if elapsed.as_millis() / 200 > reloads {
                reloads += 1;
                drop(std::fs::write(&file, &texts[reloads as usize % 2]));
                drop(gateway.signal("HUP"));
            }
        })?;
        let seen = self.log()?.matches("the configuration was read again").count();
        println!(
            "\nreload under load: {} requests, {seen} reloads, {:?}, {} without an answer",
            done.requests, done.statuses, done.lost
        );
        if seen < 10 {
            return Err(format!("{seen} of {reloads} reloads").into());
        }
        self.verdict("requests lost by reloads", (done.lost + done.other_than(200)) as f64, 0.0);
        Ok(())
    }

    /// One of two upstreams is killed. A POST that was sent to it cannot be sent again, since it may have been read: it is
    /// answered 502. Afterwards none is.
    fn upstream_killed(&mut self) -> Result {
        let mut net = Net::new()?;
        let upstreams = [net.listen()?, net.listen()?];
        let (gateway, _) =
            self.gateway(&[Resource { path: "/mcp", upstreams: &upstreams, rules: 0 }])?;
        let mut is_killed = false;
        let time = Duration::from_secs(1);
        let during = self.under_load(&mut net, &gateway, time, |net, elapsed| {
            if !is_killed && elapsed > time / 2 {
                is_killed = true;
                net.kill(1);
            }
        })?;
        let after = self.under_load(&mut net, &gateway, time, |_, _| {})?;
        println!(
            "\nupstream killed under load: {} requests, {:?}, {} without an answer; then {} requests, {:?}",
            during.requests, during.statuses, during.lost, after.requests, after.statuses
        );
        let refused = during.other_than(200).saturating_sub(CONNECTIONS as u64);
        let lost = during.lost + after.lost + after.other_than(200) + refused;
        self.verdict("requests lost by a killed upstream, but those sent to it", lost as f64, 0.0);
        Ok(())
    }

    fn end(&mut self) -> Result {
        let mut net = Net::new()?;
        let upstream = net.listen()?;
        let (mut gateway, _) =
            self.gateway(&[Resource { path: "/mcp", upstreams: &[upstream], rules: 0 }])?;
        let mut is_told = false;
        let begin = Instant::now();
        let done = self.under_load(&mut net, &gateway, Duration::from_secs(6), |_, elapsed| {
            if !is_told && elapsed > Duration::from_secs(1) {
                is_told = true;
                drop(gateway.signal("TERM"));
            }
        })?;
        let ended_well = gateway.wait()?;
        println!(
            "\nSIGTERM under load: {} requests, {:?}, {} without an answer; it ended after {:.1?}",
            done.requests,
            done.statuses,
            done.lost,
            begin.elapsed()
        );
        if !ended_well {
            return Err("it did not end well".into());
        }
        self.verdict("requests lost by SIGTERM", (done.lost + done.other_than(200)) as f64, 0.0);
        Ok(())
    }

    /// A thousand resources with ten thousand rules.
    fn resources(&mut self) -> Result {
        let mut net = Net::new()?;
        let upstream = net.listen()?;
        let paths: Vec<_> = (0..1000).map(|number| format!("/mcp/{number}")).collect();
        let of = |rules| -> Vec<_> {
            let of = |path| Resource { path, upstreams: std::slice::from_ref(&upstream), rules };
            paths.iter().map(|path| of(path.as_str())).collect()
        };
        let (many, file) = self.gateway(&of(10))?;
        let log = self.folder.path("gateway.log");
        let text = gateway_file(&self.issuer, many.address, &of(12));
        std::fs::write(&file, text)?;
        std::thread::sleep(Duration::from_secs(1)); // it listens before it waits for signals
        let begin = Instant::now();
        many.signal("HUP")?;
        while !std::fs::read_to_string(&log)?.contains("the configuration was read again") {
            if begin.elapsed() > Duration::from_secs(30) {
                return Err("the configuration was not read again".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let reload = begin.elapsed();
        let (one, _) = self.gateway(&of(12)[500..501])?;
        let servers = [&one, &many];
        let mut loads = vec![];
        for server in servers {
            let request = self.call(server.address, "/mcp/500", "tool_3", 0);
            let answer = net.once(server.address, &request)?;
            if !answer.starts_with("HTTP/1.1 200") {
                return Err(answer.into());
            }
            loads.push((net.connect(server.address, CONNECTIONS)?, request));
        }
        let mut ratios = vec![];
        for _ in 0..self.rounds {
            let mut costs = vec![];
            for ((clients, request), server) in loads.iter().zip(servers) {
                net.run(clients.clone(), request, Pace::Closed, WARM_UP, |_, _| {})?;
                let before = server.cpu();
                let done = net.run(clients.clone(), request, Pace::Closed, SLICE, |_, _| {})?;
                costs.push((server.cpu() - before).as_secs_f64() / done.requests as f64);
            }
            ratios.push(costs[1] / costs[0]);
        }
        let (memory, _) = many.memory();
        println!("\n1,000 resources, 12,000 rules: reload {reload:.0?}, RSS {memory:.0} MB");
        self.verdict("reload of 1,000 resources, s", reload.as_secs_f64(), 1.0);
        self.verdict("CPU of a request among 1,000 resources / alone", median(&ratios), 1.05);
        Ok(())
    }

    fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.path("gateway.log"))?)
    }
}

/// The median of the ratios of each round: what is compared ran within the same moments.
fn ratio(measured: &[f64], compared: &[f64]) -> f64 {
    let pairs = measured.iter().zip(compared).map(|(measured, compared)| measured / compared);
    median(&pairs.collect::<Vec<_>>())
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
