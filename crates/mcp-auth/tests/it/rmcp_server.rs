//! A real rmcp server: its tools and prompts see the caller of the request, not of the session.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::Request;
use http::header::{ACCEPT, CONTENT_TYPE};
use http_body_util::BodyExt as _;
use mcp_auth::{AuthInfo, McpAuth, OptionalAuthInfo};
use mcp_auth_testkit::TestIssuer;
use rmcp::handler::server::router::prompt::PromptRouter;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{PromptMessage, Role};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, prompt, prompt_handler, prompt_router, tool, tool_handler, tool_router};
use tower::ServiceExt as _;

use crate::world::bearer;

const RESOURCE: &str = "http://localhost/mcp";

#[derive(Clone)]
struct Server {
    tool_router: ToolRouter<Self>,
    prompt_router: PromptRouter<Self>,
}

#[tool_router]
impl Server {
    #[tool(description = "Who is calling?")]
    async fn whoami(&self, auth: AuthInfo) -> String {
        format!("you are {} with [{}]", auth.subject(), auth.scopes())
    }

    #[tool(description = "Hello, whoever you are")]
    fn greet(&self, OptionalAuthInfo(caller): OptionalAuthInfo) -> String {
        caller.map_or("hello, anonymous".into(), |caller| format!("hello, {}", caller.subject()))
    }
}

#[prompt_router]
impl Server {
    #[prompt(description = "A letter in the caller's name")]
    async fn letter(&self, auth: AuthInfo) -> Vec<PromptMessage> {
        vec![PromptMessage::new_text(Role::User, format!("yours, {}", auth.subject()))]
    }
}

#[tool_handler(router = self.tool_router)]
#[prompt_handler(router = self.prompt_router)]
impl ServerHandler for Server {}

fn app(auth: &McpAuth, is_stateful: bool) -> Router {
    let server =
        Server { tool_router: Server::tool_router(), prompt_router: Server::prompt_router() };
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(is_stateful)
        .with_json_response(!is_stateful);
    auth.protect(StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(LocalSessionManager::default()),
        config,
    ))
}

/// POSTs a JSON-RPC message; returns the status, the session id and the body.
async fn post(
    app: &Router,
    token: Option<&str>,
    session: Option<&str>,
    message: &str,
) -> (u16, Option<String>, String) {
    let mut request =
        Request::post("/mcp").body(Body::from(message.to_owned())).expect("a request");
    if let Some(token) = token {
        *request.headers_mut() = bearer(token);
    }
    let headers = request.headers_mut();
    headers.insert("host", "localhost".parse().expect("a host"));
    headers.insert(CONTENT_TYPE, "application/json".parse().expect("a type"));
    headers.insert(ACCEPT, "application/json, text/event-stream".parse().expect("types"));
    if let Some(session) = session {
        headers.insert("mcp-session-id", session.parse().expect("a session"));
    }
    let response = app.clone().oneshot(request).await.expect("an answer");
    let status = response.status().as_u16();
    let session =
        response.headers().get("mcp-session-id").map(|id| id.to_str().expect("text").to_owned());
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, session, String::from_utf8_lossy(&body).into_owned())
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

fn call(tool: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#
    )
}

#[tokio::test]
async fn a_tool_sees_the_caller_of_the_request_and_not_of_the_session() {
    let issuer = TestIssuer::new();
    let app = app(&issuer.protects(RESOURCE).build().expect("a description"), true);
    let alice = issuer.token().scopes(["read"]).sign();
    let renewed = issuer.token().scopes(["read", "write"]).sign();
    let (status, session, _) = post(&app, Some(&alice), None, INITIALIZE).await;
    let session = session.expect("a session");
    assert_eq!(status, 200);
    assert_eq!(post(&app, Some(&alice), Some(&session), INITIALIZED).await.0, 202);
    for (token, scopes) in [(&alice, "read"), (&renewed, "read write"), (&alice, "read")] {
        let (status, _, body) = post(&app, Some(token), Some(&session), &call("whoami")).await;
        assert!(
            status == 200 && body.contains(&format!("you are alice with [{scopes}]")),
            "{scopes}: {status} {body}"
        );
    }
    let letter = r#"{"jsonrpc":"2.0","id":3,"method":"prompts/get","params":{"name":"letter"}}"#;
    let (_, _, body) = post(&app, Some(&renewed), Some(&session), letter).await;
    assert!(body.contains("yours, alice"), "{body}");
    assert_eq!(post(&app, None, Some(&session), &call("whoami")).await.0, 401);
    assert_eq!(
        post(&app, Some(&issuer.token().expired().sign()), Some(&session), &call("whoami")).await.0,
        401
    );
}

#[tokio::test]
async fn a_stateless_server_and_its_anonymous_callers() {
    let issuer = TestIssuer::new();
    let auth = issuer.protects(RESOURCE).optional().build().expect("a description");
    let app = app(&auth, false);
    let alice = issuer.token().sign();
    for (token, tool, expected) in [
        (Some(&*alice), "whoami", "you are alice"),
        (Some(&*alice), "greet", "hello, alice"),
        (None, "greet", "hello, anonymous"),
        (None, "whoami", "needs an authenticated caller"),
    ] {
        let (status, _, body) = post(&app, token, None, &call(tool)).await;
        assert!(status == 200 && body.contains(expected), "{tool}: {status} {body}");
    }
}
