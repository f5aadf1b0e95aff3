//! A gateway in front of real processes that speak stdio.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use mcp_auth_config::Config;
use mcp_auth_gateway::Gateway;
use mcp_auth_testkit::{ServedIssuer, TestIssuer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";

/// A gateway with one resource, and an issuer.
struct World {
    issuer: ServedIssuer,
    gateway: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<()>,
}

/// A client: its token, its revision and its session.
#[derive(Clone)]
struct Caller {
    token: String,
    version: &'static str,
    session: Option<String>,
}

impl World {
    /// Starts a gateway. `keys` are further keys of the resource.
    async fn new(keys: &str) -> Self {
        Self::of_command(
            &format!(
                "[\"python3\", \"-u\", \"{}/tests/stdio_server.py\"]",
                env!("CARGO_MANIFEST_DIR")
            ),
            keys,
        )
        .await
    }

    async fn of_command(command: &str, keys: &str) -> Self {
        let issuer = TestIssuer::new().serve("127.0.0.1:0").await.expect("an issuer");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let config = format!(
            "listen = \"127.0.0.1:{port}\"\n[issuers.login]\nurl = \"{}\"\n[[resources]]\nurl = \"http://127.0.0.1:{port}/mcp\"\ncommand = {command}\n{keys}",
            issuer.url(),
        );
        let config = Config::from_toml(&config).expect("a configuration");
        let gateway = Gateway::start(&config).await.expect("a gateway");
        let address = gateway.local_addr();
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(gateway.run_until(async { _ = stopped.await }));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { issuer, gateway: address, client, stop: Some(stop), ended }
    }

    fn caller(&self, subject: &str, version: &'static str) -> Caller {
        let token = self.issuer.token().audience(format!("http://{}/mcp", self.gateway));
        let token = token.subject(subject).claim("team", format!("team of {subject}")).sign();
        Caller { token, version, session: None }
    }

    /// A caller with a session.
    async fn session(&self, subject: &str) -> Caller {
        let mut caller = self.caller(subject, LEGACY);
        let response = self.initialize(&caller).await;
        assert_eq!(response.status(), StatusCode::OK);
        let session = response.headers().get("mcp-session-id").expect("a session");
        caller.session = Some(session.to_str().expect("text").to_owned());
        caller
    }

    async fn initialize(&self, caller: &Caller) -> Response<Incoming> {
        let params = json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        self.send(caller, Method::POST, body.to_string()).await
    }

    async fn send(&self, caller: &Caller, method: Method, body: String) -> Response<Incoming> {
        let mut request = Request::builder()
            .method(&method)
            .uri(format!("http://{}/mcp", self.gateway))
            .header("authorization", format!("Bearer {}", caller.token))
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", caller.version);
        if method == Method::POST {
            request = request.header("content-type", "application/json");
        }
        if let Some(session) = &caller.session {
            request = request.header("mcp-session-id", session);
        }
        if caller.version == MODERN
            && let Ok(message) = serde_json::from_str::<Value>(&body)
        {
            request = request.header("mcp-method", message["method"].as_str().unwrap_or_default());
            if let Some(name) = message["params"]["name"].as_str() {
                request = request.header("mcp-name", name);
            }
        }
        let request = request.body(Full::from(body)).expect("a request");
        let response = tokio::time::timeout(PATIENCE, self.client.request(request)).await;
        response.expect("in time").expect("a response")
    }

    async fn post(&self, caller: &Caller, message: Value) -> Response<Incoming> {
        self.send(caller, Method::POST, message.to_string()).await
    }

    async fn begin(&self, caller: &Caller, tool: &str, arguments: Value) -> Response<Incoming> {
        let mut params =
            json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": "t"}});
        if caller.version == MODERN {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = MODERN.into();
        }
        let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
        self.post(caller, call).await
    }

    /// Calls a tool. Returns its text, or the error.
    async fn call(&self, caller: &Caller, tool: &str, arguments: Value) -> String {
        let response = self.begin(caller, tool, arguments).await;
        let messages = messages(response).await;
        let last: Value = serde_json::from_str(messages.last().expect("a message")).expect("JSON");
        assert_eq!(last["id"], 7);
        match last["result"]["content"][0]["text"].as_str() {
            Some(text) => text.to_owned(),
            None => last["error"]["message"].as_str().unwrap_or_default().to_owned(),
        }
    }
}

/// All messages of a response.
async fn messages(response: Response<Incoming>) -> Vec<String> {
    let is_stream = response.headers()["content-type"] == "text/event-stream";
    let body = tokio::time::timeout(PATIENCE, response.into_body().collect()).await;
    let body = body.expect("in time").expect("a body").to_bytes();
    let text = String::from_utf8(body.to_vec()).expect("UTF-8");
    if !is_stream {
        return vec![text];
    }
    text.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned).collect()
}

