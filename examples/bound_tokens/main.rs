//! An MCP server for tokens that a thief cannot use: bound to a key (DPoP) or to a client certificate (mTLS).
//!
//! ```sh
//! cargo run -- demo --resource http://127.0.0.1:3000/mcp    # an issuer
//! cargo run --example bound_tokens
//! ```
//!
//! `NONCES=1` requires nonces in proofs. `PROXY=127.0.0.1` trusts a proxy that terminates TLS and sends client
//! certificates in `Client-Cert`. Bearer tokens are accepted too.

use std::env;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::serve::ListenerExt as _;
use mcp_auth::{AuthInfo, ClientCertHeader, Dpop, McpAuth};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};

#[derive(Clone)]
struct WhoAmI;

#[tool_router]
impl WhoAmI {
    #[tool(description = "Who is calling, and by what proof?")]
    async fn whoami(&self, auth: AuthInfo) -> String {
        serde_json::json!({
            "subject": auth.subject(),
            "issuer": auth.issuer(),
            "client_id": auth.client_id(),
            "scopes": auth.scopes().iter().collect::<Vec<_>>(),
            "key": auth.confirmation().and_then(|confirmation| confirmation.jkt()),
            "certificate": auth.confirmation().and_then(|confirmation| confirmation.x5t_s256()),
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
    let has_nonces = env::var_os("NONCES").is_some();

    let dpop = if has_nonces { Dpop::optional().nonces() } else { Dpop::optional() };
    let mut auth = McpAuth::builder(&resource)
        .authorization_server(issuer)
        .required_scopes(&*scopes)
        .dpop(dpop);
    if let Ok(proxy) = env::var("PROXY") {
        auth = auth.client_certificates_from(ClientCertHeader::Rfc9440, [proxy]);
    }
    let mcp = StreamableHttpService::new(
        || Ok(WhoAmI),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    let app = auth.build()?.protect_mcp(mcp);

    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("{resource}");
    // Without TCP_NODELAY, a response streamed in several parts may be delayed by 40 ms.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    // Makes the peer address known, to recognize requests from the proxy.
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).await?;
    Ok(())
}
