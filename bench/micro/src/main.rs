//! The costs of verification, a cache hit, the layer and a cache entry, compared with the unavoidable minimum.

mod counting;
mod dpop;
mod race;

use std::convert::Infallible;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use aws_lc_rs::digest;
use bench_issuer::{Issuer, Kind, Token};
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue};
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt as _, Empty, Full};
use mcp_auth::jwt::{self, JwtRules, KeySet};
use mcp_auth::{
    AuthInfo, AuthorizationServer, BoxFuture, Credentials, Fetch, FetchError, GuardedBody,
    Introspection, Limits, McpAuth, McpAuthBuilder, ToolScopes,
};
use race::Race;
use tower::{Layer as _, Service, service_fn};

const ISSUER: &str = "https://auth.example.com/oidc";
const RESOURCE: &str = "https://api.example.com/mcp";

/// The number of tokens that take turns, so that the branch predictor cannot learn a single one.
const TOKENS: usize = 64;

/// For each measurement: its name, its value, and the limit.
struct Verdicts(Vec<(String, f64, f64)>);

fn main() {
    let issuer = Arc::new(Issuer::new(ISSUER, RESOURCE));
    let mut verdicts = Verdicts(vec![]);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _entered = runtime.enter();

    // Without names among the arguments, everything is measured.
    let names: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let is_wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    if is_wanted("verification") {
        Kind::ALL.into_iter().for_each(|kind| verification(&issuer, kind, &mut verdicts));
    }
    if is_wanted("hit") {
        cache_hit(&issuer, &protected(&issuer, &runtime, 10_000), &mut verdicts);
    }
    if is_wanted("introspection") {
        introspected(&issuer, &runtime, &mut verdicts);
    }
    if is_wanted("miss") {
        cache_miss(&issuer, &protected(&issuer, &runtime, 10_000), &mut verdicts);
    }
    if is_wanted("layer") {
        layer(&issuer, &protected(&issuer, &runtime, 10_000), &mut verdicts);
    }
    if is_wanted("dpop") {
        dpop::dpop(&issuer, &protected(&issuer, &runtime, 10_000), &mut verdicts);
    }
    if is_wanted("rules") {
        let described = || described(&issuer, &runtime, 10_000);
        let plain = described().build().expect("a resource");
        let ruled = described().tools(two_hundred_rules()).build().expect("a resource");
        rules(&issuer, &plain, &ruled, &mut verdicts);
    }
    if is_wanted("call") {
        let described = || described(&issuer, &runtime, 10_000);
        let rules = ToolScopes::new().tool("whoami", ["read"]).tool("delete_*", ["admin"]);
        let plain = described().build().expect("a resource");
        let ruled = described().tools(rules).build().expect("a resource");
        tools_call(&issuer, &plain, &ruled, &mut verdicts);
    }
    if is_wanted("memory") {
        memory(&issuer, &runtime, &mut verdicts);
    }

    let is_fine = verdicts.print();
    if !is_fine && std::env::args().any(|word| word == "--strict") {
        std::process::exit(1);
    }
}

/// Tokens of 900 bytes, not yet signed.
fn tokens(kind: Kind) -> impl Iterator<Item = Token> {
    let claims_bytes = kind.claims_bytes_of_900();
    (0..TOKENS).map(move |serial| Token { claims_bytes, ..Token::new(kind, serial) })
}

/// Full verification, compared with its signature alone and with jsonwebtoken.
fn verification(issuer: &Issuer, kind: Kind, verdicts: &mut Verdicts) {
    let texts: Vec<_> = tokens(kind).map(|token| issuer.sign(token)).collect();
    let signed: Vec<_> = tokens(kind).map(|token| issuer.signed(token)).collect();
    let key = issuer.public_key(kind);
    let (keys, rules) =
        (KeySet::parse(issuer.jwks().as_bytes()).expect("keys"), JwtRules::new(ISSUER));
    let (their_key, validation) = jsonwebtoken(issuer, kind);

    let no_keys = issuer.jwks().replace("\"kid\":\"", "\"kid\":\"not-");
    let no_keys = KeySet::parse(no_keys.as_bytes()).expect("keys");
    let (mut a, mut b) = (texts.iter().cycle(), signed.iter().cycle());
    let (mut c, mut d) = (texts.iter().cycle(), texts.iter().cycle());
    let times = Race::new()
        .runner("signature alone", || {
            let (message, signature) = b.next().expect("a token");
            assert!(key.verify_sig(black_box(message.as_bytes()), signature).is_ok());
        })
        .runner("mcp-auth, all of it", || {
            let token = a.next().expect("a token");
            black_box(jwt::verify(black_box(token), &keys, &rules).expect("a true token"));
        })
        .runner("mcp-auth, up to an unknown key", || {
            let token = d.next().expect("a token");
            black_box(jwt::verify(black_box(token), &no_keys, &rules).expect_err("no such key"));
        })
        .runner("jsonwebtoken, all of it", || {
            let token = c.next().expect("a token");
            let token = black_box(token.as_str());
            black_box(
                jsonwebtoken::decode::<Claims>(token, &their_key, &validation)
                    .expect("a true token"),
            );
        })
        .run();
    let name = kind.name();
    times.print(&format!("{name}, a token of {} bytes, {TOKENS} in turn", texts[0].len()));
    println!(
        "  over the signature: {:.0} ns",
        times.over("mcp-auth, all of it", "signature alone")
    );
    let limit = if kind == Kind::Rs256 { 1.08 } else { 1.06 };
    let (all, alone) = ("mcp-auth, all of it", "signature alone");
    verdicts.add(format!("{name}: verification / signature"), times.ratio(all, alone), limit);
    let theirs = times.ratio(all, "jsonwebtoken, all of it");
    verdicts.add(format!("{name}: verification / jsonwebtoken"), theirs, 1.0);
}

