//! The integrations: axum, tower, plain hyper and rmcp.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::middleware::{Next, from_fn};
use axum::routing::{any, delete, get, options, post};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use mcp_auth::{AuthInfo, Denial, GuardedBody, McpAuth};
use mcp_auth_testkit::TestIssuer;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::sync::mpsc;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

use crate::world::{RESOURCE, bearer};

fn protected(issuer: &TestIssuer, url: &str) -> McpAuth {
    issuer.protects(url).build().expect("a description")
}

async fn fetch(app: &Router, path: &str, token: Option<&str>) -> (u16, String) {
    let mut request = Request::get(path).body(Body::empty()).expect("a request");
    if let Some(token) = token {
        *request.headers_mut() = bearer(token);
    }
    let response = app.clone().oneshot(request).await.expect("an answer");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

async fn whoami(auth: AuthInfo) -> String {
    auth.subject().to_owned()
}

#[tokio::test]
async fn protect_mounts_the_route_and_the_metadata_from_one_url() {
    let issuer = TestIssuer::new();
    let app = protected(&issuer, RESOURCE).protect(get(whoami));
    let token = issuer.token().sign();
    assert_eq!(fetch(&app, "/mcp", Some(&token)).await, (200, "alice".into()));
    for path in ["/mcp", "/mcp/", "/mcp/below"] {
        assert_eq!(fetch(&app, path, None).await.0, 401, "{path}");
    }
    for path in [
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource/mcp/",
        "/.well-known/oauth-protected-resource",
    ] {
        let (status, body) = fetch(&app, path, None).await;
        assert_eq!(status, 200, "{path}");
        assert!(body.contains(&format!(r#""resource":"{RESOURCE}""#)), "{body}");
    }
    assert_eq!(fetch(&app, "/elsewhere", None).await.0, 404);
}

#[tokio::test]
async fn a_resource_at_the_root_protects_everything_but_its_metadata() {
    let issuer = TestIssuer::new();
    let app = protected(&issuer, "https://mcp.example.com").protect(get(whoami));
    let token = issuer.token().audience("https://mcp.example.com/").sign();
    assert_eq!(fetch(&app, "/", Some(&token)).await, (200, "alice".into()));
    assert_eq!(fetch(&app, "/anything", None).await.0, 401);
    assert_eq!(fetch(&app, "/.well-known/oauth-protected-resource", None).await.0, 200);
}

#[tokio::test]
async fn protect_mcp_mounts_the_same_paths_as_protect() {
    struct Server;
    impl rmcp::ServerHandler for Server {}

    let issuer = TestIssuer::new();
    let root = "https://mcp.example.com";
    for (resource, reached, elsewhere) in [
        (
            RESOURCE,
            &["/mcp", "/mcp/", "/mcp/below", "/mcp?query"][..],
            &["/", "/mcpp", "/health"][..],
        ),
        (root, &["/", "/anything", "/any/thing"], &[]),
        ("https://api.example.com/:tenant/mcp", &["/:tenant/mcp"], &["/other/mcp", "/:tenant"]),
        ("https://api.example.com//mcp/", &["//mcp/", "//mcp"], &["/mcp"]),
    ] {
        let auth = protected(&issuer, resource);
        let (sessions, config) = (Arc::default(), StreamableHttpServerConfig::default());
        let mcp = StreamableHttpService::new(|| Ok(Server), sessions, config);
        let apps = [auth.protect_mcp::<_, LocalSessionManager>(mcp.clone()), auth.protect(mcp)];
        let audience = if resource == root { "https://mcp.example.com/" } else { resource };
        let token = issuer.token().audience(audience).sign();
        for (index, app) in apps.iter().enumerate() {
            for path in reached {
                assert_eq!(fetch(app, path, None).await.0, 401, "{index} {resource} {path}");
                // rmcp was reached, and refuses the request because it has no `Host`.
                let (status, body) = fetch(app, path, Some(&token)).await;
                assert_eq!((status, body.contains("Host")), (400, true), "{index} {path} {body}");
            }
            for path in elsewhere {
                assert_eq!(
                    fetch(app, path, Some(&token)).await.0,
                    404,
                    "{index} {resource} {path}"
                );
            }
            assert_eq!(fetch(app, "/.well-known/oauth-protected-resource", None).await.0, 200);
        }
    }
}

/// DNS rebinding is refused before anything is read or fetched. The resource's own host needs no setting.
#[tokio::test]
async fn protect_mcp_accepts_allowed_hosts_only() {
    struct Server;
    impl rmcp::ServerHandler for Server {}

    let issuer = TestIssuer::new();
    let token = issuer.token().audience(RESOURCE).sign();
    let default = StreamableHttpServerConfig::default();
    let named = default.clone().with_allowed_hosts(["proxy.internal:8080"]);
    let any = default.clone().disable_allowed_hosts();
    for (config, host, is_ours) in [
        (&default, "api.example.com", true),
        (&default, "localhost:3000", true),
        (&default, "evil.example", false),
        (&named, "api.example.com", true),
        (&named, "proxy.internal:8080", true),
        (&named, "proxy.internal", false),
        (&named, "localhost:3000", false),
        (&any, "evil.example", true),
    ] {
        let sessions = Arc::<LocalSessionManager>::default();
        let mcp = StreamableHttpService::new(|| Ok(Server), sessions, config.clone());
        let app = protected(&issuer, RESOURCE).protect_mcp(mcp);
        for (method, path) in
            [("POST", "/mcp"), ("GET", "/mcp/"), ("DELETE", "/mcp/below"), ("OPTIONS", "/mcp?x=1")]
        {
            let ask = async |token: Option<&str>| {
                let mut request = Request::builder().method(method).uri(path).header("host", host);
                if let Some(token) = token {
                    request = request.header("authorization", format!("Bearer {token}"));
                }
                let request = request.body(Body::from("{}")).expect("a request");
                app.clone().oneshot(request).await.expect("an answer")
            };
            let (without, with) = (ask(None).await, ask(Some(&token)).await);
            let denied = [&without, &with].map(|it| it.extensions().get().map(Denial::code));
            let expected = if is_ours {
                [Some("no_credentials"), None]
            } else {
                [Some("host_not_allowed"); 2]
            };
            assert_eq!(denied, expected, "{host} {method} {path}");
            if is_ours {
                continue;
            }
            let statuses = [&without, &with].map(|it| it.status().as_u16());
            assert_eq!(statuses, [403, 403], "{host} {method} {path}");
            let has_challenge = without.headers().contains_key("www-authenticate");
            assert!(!has_challenge && without.headers()["connection"] == "close", "{host}");
            let body = without.into_body().collect().await.expect("a body").to_bytes();
            assert_eq!(
                body,
                r#"{"error":"forbidden_host","error_description":"This server is not called by this host"}"#
            );
        }
    }
}

/// A caller cannot choose the path parameters of an outer router.
#[tokio::test]
async fn a_path_below_the_resource_is_not_a_path_parameter() {
    struct Server;
    impl rmcp::ServerHandler for Server {}

    async fn tenant(
        Path(tenant): Path<String>,
        request: Request<Body>,
        next: Next,
    ) -> Response<Body> {
        let mut response = next.run(request).await;
        response.headers_mut().insert("tenant", tenant.parse().expect("a value"));
        response
    }

    let issuer = TestIssuer::new();
    let auth = protected(&issuer, "https://api.example.com/mcp");
    let (sessions, config) = (Arc::default(), StreamableHttpServerConfig::default());
    let mcp = StreamableHttpService::<_, LocalSessionManager>::new(|| Ok(Server), sessions, config);
    for inner in [auth.protect_mcp(mcp.clone()), auth.protect(mcp)] {
        let app = Router::new().nest("/{path}", inner).route_layer(from_fn(tenant));
        for below in ["", "/", "/evil", "/evil/x"] {
            let request = Request::get(format!("/acme/mcp{below}")).body(Body::empty());
            let response =
                app.clone().oneshot(request.expect("a request")).await.expect("an answer");
            assert_eq!(
                (response.status().as_u16(), &response.headers()["tenant"]),
                (401, &HeaderValue::from_static("acme")),
                "{below}"
            );
        }
    }
}

/// Such a route would answer without a check.
#[tokio::test]
async fn another_route_on_the_protected_path_is_a_conflict() {
    struct Server;
    impl rmcp::ServerHandler for Server {}

    let issuer = TestIssuer::new();
    let auth = protected(&issuer, "https://api.example.com/mcp");
    let (sessions, config) = (Arc::default(), StreamableHttpServerConfig::default());
    let mcp = StreamableHttpService::<_, LocalSessionManager>::new(|| Ok(Server), sessions, config);
    let others = [get(whoami), post(whoami), delete(whoami), options(whoami), any(whoami)];
    for other in others.map(|other| Router::new().route("/mcp", other)) {
        for protected in [auth.protect_mcp(mcp.clone()), auth.protect(mcp.clone())] {
            for (one, two) in [(other.clone(), protected.clone()), (protected, other.clone())] {
                assert!(catch_unwind(AssertUnwindSafe(|| one.merge(two))).is_err());
            }
        }
    }
}

#[tokio::test]
async fn routers_of_several_resources_merge_with_each_other_and_with_any() {
    let issuer = TestIssuer::new();
    let (notes, mail) = ("https://api.example.com/notes", "https://api.example.com/mail");
    let app = Router::new()
        .route("/health", get(|| async { "well" }))
        .merge(protected(&issuer, notes).protect(get(whoami)))
        .merge(protected(&issuer, mail).protect(get(whoami)))
        .merge(Router::new().route("/version", get(|| async { "1" })))
        .fallback(|| async { "nothing here" });
    let token = issuer.token().audience(mail).sign();
    assert_eq!(fetch(&app, "/mail", Some(&token)).await.0, 200);
    assert_eq!(fetch(&app, "/notes", Some(&token)).await.0, 401);
    for (path, resource) in [("/notes", notes), ("/mail", mail), ("", mail)] {
        let (_, body) =
            fetch(&app, &format!("/.well-known/oauth-protected-resource{path}"), None).await;
        assert!(body.contains(&format!(r#""resource":"{resource}""#)), "{path}: {body}");
    }
    assert_eq!(fetch(&app, "/health", None).await.1, "well");
}

#[tokio::test]
async fn the_layer_goes_around_a_router_a_route_or_a_nested_service() {
    let issuer = TestIssuer::new();
    let layer = protected(&issuer, RESOURCE).bearer_auth();
    let apps = [
        Router::new().route("/mcp", get(whoami)).layer(layer.clone()),
        Router::new().route("/mcp", get(whoami).layer(layer.clone())),
        Router::new().route("/mcp", get(whoami)).route_layer(layer.clone()),
        Router::new().nest_service("/mcp", layer.layer(Router::new().route("/", get(whoami)))),
        Router::new().route_service("/mcp", layer.layer(get(whoami))),
    ];
    for (i, app) in apps.iter().enumerate() {
        assert_eq!(fetch(app, "/mcp", None).await.0, 401, "{i}");
        assert_eq!(
            fetch(app, "/mcp", Some(&issuer.token().sign())).await,
            (200, "alice".into()),
            "{i}"
        );
    }
}

#[tokio::test]
async fn extractors_answer_401_to_anonymous_callers_and_500_without_the_layer() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).optional().build().expect("a description");
    let greet = |caller: Option<AuthInfo>| async move {
        caller.map_or("nobody".into(), |caller| caller.subject().to_owned())
    };
    let app = Router::new()
        .route("/greet", get(greet))
        .route("/whoami", get(whoami))
        .layer(auth.bearer_auth());
    assert_eq!(fetch(&app, "/greet", None).await, (200, "nobody".into()));
    assert_eq!(fetch(&app, "/greet", Some(&issuer.token().sign())).await, (200, "alice".into()));
    let (status, body) = fetch(&app, "/whoami", None).await;
    assert!(status == 401 && body.contains("resource_metadata"), "{status} {body}");
    let unprotected = Router::new().route("/whoami", get(whoami));
    assert_eq!(fetch(&unprotected, "/whoami", None).await.0, 500);
}

#[tokio::test]
async fn server_metadata_is_mirrored_for_old_clients() {
    let issuer = TestIssuer::new();
    let auth = protected(&issuer, RESOURCE);
    let app = auth.protect(get(whoami)).merge(auth.server_metadata_routes());
    let (status, body) = fetch(&app, "/.well-known/oauth-authorization-server", None).await;
    let published: serde_json::Value = serde_json::from_str(&issuer.metadata()).expect("JSON");
    let mirrored: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, mirrored), (200, published));

    issuer.trouble(mcp_auth_testkit::Endpoint::Metadata, mcp_auth_testkit::Trouble::Down);
    let app = protected(&issuer, RESOURCE).server_metadata_routes();
    assert_eq!(fetch(&app, "/.well-known/oauth-authorization-server", None).await.0, 503);
}

#[tokio::test]
async fn resource_metadata_allows_any_origin() {
    let issuer = TestIssuer::new();
    let app = protected(&issuer, RESOURCE).metadata_routes();
    let path = "/.well-known/oauth-protected-resource/mcp";
    for (method, status) in
        [("GET", 200), ("HEAD", 200), ("OPTIONS", 204), ("POST", 405), ("DELETE", 405)]
    {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("origin", "https://any.example")
            .body(Body::empty());
        let response = app.clone().oneshot(request.expect("a request")).await.expect("an answer");
        assert_eq!(response.status().as_u16(), status, "{method}");
        assert_eq!(response.headers()["access-control-allow-origin"], "*", "{method}");
    }
    let mut service = protected(&issuer, RESOURCE).metadata_service();
    let elsewhere =
        service.call(Request::get("/mcp").body(()).expect("a request")).await.expect("an answer");
    assert_eq!(elsewhere.status(), 404);
}

#[tokio::test]
async fn resource_metadata_does_not_depend_on_request_headers() {
    let issuer = TestIssuer::new();
    let app = protected(&issuer, RESOURCE).protect(get(whoami));
    let strange = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "host=evil.example"),
        ("accept", "image/png"),
        ("mcp-protocol-version", "1999-01-01"),
        ("authorization", "Bearer not a token"),
        ("origin", "https://evil.example"),
    ];
    let path = "/.well-known/oauth-protected-resource/mcp";
    let (_, plain) = fetch(&app, path, None).await;
    for (name, value) in strange {
        let request = Request::get(path).header(name, value).body(Body::empty());
        let response = app.clone().oneshot(request.expect("a request")).await.expect("an answer");
        assert_eq!(response.status(), 200, "{name}");
        assert_eq!(response.headers()["content-type"], "application/json", "{name}");
        assert_eq!(response.headers()["cache-control"], "public, max-age=300", "{name}");
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(body, plain, "{name}");
    }
    for (name, value) in strange.iter().take(4) {
        let request = Request::post("/mcp").header(*name, *value).body(Body::empty());
        let response = app.clone().oneshot(request.expect("a request")).await.expect("an answer");
        let challenge = response.headers()["www-authenticate"].to_str().expect("text");
        let url = format!(r#"resource_metadata="https://api.example.com{path}""#);
        assert!(challenge.contains(&url), "{name}: {challenge}");
    }
}

#[tokio::test]
async fn bodies_stream_through_in_both_directions() {
    let issuer = TestIssuer::new();
    let (sender, receiver) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let receiver = tokio_stream(receiver);
    let mut request = Request::post("/mcp").body(StreamBody::new(receiver)).expect("a request");
    *request.headers_mut() = bearer(&issuer.token().sign());
    let service = protected(&issuer, RESOURCE).bearer_auth().layer(service_fn(
        |request: Request<GuardedBody<StreamBody<_>>>| async move {
            assert!(request.extensions().get::<AuthInfo>().is_some());
            assert!(!request.headers().contains_key(AUTHORIZATION));
            Ok::<_, Infallible>(Response::new(request.into_body()))
        },
    ));
    let mut answer =
        service.oneshot(request).await.expect("an answer before the request ends").into_body();
    for word in ["one", "two", "three"] {
        sender.send(Ok(Frame::data(word.into()))).await.expect("sent");
        let frame = answer.frame().await.expect("a frame").expect("no error");
        assert_eq!(frame.into_data().expect("data"), word);
    }
    let trailers = [("x-checksum", "1")]
        .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
    sender.send(Ok(Frame::trailers(trailers.into_iter().collect()))).await.expect("sent");
    assert!(answer.frame().await.expect("a frame").expect("no error").is_trailers());
    drop(sender);
    assert!(answer.frame().await.is_none());
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_the_inner_stream() {
    let issuer = TestIssuer::new();
    let (sender, receiver) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let mut request =
        Request::post("/mcp").body(StreamBody::new(tokio_stream(receiver))).expect("a request");
    *request.headers_mut() = bearer(&issuer.token().sign());
    let echo = service_fn(|request: Request<GuardedBody<StreamBody<_>>>| async move {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let service = protected(&issuer, RESOURCE).bearer_auth().layer(echo);
    let answer = service.oneshot(request).await.expect("an answer");
    assert!(!sender.is_closed());
    drop(answer);
    assert!(sender.is_closed(), "which tells the server to stop");
}

struct Unreadable;

impl http_body::Body for Unreadable {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("the body was read")
    }
}

async fn never(_: Request<GuardedBody<Unreadable>>) -> Result<Response<Full<Bytes>>, Infallible> {
    panic!("the request was passed on")
}

#[tokio::test]
async fn a_refused_request_is_neither_read_nor_passed_on() {
    let issuer = TestIssuer::new();
    let service = protected(&issuer, RESOURCE).bearer_auth().layer(service_fn(never));
    let tokens = [None, Some("a b".to_owned()), Some(issuer.token().expired().sign())];
    for token in tokens {
        let mut request = Request::post("/mcp").body(Unreadable).expect("a request");
        if let Some(token) = &token {
            *request.headers_mut() = bearer(token);
        }
        let answer = service.clone().oneshot(request).await;
        assert!(answer.unwrap_or_else(|never: Infallible| match never {}).status() != 200);
    }
}

#[tokio::test]
async fn each_request_on_a_connection_is_authenticated() {
    let issuer = TestIssuer::new();
    let service = protected(&issuer, RESOURCE).bearer_auth().layer(service_fn(
        |_: Request<GuardedBody<hyper::body::Incoming>>| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        },
    ));
    let (client, server) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
        let service = TowerToHyperService::new(service);
        let _ = builder.serve_connection(TokioIo::new(server), service).await;
    });
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(client)).await.expect("h1");
    tokio::spawn(connection);
    for (token, status) in
        [(Some(issuer.token().sign()), 200), (None, 401), (Some(issuer.token().sign()), 200)]
    {
        let mut request = Request::post("/mcp").body(Empty::<Bytes>::new()).expect("a request");
        if let Some(token) = token {
            *request.headers_mut() = bearer(&token);
        }
        request.headers_mut().insert("host", "api.example.com".parse().expect("a host"));
        sender.ready().await.expect("the same connection");
        let response = sender.send_request(request).await.expect("an answer");
        assert_eq!(response.status(), status);
        response.into_body().collect().await.expect("a body");
    }
}

