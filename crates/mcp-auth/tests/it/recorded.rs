//! Real tokens, metadata, key sets and introspection answers of authorization servers, as `e2e/run record` has recorded
//! them, at the time of the recording.

use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use http::header::{AUTHORIZATION, HeaderMap};
use mcp_auth::{
    AuthInfo, AuthorizationServer, Denial, Dpop, Introspection, ManualClock, McpAuth, Reason,
};
use serde_json::Value;

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
        let web = documents.fold(Web::default(), |web, (url, body)| web.serve(url, body.to_string()));
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

    async fn admit(&self, name: &str, headers: &HeaderMap, is_asked: bool) -> Result<AuthInfo, Denial> {
        let answer = self.token(name).get("introspection").filter(|_| is_asked);
        let seconds = self.0["time"].as_u64().expect("a time");
        let clock = ManualClock::new();
        clock.set(UNIX_EPOCH + Duration::from_secs(seconds));
        let auth = McpAuth::builder(self.0["resource"].as_str().expect("a URL"))
            .authorization_server(self.server(answer).clock(clock.clone()))
            .dpop(Dpop::optional())
            .clock(clock)
            .build()
            .expect("a description");
        admit(&auth, headers).await
    }

    /// Checks the outcome, and of an accepted token its subject too.
    async fn check(&self, name: &str, is_asked: bool, expected: Outcome) {
        let recorded = self.token(name);
        let token = recorded["token"].as_str().expect("a token");
        let mut headers = bearer(token);
        if let Some(proof) = recorded["proof"].as_str() {
            headers.insert(AUTHORIZATION, format!("DPoP {token}").parse().expect("a header value"));
            headers.insert("dpop", proof.parse().expect("a header value"));
        }
        let admitted = self.admit(name, &headers, is_asked).await;
        let label = format!("{}, {name}, asked: {is_asked}", self.0["product"]);
        match (admitted, expected) {
            (Ok(caller), Ok(scopes)) => assert_eq!(caller.scopes().as_str(), scopes, "{label}"),
            (Err(denial), Err(reason)) => {
                assert_eq!(denial.reason(), Some(reason), "{label}: {denial}");
            }
            (found, expected) => panic!("{label}: {found:?} instead of {expected:?}"),
        }
    }
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
