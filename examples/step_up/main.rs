//! A client that logs in with as few scopes as possible, and requests more when a tool requires them.
//!
//! ```sh
//! cargo run --example step_up                              # for the example `notes`: see there
//! cargo run --example step_up http://127.0.0.1:7070/mcp    # for `mcp-auth demo`
//! PROTOCOL=2025-11-25 cargo run --example step_up          # with a session, like older clients
//! CLIENT_ID=notes-app cargo run --example step_up          # does not register: for an issuer like that of examples/keycloak
//! BROWSER=./log-me-in cargo run --example step_up          # opens the login page with this program
//! ```

use std::env;
use std::process::Command;

use axum::Router;
use axum::http::Uri;
use axum::routing::get;
use reqwest::Url;
use rmcp::model::{CallToolRequestParams, CallToolResult, ProtocolVersion};
use rmcp::service::{
    ClientLifecycleMode, ClientServiceExt as _, RoleClient, RunningService, ServiceError,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{
    AuthClient, AuthorizationCallback, AuthorizationRequest, OAuthState, WWWAuthenticateParams,
};
use rmcp::transport::streamable_http_client::{
    StreamableHttpClient, StreamableHttpClientTransportConfig,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Result {
    let server = env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:3000/mcp".to_owned());
    let lifecycle = match env::var("PROTOCOL").as_deref() {
        Ok("2025-11-25") => ClientLifecycleMode::Initialize,
        _ => ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::LATEST] },
    };

    let mut client = Client::connect(server.parse()?, lifecycle).await?;
    client.show("list_notes", json!({})).await?;
    client.show("add_note", json!({ "text": "buy milk" })).await?;
    // In `notes` only an admin can write notes for others. That depends on the arguments, so the tool itself refuses.
    client.show("add_note", json!({ "text": "buy milk", "owner": "bob" })).await?;
    client.show("list_notes", json!({})).await?;
    client.session.cancel().await?;
    Ok(())
}

/// A client of one server, with its authorization.
struct Client {
    server: Url,
    browser: Browser,
    auth: AuthClient<reqwest::Client>,
    session: RunningService<RoleClient, ()>,
}

impl Client {
    /// Connects without a token first: the challenge says where to log in and which scopes to request.
    async fn connect(server: Url, lifecycle: ClientLifecycleMode) -> Result<Self> {
        let nobody = transport(&server, reqwest::Client::new());
        let refused = ().serve_with_lifecycle(nobody, lifecycle.clone()).await;
        let refused = refused.err().ok_or("this server is not protected")?;
        let Some(challenge) = refused.auth_challenge() else { return Err(refused.into()) };
        println!("refused  {challenge}");

        let mut browser = Browser::start().await?;
        let mut login = OAuthState::new(server.as_str(), None).await?;
        let mut request = AuthorizationRequest::new(&*browser.redirect)
            .with_client_name("step_up")
            .with_initial_scope_selection()
            .with_challenge(challenge);
        if let Ok(id) = env::var("CLIENT_ID") {
            request = request.with_preregistered_client(id);
        }
        login.start_authorization(request).await?;
        let callback = browser.visit(&login.get_authorization_url().await?).await?;
        login.handle_callback_url(&callback).await?;

        let manager = login.into_authorization_manager().ok_or("the login did not end")?;
        let auth = AuthClient::new(reqwest::Client::new(), manager);
        let session = ().serve_with_lifecycle(transport(&server, auth.clone()), lifecycle).await?;
        let protocol = session.peer_info().map(|info| info.protocol_version.to_string());
        println!("protocol {}", protocol.unwrap_or_default());
        let client = Self { server, browser, auth, session };
        client.tell_what_is_granted().await;
        Ok(client)
    }

    /// Calls a tool. If it requires more scopes than are granted, requests them once and calls it again.
    async fn call(&mut self, call: CallToolRequestParams) -> Result<CallToolResult> {
        let refused = match self.session.call_tool(call.clone()).await {
            Ok(result) => return Ok(result),
            Err(refused) => refused,
        };
        let Some(scope) = self.missing_scope(&refused) else { return Err(refused.into()) };
        self.step_up(&scope).await?;
        Ok(self.session.call_tool(call).await?)
    }

    fn missing_scope(&self, refused: &ServiceError) -> Option<String> {
        let challenge = refused.auth_challenge()?;
        println!("refused  {challenge}");
        let challenge = WWWAuthenticateParams::parse(challenge, &self.server);
        if challenge.is_insufficient_scope() { challenge.scope } else { None }
    }

    /// Requests these scopes in addition to the granted ones. The session continues with the new token.
    async fn step_up(&mut self, scope: &str) -> Result {
        let manager = &self.auth.auth_manager;
        let url = manager.lock().await.request_scope_upgrade(scope).await?;
        let callback = self.browser.visit(&url).await?;
        let AuthorizationCallback { code, csrf_token, issuer, .. } =
            AuthorizationCallback::from_redirect_url(&callback)?;
        let issuer = issuer.as_deref();
        manager
            .lock()
            .await
            .exchange_code_for_token_with_issuer(&code, &csrf_token, issuer)
            .await?;
        self.tell_what_is_granted().await;
        Ok(())
    }

    async fn tell_what_is_granted(&self) {
        let scopes = self.auth.auth_manager.lock().await.get_current_scopes().await;
        println!("granted  {}", scopes.join(" "));
    }

    async fn show(&mut self, tool: &'static str, arguments: Value) -> Result {
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        let result = self.call(CallToolRequestParams::new(tool).with_arguments(arguments)).await?;
        let text = result.content.first().and_then(|content| content.as_text());
        println!("answer   {:?}", text.map_or("", |text| &text.text));
        Ok(())
    }
}

/// The browser in which the user logs in. It is redirected back to a port of this machine.
struct Browser {
    redirect: String,
    callbacks: mpsc::Receiver<Uri>,
}

impl Browser {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let redirect = format!("http://{}/callback", listener.local_addr()?);
        let (sender, callbacks) = mpsc::channel(1);
        let app = Router::new().route(
            "/callback",
            get(async move |uri: Uri| match sender.send(uri).await {
                Ok(()) => "You can close this window now.",
                Err(_) => "The client has ended.",
            }),
        );
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { redirect, callbacks })
    }

    /// Opens a page, with `$BROWSER` if it is set, and returns the URL of the redirect back.
    async fn visit(&mut self, page: &str) -> Result<String> {
        println!("log in   {page}");
        if let Ok(program) = env::var("BROWSER") {
            Command::new(program).arg(page).spawn()?;
        }
        let callback = self.callbacks.recv().await.ok_or("nobody listens for the way back")?;
        let query = callback.query().unwrap_or_default();
        Ok(format!("{}?{query}", self.redirect))
    }
}

fn transport<C: StreamableHttpClient + Send + 'static>(
    server: &Url,
    client: C,
) -> StreamableHttpClientTransport<C> {
    let config = StreamableHttpClientTransportConfig::with_uri(server.as_str());
    StreamableHttpClientTransport::with_client(client, config)
}