/// A stream that is read message by message.
struct Stream(Incoming, String);

impl Stream {
    fn of(response: Response<Incoming>) -> Self {
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self(response.into_body(), String::new())
    }

    /// The next message. Returns `None` at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.1.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                let data = data.map(|data| serde_json::from_str(data).expect("JSON"));
                self.1 = rest.to_owned();
                if data.is_some() {
                    return data;
                }
                continue;
            }
            let frame = tokio::time::timeout(PATIENCE, self.0.frame()).await.expect("in time")?;
            let data = frame.ok()?.into_data().expect("data");
            self.1.push_str(std::str::from_utf8(&data).expect("UTF-8"));
        }
    }
}

/// Waits until a process is gone.
async fn gone(pid: &str) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while is_running(pid) {
        assert!(tokio::time::Instant::now() < deadline, "{pid} still runs");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether a process runs: not one that has ended, which its parent has not yet noticed.
fn is_running(pid: &str) -> bool {
    let state = std::process::Command::new("ps").args(["-o", "stat=", "-p", pid]).output();
    let state = String::from_utf8(state.expect("ps").stdout).expect("text");
    !state.trim().is_empty() && !state.starts_with('Z')
}

#[tokio::test]
async fn a_message_reaches_the_process_byte_for_byte_but_for_its_id() {
    let world = World::new("").await;
    let caller = world.session("alice").await;
    let sent = "{ \"params\":{\"name\":\"echo\",\n\"_meta\": {\"progressToken\" : \"\\u0061\"},\"arguments\":{\"n\":1.0,\"big\":12345678901234567890123}},\r\n \"id\" : \"\\u0061\\\"\" ,\"method\":\"tools/call\",\"jsonrpc\":\"2.0\"}";
    let response = world.send(&caller, Method::POST, sent.to_owned()).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let messages = messages(response).await;
    let received: Value = serde_json::from_str(&messages[0]).expect("JSON");
    let received = received["result"]["content"][0]["text"].as_str().expect("text");
    let expected = sent.replace(['\n', '\r'], " ");
    let expected = expected.replace(r#""\u0061""#, "2").replace(r#""\u0061\"""#, "2");
    assert_eq!(received, expected);
    assert!(messages[0].contains(r#""id": "\u0061\"","#), "{messages:?}");
    for id in ["1", "1.0", "\"1\"", "-1e2", "123456789012345678901234567890", "\"\\ud83d\\ude00\""]
    {
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"count"}}}}"#
        );
        let answer = world.send(&caller, Method::POST, call).await;
        let answer = self::messages(answer).await.concat();
        assert!(answer.contains(&format!("\"id\": {id},")), "{answer}");
    }
}

