//! The measured server, with and without mcp-auth.
//!
//! - `GET /open` and `GET /whoami`, `POST /mcp-open` and `POST /mcp`: the second of each pair is behind mcp-auth.
//! - `POST /mcp-rules`: behind mcp-auth, with rules for tools as well.
//! - `/session-open` and `/session-rules`: the same with sessions and streams, which is rmcp's default.
//!
//! For comparison:
//!
//! - `/uncopied-open`: the bare server as `protect_mcp` calls it.
//! - `GET /signature/..`: only the verification of a signature.
//! - `/least` and `/least-open`: the lower bound of the cost of authorization.

mod least;

use std::collections::HashMap;
use std::env;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use bench_issuer::{BareKeys, Kind, NOBODY};
use mcp_auth::{AuthInfo, AuthorizationServer, McpAuth, OptionalAuthInfo, ToolScopes};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use serde_json::{Value, json};
use tower_layer::Layer as _;

#[derive(Clone)]
struct WhoAmI;

#[tool_router]
impl WhoAmI {
    #[tool(description = "Who is calling?")]
    async fn whoami(&self, OptionalAuthInfo(auth): OptionalAuthInfo) -> String {
        json!({"sub": auth.as_ref().map_or(NOBODY, AuthInfo::subject)}).to_string()
    }
}

#[tool_handler]
impl ServerHandler for WhoAmI {}

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let workers = env::var("WORKERS").ok().and_then(|number| number.parse().ok()).unwrap_or(1);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()?
        .block_on(async { tokio::spawn(serve()).await? })
}

async fn serve() -> Result<(), Error> {
    let port = env::var("PORT")?;
    let login = AuthorizationServer::discover(env::var("ISSUER")?);
    let audience = env::var("AUDIENCE")?;
    let described = |path: &str| {
        McpAuth::builder(format!("http://127.0.0.1:{port}{path}"))
            .authorization_server(&login)
            .audience(&audience)
            .required_scopes(["read", "write"])
    };
    let auth = described("/mcp").build()?;
    let rules = ToolScopes::new().tool("whoami", ["read"]).tool("delete_*", ["admin"]);
    let ruled = described("/mcp-rules").tools(rules.clone()).build()?;
    let ruled_sessions = described("/session-rules").tools(rules).build()?;
    let mcp = StreamableHttpService::new(
        || Ok(WhoAmI),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true),
    );
    let with_sessions = StreamableHttpService::new(
        || Ok(WhoAmI),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    let keys = env::var("BARE_KEYS").ok().and_then(|keys| BareKeys::read(&keys)).map(Arc::new);
    let known = Arc::new(least::Known {
        keys: keys.clone(),
        issuer: env::var("ISSUER")?,
        audience: audience.clone(),
        rules: HashMap::from([("whoami", "read")]),
        seen: Default::default(),
    });
    let uncopied = least::Uncopied(Arc::new(mcp.clone()));
    let app = Router::new()
        .route("/whoami", get(whoami))
        .route_layer(auth.bearer_auth())
        .route("/open", get(open))
        .route("/signature/{kind}", get(signature).with_state(keys))
        .route("/least", get(whoami_at_least).with_state(known.clone()))
        .nest_service("/least-open", least::LeastLayer(known).layer(uncopied.clone()))
        .nest_service("/uncopied-open", uncopied)
        .nest_service("/mcp-open", mcp.clone())
        .nest_service("/session-open", with_sessions.clone())
        .merge(ruled.protect_mcp(mcp.clone()))
        .merge(ruled_sessions.protect_mcp(with_sessions))
        .merge(auth.protect_mcp(mcp));

    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    axum::serve(listener.tap_io(|stream| drop(stream.set_nodelay(true))), app).await?;
    Ok(())
}

async fn open() -> Json<Value> {
    Json(json!({"sub": NOBODY}))
}

/// Verifies only the signature, under the same conditions as the others: while a request is served.
async fn signature(
    Path(name): Path<String>,
    State(keys): State<Option<Arc<BareKeys>>>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    let kind =
        Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or(StatusCode::NOT_FOUND)?;
    let field = headers.get(AUTHORIZATION).and_then(|field| field.to_str().ok());
    let token = field.and_then(|field| field.strip_prefix("Bearer "));
    let is_true = keys.zip(token).is_some_and(|(keys, token)| keys.verify(kind, token));
    if is_true { Ok(open().await) } else { Err(StatusCode::UNAUTHORIZED) }
}

/// The same as `whoami`, with the necessary checks only.
async fn whoami_at_least(
    State(known): State<Arc<least::Known>>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    let caller = known.verified(&headers).ok_or(StatusCode::UNAUTHORIZED)?;
    Ok(Json(json!({"sub": caller.sub})))
}

async fn whoami(auth: AuthInfo) -> Json<Value> {
    Json(json!({"sub": auth.subject()}))
}
