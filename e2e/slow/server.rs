//! A server whose tool takes as long as the caller says, to see what becomes of calls whose token expires or is revoked.
//!
//! ```sh
//! cargo run -- demo --resource http://127.0.0.1:3000/mcp    # an issuer
//! SESSIONS=true STREAMED=true cargo run --example slow_server
//! ```
//!
//! It says twice a second that its tools have changed, to everyone who listens. Outside of the protected URL, two endpoints control it:
//!
//! - `GET /test/calls?subject=alice`: how many calls of the tool have begun
//! - `POST /test/revoke?subject=alice`: revokes all tokens of this subject

use std::collections::BTreeMap;
use std::env;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use mcp_auth::{AuthInfo, AuthorizationServer, Introspection, McpAuth, Revocation};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    ErrorData, ProgressNotificationParam, ServerCapabilities, ServerConfig, SubscriptionFilter,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler, schemars, tool, tool_handler, tool_router};
use tokio::time::sleep;

/// The interval between two notifications that the tools have changed.
const CHANGES: Duration = Duration::from_millis(500);

#[derive(Clone, Default)]
struct Slow {
    /// How many calls have begun, by subject.
    calls: Arc<Mutex<BTreeMap<String, usize>>>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Wait {
    seconds: u32,
}

#[tool_router]
impl Slow {
    #[tool(description = "Waits, and reports progress each second to those who want it")]
    async fn wait(
        &self,
        auth: AuthInfo,
        Parameters(Wait { seconds }): Parameters<Wait>,
        context: RequestContext<RoleServer>,
    ) -> Result<String, ErrorData> {
        *self.calls().entry(auth.subject().to_owned()).or_default() += 1;
        let progress = context.meta.get_progress_token();
        for second in 1..=seconds {
            sleep(Duration::from_secs(1)).await;
            if let Some(token) = &progress {
                let report = ProgressNotificationParam::new(token.clone(), second.into());
                drop(context.peer.notify_progress(report.with_total(seconds.into())).await);
            }
        }
        let how = if progress.is_some() { "with reports" } else { "in silence" };
        Ok(format!("waited {seconds} s {how}"))
    }
}

#[tool_handler]
impl ServerHandler for Slow {
    fn get_info(&self) -> ServerConfig {
        let tools = ServerCapabilities::builder().enable_tools().enable_tool_list_changed();
        ServerConfig::new(tools.build())
    }

    /// For the clients of 2025: the notifications go to the stream that the client has opened by GET.
    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        tokio::spawn(async move {
            while context.peer.notify_tool_list_changed().await.is_ok() {
                sleep(CHANGES).await;
            }
        });
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, subscription: SubscriptionContext) -> Result<(), ErrorData> {
        while subscription.sink().notify_tool_list_changed().await.is_ok() {
            tokio::select! {
                () = sleep(CHANGES) => {}
                () = subscription.cancelled() => break,
            }
        }
        Ok(())
    }
}

impl Slow {
    fn calls(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(serde::Deserialize)]
struct Caller {
    subject: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_env_filter("info,mcp_auth=debug").init();
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let port = setting("PORT", "3000");
    let resource = setting("RESOURCE", &format!("http://127.0.0.1:{port}/mcp"));
    let issuer = setting("ISSUER", "http://127.0.0.1:7071");
    let scopes = setting("REQUIRED_SCOPES", "read");
    let has_sessions = setting("SESSIONS", "true").parse()?;
    let is_streamed: bool = setting("STREAMED", "true").parse()?;

    let mut server = AuthorizationServer::discover(&issuer);
    if let (Ok(id), Ok(secret)) = (env::var("INTROSPECT_ID"), env::var("INTROSPECT_SECRET")) {
        let asking = Introspection::basic(id, secret).cache_for(Duration::from_secs(1));
        server = server.introspection(asking);
    }
    let auth = McpAuth::builder(&resource)
        .authorization_server(server)
        .required_scopes(&*scopes)
        .leeway(Duration::ZERO) // so that a token of four seconds lives four seconds
        .build()?;

    let slow = Slow::default();
    let calls = slow.clone();
    let mcp = StreamableHttpService::new(
        move || Ok(slow.clone()),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default()
            .with_legacy_session_mode(has_sessions)
            .with_json_response(!is_streamed),
    );
    let count = async |State(slow): State<Slow>, Query(caller): Query<Caller>| {
        slow.calls().get(&caller.subject).copied().unwrap_or_default().to_string()
    };
    let revoking = auth.clone();
    let revoke = async move |Query(caller): Query<Caller>| {
        revoking.revoke(Revocation::subject(issuer, caller.subject));
        "null"
    };
    let test = Router::new()
        .route("/test/calls", get(count))
        .route("/test/revoke", post(revoke))
        .with_state(calls);
    let app = auth.protect_mcp(mcp).merge(test);

    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("{resource}");
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app).await?;
    Ok(())
}
