//! Runs the complete flow of rmcp's OAuth client step by step, and then sends requests that must be refused.

use http::header::{ACCEPT, LOCATION, WWW_AUTHENTICATE};
use mcp_auth::{Challenge, Scopes};
use mcp_auth_testkit::TokenBuilder;
use reqwest::redirect;
use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::service::{ClientInitializeError, RoleClient, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{AuthClient, AuthorizationCallback, AuthorizationRequest, OAuthState};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Value, json};

use super::{Demo, Result};

/// Nothing listens there: the redirect is read from the response.
const CALLBACK: &str = "http://127.0.0.1:1/callback";

pub(super) async fn walk(demo: &Demo) -> Result {
    let http = reqwest::Client::builder().redirect(redirect::Policy::none()).build()?;
    let walk = Walk { demo, http };

    let challenge = walk.is_told_to_log_in().await?;
    walk.finds_the_metadata(&challenge).await?;
    let login = walk.logs_in().await?;
    let client = walk.connects(login).await?;
    walk.calls_whoami(&client).await?;
    walk.steps_up(&client).await?;
    client.session.cancel().await?;

    let token = || demo.issuer.token().scopes(["notes:read"]);
    walk.is_refused("an expired token", token().expired(), 401, "invalid_token").await?;
    let elsewhere = token().audience("https://mail.example.com/mcp");
    walk.is_refused("a token for another resource", elsewhere, 401, "invalid_token").await?;
    walk.is_refused(
        "a token without the scope",
        token().scopes(["other"]),
        403,
        "insufficient_scope",
    )
    .await?;
    println!(
        "\nAll went as it should. `mcp-auth demo` keeps the servers up for a client of yours."
    );
    Ok(())
}

struct Walk<'d> {
    demo: &'d Demo,
    http: reqwest::Client,
}

/// An MCP client that has logged in.
struct Client {
    auth: AuthClient<reqwest::Client>,
    session: RunningService<RoleClient, ()>,
}

/// An answer of the MCP server: its status and its challenge.
struct Answer {
    status: u16,
    challenge: Option<Challenge>,
}