/// The claims that a careful user of jsonwebtoken would read and check.
#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "read for the sake of reading")]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    client_id: String,
    scope: String,
    exp: u64,
    iat: u64,
    jti: String,
}

fn jsonwebtoken(
    issuer: &Issuer,
    kind: Kind,
) -> (jsonwebtoken::DecodingKey, jsonwebtoken::Validation) {
    use base64_url as text;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    let (algorithm, key) = match kind {
        Kind::Rs256 => {
            let (n, e) = issuer.rsa_components();
            (Algorithm::RS256, DecodingKey::from_rsa_raw_components(&n, &e))
        }
        Kind::Es256 => {
            let (x, y) = issuer.ec_components();
            let key = DecodingKey::from_ec_components(&text(&x), &text(&y));
            (Algorithm::ES256, key.expect("a key"))
        }
        Kind::Ed25519 => {
            let key = DecodingKey::from_ed_components(&text(&issuer.ed_component()));
            (Algorithm::EdDSA, key.expect("a key"))
        }
    };
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&[RESOURCE]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.validate_nbf = true;
    (key, validation)
}

fn base64_url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// A cached token, compared with the hash of the token that the cache needs.
fn cache_hit(issuer: &Issuer, auth: &McpAuth, verdicts: &mut Verdicts) {
    let all = requests(issuer, auth);
    let texts: Vec<_> = all.iter().map(|(text, _)| text).collect();
    let (mut a, mut b, mut c) = (texts.iter().cycle(), all.iter().cycle(), all.iter().cycle());
    let times = Race::new()
        .runner("SHA-256 of the token", || {
            let token = a.next().expect("a token");
            black_box(digest::digest(&digest::SHA256, black_box(token.as_bytes())));
        })
        .runner("the header read", || {
            let (_, parts) = c.next().expect("a token");
            black_box(Credentials::from_headers(black_box(&parts.headers)).expect("credentials"));
        })
        .runner("the time", || {
            black_box(SystemTime::now());
        })
        .runner("admit, a hit", || {
            let (_, parts) = b.next().expect("a token");
            black_box(admit(auth, black_box(parts)));
        })
        .run();
    times
        .print(&format!("A cache hit, RS256 tokens of {} bytes, {TOKENS} in turn", texts[0].len()));
    let ratio = times.ratio("admit, a hit", "SHA-256 of the token");
    verdicts.add("a cache hit / SHA-256 of the token".into(), ratio, 1.5);
}