#[tokio::test]
async fn one_user_never_reaches_the_process_of_another() {
    let world = World::new("").await;
    let alice = world.session("alice").await;
    let bob = world.session("bob").await;
    let pid = |text: String| text.split(' ').next().expect("a pid").to_owned();
    let of_alice = pid(world.call(&alice, "count", json!({})).await);
    let of_bob = pid(world.call(&bob, "count", json!({})).await);
    assert_ne!(of_alice, of_bob);
    // With a session of alice, bob is answered as with none.
    let thief = Caller { session: alice.session.clone(), ..bob.clone() };
    for method in [Method::POST, Method::GET, Method::DELETE] {
        let call =
            json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "count"}});
        let response = world.send(&thief, method.clone(), call.to_string()).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{method}");
    }
    assert_eq!(world.call(&alice, "count", json!({})).await, format!("{of_alice} 2"));
    // Callers of 2026-07-28 have one process each.
    let [alice, bob] = ["alice", "bob"].map(|subject| world.caller(subject, MODERN));
    let first = pid(world.call(&alice, "count", json!({})).await);
    let of_bob = pid(world.call(&bob, "count", json!({})).await);
    assert_ne!(first, of_bob);
    let renewed = world.caller("alice", MODERN);
    assert_eq!(world.call(&renewed, "count", json!({})).await, format!("{first} 2"));
}

#[tokio::test]
async fn what_a_request_lacks_is_said() {
    let world = World::new("").await;
    let caller = world.caller("alice", LEGACY);
    let ping = json!({"jsonrpc": "2.0", "id": "p", "method": "ping"});
    let no_session = world.post(&caller, ping.clone()).await;
    assert_eq!(no_session.status(), StatusCode::BAD_REQUEST);
    let said = messages(no_session).await.concat();
    assert!(said.contains("Mcp-Session-Id is missing") && said.contains(r#""id":"p""#), "{said}");
    let unknown = Caller { session: Some("unknown".into()), ..caller.clone() };
    assert_eq!(world.post(&unknown, ping.clone()).await.status(), StatusCode::NOT_FOUND);
    let session = world.session("alice").await;
    for (body, status) in [
        ("no JSON", 400),
        ("[]", 400),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, 400),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, 400),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"progressToken":[]}}}"#,
            400,
        ),
    ] {
        let response = world.send(&session, Method::POST, body.to_owned()).await;
        assert_eq!(response.status(), status, "{body}");
    }
    let long =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","x":"{}"}}"#, "x".repeat(5_000_000));
    let response = world.send(&session, Method::POST, long).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let modern = world.caller("alice", MODERN);
    for method in [Method::GET, Method::DELETE] {
        let response = world.send(&modern, method, String::new()).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
    // The headers of 2026-07-28 must say what the body says, since the process cannot compare them.
    let meta = json!({"_meta": {"io.modelcontextprotocol/protocolVersion": "2027-01-01"}});
    let mismatch = json!({"jsonrpc": "2.0", "id": 3, "method": "ping", "params": meta});
    let response = world.post(&modern, mismatch).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(messages(response).await.concat().contains("-32020"));
    for version in ["2025-11-25x", "foo", "latest", "2025-1-1", ""] {
        let strange = Caller { version, ..session.clone() };
        let response = world.post(&strange, ping.clone()).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{version}");
    }
    let refused =
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"refuse": true}});
    let response = world.post(&caller, refused).await;
    assert!(
        response.status() == StatusCode::OK && !response.headers().contains_key("mcp-session-id")
    );
    let unknown = json!({"jsonrpc": "2.0", "id": 3, "method": "server/discover"});
    let response = world.post(&modern, unknown.clone()).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND, "an unknown method, since 2026-07-28");
    assert!(messages(response).await.concat().contains("-32601"));
    assert_eq!(world.post(&session, unknown).await.status(), StatusCode::OK, "and before");
}

#[tokio::test]
async fn progress_goes_to_the_stream_of_its_request() {
    let world = World::new("").await;
    for caller in [world.session("alice").await, world.caller("alice", MODERN)] {
        let messages = messages(world.begin(&caller, "progress", json!({})).await).await;
        let messages: Vec<Value> =
            messages.iter().map(|it| serde_json::from_str(it).expect("JSON")).collect();
        assert_eq!(messages.len(), 2, "{messages:?}");
        assert_eq!(messages[0]["params"], json!({"progressToken": "t", "progress": 1}));
        assert_eq!(messages[1]["id"], 7);
    }
}