/// Many clients send the head of a request before its body. If the refusal comes in between, the server does not
/// read the body and closes the connection. The answer must announce that, so that a client that reuses the
/// connection does not fail.
#[tokio::test]
async fn a_refusal_before_the_body_has_connection_close() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let issuer = TestIssuer::new();
    let service = protected(&issuer, RESOURCE).bearer_auth().layer(service_fn(
        |_: Request<GuardedBody<hyper::body::Incoming>>| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        },
    ));
    for (length, ends) in [(2, true), (0, false)] {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(server), service).await;
        });
        let head = format!("POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
        client.write_all(head.as_bytes()).await.expect("written");
        let mut answer = vec![0; 4096];
        let read = client.read(&mut answer).await.expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..read]).to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 401"), "{answer}");
        assert_eq!(answer.contains("\r\nconnection: close\r\n"), ends, "{answer}");
    }
}

fn tokio_stream<T>(mut receiver: mpsc::Receiver<T>) -> impl futures_util::Stream<Item = T> {
    futures_util::stream::poll_fn(move |context| receiver.poll_recv(context))
}

#[tokio::test]
async fn backpressure_of_the_inner_service_is_respected() {
    #[derive(Clone)]
    struct Busy(Arc<AtomicBool>);

    impl Service<Request<GuardedBody<Full<Bytes>>>> for Busy {
        type Response = Response<Full<Bytes>>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            if self.0.load(Ordering::SeqCst) { Poll::Pending } else { Poll::Ready(Ok(())) }
        }

        fn call(&mut self, _: Request<GuardedBody<Full<Bytes>>>) -> Self::Future {
            std::future::ready(Ok(Response::default()))
        }
    }
    let is_busy = Arc::new(AtomicBool::new(true));
    let layer = protected(&TestIssuer::new(), RESOURCE).bearer_auth();
    let mut service = layer.layer(Busy(is_busy.clone()));
    let mut context = Context::from_waker(std::task::Waker::noop());
    assert!(Service::<Request<Full<Bytes>>>::poll_ready(&mut service, &mut context).is_pending());
    is_busy.store(false, Ordering::SeqCst);
    assert!(Service::<Request<Full<Bytes>>>::poll_ready(&mut service, &mut context).is_ready());
}