/// A cached opaque token, compared with a cached JWT of the same length and with the same claims.
fn introspected(issuer: &Arc<Issuer>, runtime: &tokio::runtime::Runtime, verdicts: &mut Verdicts) {
    let jwts_of = protected(issuer, runtime, 10_000);
    let jwts = requests(issuer, &jwts_of);
    let server = AuthorizationServer::discover(ISSUER).fetch(InMemory(issuer.clone()));
    let server = server.introspection(Introspection::basic("bench", "secret"));
    let asked = McpAuth::builder(RESOURCE).authorization_server(server);
    let asked = asked.required_scopes(["read", "write"]).build().expect("a resource");
    let opaque: Vec<_> = jwts
        .iter()
        .map(|(token, _)| token.replace('.', "~"))
        .map(|token| (token.clone(), parts(&token)))
        .collect();
    for (_, parts) in &opaque {
        let body = Full::new(Bytes::new());
        runtime.block_on(asked.admit(parts, body)).expect("admitted");
    }
    let (mut a, mut b, mut c) = (jwts.iter().cycle(), opaque.iter().cycle(), jwts.iter().cycle());
    for (_, parts) in &jwts {
        let body = Full::new(Bytes::new());
        runtime.block_on(asked.admit(parts, body)).expect("admitted");
    }
    let times = Race::new()
        .runner("admit, a JWT, a hit", || {
            let (_, parts) = a.next().expect("a token");
            black_box(admit(&jwts_of, black_box(parts)));
        })
        .runner("admit, an opaque token, a hit", || {
            let (_, parts) = b.next().expect("a token");
            black_box(admit(&asked, black_box(parts)));
        })
        .runner("admit, a JWT where opaque ones are asked about, a hit", || {
            let (_, parts) = c.next().expect("a token");
            black_box(admit(&asked, black_box(parts)));
        })
        .run();
    times.print(&format!("Opaque tokens as long as the JWTs, {TOKENS} in turn"));
    let ratio = times.ratio("admit, an opaque token, a hit", "admit, a JWT, a hit");
    verdicts.add("a hit, an opaque token / a JWT".into(), ratio, 1.1);
    let ratio =
        times.ratio("admit, a JWT where opaque ones are asked about, a hit", "admit, a JWT, a hit");
    verdicts.add("a hit, a JWT beside opaque tokens / alone".into(), ratio, 1.1);
}

/// A token that was never seen, from its header to the `AuthInfo`, compared with its signature.
fn cache_miss(issuer: &Issuer, auth: &McpAuth, verdicts: &mut Verdicts) {
    // So many that the cache has evicted a token before it is used again.
    let tokens = (0..30_000).map(|serial| Token {
        claims_bytes: Kind::Ed25519.claims_bytes_of_900(),
        ..Token::new(Kind::Ed25519, serial)
    });
    let all: Vec<_> = tokens.map(|token| (issuer.sign(token), issuer.signed(token))).collect();
    let key = issuer.public_key(Kind::Ed25519);
    let (mut a, mut b) = (all.iter().cycle(), all.iter().cycle());
    let times = Race::new()
        .runner("signature alone", || {
            let (token, (message, signature)) = a.next().expect("a token");
            black_box(parts(token)); // in both: a new request, as from the network, not in a CPU cache
            assert!(key.verify_sig(black_box(message.as_bytes()), signature).is_ok());
        })
        .runner("admit, never seen", || {
            let (token, _) = b.next().expect("a token");
            black_box(admit(auth, &black_box(parts(token))));
        })
        .run();
    times.print("Tokens never seen, EdDSA, the cache full");
    let over = times.over("admit, never seen", "signature alone") / 1000.0;
    verdicts.add("admit, never seen, over its signature, µs".into(), over, 3.0);
}

/// The whole layer on a cache hit, compared with the service without it.
fn layer(issuer: &Issuer, auth: &McpAuth, verdicts: &mut Verdicts) {
    let all = requests(issuer, auth);
    async fn look<B>(request: Request<B>) -> Result<Response<Empty<Bytes>>, Infallible> {
        black_box(request.extensions().get::<AuthInfo>().is_some());
        Ok(Response::new(Empty::new()))
    }
    let mut bare = service_fn(look::<Empty<Bytes>>);
    let mut guarded = auth.bearer_auth().layer(service_fn(look::<GuardedBody<Empty<Bytes>>>));
    let (mut a, mut b) = (all.iter().cycle(), all.iter().cycle());
    let request = |parts: &Parts| {
        let mut request = Request::new(Empty::new());
        request.headers_mut().insert(AUTHORIZATION, parts.headers[AUTHORIZATION].clone());
        black_box(request)
    };
    let times = Race::new()
        .runner("the bare service", || {
            let (_, parts) = a.next().expect("a token");
            black_box(call(&mut bare, request(parts)).status());
        })
        .runner("behind bearer_auth()", || {
            let (_, parts) = b.next().expect("a token");
            assert!(call(&mut guarded, request(parts)).status().is_success());
        })
        .run();
    times.print("The layer, on a hit");
    let over = times.over("behind bearer_auth()", "the bare service") / 1000.0;
    verdicts.add("the layer on a hit, over the bare service, µs".into(), over, 1.5);
}

/// As many names as patterns, some of which are similar.
fn two_hundred_rules() -> ToolScopes {
    (0..100).fold(ToolScopes::new(), |rules, i| {
        rules.tool(format!("tool_{i}"), ["read"]).tool(format!("group_{i}_*"), ["write"])
    })
}

