//! The same server as `bench-server`, behind oauth-resource-server.

use std::env;
use std::sync::Arc;

use axum::routing::get;
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use http::request::Parts;
use oauth_resource_server::axum::{AuthLayer, metadata_router};
use oauth_resource_server::{
    AuthorizedToken, KeyNaming, OAuthConfig, OAuthValidator, static_token_policy,
};
use rmcp::handler::server::tool::Extension;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use serde_json::{Value, json};

/// As long as a subject, like `bench_issuer::NOBODY`.
const NOBODY: &str = "nobody-000000";

#[derive(Clone)]
struct WhoAmI;

#[tool_router]
impl WhoAmI {
    #[tool(description = "Who is calling?")]
    async fn whoami(&self, Extension(parts): Extension<Parts>) -> String {
        let token = parts.extensions.get::<AuthorizedToken>();
        json!({"sub": token.and_then(|token| token.subject.as_deref()).unwrap_or(NOBODY)})
            .to_string()
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
    let config = OAuthConfig {
        enabled: true,
        issuer: env::var("ISSUER")?,
        audience: env::var("AUDIENCE")?,
        resource: format!("http://127.0.0.1:{port}/mcp"),
        required_scopes: vec!["read".into(), "write".into()],
        ..OAuthConfig::default()
    };
    let config = config.resolve(KeyNaming::Dotted("oauth"))?.ok_or("not enabled")?;
    let validator = Arc::new(OAuthValidator::new(&config)?);
    validator.spawn_background_refresh();
    let decision = static_token_policy(None, Some(&config), false)?;
    let auth = AuthLayer::from_decision(decision, Some(validator.clone()))?;

    let mcp = StreamableHttpService::new(
        || Ok(WhoAmI),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true),
    );
    let app = Router::new()
        .route("/whoami", get(whoami))
        .route_service("/mcp", mcp.clone())
        .route_layer(auth)
        .route("/open", get(open))
        .nest_service("/mcp-open", mcp)
        .merge(metadata_router(Some(validator)));

    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    axum::serve(listener.tap_io(|stream| drop(stream.set_nodelay(true))), app).await?;
    Ok(())
}

async fn open() -> Json<Value> {
    Json(json!({"sub": NOBODY}))
}

async fn whoami(token: AuthorizedToken) -> Json<Value> {
    Json(json!({"sub": token.subject}))
}
