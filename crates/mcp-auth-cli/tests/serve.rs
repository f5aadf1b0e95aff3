//! The program itself: it is told to end, by signals.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use mcp_auth_testkit::{ServedIssuer, TestIssuer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(60);

/// How long the upstream takes for an answer.
const WORK: Duration = Duration::from_millis(20);

struct World {
    issuer: ServedIssuer,
    gateway: SocketAddr,
    admin: SocketAddr,
    child: Child,
    file: PathBuf,
}

async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.and_then(|it| it.local_addr()).expect("a port")
}

/// An upstream that answers each request after a while.
async fn upstream(work: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while read_message(&mut stream).await.is_some() {
                    sleep(work).await;
                    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

async fn read_message(stream: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().filter_map(|line| line.split_once(": "));
            let mut length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let length = length.next().and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                return Some(text);
            }
        }
        let mut part = [0; 4096];
        match timeout(PATIENCE, stream.read(&mut part)).await {
            Ok(Ok(read)) if read > 0 => text += &String::from_utf8_lossy(&part[..read]),
            _ => return None,
        }
    }
}

impl World {
    async fn new(name: &str, upstream: SocketAddr, drain: &str) -> Self {
        Self::with(name, upstream, drain, "").await
    }

    /// `keys` are further ones of the resource.
    async fn with(name: &str, upstream: SocketAddr, drain: &str, keys: &str) -> Self {
        let issuer = TestIssuer::new().serve("127.0.0.1:0").await.expect("an issuer");
        let (gateway, admin) = (free_address().await, free_address().await);
        let file =
            std::env::temp_dir().join(format!("mcp-auth-{name}-{}.toml", std::process::id()));
        let text = format!(
            "listen = \"{gateway}\"\nadmin = \"{admin}\"\ndrain = {{ {drain} }}\n[issuers.login]\nurl = \"{}\"\n[[resources]]\nurl = \"http://{gateway}/mcp\"\nupstream = \"http://{upstream}/mcp\"\n{keys}\n",
            issuer.url()
        );
        std::fs::write(&file, text).expect("written");
        let log = std::fs::File::create(file.with_extension("log")).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_mcp-auth"))
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program");
        let world = Self { issuer, gateway, admin, child, file };
        let deadline = Instant::now() + PATIENCE;
        while world.readyz().await.is_none() {
            assert!(Instant::now() < deadline, "it does not start");
            sleep(Duration::from_millis(20)).await;
        }
        world
    }

    async fn readyz(&self) -> Option<String> {
        let mut stream = TcpStream::connect(self.admin).await.ok()?;
        let request = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\n\r\n", self.admin);
        stream.write_all(request.as_bytes()).await.ok()?;
        read_message(&mut stream).await
    }