impl Walk<'_> {
    async fn is_told_to_log_in(&self) -> Result<Challenge> {
        let answer = self.call(None).await?;
        expect(answer.status == 401, "a request without a token gets a 401")?;
        let challenge = answer.challenge.ok_or("the 401 has a challenge")?;
        expect(challenge.error.is_none(), "the challenge has no error where there was no token")?;
        let refused = ().serve(self.transport(reqwest::Client::new())).await;
        let is_told = refused.is_err_and(|error| {
            matches!(error, ClientInitializeError::TransportError { .. })
                || error.is_authorization_required()
        });
        expect(is_told, "rmcp's client learns that it must log in")?;
        told("without a token", &format!("401 {challenge}"));
        Ok(challenge)
    }

    async fn finds_the_metadata(&self, challenge: &Challenge) -> Result {
        let url =
            challenge.resource_metadata.as_deref().ok_or("the challenge names the metadata")?;
        let text = self.http.get(url).send().await?.error_for_status()?.text().await?;
        let metadata: Value = serde_json::from_str(&text)?;
        expect(
            metadata["resource"] == *self.demo.resource,
            "the metadata is that of the resource",
        )?;
        expect(
            metadata["authorization_servers"][0] == *self.demo.issuer.url(),
            "it names the issuer",
        )?;
        told("metadata of the resource", url);
        told("authorization server", self.demo.issuer.url());
        Ok(())
    }

    /// Registers the client, sends alice to the login page, and gets a token.
    async fn logs_in(&self) -> Result<OAuthState> {
        let mut oauth = OAuthState::new(&*self.demo.resource, None).await?;
        let request = AuthorizationRequest::new(CALLBACK)
            .with_client_name("mcp-auth demo")
            .with_initial_scope_selection();
        oauth.start_authorization(request).await?;
        told("registered", "as a client, dynamically (RFC 7591)");

        let login = oauth.get_authorization_url().await?;
        expect(login.contains("code_challenge_method=S256"), "the client uses PKCE")?;
        let callback = self.agrees(&login).await?;
        told("logged in", "alice agreed; PKCE S256, resource and iss as they should be");

        oauth.handle_callback_url(&callback).await?;
        told("token", "the code was exchanged for an access token");
        Ok(oauth)
    }

    /// Opens a page of the issuer as alice's browser, and returns the URL of the redirect.
    async fn agrees(&self, page: &str) -> Result<String> {
        let answer = self.http.get(page).send().await?;
        let back =
            answer.headers().get(LOCATION).and_then(|url| url.to_str().ok()).unwrap_or_default();
        expect(back.starts_with(CALLBACK), "alice is sent back to the client")?;
        Ok(back.to_owned())
    }

    async fn connects(&self, login: OAuthState) -> Result<Client> {
        let manager = login.into_authorization_manager().ok_or("the client is authorized")?;
        let auth = AuthClient::new(reqwest::Client::new(), manager);
        let session = ().serve(self.transport(auth.clone())).await?;
        Ok(Client { auth, session })
    }

    async fn calls_whoami(&self, client: &Client) -> Result {
        let result = client.session.call_tool(CallToolRequestParams::new("whoami")).await?;
        let text = text(&result).ok_or("whoami answers with text")?;
        expect(
            text.starts_with(&format!("alice via {}", self.demo.issuer.url())),
            "whoami knows alice",
        )?;
        told("whoami", text);
        Ok(())
    }

    /// Calls a tool that needs more scopes than granted: it is refused, requests them, and calls the tool again.
    async fn steps_up(&self, client: &Client) -> Result {
        let note = json!({ "text": "buy milk" }).as_object().cloned().unwrap_or_default();
        let call = CallToolRequestParams::new("add_note").with_arguments(note);
        let refused = client.session.call_tool(call.clone()).await;
        let challenge = refused.as_ref().err().and_then(ServiceError::auth_challenge);
        let challenge = challenge.and_then(Challenge::parse).ok_or("add_note is refused")?;
        let scope = challenge.scope.as_ref().map(Scopes::as_str).unwrap_or_default();
        expect(challenge.error.as_deref() == Some("insufficient_scope"), "for want of a scope")?;
        expect(scope == "notes:read notes:write", "the client is told what to ask for")?;
        told("add_note", &format!("403 insufficient_scope: needs {scope}"));

        let manager = client.auth.auth_manager.lock().await;
        let page = manager.request_scope_upgrade(scope).await?;
        let callback = AuthorizationCallback::from_redirect_url(&self.agrees(&page).await?)?;
        manager
            .exchange_code_for_token_with_issuer(
                &callback.code,
                &callback.csrf_token,
                callback.issuer.as_deref(),
            )
            .await?;
        told(
            "stepped up",
            &format!("alice agreed to {}", manager.get_current_scopes().await.join(" ")),
        );
        drop(manager);

        let result = client.session.call_tool(call).await?;
        told("add_note", text(&result).ok_or("add_note answers with text")?);
        Ok(())
    }

    async fn is_refused(
        &self,
        what: &str,
        token: TokenBuilder,
        status: u16,
        error: &str,
    ) -> Result {
        let answer = self.call(Some(&token.sign())).await?;
        let challenge = answer.challenge.ok_or("the refusal has a challenge")?;
        let is_right = answer.status == status
            && challenge.error.as_deref() == Some(error)
            && challenge.scope.is_some();
        expect(
            is_right,
            &format!("{what} is refused with {status} {error}, not {}: {challenge}", answer.status),
        )?;
        told(
            what,
            &format!("{status} {error}: {}", challenge.error_description.unwrap_or_default()),
        );
        Ok(())
    }

    /// Calls `whoami` without an MCP client.
    async fn call(&self, token: Option<&str>) -> Result<Answer> {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami", "arguments": {}}});
        let request = self
            .http
            .post(&self.demo.resource)
            .header(ACCEPT, "application/json, text/event-stream");
        let request = request.header("content-type", "application/json").body(call.to_string());
        let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
        let response = request.send().await?;
        let challenge =
            response.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        Ok(Answer {
            status: response.status().as_u16(),
            challenge: challenge.and_then(Challenge::parse),
        })
    }

    fn transport<C>(&self, client: C) -> StreamableHttpClientTransport<C>
    where
        C: rmcp::transport::streamable_http_client::StreamableHttpClient + Send + 'static,
    {
        StreamableHttpClientTransport::with_client(
            client,
            StreamableHttpClientTransportConfig::with_uri(&*self.demo.resource),
        )
    }
}

fn text(result: &CallToolResult) -> Option<&str> {
    Some(&result.content.first()?.as_text()?.text)
}

fn told(step: &str, what: &str) {
    println!("  ok  {step:<30} {what}");
}

fn expect(is_so: bool, what: &str) -> Result {
    if is_so { Ok(()) } else { Err(format!("this did not come true: {what}").into()) }
}
