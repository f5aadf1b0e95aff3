//! An MCP server that knows who is calling.
//!
//! ```sh
//! cargo run -- demo --resource http://127.0.0.1:3000/mcp    # an issuer, which prints a token
//! cargo run --example whoami
//! ```

use std::env;
use std::sync::Arc;

use axum::serve::ListenerExt as _;
use mcp_auth::{AuthInfo, AuthorizationServer, McpAuth};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};

#[derive(Clone)]
struct WhoAmI;

#[tool_router]
impl WhoAmI {
    #[tool(description = "Who is calling?")]
    async fn whoami(&self, auth: AuthInfo) -> String {
        serde_json::json!({
            "subject": auth.subject(),
            "issuer": auth.issuer(),
            "client_id": auth.client_id(),
            "scopes": auth.scopes().iter().collect::<Vec<_>>(),
        })
        .to_string()
    }
}

#[tool_handler]
impl ServerHandler for WhoAmI {}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter("info,mcp_auth=debug").init();
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let port = setting("PORT", "3000");
    let resource = setting("RESOURCE", &format!("http://127.0.0.1:{port}/mcp"));
    let issuer = setting("ISSUER", "http://127.0.0.1:7071");
    let scopes = setting("REQUIRED_SCOPES", "read");

    // By its issuer, or by the name of a provider that needs only a URL (`better_auth`, `spring`, `ory`) or a realm too (`keycloak`).
    let (url, realm) = (setting("PROVIDER_URL", ""), setting("PROVIDER_REALM", ""));
    let login = match env::var("PROVIDER") {
        Ok(id) => AuthorizationServer::provider(&id, [("url", &*url), ("realm", &*realm)]),
        Err(_) => AuthorizationServer::discover(issuer),
    };

    let auth = McpAuth::builder(&resource)
        .authorization_server(login)
        .required_scopes(&*scopes)
        .build()?;
    let mcp = StreamableHttpService::new(
        || Ok(WhoAmI),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    let app = auth.protect_mcp(mcp);

    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("{resource}");
    // Without TCP_NODELAY, a response streamed in several parts may be delayed by 40 ms.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app).await?;
    Ok(())
}
