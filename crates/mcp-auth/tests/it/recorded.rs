//! Real tokens, metadata, key sets and introspection answers of authorization servers, as `e2e/run record` has recorded
//! them, at the time of the recording.

use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use http::{Request, StatusCode};
use http_body_util::Full;
use mcp_auth::{
    AuthInfo, AuthorizationServer, Denial, Dpop, Introspection, ManualClock, McpAuth, Reason,
};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::world::{Web, admit, bearer};

const QUESTIONS: &str = "https://issuer.test/introspect";

/// The scopes of a token that is accepted, or why it is refused.
type Outcome = Result<&'static str, Reason>;

struct Recording(Value);

impl Recording {
    fn of(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/recorded");
        let text = fs::read(folder.join(format!("{name}.json"))).expect("a recording");
        Self(serde_json::from_slice(&text).expect("JSON"))
    }

    fn token(&self, name: &str) -> &Value {
        self.0["tokens"].get(name).unwrap_or_else(|| panic!("{name} was recorded"))
    }

    /// What the server published, and its answer about one token.
    fn web(&self, answer: Option<&Value>) -> Web {
        let documents = self.0["documents"].as_object().expect("documents").iter();
        let web =
            documents.fold(Web::default(), |web, (url, body)| web.serve(url, body.to_string()));
        match answer {
            Some(answer) => web.serve(QUESTIONS, answer.to_string()),
            None => web,
        }
    }

    /// The server by its provider's name. It is asked about tokens if there is an answer.
    fn server(&self, answer: Option<&Value>) -> AuthorizationServer {
        let parameters = self.0["parameters"].as_object().expect("parameters").iter();
        let parameters = parameters.map(|(name, value)| (&**name, value.as_str().expect("text")));
        let provider = self.0["provider"].as_str().expect("a name");
        let server = AuthorizationServer::provider(provider, parameters).fetch(self.web(answer));
        match answer {
            Some(_) => {
                let asking = Introspection::basic("id", "secret").endpoint(QUESTIONS);
                server.introspection(asking.introspect_jwts())
            }
            None => server,
        }
    }

    /// The resource at the time of the recording.
    fn protected(&self, answer: Option<&Value>) -> McpAuth {
        let seconds = self.0["time"].as_u64().expect("a time");
        let clock = ManualClock::at(UNIX_EPOCH + Duration::from_secs(seconds));
        McpAuth::builder(self.0["resource"].as_str().expect("a URL"))
            .authorization_server(self.server(answer).clock(clock.clone()))
            .dpop(Dpop::optional())
            .clock(clock)
            .build()
            .expect("a description")
    }

    async fn admit(
        &self,
        name: &str,
        headers: &HeaderMap,
        is_asked: bool,
    ) -> Result<AuthInfo, Denial> {
        let answer = self.token(name).get("introspection").filter(|_| is_asked);
        admit(&self.protected(answer), headers).await
    }

    /// The status with which the logout token is received, by a server that listens for logouts of `client`.
    async fn log_out(&self, auth: &McpAuth, client: &str) -> StatusCode {
        let form = format!("logout_token={}", self.0["logout"].as_str().expect("a token"));
        let request = Request::post("/security-events")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(form)))
            .expect("a request");
        let response = auth.security_event_receiver([client]).oneshot(request).await;
        response.unwrap_or_else(|never| match never {}).status()
    }

    /// Checks the outcome, and who the caller of an accepted token is.
    async fn check(&self, name: &str, is_asked: bool, expected: Outcome) {
        let recorded = self.token(name);
        let token = recorded["token"].as_str().expect("a token");
        let mut headers = bearer(token);
        if let Some(proof) = recorded["proof"].as_str() {
            headers.insert(AUTHORIZATION, format!("DPoP {token}").parse().expect("a header value"));
            headers.insert("dpop", proof.parse().expect("a header value"));
        }
        let label = format!("{}, {name}, asked: {is_asked}", self.0["product"]);
        match (self.admit(name, &headers, is_asked).await, expected) {
            (Ok(caller), Ok(scopes)) => {
                let claims = claims(token).unwrap_or_else(|| recorded["introspection"].clone());
                let client = claims.get("azp").or(claims.get("client_id"));
                assert_eq!(caller.subject(), claims["sub"], "{label}");
                assert_eq!(caller.client_id(), client.and_then(Value::as_str), "{label}");
                assert_eq!(caller.scopes().as_str(), scopes, "{label}");
            }
            (Err(denial), Err(reason)) => {
                assert_eq!(denial.reason(), Some(reason), "{label}: {denial}");
            }
            (found, expected) => panic!("{label}: {found:?} instead of {expected:?}"),
        }
    }
}