#[tokio::test]
async fn other_messages_go_to_the_listening_stream_or_to_the_request_or_wait() {
    let world = World::new("").await;
    let caller = world.session("alice").await;
    let received = messages(world.begin(&caller, "notify", json!({"data": 1})).await).await;
    assert_eq!(received.len(), 2, "the request gets it: {received:?}");
    let mut listening = Stream::of(world.send(&caller, Method::GET, String::new()).await);
    let received = messages(world.begin(&caller, "notify", json!({"data": 2})).await).await;
    assert_eq!(received.len(), 1, "the stream gets it: {received:?}");
    assert_eq!(listening.next().await.expect("a message")["params"]["data"], 2);
    // A second stream takes the place of the first, which may be one that is dead.
    let mut second = Stream::of(world.send(&caller, Method::GET, String::new()).await);
    assert_eq!(listening.next().await, None);
    world.call(&caller, "list_changed", json!({})).await;
    let changed = second.next().await.expect("a message");
    assert_eq!(changed["method"], "notifications/tools/list_changed");
}

#[tokio::test]
async fn a_request_of_the_server_is_answered_by_its_client_only() {
    let world = World::new("process = \"shared\"").await;
    let alice = world.session("alice").await;
    let bob = world.session("bob").await;
    let mut call = Stream::of(world.begin(&alice, "ask", json!({})).await);
    let asked = call.next().await.expect("a request");
    assert_eq!(asked["method"], "elicitation/create");
    let token = asked["params"]["_meta"]["progressToken"].clone();
    let answer = |who: &str| json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"who": who}});
    let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}});
    for message in [answer("bob"), progress.clone()] {
        assert_eq!(world.post(&bob, message).await.status(), StatusCode::ACCEPTED);
    }
    for message in [progress, answer("alice"), answer("twice")] {
        assert_eq!(world.post(&alice, message).await.status(), StatusCode::ACCEPTED);
    }
    let result = call.next().await.expect("an answer");
    let text = result["result"]["content"][0]["text"].as_str().expect("text");
    assert!(text.contains("alice") && text.contains(r#""id":"q\u002d1""#), "{text}");
}

#[tokio::test]
async fn callers_that_share_a_process_get_only_what_is_theirs() {
    let world = World::new("process = \"shared\"").await;
    let (alice, bob) = (world.session("alice").await, world.session("bob").await);
    let mut of_bob = Stream::of(world.send(&bob, Method::GET, String::new()).await);
    // While alice alone has a request under way, what names none is hers.
    let received = messages(world.begin(&alice, "notify", json!({"data": "secret"})).await).await;
    assert_eq!(received.len(), 2, "{received:?}");
    // While both have, it is nobody's.
    let hanging = world.begin(&bob, "ask", json!({})).await;
    let received = messages(world.begin(&alice, "notify", json!({"data": "secret"})).await).await;
    assert_eq!(received.len(), 1, "{received:?}");
    // A change of a list is for all.
    world.call(&alice, "list_changed", json!({})).await;
    let mut seen = Vec::new();
    while seen
        .last()
        .is_none_or(|last: &Value| last["method"] != "notifications/tools/list_changed")
    {
        seen.push(of_bob.next().await.expect("a message"));
    }
    assert!(!Value::from(seen).to_string().contains("secret"));
    drop(hanging);
    // The same ids of both are different requests.
    let [a, b] = [&alice, &bob].map(|caller| world.call(caller, "count", json!({})));
    let (a, b) = tokio::join!(a, b);
    let numbers = [a, b].map(|text| text.split(' ').nth(1).expect("a number").to_owned());
    assert_ne!(numbers[0], numbers[1]);
}

#[tokio::test]
async fn a_cancelled_request_ends_and_the_process_is_told() {
    let world = World::new("").await;
    let caller = world.session("alice").await;
    let mut call = Stream::of(world.begin(&caller, "ask", json!({})).await);
    call.next().await.expect("a request");
    for id in [json!("7"), json!(8), json!(7)] {
        let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
        assert_eq!(world.post(&caller, cancel).await.status(), StatusCode::ACCEPTED);
    }
    assert_eq!(call.next().await, None);
    assert_eq!(world.call(&caller, "cancelled", json!({})).await, "[2]");
    // Until 2025-11-25, who closes a response does not cancel its request. Since then, it does.
    let mut call = Stream::of(world.begin(&caller, "ask", json!({})).await);
    call.next().await.expect("a request");
    drop(call);
    assert_eq!(world.call(&caller, "cancelled", json!({})).await, "[2]");
    let modern = world.caller("alice", MODERN);
    let mut call = Stream::of(world.begin(&modern, "ask", json!({})).await);
    call.next().await.expect("a message");
    drop(call);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while world.call(&modern, "cancelled", json!({})).await != "[1]" {
        assert!(tokio::time::Instant::now() < deadline, "the process was not told");
    }
}

#[tokio::test]
async fn a_subscription_gets_its_own_messages() {
    let world = World::new("").await;
    let caller = world.caller("alice", MODERN);
    let meta = json!({"io.modelcontextprotocol/protocolVersion": MODERN});
    let params = json!({"notifications": {"toolsListChanged": true}, "_meta": meta});
    let listen =
        json!({"jsonrpc": "2.0", "id": "sub", "method": "subscriptions/listen", "params": params});
    let mut stream = Stream::of(world.post(&caller, listen).await);
    for method in ["notifications/subscriptions/acknowledged", "notifications/tools/list_changed"] {
        let message = stream.next().await.expect("a message");
        assert_eq!(message["method"], method);
        let id = &message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
        assert_eq!(id, "sub", "{message}");
    }
}

#[tokio::test]
async fn a_process_that_ends_answers_and_its_session_begins_again() {
    let world = World::new("").await;
    let caller = world.session("alice").await;
    let mut waiting = Stream::of(world.begin(&caller, "ask", json!({})).await);
    waiting.next().await.expect("a request");
    let mut listening = Stream::of(world.send(&caller, Method::GET, String::new()).await);
    let said = world.call(&caller, "exit", json!({})).await;
    assert!(said.contains("has ended before it answered (exit status: 3)"), "{said}");
    let error = waiting.next().await.expect("an answer");
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!(7), &json!(502)));
    assert_eq!(listening.next().await, None);
    let response = world.begin(&caller, "count", json!({})).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    // One that has closed its input cannot answer either.
    let caller = world.session("bob").await;
    let pid = world.call(&caller, "deaf", json!({})).await;
    let said = world.call(&caller, "count", json!({})).await;
    assert!(said.contains("has ended before it answered"), "{said}");
    gone(&pid).await;
}

