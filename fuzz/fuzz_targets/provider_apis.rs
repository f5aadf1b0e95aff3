//! Fuzzes the answers of GitHub's and Google's APIs, with each status that matters.
//!
//! Nothing panics. An admitted caller is the user that another parser finds, with a token of our own app, and has
//! only the claims that are kept.
//!
//! The first byte chooses the API and the status. The rest is the answer.

#![no_main]

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use libfuzzer_sys::fuzz_target;
use mcp_auth::{
    AuthInfo, AuthorizationServer, BoxFuture, Denial, Fetch, FetchError, Limits, ManualClock,
    McpAuth, Reason, DenialKind,
};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::runtime::{Builder, Runtime};

const RESOURCE: &str = "https://api.example.com/mcp";
const OURS: &str = "ours";
const STATUSES: [StatusCode; 4] = [
    StatusCode::OK,
    StatusCode::NOT_FOUND,
    StatusCode::BAD_REQUEST,
    StatusCode::UNPROCESSABLE_ENTITY,
];

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));

/// GitHub's answer, as another parser reads it.
#[derive(Deserialize)]
struct GitHub {
    app: App,
    user: User,
}

#[derive(Deserialize)]
struct App {
    client_id: String,
}

#[derive(Deserialize)]
struct User {
    id: u64,
}

/// Google's answer, as another parser reads it.
#[derive(Deserialize)]
struct Google {
    aud: String,
    azp: Option<String>,
    sub: String,
}

/// Gives the same answer to every request.
#[derive(Clone)]
struct Answer(Arc<Mutex<(StatusCode, Bytes)>>);

impl Fetch for Answer {
    fn fetch(
        &self,
        _: Request<Bytes>,
        _: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        let (status, body) = self.0.lock().expect("an answer").clone();
        let mut response = Response::new(body);
        *response.status_mut() = status;
        Box::pin(ready(Ok(response)))
    }
}

fn admitted(server: AuthorizationServer, token: &str, answer: Answer) -> Result<AuthInfo, Denial> {
    let clock = ManualClock::new();
    let server = server.fetch(answer).clock(clock.clone());
    let auth = McpAuth::builder(RESOURCE).authorization_server(server).clock(clock);
    let auth = auth.build().expect("a description");
    let request = Request::post(RESOURCE).header("authorization", format!("Bearer {token}"));
    let (parts, body) = request.body(String::new()).expect("a request").into_parts();
    RUNTIME.block_on(auth.admit(&parts, body)).map(|(caller, _)| caller)
}

fuzz_target!(|data: &[u8]| {
    let Some((first, body)) = data.split_first() else { return };
    let is_github = first & 1 == 0;
    let status = STATUSES[usize::from(first >> 1 & 3)];
    let answer = Answer(Arc::new(Mutex::new((status, Bytes::copy_from_slice(body)))));
    let outcome = if is_github {
        admitted(AuthorizationServer::github(OURS, "secret"), "gho_token", answer)
    } else {
        admitted(AuthorizationServer::google([OURS]), "ya29.token", answer)
    };
    let caller = match outcome {
        Ok(caller) => caller,
        Err(denial) => {
            let is_unavailable = matches!(denial.kind(), DenialKind::Unavailable { .. });
            assert!(
                status == StatusCode::OK
                    || is_unavailable
                    || denial.reason() == Some(Reason::Inactive)
            );
            return;
        }
    };
    assert_eq!(status, StatusCode::OK);
    let kept: &[&str] = if is_github {
        let said: GitHub = serde_json::from_slice(body).expect("what is taken is such an answer");
        assert_eq!(said.app.client_id, OURS);
        assert_eq!(caller.subject(), said.user.id.to_string());
        &[
            "app",
            "client_id",
            "created_at",
            "exp",
            "expires_at",
            "installation",
            "scopes",
            "sub",
            "updated_at",
            "user",
        ]
    } else {
        let said: Google = serde_json::from_slice(body).expect("what is taken is such an answer");
        assert_eq!(said.aud, OURS);
        assert!(said.azp.is_none_or(|azp| azp == OURS || azp.is_empty()));
        assert_eq!(caller.subject(), said.sub);
        &["access_type", "aud", "azp", "email", "email_verified", "exp", "scope", "sub"]
    };
    assert!(!caller.subject().is_empty());
    let claims: HashMap<String, IgnoredAny> = caller.claims().expect("an object");
    assert!(claims.keys().all(|name| kept.contains(&&**name)));
});