/// The decision on one operation: a `tools/call` of 1 KiB with 200 rules, compared with the same without rules.
fn rules(issuer: &Issuer, plain: &McpAuth, ruled: &McpAuth, verdicts: &mut Verdicts) {
    let all = requests(issuer, plain);
    requests_known(&all, ruled);
    for tool in ["tool_50", "group_50_x", "no_rule_names_it"] {
        let head = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{"text":""#
        );
        let body = format!("{head}{}\"}}}}}}", "x".repeat(1024 - head.len() - 4));
        assert_eq!(body.len(), 1024);
        let body = Full::new(Bytes::from(body));
        let (mut a, mut b) = (all.iter().cycle(), all.iter().cycle());
        let times = Race::new()
            .runner("without rules", || {
                let (_, parts) = a.next().expect("a token");
                black_box(at_once(plain.admit(parts, body.clone())).expect("admitted"));
            })
            .runner("200 rules", || {
                let (_, parts) = b.next().expect("a token");
                black_box(at_once(ruled.admit(parts, body.clone())).expect("admitted"));
            })
            .run();
        times.print(&format!("A tools/call of 1 KiB, {tool}"));
        let over = times.over("200 rules", "without rules") / 1000.0;
        verdicts.add(format!("200 rules for a 1 KiB call of {tool}, µs"), over, 1.0);
    }
}

/// A `tools/call` as a client sends it, through the layer without and with rules, to a service that reads it.
fn tools_call(issuer: &Issuer, plain: &McpAuth, ruled: &McpAuth, verdicts: &mut Verdicts) {
    const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}"#;
    let all = requests(issuer, plain);
    requests_known(&all, ruled);
    async fn answer<B: Body<Data = Bytes>>(
        request: Request<B>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let body = request.into_body().collect().await.ok().expect("a body").to_bytes();
        let response =
            Response::builder().header("content-type", "application/json").body(Full::new(body));
        Ok(response.expect("a response"))
    }
    let mut bare = service_fn(answer::<Full<Bytes>>);
    let mut layered = plain.bearer_auth().layer(service_fn(answer::<GuardedBody<Full<Bytes>>>));
    let mut guarded = ruled.bearer_auth().layer(service_fn(answer::<GuardedBody<Full<Bytes>>>));
    let request = |parts: &Parts| {
        let mut request = Request::new(Full::new(Bytes::from_static(CALL.as_bytes())));
        *request.method_mut() = http::Method::POST;
        let headers = request.headers_mut();
        headers.insert("host", HeaderValue::from_static("127.0.0.1"));
        headers.insert(AUTHORIZATION, parts.headers[AUTHORIZATION].clone());
        headers.insert("accept", HeaderValue::from_static("application/json, text/event-stream"));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("mcp-protocol-version", HeaderValue::from_static("2025-06-18"));
        headers.insert("content-length", HeaderValue::from_static("88"));
        black_box(request)
    };
    let (mut a, mut b, mut c) = (all.iter().cycle(), all.iter().cycle(), all.iter().cycle());
    let times = Race::new()
        .runner("the bare service", || {
            let (_, parts) = a.next().expect("a token");
            black_box(call(&mut bare, request(parts)).status());
        })
        .runner("behind bearer_auth()", || {
            let (_, parts) = b.next().expect("a token");
            assert!(call(&mut layered, request(parts)).status().is_success());
        })
        .runner("behind bearer_auth() with rules", || {
            let (_, parts) = c.next().expect("a token");
            assert!(call(&mut guarded, request(parts)).status().is_success());
        })
        .run();
    times.print("A tools/call with its headers, on a hit");
    let over = times.over("behind bearer_auth() with rules", "the bare service") / 1000.0;
    verdicts.add("layer and rules on a tools/call, over the service, µs".into(), over, 1.5);
}

fn requests_known(all: &[(String, Parts)], auth: &McpAuth) {
    let ping = Full::new(Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#));
    for (_, parts) in all {
        at_once(auth.admit(parts, ping.clone())).expect("admitted");
    }
}

fn call<S, B, R>(service: &mut S, request: Request<B>) -> Response<R>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
{
    let mut context = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut context).is_ready());
    let Ok(response) = at_once(service.call(request));
    response
}