    fn request(&self) -> String {
        let token = self.issuer.token().audience(format!("http://{}/mcp", self.gateway)).sign();
        format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}",
            self.gateway
        )
    }

    fn tell(&self, signal: &str) {
        let told = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(told.is_ok_and(|status| status.success()), "{signal}");
    }

    async fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        _ = std::fs::remove_file(&self.file);
        _ = std::fs::remove_file(self.file.with_extension("log"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_when_it_is_told_to_end_under_load() {
    let mut world = World::new("drain", upstream(WORK).await, "pause = \"1s\"").await;
    let (is_leaving, sent, answered) =
        <(Arc<AtomicBool>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let (address, request) = (world.gateway, world.request());
            let (is_leaving, sent, answered) = (is_leaving.clone(), sent.clone(), answered.clone());
            tokio::spawn(async move {
                let mut stream = None;
                loop {
                    let mut open = match stream.take() {
                        Some(open) => open,
                        // As a load balancer does, it sends new connections elsewhere.
                        None if is_leaving.load(Ordering::Relaxed) => return,
                        None => TcpStream::connect(address).await.expect("a connection"),
                    };
                    sent.fetch_add(1, Ordering::Relaxed);
                    _ = open.write_all(request.as_bytes()).await;
                    let Some(response) = read_message(&mut open).await else { continue };
                    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
                    answered.fetch_add(1, Ordering::Relaxed);
                    if !response.contains("connection: close") {
                        stream = Some(open);
                    }
                }
            })
        })
        .collect();
    let deadline = Instant::now() + PATIENCE;
    while answered.load(Ordering::Relaxed) < 200 {
        assert!(Instant::now() < deadline, "no answers");
        sleep(Duration::from_millis(10)).await;
    }
    world.tell("-TERM");
    while world.readyz().await.is_some_and(|ready| !ready.starts_with("HTTP/1.1 503")) {
        assert!(Instant::now() < deadline, "it does not say that it ends");
    }
    is_leaving.store(true, Ordering::Relaxed);
    assert!(world.end().await.success());
    for client in clients {
        client.await.expect("a client");
    }
    assert_eq!(answered.load(Ordering::Relaxed), sent.load(Ordering::Relaxed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once_and_a_person_does_not_wait() {
    // With a call that takes longer than the test.
    for (name, signals) in [("second", &["-TERM", "-TERM"] as &[&str]), ("keys", &["-INT", "-INT"])]
    {
        let slow = upstream(Duration::from_secs(600)).await;
        let mut world = World::new(name, slow, "pause = \"10m\", timeout = \"10m\"").await;
        let mut stream = TcpStream::connect(world.gateway).await.expect("a connection");
        stream.write_all(world.request().as_bytes()).await.expect("sent");
        for signal in signals {
            world.tell(signal);
            while world.readyz().await.is_some_and(|ready| !ready.contains("\"draining\":true")) {}
        }
        assert!(world.end().await.success());
    }
    // Without calls, Ctrl-C ends it without the pause.
    let mut world = World::new("idle", upstream(WORK).await, "pause = \"10m\"").await;
    world.tell("-INT");
    assert!(world.end().await.success());
}

/// Starts the program and returns what it prints, up to a line that has this text.
fn start(arguments: &[&str], until: &str) -> (Running, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcp-auth"))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let running = Running(child);
    let mut text = String::new();
    while !text.contains(until) {
        text += &lines.next().expect("it goes on").expect("a line");
        text.push('\n');
    }
    (running, text)
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// What follows a text, up to a space, a comma or the end of the line.
fn after<'t>(text: &'t str, what: &str) -> &'t str {
    let (_, rest) = text.split_once(what).unwrap_or_else(|| panic!("{what:?} in {text}"));
    rest.split([' ', ',', '\n', '\'', '"']).next().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_development_issuer_a_client_registers_logs_in_and_calls() {
    let upstream = format!("http://{}/mcp", upstream(Duration::ZERO).await);
    let arguments =
        ["serve", "--demo", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--upstream", &upstream];
    let (_running, text) = tokio::task::spawn_blocking({
        let arguments = arguments.map(str::to_owned);
        move || start(&arguments.each_ref().map(String::as_str), "clientInfo")
    })
    .await
    .expect("started");
    let resource = format!("http://{}/mcp", after(&text, "listening at "));
    let issuer = after(&text, "the development issuer, ").to_owned();
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let http = http.timeout(PATIENCE).build().expect("a client");
    let call = |token: &str| {
        let call = http.post(&resource).header("content-type", "application/json").body("{}");
        call.bearer_auth(token).send()
    };
    let refused = call("x").await.expect("an answer");
    assert_eq!(refused.status(), 401);

    let callback = "http://127.0.0.1:1/callback";
    let registration = format!(
        r#"{{"redirect_uris":["{callback}"],"client_name":"test","token_endpoint_auth_method":"none"}}"#
    );
    let json = |url: String, body: String| {
        http.post(url).header("content-type", "application/json").body(body)
    };
    let registered = json(format!("{issuer}/register"), registration).send().await;
    let registered = registered.expect("an answer").text().await.expect("a text");
    let client = after(&registered, "\"client_id\":\"").to_owned();

    // The example of RFC 7636.
    let (verifier, challenge) = (
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    );
    let page = http.get(format!("{issuer}/authorize?response_type=code&client_id={client}&redirect_uri={callback}&code_challenge={challenge}&code_challenge_method=S256&resource={resource}"));
    let page = page.send().await.expect("a page").text().await.expect("a text");
    let ticket = after(&page, "name=ticket value=\"");
    let form = |url: &str, fields: String| {
        let form = http.post(format!("{issuer}/{url}"));
        form.header("content-type", "application/x-www-form-urlencoded").body(fields)
    };
    let agreed = form("authorize", format!("ticket={ticket}&user=bob&decision=allow")).send().await;
    let agreed = agreed.expect("an answer");
    let back = agreed.headers()["location"].to_str().expect("a URL").to_owned();
    let code = back.split_once("code=").and_then(|(_, rest)| rest.split('&').next());
    let code = code.unwrap_or_else(|| panic!("{back}"));
    let token = form(
        "token",
        format!(
            "grant_type=authorization_code&code={code}&client_id={client}&redirect_uri={callback}&code_verifier={verifier}&resource={resource}"
        ),
    );
    let token = token.send().await.expect("an answer").text().await.expect("a text");
    let token = after(&token, "\"access_token\":\"");

    let admitted = call(token).await.expect("an answer");
    assert_eq!(admitted.status(), 200);
    let printed = after(&text, "Authorization: Bearer ").to_owned();
    assert_eq!(call(&printed).await.expect("an answer").status(), 200, "the token for curl");
}

#[test]
fn the_development_issuer_is_for_this_machine_only() {
    for (arguments, why) in [
        (&["--listen=0.0.0.0:0"] as &[&str], "lets anyone in"),
        (&["--admin=0.0.0.0:0"], "lets anyone in"),
        (&["--listen=[::]:0"], "lets anyone in"),
        (&["--issuer=https://login.example.com"], "cannot be used with"),
        (&["--url=https://mcp.example.com/mcp"], "cannot be used with"),
        (&["gateway.toml"], "cannot be used with"),
    ] {
        let program = Command::new(env!("CARGO_BIN_EXE_mcp-auth"))
            .args(["serve", "--demo", "--upstream=http://127.0.0.1:1/mcp"])
            .args(arguments)
            .output()
            .expect("the program");
        let error = String::from_utf8_lossy(&program.stderr).into_owned();
        assert!(!program.status.success() && error.contains(why), "{arguments:?}: {error}");
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn it_answers_at_the_sockets_that_systemd_has_opened() {
    use std::os::fd::OwnedFd;

    // What systemd does: it opens sockets from number 3 on, and starts the program. A shell moves them there.
    let sockets = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
    let addresses = sockets.each_ref().map(|it| it.local_addr().expect("an address"));
    let [clients, admin] = sockets.map(OwnedFd::from);
    let moved = format!(
        "exec 3<&1 4<&0 0</dev/null 1>/dev/null; LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=admin:https exec \"$0\" serve --issuer http://127.0.0.1:1 --url http://{}/mcp --upstream http://127.0.0.1:1/mcp --listen 127.0.0.1:1",
        addresses[0]
    );
    let program = Command::new("sh")
        .args(["-c", &moved, env!("CARGO_BIN_EXE_mcp-auth")])
        .stdin(clients)
        .stdout(admin)
        .stderr(Stdio::null())
        .spawn()
        .expect("the program");
    let _running = Running(program);
    let http = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client");
    // The connection waits in the socket until the program accepts it.
    let alive = http.get(format!("http://{}/livez", addresses[1])).send().await.expect("an answer");
    assert_eq!(alive.status(), 200);
    let refused = http.post(format!("http://{}/mcp", addresses[0])).send().await;
    assert_eq!(refused.expect("an answer").status(), 401);
}

#[test]
fn a_check_reads_the_file_of_api_keys() {
    let folder = std::env::temp_dir().join(format!("mcp-auth-check-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (file, keys) = (folder.join("gateway.toml"), folder.join("keys.json"));
    let config = format!(
        "[issuers.login]\nurl = \"https://login.example.com\"\n[[resources]]\nurl = \"https://mcp.example.com/mcp\"\nupstream = \"http://127.0.0.1:1/mcp\"\napi_keys_file = {keys:?}\n"
    );
    std::fs::write(&file, config).expect("written");
    for (text, is_right) in [
        (None, false),
        (Some("not JSON"), false),
        (Some("{\"keys\": [{\"name\": \"ci\"}]}"), false),
        (Some("{\"keys\": []}"), true),
    ] {
        if let Some(text) = text {
            std::fs::write(&keys, text).expect("written");
        }
        let program = Command::new(env!("CARGO_BIN_EXE_mcp-auth"));
        let checked = { program }.arg("serve").arg(&file).arg("--check").output().expect("it runs");
        let error = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert_eq!(checked.status.success(), is_right, "{text:?}: {error}");
        let is_named = error.contains("`api_keys_file`") && error.contains("mcp.example.com");
        assert_eq!(is_named, !is_right, "{text:?}: {error}");
    }
    std::fs::remove_dir_all(folder).expect("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_once_in_a_while_who_is_over_a_limit_and_that_api_keys_are_not_accepted() {
    let limits = "limits = { principal = \"1/h\" }";
    let mut world = World::with("limits", upstream(Duration::ZERO).await, "", limits).await;
    let (request, key) = (world.request(), "Bearer mcpk_of-somebody");
    let token = request.lines().find_map(|line| line.strip_prefix("Authorization: "));
    let with_key = request.replace(token.expect("a token"), key);
    for (request, expected) in
        [(&request, 200), (&request, 429), (&request, 429), (&with_key, 401), (&with_key, 401)]
    {
        let mut stream = TcpStream::connect(world.gateway).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let response = read_message(&mut stream).await.expect("a response");
        assert!(response.starts_with(&format!("HTTP/1.1 {expected}")), "{response}");
    }
    world.tell("-INT");
    assert!(world.end().await.success());
    let log = std::fs::read_to_string(world.file.with_extension("log")).expect("a log");
    for text in ["a caller is over a limit", "this resource accepts none"] {
        assert_eq!(log.matches(text).count(), 1, "{log}");
    }
    let line = log.lines().find(|line| line.contains("over a limit")).expect("a line");
    assert!(line.contains("limit=\"principal\"") && line.contains("caller="), "{line}");
    assert!(!log.contains("mcpk_of"), "{log}");
}