#[tokio::test]
async fn plain_hyper_serves_http_1_and_h2c_through_the_layer() {
    let issuer = TestIssuer::new();
    let token = issuer.token().sign();
    let hello = service_fn(|request: Request<GuardedBody<hyper::body::Incoming>>| async move {
        let caller =
            request.extensions().get::<AuthInfo>().map(|caller| caller.subject().to_owned());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(caller.unwrap_or_default())))
    });
    let service = protected(&issuer, RESOURCE).bearer_auth().layer(hello);
    for is_h2 in [false, true] {
        for (token, expected) in [(Some(&token), (200, "alice")), (None, (401, "{"))] {
            let (client, server) = tokio::io::duplex(64 * 1024);
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(server), service).await;
            });
            let mut request = Request::post("http://api.example.com/mcp")
                .body(Empty::<Bytes>::new())
                .expect("a request");
            if let Some(token) = token {
                *request.headers_mut() = bearer(token);
            }
            let response = if is_h2 {
                let (mut sender, connection) = hyper::client::conn::http2::handshake(
                    TokioExecutor::new(),
                    TokioIo::new(client),
                )
                .await
                .expect("h2");
                tokio::spawn(connection);
                sender.send_request(request).await
            } else {
                let (mut sender, connection) =
                    hyper::client::conn::http1::handshake(TokioIo::new(client)).await.expect("h1");
                tokio::spawn(connection);
                sender.send_request(request).await
            };
            let response = response.expect("an answer");
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.expect("a body").to_bytes();
            let body = String::from_utf8_lossy(&body).into_owned();
            assert!(
                status == expected.0 && body.starts_with(expected.1),
                "h2 {is_h2}: {status} {body}"
            );
        }
    }
}
