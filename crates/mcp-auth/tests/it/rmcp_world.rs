//! A real rmcp server with tools that wait, ask the user and return secrets; and raw requests to it.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt as _;
use mcp_auth::{AuthInfo, McpAuth};
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::ElicitRequestParams;
use rmcp::service::{Peer, RequestContext};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::session::{
    EventStore, EventStoreError, EventStream, ServerSseMessage, SessionManager,
};
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler, tool, tool_handler, tool_router};
use tokio::sync::Notify;
use tower::ServiceExt as _;

pub(crate) const RESOURCE: &str = "http://localhost/mcp";

/// The modes of an rmcp server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    /// With sessions, as the revisions before 2026-07-28 do.
    Stateful,
    /// Without sessions, answers in JSON.
    Json,
    /// Without sessions, answers in streams that can be resumed from an event store.
    Stored,
}

#[derive(Clone)]
struct Server {
    tool_router: ToolRouter<Self>,
    gate: Arc<Notify>,
}

#[tool_router]
impl Server {
    #[tool(description = "Who is calling?")]
    async fn whoami(&self, auth: AuthInfo) -> String {
        format!("you are {}", auth.subject())
    }

    #[tool(description = "Waits until the gate opens")]
    async fn slow(&self, auth: AuthInfo) -> String {
        self.gate.notified().await;
        format!("the secret of {}", auth.subject())
    }

    #[tool(description = "Asks the user")]
    async fn ask(&self, peer: Peer<RoleServer>, _context: RequestContext<RoleServer>) -> String {
        let question = serde_json::json!({
            "mode": "form",
            "message": "your name?",
            "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
        });
        let question: ElicitRequestParams = serde_json::from_value(question).expect("a question");
        let answer = peer.create_elicitation(question).await;
        format!(
            "the user says {}",
            serde_json::to_string(&answer.expect("an answer")).expect("JSON")
        )
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Server {}

/// Stores every event of every stream.
#[derive(Default)]
pub(crate) struct Events(Mutex<Vec<(String, ServerSseMessage)>>);

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, EventStoreError>> + Send + 'a>>;

impl EventStore for Events {
    fn store_event<'this, 'stream, 'event, 'a>(
        &'this self,
        stream: &'stream str,
        event: &'event ServerSseMessage,
    ) -> BoxFuture<'a, String>
    where
        'this: 'a,
        'stream: 'a,
        'event: 'a,
    {
        let mut events = self.0.lock().expect("the events");
        let id = format!("event-{}", events.len());
        let mut event = event.clone();
        event.event_id = Some(id.clone());
        events.push((stream.to_owned(), event));
        Box::pin(std::future::ready(Ok(id)))
    }

    fn replay_events_after<'this, 'id, 'a>(
        &'this self,
        last: &'id str,
    ) -> BoxFuture<'a, EventStream>
    where
        'this: 'a,
        'id: 'a,
    {
        let events = self.0.lock().expect("the events");
        let place = events.iter().position(|(_, event)| event.event_id.as_deref() == Some(last));
        let later: Vec<_> = place.map_or(Vec::new(), |place| {
            let stream = &events[place].0;
            let later = events[place + 1..].iter().filter(|(of, _)| of == stream);
            later.map(|(_, event)| event.clone()).collect()
        });
        Box::pin(std::future::ready(Ok(Box::pin(futures_util::stream::iter(later)) as EventStream)))
    }
}

/// The server, behind `auth` if it is given, and the gate that its slow tool waits for.
pub(crate) fn app(auth: Option<&McpAuth>, mode: Mode) -> (Router, Arc<Notify>) {
    let gate = Arc::new(Notify::new());
    let never = NeverSessionManager::default();
    let router = match mode {
        Mode::Stateful => serve(auth, mode, Arc::new(LocalSessionManager::default()), &gate),
        Mode::Json => serve(auth, mode, Arc::new(never), &gate),
        Mode::Stored => {
            let events = Arc::new(Events::default());
            serve(auth, mode, Arc::new(never.with_event_store(events)), &gate)
        }
    };
    (router, gate)
}

/// The server with this session manager.
pub(crate) fn serve<M: SessionManager>(
    auth: Option<&McpAuth>,
    mode: Mode,
    sessions: Arc<M>,
    gate: &Arc<Notify>,
) -> Router {
    let server = Server { tool_router: Server::tool_router(), gate: gate.clone() };
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(mode == Mode::Stateful)
        .with_json_response(mode == Mode::Json)
        .with_sse_retry(Some(Duration::from_millis(5)));
    let service = StreamableHttpService::new(move || Ok(server.clone()), sessions, config);
    match auth {
        Some(auth) => auth.protect_mcp(service),
        None => Router::new().route_service("/mcp", service),
    }
}

/// A client of one principal, for one app.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) app: Router,
    pub(crate) headers: HeaderMap,
}

impl Visitor {
    pub(crate) fn new(app: &Router, token: &str) -> Self {
        let visitor = Self { app: app.clone(), headers: HeaderMap::new() };
        visitor
            .with("authorization", &format!("Bearer {token}"))
            .with("host", "localhost")
            .with(CONTENT_TYPE.as_str(), "application/json")
            .with(ACCEPT.as_str(), "application/json, text/event-stream")
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, HeaderValue::from_str(value).expect("a value"));
        self
    }

    pub(crate) fn in_session(self, id: &str) -> Self {
        self.with("mcp-session-id", id)
    }

    pub(crate) async fn send(&self, method: Method, body: &str) -> Response<Body> {
        let mut request = Request::new(Body::from(body.to_owned()));
        *request.method_mut() = method;
        *request.uri_mut() = "/mcp".parse().expect("a path");
        *request.headers_mut() = self.headers.clone();
        self.app.clone().oneshot(request).await.expect("an answer")
    }

    pub(crate) async fn post(&self, body: &str) -> Response<Body> {
        self.send(Method::POST, body).await
    }

    /// Starts a session; returns its id as sent to the client.
    pub(crate) async fn initialize(&self) -> String {
        let response = self.post(INITIALIZE).await;
        assert_eq!(response.status(), 200);
        let id = response.headers()["mcp-session-id"].to_str().expect("text").to_owned();
        whole(response).await;
        let accepted = self.clone().in_session(&id).post(INITIALIZED).await;
        assert_eq!(accepted.status(), 202);
        id
    }
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}},"clientInfo":{"name":"t","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

pub(crate) fn call(tool: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#
    )
}

/// A complete answer: status, headers and body.
pub(crate) async fn whole(response: Response<Body>) -> (u16, HashMap<String, String>, String) {
    let (parts, body) = response.into_parts();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
    let body = body.collect().await.expect("a body").to_bytes();
    (parts.status.as_u16(), headers.collect(), String::from_utf8_lossy(&body).into_owned())
}

/// Reads a stream until it contains this text.
pub(crate) async fn read_until(body: &mut Body, what: &str) -> String {
    let mut read = String::new();
    while !read.contains(what) {
        let frame = body.frame().await.unwrap_or_else(|| panic!("it ended after {read:?}"));
        let data: Bytes = frame.expect("no error").into_data().expect("data");
        read += &String::from_utf8_lossy(&data);
    }
    read
}

/// The event ids in the text of a stream.
pub(crate) fn ids(events: &str) -> Vec<&str> {
    events.lines().filter_map(|line| line.strip_prefix("id: ")).collect()
}
