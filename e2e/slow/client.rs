//! rmcp as a client of `server.rs` and `whoami`, without a user.
//!
//! ```sh
//! PROTOCOL=2025-11-25 BROWSER=e2e/node/browser.mjs cargo run --example slow_client http://127.0.0.1:3000/mcp calls
//! BROWSER=e2e/node/browser.mjs cargo run --example slow_client http://127.0.0.1:3000/mcp    # for `whoami`
//! ```
//!
//! See `node/slow.mjs` for the tasks and what they print. With `CLIENT_ID` in its environment, it does not register.

use std::env;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rmcp::ClientHandler;
use rmcp::model::{
    CallToolRequestParams, ProgressNotificationParam, ProtocolVersion, SubscriptionFilter,
};
use rmcp::service::{
    ClientLifecycleMode, ClientServiceExt as _, NotificationContext, RoleClient, RunningService,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{AuthClient, AuthorizationRequest, OAuthState};
use rmcp::transport::streamable_http_client::{
    StreamableHttpClient, StreamableHttpClientTransportConfig,
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;
type Session = RunningService<RoleClient, Seen>;

const LISTENING: Duration = Duration::from_secs(10);

/// What the server has sent without being asked.
#[derive(Clone)]
struct Seen {
    start: Instant,
    /// How many reports of progress came, and at which second the last notification came.
    what: Arc<Mutex<(usize, f64)>>,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, (usize, f64)> {
        self.what.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> (usize, f64) {
        *self.lock()
    }

    fn heard(&self) {
        self.lock().1 = self.start.elapsed().as_secs_f64();
    }
}

impl ClientHandler for Seen {
    async fn on_progress(&self, _: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.lock().0 += 1;
    }

    /// For the protocol of 2025: rmcp listens by itself.
    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.heard();
    }
}

#[tokio::main]
async fn main() -> Result {
    let mut args = env::args().skip(1);
    let server = args.next().ok_or("which server?")?;
    let task = args.next().unwrap_or_else(|| "whoami".to_owned());
    let is_old = env::var("PROTOCOL").as_deref() == Ok("2025-11-25");
    let session = connect(&server, is_old).await?;
    let protocol = session.peer_info().map(|info| info.protocol_version.to_string());

    let mut answer = match &*task {
        "whoami" => {
            let tools = session.list_all_tools().await?;
            let tools: Vec<_> = tools.into_iter().map(|tool| tool.name).collect();
            let whoami: Value = serde_json::from_str(&call(&session, "whoami", json!({})).await?)?;
            json!({ "tools": tools, "whoami": whoami })
        }
        "calls" => {
            // rmcp asks for progress in each request.
            let told = wait(&session, 7).await?;
            let (reports, _) = session.service().seen();
            let after = wait(&session, 0).await?;
            let error = wait(&session, 60).await.err().map(|error| error.to_string());
            json!({ "told": told, "reports": reports, "after": after, "errors": [error] })
        }
        _ if is_old => {
            sleep(LISTENING).await;
            json!({ "end": Value::Null })
        }
        task => listen(&session, task == "listen-again").await?,
    };
    answer["protocol"] = json!(protocol);
    answer["heard"] = json!(session.service().seen().1);
    println!("{answer}");
    drop(timeout(Duration::from_secs(2), session.cancel()).await);
    Ok(())
}

async fn connect(server: &str, is_old: bool) -> Result<Session> {
    let lifecycle = if is_old {
        ClientLifecycleMode::Initialize
    } else {
        ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::LATEST] }
    };
    let seen = Seen { start: Instant::now(), what: Arc::default() };
    let nobody = transport(server, reqwest::Client::new());
    let refused = seen.clone().serve_with_lifecycle(nobody, lifecycle.clone()).await.err();
    let refused = refused.ok_or("this server is not protected")?;
    let challenge = refused.auth_challenge().ok_or("no challenge")?;

    let mut login = OAuthState::new(server, None).await?;
    let mut request = AuthorizationRequest::new("http://127.0.0.1:9/callback")
        .with_client_name("e2e rmcp")
        .with_initial_scope_selection()
        .with_challenge(challenge);
    if let Ok(id) = env::var("CLIENT_ID") {
        request = request.with_preregistered_client(id);
    }
    login.start_authorization(request).await?;
    let page = login.get_authorization_url().await?;
    let browser = Command::new(env::var("BROWSER")?).args(["--print", &page]).output()?;
    login.handle_callback_url(str::from_utf8(&browser.stdout)?.trim()).await?;

    let manager = login.into_authorization_manager().ok_or("the login did not end")?;
    let auth = AuthClient::new(reqwest::Client::new(), manager);
    let seen = Seen { start: Instant::now(), ..seen };
    Ok(seen.serve_with_lifecycle(transport(server, auth), lifecycle).await?)
}

async fn wait(session: &Session, seconds: u32) -> Result<String> {
    call(session, "wait", json!({ "seconds": seconds })).await
}

async fn call(session: &Session, tool: &'static str, arguments: Value) -> Result<String> {
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    let call = CallToolRequestParams::new(tool).with_arguments(arguments);
    let result = session.call_tool(call).await?;
    let text = result.content.first().and_then(|content| content.as_text());
    Ok(text.map_or_else(String::new, |text| text.text.clone()))
}

/// For the protocol of 2026: a subscription, and with `is_again` another one whenever one ends.
async fn listen(session: &Session, is_again: bool) -> Result<Value> {
    let seen = session.service().clone();
    let mut end = Value::Null;
    let mut rounds = async || -> Result {
        loop {
            let wanted = SubscriptionFilter::builder().tools_list_changed().build();
            let mut subscription = session.listen(wanted).await?;
            while subscription.next().await?.is_some() {
                seen.heard();
            }
            end = json!(format!("{:?}", subscription.end()));
            if !is_again {
                return Ok(());
            }
        }
    };
    match timeout(LISTENING, rounds()).await {
        Err(_) => {}
        Ok(outcome) => outcome?,
    }
    Ok(json!({ "end": end }))
}

fn transport<C: StreamableHttpClient + Send + 'static>(
    server: &str,
    client: C,
) -> StreamableHttpClientTransport<C> {
    let config = StreamableHttpClientTransportConfig::with_uri(server);
    StreamableHttpClientTransport::with_client(client, config)
}
