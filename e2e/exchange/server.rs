//! A server whose tool calls a second protected server, with a token that it gets by token exchange: see `../node/keycloak.mjs`.
//!
//! Both are in this process. The second one is not an MCP server, and accepts tokens for the audience `calendar`.

use std::env;
use std::sync::Arc;

use axum::routing::get;
use axum::serve::ListenerExt as _;
use mcp_auth::{AuthInfo, AuthorizationServer, Downstream, McpAuth, TokenExchange};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, ServerHandler, tool, tool_handler, tool_router};
use serde_json::json;
use tokio::net::TcpListener;

#[derive(Clone)]
struct Server {
    calendar: Downstream,
    url: String,
    http: reqwest::Client,
}

#[tool_router]
impl Server {
    #[tool(description = "Who is calling the calendar?")]
    async fn whoami(&self, auth: AuthInfo) -> Result<String, ErrorData> {
        let token = auth.exchange(&self.calendar).await?;
        let request = self.http.get(&self.url).header("authorization", token.authorization());
        let failed = |error: reqwest::Error| ErrorData::internal_error(error.to_string(), None);
        let response = request.send().await.and_then(reqwest::Response::error_for_status);
        response.map_err(failed)?.text().await.map_err(failed)
    }
}

#[tool_handler]
impl ServerHandler for Server {}

/// The second server: it says who has called it.
async fn events(auth: AuthInfo) -> String {
    let scopes: Vec<_> = auth.scopes().iter().collect();
    let caller = json!({ "subject": auth.subject(), "issuer": auth.issuer(), "client_id": auth.client_id(), "scopes": scopes });
    caller.to_string()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter("info,mcp_auth=debug").init();
    let port = env::var("PORT")?;
    let resource = env::var("RESOURCE")?;
    let url = env::var("CALENDAR")?;
    let login = AuthorizationServer::discover(env::var("ISSUER")?);

    let exchange = TokenExchange::basic(&login, &resource, env::var("SECRET")?);
    let calendar = exchange.to_audience("calendar", ["events:read"])?;
    let server = Server { calendar, url: url.clone(), http: reqwest::Client::new() };
    let mcp = StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    let auth = McpAuth::builder(&resource)
        .authorization_server(login.clone())
        .required_scopes(&*env::var("REQUIRED_SCOPES")?);
    let app = auth.build()?.protect_mcp(mcp);

    let second = McpAuth::builder(&url)
        .authorization_server(login)
        .audience("calendar")
        .required_scopes("events:read");
    let second = second.build()?.protect(get(events));
    let address = reqwest::Url::parse(&url)?;
    let listener = TcpListener::bind(format!("127.0.0.1:{}", address.port().unwrap_or(80))).await?;
    tokio::spawn(async { axum::serve(listener, second).await });

    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("{resource}");
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app).await?;
    Ok(())
}
