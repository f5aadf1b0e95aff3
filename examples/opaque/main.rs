//! The example `whoami` for opaque tokens, which are introspected by their issuer.
//!
//! ```sh
//! ISSUER=https://auth.example.com INTROSPECT_ID=notes-server INTROSPECT_SECRET=... cargo run --example opaque
//! ```

use std::env;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use mcp_auth::{AuthInfo, AuthorizationServer, Introspection, McpAuth};
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
    let scopes = setting("REQUIRED_SCOPES", "read");

    let believed_for = Duration::from_secs(setting("BELIEVED_FOR", "60").parse()?);
    let (id, secret) = (env::var("INTROSPECT_ID")?, env::var("INTROSPECT_SECRET")?);
    let mut asking = Introspection::basic(id, secret).cache_for(believed_for);
    if env::var("SIGNED_ANSWERS").is_ok() {
        asking = asking.signed_responses();
    }
    if env::var("SUBJECT_IS_USERNAME").is_ok() {
        asking = asking.dangerous_subject_is_username(); // for an issuer whose answers have no `sub`
    }
    if env::var("INTROSPECT_JWTS").is_ok() {
        asking = asking.introspect_jwts(); // for JWTs that do not contain everything, as Keycloak's lightweight tokens
    }
    if let Ok(endpoint) = env::var("INTROSPECTION_ENDPOINT") {
        asking = asking.endpoint(endpoint); // for an issuer whose metadata do not name it, as Ory Hydra
    }
    let issuer = AuthorizationServer::discover(env::var("ISSUER")?).introspection(asking);
    let auth = McpAuth::builder(&resource)
        .authorization_server(issuer)
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