#[tokio::test]
async fn a_process_that_fails_to_start_is_not_started_again_and_again() {
    let script = format!("{}/tests/stdio_server.py", env!("CARGO_MANIFEST_DIR"));
    for command in
        [format!("[\"python3\", \"{script}\", \"fail\"]"), "[\"/no/such/program\"]".into()]
    {
        let world = World::of_command(&command, "").await;
        let caller = world.caller("alice", LEGACY);
        let first = world.initialize(&caller).await;
        assert!(first.status() == 200 || first.status() == StatusCode::BAD_GATEWAY);
        let first = messages(first).await.concat();
        assert!(first.contains(r#""id":0"#) && first.contains("\"code\":502"), "{first}");
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let next = world.initialize(&caller).await;
            if next.status() == StatusCode::SERVICE_UNAVAILABLE {
                assert!(next.headers().contains_key("retry-after"));
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "it is started again and again");
        }
        // Another caller does not pay for it.
        let other = world.initialize(&world.caller("bob", LEGACY)).await;
        assert_ne!(other.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test]
async fn a_caller_does_not_take_all_places() {
    let world = World::new("max_processes = 3\nmax_processes_per_principal = 2").await;
    let first = world.session("alice").await;
    let second = world.session("alice").await;
    // Its own session that is not used makes place.
    let _stream = world.send(&second, Method::GET, String::new()).await;
    let third = world.session("alice").await;
    assert_eq!(world.begin(&first, "count", json!({})).await.status(), StatusCode::NOT_FOUND);
    let _other = world.send(&third, Method::GET, String::new()).await;
    let refused = world.initialize(&world.caller("alice", LEGACY)).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key("retry-after"));
    let bob = world.session("bob").await;
    let refused = world.initialize(&world.caller("carol", LEGACY)).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(world.call(&bob, "count", json!({})).await.ends_with(" 1"));
}

#[tokio::test]
async fn a_session_that_ends_ends_its_process_with_all_that_it_has_started() {
    let world = World::new("process_idle_timeout = \"1s\"").await;
    for by in ["DELETE", "idle", "gateway"] {
        let caller = world.session(by).await;
        let pids = world.call(&caller, "child", json!({})).await;
        let pids: Vec<_> = pids.split(' ').collect();
        assert!(pids.iter().all(|pid| is_running(pid)), "{by}");
        match by {
            "DELETE" => {
                let deleted = world.send(&caller, Method::DELETE, String::new()).await;
                assert_eq!(deleted.status(), StatusCode::OK);
            }
            "idle" => {}
            _ => break,
        }
        for pid in &pids {
            gone(pid).await;
        }
        let after = world.begin(&caller, "count", json!({})).await;
        assert_eq!(after.status(), StatusCode::NOT_FOUND, "{by}");
    }
}

#[tokio::test]
async fn the_end_of_the_gateway_ends_processes_that_do_not_want_to() {
    let mut world = World::new("").await;
    let caller = world.session("alice").await;
    let pid = world.call(&caller, "stay", json!({})).await;
    assert!(is_running(&pid));
    drop(world.stop.take());
    tokio::time::timeout(PATIENCE, &mut world.ended).await.expect("in time").expect("an end");
    assert!(!is_running(&pid));
}

#[tokio::test]
async fn the_environment_has_claims_and_no_secrets_of_the_gateway() {
    let world = World::new(
        "env = { USER_ID = \"{sub}\", TEAM = \"<{team}>\", REGION = \"eu\", KEY = \"file:/etc/hostname\" }",
    )
    .await;
    let caller = world.session("alice").await;
    let env: Value =
        serde_json::from_str(&world.call(&caller, "env", json!({})).await).expect("JSON");
    assert_eq!(env["USER_ID"], "alice");
    assert_eq!(env["TEAM"], "<team of alice>");
    assert_eq!(env["REGION"], "eu");
    assert!(env["KEY"].is_string() && env["PATH"].is_string());
    // Cargo sets these for a test.
    let of_the_gateway = |name: &&String| name.starts_with("CARGO") || name.starts_with("RUST");
    assert!(std::env::vars().any(|(name, _)| of_the_gateway(&&name)));
    assert_eq!(env.as_object().expect("an object").keys().find(of_the_gateway), None);
    assert!(!env.to_string().contains(&caller.token));
    // A caller whose claims have changed does not go on in a process that knows others.
    let token = world.issuer.token().audience(format!("http://{}/mcp", world.gateway));
    let token = token.subject("alice").claim("team", "another").sign();
    let changed = Caller { token, ..caller.clone() };
    let response = world.begin(&changed, "count", json!({})).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    // Without the claim, or with one that cannot be a value, there is no process.
    for team in [json!(null), json!(["a"]), json!("a\u{0}b"), json!(""), json!("x".repeat(5000))] {
        let token = world.issuer.token().audience(format!("http://{}/mcp", world.gateway));
        let token = token.subject("alice").claim("team", team.clone()).sign();
        let without = Caller { token, version: LEGACY, session: None };
        let response = world.initialize(&without).await;
        let mut shown = team.to_string();
        shown.truncate(20);
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{shown}");
        assert!(!response.headers().contains_key("www-authenticate"));
    }
}

#[tokio::test]
async fn lines_that_are_no_messages_are_skipped() {
    let world = World::new("").await;
    let caller = world.session("alice").await;
    assert_eq!(world.call(&caller, "garbage", json!({"length": 5_000_000})).await, "done");
    let mut hostile = String::new();
    write!(hostile, "level=ERROR fake\u{1b}[31m {}", "x".repeat(10_000)).expect("text");
    assert_eq!(world.call(&caller, "say", json!({"text": hostile})).await, "said");
}

#[tokio::test]
async fn a_client_that_reads_nothing_loses_its_stream_and_delays_nobody() {
    let world = World::new("process = \"shared\"").await;
    let (slow, other) = (world.session("slow").await, world.session("other").await);
    // More than is kept for a client, and than the system keeps for a connection.
    let mut unread = Stream::of(world.begin(&slow, "flood", json!({"times": 400})).await);
    assert!(world.call(&other, "count", json!({})).await.ends_with(" 1"));
    let mut last = Value::Null;
    while let Some(message) = unread.next().await {
        last = message;
    }
    let said = last["error"]["message"].as_str().unwrap_or_default();
    assert!(said.contains("too slowly"), "{said}");
    assert!(world.call(&slow, "count", json!({})).await.ends_with(" 2"));
}

#[tokio::test]
async fn a_wrong_configuration_says_what_to_change() {
    let resource = "[issuers.login]\nurl = \"https://login.example.com\"\n[[resources]]\nurl = \"https://a.example/mcp\"\n";
    for (keys, expected) in [
        ("", "set `upstream`, the URL of the MCP server that is protected, or `command`"),
        ("command = [\"a\"]\nupstream = \"http://b/\"", "set only one of `upstream` and `command`"),
        (
            "command = [\"a\"]\nidentity = \"headers\"",
            "`identity` is for an upstream that is reached over HTTP",
        ),
        (
            "command = [\"a\"]\nidentity_claims = { a = \"b\" }",
            "`identity_claims` is for an upstream",
        ),
        ("command = []", "`command` is empty: write the program and its arguments"),
        ("command = [\"\", \"a\"]", "`command` is empty"),
        ("command = [\"a\", \"b\\u0000\"]", "`command` has a NUL"),
        ("command = \"npx -y a\"", "should be a list, such as"),
        ("command = [\"a\"]\nprocess = \"user\"", "known are: session, principal, shared"),
        (
            "upstream = \"http://b/\"\nprocess = \"shared\"",
            "`process` says something about a server that is started: set `command` too",
        ),
        (
            "upstream = \"http://b/\"\nenv = { A = \"b\" }",
            "`env` says something about a server that is started",
        ),
        (
            "command = [\"a\"]\nmax_processes = 0",
            "`max_processes` and `max_processes_per_principal` are at least 1",
        ),
        (
            "command = [\"a\"]\nenv = { \"A=B\" = \"b\" }",
            "env \"A=B\": this is not a name of an environment variable",
        ),
        ("command = [\"a\"]\nenv = { A = \"{sub\" }", "a brace has no partner"),
        ("command = [\"a\"]\nenv = { A = \"x\\u0000\" }", "env \"A\": it has a NUL"),
        (
            "command = [\"a\"]\nenv = { A = \"env:NO_SUCH_VARIABLE\" }",
            "env \"A\": the environment variable NO_SUCH_VARIABLE is not set",
        ),
        (
            "command = [\"a\"]\nprocess = \"shared\"\nenv = { A = \"{sub}\" }",
            "env \"A\": a process that is shared has no caller, so there is no `{sub}`: set `process = \"session\"`",
        ),
    ] {
        let error = match Config::from_toml(&format!("{resource}{keys}")) {
            Err(error) => error.to_string(),
            Ok(config) => mcp_auth_gateway::check(&config)
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default(),
        };
        assert!(error.contains(expected), "{keys}: {error}");
    }
}