/// The claims of a JWT. `None` if the token is opaque.
fn claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    Some(serde_json::from_slice(&payload).expect("JSON"))
}

#[tokio::test]
async fn keycloak() {
    let recording = Recording::of("keycloak");
    for (name, is_asked, expected) in [
        ("user", false, Ok("openid read")),
        ("user", true, Ok("openid read")),
        ("lightweight", false, Ok("openid read")),
        ("lightweight", true, Ok("openid read")),
        ("machine", false, Ok("read")),
        ("of the next key", false, Ok("read")),
        ("bound", false, Ok("read")),
        ("for another resource", false, Err(Reason::Audience)),
        ("for another resource", true, Err(Reason::Inactive)),
        ("id", false, Err(Reason::Type)),
        ("refresh", false, Err(Reason::Algorithm)),
    ] {
        recording.check(name, is_asked, expected).await;
    }
}

/// Keycloak's logout token has the type `logout+jwt`, and names the user and the session.
#[tokio::test]
async fn a_logout_token_of_keycloak_ends_one_session() {
    let recording = Recording::of("keycloak");
    let auth = recording.protected(None);
    let bearer_of = |name| bearer(recording.token(name)["token"].as_str().expect("a token"));
    let (user, other) = (bearer_of("user"), bearer_of("lightweight")); // both are of alice
    for (client, status, outcome) in [
        ("another-client", StatusCode::BAD_REQUEST, None),
        ("notes-app", StatusCode::OK, Some(Reason::Inactive)),
    ] {
        assert_eq!(recording.log_out(&auth, client).await, status, "{client}");
        let refused = admit(&auth, &user).await.err();
        assert_eq!(refused.and_then(|denial| denial.reason()), outcome, "{client}");
        assert!(admit(&auth, &other).await.is_ok(), "{client}");
    }
    let logout = recording.0["logout"].as_str().expect("a token");
    let denial = admit(&recording.protected(None), &bearer(logout)).await.expect_err("refused");
    assert_eq!(denial.reason(), Some(Reason::Type), "it is not an access token");
}

#[tokio::test]
async fn spring() {
    let recording = Recording::of("spring");
    for (name, is_asked, expected) in [
        ("user", false, Ok("read openid")),
        ("machine", false, Ok("read")),
        ("bound", false, Ok("read")),
        ("for another resource", false, Err(Reason::Audience)),
        ("id", false, Err(Reason::Type)),
        ("opaque", true, Ok("read openid")),
        ("opaque", false, Err(Reason::Malformed)),
    ] {
        recording.check(name, is_asked, expected).await;
    }
}

#[tokio::test]
async fn ory_hydra() {
    let recording = Recording::of("hydra");
    for (name, is_asked, expected) in [
        ("user", false, Ok("openid offline read")),
        ("machine", false, Ok("read")),
        ("for another resource", false, Err(Reason::Audience)),
        ("for no resource", false, Err(Reason::Audience)),
        ("id", false, Err(Reason::Type)),
        ("opaque", true, Ok("openid offline read")),
        ("opaque", false, Err(Reason::Malformed)),
        ("refresh", true, Err(Reason::Type)), // active, and with the audience of its access token
        ("refresh", false, Err(Reason::Malformed)),
    ] {
        recording.check(name, is_asked, expected).await;
    }
}

/// A recording that nothing tests would prove nothing.
#[test]
fn each_recording_is_a_test_here() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/recorded");
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("the recordings")
        .map(|file| file.expect("a file").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["hydra.json", "keycloak.json", "spring.json"]);
}
