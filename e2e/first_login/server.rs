//! A server that may be called without a login, or whose clients log in for all that they need at once: see `../node/first_login.mjs`.
//!
//! ```sh
//! cargo run -- demo --resource http://127.0.0.1:3000/mcp --scopes 'read write'    # an issuer
//! OPTIONAL=true INITIAL_SCOPES='read write' TOOL_ERRORS=true cargo run --example first_login_server
//! ```

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::serve::ListenerExt as _;
use mcp_auth::{McpAuth, OptionalAuthInfo, ToolScopes};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};

/// There is one for each session.
#[derive(Default)]
struct Server {
    greetings: AtomicUsize,
}

#[tool_router]
impl Server {
    #[tool(description = "Says who is calling, and how often it has said so in this session")]
    async fn hello(&self, OptionalAuthInfo(caller): OptionalAuthInfo) -> String {
        let number = self.greetings.fetch_add(1, Ordering::SeqCst) + 1;
        format!("{} {number}", caller.map_or("nobody".into(), |caller| caller.subject().to_owned()))
    }

    #[tool(description = "Needs the scope `write`")]
    async fn write(&self) -> String {
        "written".into()
    }
}

#[tool_handler]
impl ServerHandler for Server {}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter("info,mcp_auth=debug").init();
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let port = setting("PORT", "3000");
    let resource = setting("RESOURCE", &format!("http://127.0.0.1:{port}/mcp"));

    let mut auth = McpAuth::builder(&resource)
        .authorization_server(setting("ISSUER", "http://127.0.0.1:7071"))
        .required_scopes(&*setting("REQUIRED_SCOPES", "read"))
        .initial_scopes(&*setting("INITIAL_SCOPES", ""))
        .tools(ToolScopes::new().tool("write", ["write"]));
    if setting("OPTIONAL", "false").parse()? {
        auth = auth.optional();
    }
    if setting("TOOL_ERRORS", "false").parse()? {
        auth = auth.insufficient_scope_as_tool_error().insufficient_scope_hint("Ask e2e.");
    }

    let mcp = StreamableHttpService::new(
        || Ok(Server::default()),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    let app = auth.build()?.protect_mcp(mcp);
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("{resource}");
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app).await?;
    Ok(())
}