/// The memory of a cached token, and whether the cache stays within its bounds.
fn memory(issuer: &Arc<Issuer>, runtime: &tokio::runtime::Runtime, verdicts: &mut Verdicts) {
    const CAPACITY: usize = 10_000;
    // With the claims of a 900-byte RS256 token, but signed with Ed25519, which is quick.
    let admit = |auth: &McpAuth, serials: std::ops::Range<usize>| {
        for serial in serials {
            self::admit(auth, &parts(&issuer.sign(Token::new(Kind::Ed25519, serial))));
        }
    };
    let count = |work: &dyn Fn()| counting::count(work).1 as f64;
    let (auth, empty, _) = counting::count(|| protected(issuer, runtime, CAPACITY));
    let full = empty as f64 + count(&|| admit(&auth, 0..CAPACITY));
    let later = full + count(&|| admit(&auth, CAPACITY..6 * CAPACITY));

    let entry = full / CAPACITY as f64;
    println!(
        "\nMemory, {CAPACITY} tokens remembered\n  {entry:.0} bytes an entry\n  in all {:.2} MB, and {:.2} MB after {} further tokens",
        full / 1e6,
        later / 1e6,
        5 * CAPACITY,
    );
    verdicts.add("memory of a cache entry, bytes".into(), entry, 700.0);
    verdicts.add("memory after 50,000 further tokens / before".into(), later / full, 1.05);
}

/// A protected resource whose issuer answers from memory, with cached keys.
fn protected(issuer: &Arc<Issuer>, runtime: &tokio::runtime::Runtime, capacity: usize) -> McpAuth {
    described(issuer, runtime, capacity).build().expect("a resource")
}

fn described(
    issuer: &Arc<Issuer>,
    runtime: &tokio::runtime::Runtime,
    capacity: usize,
) -> McpAuthBuilder {
    let server = AuthorizationServer::discover(ISSUER).fetch(InMemory(issuer.clone()));
    runtime.block_on(server.warm_up()).expect("keys");
    McpAuth::builder(RESOURCE)
        .authorization_server(server)
        .required_scopes(["read", "write"])
        .cached_tokens(capacity)
}

struct InMemory(Arc<Issuer>);

impl Fetch for InMemory {
    fn fetch(
        &self,
        request: Request<Bytes>,
        _: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        let url = request.uri().to_string();
        if url == format!("{ISSUER}/introspect") {
            let body = String::from_utf8_lossy(request.body());
            return Box::pin(std::future::ready(Ok(Response::new(answer_about(&body).into()))));
        }
        let document = match url.strip_prefix(ISSUER) {
            Some(path) => self.0.document(path),
            None => self.0.document("/.well-known/oauth-authorization-server"),
        };
        let status = if document.is_some() { 200 } else { 404 };
        let mut response = Response::new(Bytes::from(document.unwrap_or_default()));
        *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
        Box::pin(std::future::ready(Ok(response)))
    }
}

/// The introspection answer: the claims of the original JWT, and that it is active.
fn answer_about(form: &str) -> String {
    use base64::Engine as _;
    let token = form.split('&').find_map(|pair| pair.strip_prefix("token=")).unwrap_or_default();
    let claims = token.split("%7E").nth(1).unwrap_or_default();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims);
    let claims = String::from_utf8(claims.expect("base64url")).expect("UTF-8");
    claims.replacen('{', r#"{"active":true,"#, 1)
}

/// Tokens and the request heads that carry them. Each was admitted once before.
fn requests(issuer: &Issuer, auth: &McpAuth) -> Vec<(String, Parts)> {
    let signed = tokens(Kind::Rs256).map(|token| issuer.sign(token));
    let all: Vec<_> = signed.map(|token| (token.clone(), parts(&token))).collect();
    for (_, parts) in &all {
        admit(auth, parts);
    }
    all
}

/// The head of a POST with this token.
fn parts(token: &str) -> Parts {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a header");
    let request = Request::post("/mcp").header(AUTHORIZATION, value).body(()).expect("a request");
    request.into_parts().0
}

fn admit(auth: &McpAuth, parts: &Parts) -> AuthInfo {
    at_once(auth.admit(parts, Empty::new())).expect("admitted").0
}

/// The output of a future that waits for nothing, but may yield once after it has verified a signature.
fn at_once<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    for _ in 0..2 {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return answer;
        }
    }
    panic!("keys were in hand, and yet there was something to wait for")
}

impl Verdicts {
    fn add(&mut self, name: String, value: f64, limit: f64) {
        self.0.push((name, value, limit));
    }

    fn print(&self) -> bool {
        println!("\n{:<48} {:>10} {:>10}", "", "measured", "limit");
        for (name, value, limit) in &self.0 {
            let verdict = if value <= limit { "ok" } else { "OVER" };
            println!("{name:<48} {value:>10.3} {limit:>10.2}  {verdict}");
        }
        self.0.iter().all(|(_, value, limit)| value <= limit)
    }
}
