//! MCP Auth as a small reverse proxy in front of another server: for servers that are not written in Rust.
//!
//! ```sh
//! PORT=3000 UPSTREAM=http://127.0.0.1:3001/mcp cargo run --example proxy
//! ```
//!
//! Its rules are for the resources of `python/resources.py`. The token `read` has the scope `read`, and the token `admin` both scopes.

use std::env;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use mcp_auth::{
    AuthorizationServer, Credentials, Denial, McpAuth, Reason, ToolScopes, VerifiedToken,
};

const AUDIENCE: &str = "http://127.0.0.1:1/mcp";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = env::var("PORT")?;
    let upstream = env::var("UPSTREAM")?;
    let resource = format!("http://127.0.0.1:{port}/mcp");

    let rules = ToolScopes::new()
        // The templates of the server itself.
        .resource("notes://{owner}/public", ["read"])
        .resource("notes://{owner}/private", ["admin"])
        // Patterns over a tree.
        .resource("files://docs/*", ["read"])
        .resource("files://docs/secret/*", ["admin"])
        // Single resources, among others that need no more than `read`.
        .resource("vault://admin/keys", ["admin"])
        .resource("vault://admin/%7Bkeys%7D", ["admin"]);
    let verifier = async |credentials: Credentials| {
        let token = VerifiedToken::assert("http://127.0.0.1:1", "suite").audience(AUDIENCE);
        match credentials.token().expose() {
            "read" => Ok(token.scopes(["read"])),
            "admin" => Ok(token.scopes(["read", "admin"])),
            _ => Err(Denial::invalid(Reason::Inactive)),
        }
    };
    let auth = McpAuth::builder(&resource)
        .authorization_server(AuthorizationServer::external("http://127.0.0.1:1"))
        .audience(AUDIENCE)
        .verifier(verifier)
        .required_scopes("read")
        .tools(rules)
        .build()?;

    let client = reqwest::Client::builder().no_proxy().build()?;
    let forward = async move |request: Request| {
        let answer = forward(&client, &upstream, request).await;
        answer.unwrap_or_else(|error| {
            let mut failed = Response::new(Body::from(error.to_string()));
            *failed.status_mut() = StatusCode::BAD_GATEWAY;
            failed
        })
    };
    let app = auth.protect(Router::new().fallback(forward));
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("{resource}");
    axum::serve(listener, app).await?;
    Ok(())
}

/// Forwards the body as it is. Its bytes are what the layer has read.
async fn forward(
    client: &reqwest::Client,
    upstream: &str,
    request: Request,
) -> Result<Response<Body>, Box<dyn std::error::Error + Send + Sync>> {
    let (parts, body) = request.into_parts();
    let mut headers = parts.headers;
    headers.remove("host");
    headers.remove("content-length");
    let body = to_bytes(body, 1 << 22).await?;
    let answer = client.request(parts.method, upstream).headers(headers).body(body).send().await?;
    let mut response = Response::builder().status(answer.status());
    if let Some(content_type) = answer.headers().get("content-type") {
        response = response.header("content-type", content_type);
    }
    Ok(response.body(Body::from(answer.bytes().await?))?)
}
