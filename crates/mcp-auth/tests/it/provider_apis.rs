//! GitHub and Google: the requests to their APIs, how many, how answers are validated, and what is never sent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::join_all;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT,
    WWW_AUTHENTICATE,
};
use http::{Method, Request, Response, StatusCode};
use mcp_auth::{
    AuthorizationServer, BoxFuture, Clock as _, ConfigError, DenialKind, Fetch, FetchError,
    Introspection, Limits, ManualClock, McpAuth, Reason,
};
use mcp_auth_testkit::TestIssuer;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::world::{RESOURCE, admit, answer, bearer, request, status};

const APP: &str = "Iv1.8a61f9b3a7aba766";
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef01234567";
const CLIENT: &str = "123-abc.apps.googleusercontent.com";
const SECOND: Duration = Duration::from_secs(1);

/// The outcome for a token. The reason is `None` if the API is unavailable.
type Judged = Result<(), Option<Reason>>;

/// A provider, with all that is needed to simulate its API.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Who {
    GitHub,
    GitHubEnterprise,
    Google,
}

use Who::{GitHub, GitHubEnterprise, Google};

impl Who {
    pub(crate) const ALL: [Self; 3] = [GitHub, GitHubEnterprise, Google];

    fn server(self) -> AuthorizationServer {
        match self {
            GitHub => AuthorizationServer::github(APP, SECRET),
            GitHubEnterprise => {
                AuthorizationServer::github_enterprise("https://github.example.com/", APP, SECRET)
            }
            Google => AuthorizationServer::google(["456-def.apps.googleusercontent.com", CLIENT]),
        }
    }

    fn fixture(self) -> Value {
        let text = match self {
            GitHub => include_str!("providers/github.json"),
            GitHubEnterprise => include_str!("providers/github_enterprise.json"),
            Google => include_str!("providers/google.json"),
        };
        serde_json::from_str(text).expect("JSON")
    }

    fn url(self) -> String {
        match self {
            GitHub => format!("https://api.github.com/applications/{APP}/token"),
            GitHubEnterprise => {
                format!("https://github.example.com/api/v3/applications/{APP}/token")
            }
            Google => "https://oauth2.googleapis.com/tokeninfo".to_owned(),
        }
    }

    pub(crate) fn token(self) -> &'static str {
        match self {
            GitHub => "gho_exampleexampleexampleexampleexam",
            GitHubEnterprise => "ghu_exampleexampleexampleexampleexam",
            Google => "ya29.a0-Example_token.0163",
        }
    }
}

/// A simulated API that knows some tokens and records the requests. Clones share their state.
#[derive(Clone)]
pub(crate) struct Api {
    who: Who,
    known: Arc<Mutex<HashMap<String, String>>>,
    trouble: watch::Sender<Option<Trouble>>,
    asked: Arc<Mutex<Vec<Request<Bytes>>>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    Down,
    Hang,
    Html(u16),
    Json(u16, &'static str),
    Redirect(u16),
    TooLarge,
}

impl Api {
    /// An API that knows the token of the fixture.
    pub(crate) fn of(who: Who) -> Self {
        let api = Self {
            who,
            known: Arc::default(),
            trouble: watch::Sender::new(None),
            asked: Arc::default(),
        };
        api.knows(who.token(), who.fixture()["answer"].to_string());
        api
    }

    /// An API that answers with a changed fixture.
    fn with(who: Who, change: impl FnOnce(&mut Value)) -> Self {
        let (api, mut answer) = (Self::of(who), who.fixture()["answer"].take());
        change(&mut answer);
        api.knows(who.token(), answer.to_string());
        api
    }

    fn knows(&self, token: &str, answer: String) {
        self.known.lock().expect("a map").insert(token.to_owned(), answer);
    }

    fn revoke(&self, token: &str) {
        self.known.lock().expect("a map").remove(token);
    }

    pub(crate) fn trouble(&self, trouble: Option<Trouble>) {
        self.trouble.send_replace(trouble);
    }

    fn asked(&self) -> usize {
        self.asked.lock().expect("a list").len()
    }

    fn server(&self, clock: &ManualClock) -> AuthorizationServer {
        self.who.server().fetch(self.clone()).clock(clock.clone())
    }

    pub(crate) fn protects(&self) -> (McpAuth, ManualClock) {
        let clock = ManualClock::new();
        (behind(self.server(&clock), &clock), clock)
    }

    /// Answers as the real API does.
    fn respond(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let headers = request.headers();
        let fixture = self.who.fixture();
        if request.method() != Method::POST || request.uri().to_string() != self.who.url() {
            return html(StatusCode::NOT_FOUND);
        }
        let token = if self.who == Google {
            assert_eq!(headers[CONTENT_TYPE], "application/x-www-form-urlencoded");
            assert!(!headers.contains_key(AUTHORIZATION));
            let body = std::str::from_utf8(request.body()).expect("text");
            body.strip_prefix("access_token=").expect("the only field").to_owned()
        } else {
            if !headers.contains_key(USER_AGENT) {
                return html(StatusCode::FORBIDDEN);
            }
            if headers.get(AUTHORIZATION).is_none_or(|given| *given != basic()) {
                return with_json(401, &json!({ "message": "Bad credentials" }));
            }
            let body: Value = serde_json::from_slice(request.body()).expect("JSON");
            assert_eq!(body.as_object().map(|members| members.len()), Some(1));
            body["access_token"].as_str().expect("a token").to_owned()
        };
        match self.known.lock().expect("a map").get(&token) {
            Some(answer) => Response::new(answer.clone().into()),
            None => {
                let status = fixture["unknown"]["status"].as_u64().expect("a status");
                with_json(status as u16, &fixture["unknown"]["body"])
            }
        }
    }
}

impl Fetch for Api {
    fn fetch(
        &self,
        request: Request<Bytes>,
        _: Limits,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        self.asked.lock().expect("a list").push(request.clone());
        Box::pin(async move {
            let mut trouble = self.trouble.subscribe();
            let trouble = *trouble
                .wait_for(|trouble| !matches!(trouble, Some(Trouble::Hang)))
                .await
                .expect("the sender is here");
            Ok(match trouble {
                None | Some(Trouble::Hang) => self.respond(&request),
                Some(Trouble::Down) => {
                    return Err(FetchError::Unreachable("connection refused".into()));
                }
                Some(Trouble::Html(status)) => html(StatusCode::from_u16(status).expect("one")),
                Some(Trouble::Json(status, body)) => {
                    let body = serde_json::from_str(body).expect("JSON");
                    with_json(status, &body)
                }
                Some(Trouble::Redirect(status)) => {
                    let mut response = with_json(status, &json!({ "url": "https://evil.example" }));
                    let place = HeaderValue::from_static("https://evil.example/token");
                    response.headers_mut().insert(LOCATION, place);
                    response
                }
                Some(Trouble::TooLarge) => {
                    let answer = self.respond(&request).into_body();
                    let spaces = " ".repeat(1 << 20);
                    Response::new([&answer[..], spaces.as_bytes()].concat().into())
                }
            })
        })
    }
}

fn basic() -> String {
    format!("Basic {}", STANDARD.encode(format!("{APP}:{SECRET}")))
}

fn html(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new("<!DOCTYPE html><title>Page not found</title>".into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

fn with_json(status: u16, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(body.to_string().into());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn behind(server: AuthorizationServer, clock: &ManualClock) -> McpAuth {
    let builder = McpAuth::builder(RESOURCE).authorization_server(server).clock(clock.clone());
    builder.build().expect("a description")
}

#[tokio::test]
async fn each_provider_api_is_called_correctly_and_its_answer_is_understood() {
    for who in Who::ALL {
        let api = Api::of(who);
        let (auth, _) = api.protects();
        let caller = admit(&auth, &bearer(who.token())).await;
        let caller = caller.unwrap_or_else(|denial| panic!("{who:?}: {denial}"));
        let expected = &who.fixture()["caller"];
        assert_eq!(caller.issuer(), expected["issuer"], "{who:?}");
        assert_eq!(caller.subject(), expected["subject"], "{who:?}");
        assert_eq!(json!(caller.client_id()), expected["client_id"], "{who:?}");
        assert_eq!(caller.scopes().as_str(), expected["scopes"], "{who:?}");

        let asked = api.asked.lock().expect("a list").clone();
        let [asked] = &asked[..] else { panic!("{who:?}: {asked:?}") };
        assert_eq!((asked.method(), asked.uri().to_string()), (&Method::POST, who.url()));
        assert!(!asked.uri().to_string().contains(who.token()));
        if who == Google {
            assert_eq!(asked.body(), "access_token=ya29.a0-Example_token.0163");
            continue;
        }
        let headers = asked.headers();
        assert_eq!(headers[AUTHORIZATION], basic());
        assert!(headers[AUTHORIZATION].is_sensitive());
        assert_eq!(headers[ACCEPT], "application/vnd.github+json");
        assert_eq!(headers[CONTENT_TYPE], "application/json");
        assert_eq!(headers["x-github-api-version"], "2022-11-28");
        assert!(headers[USER_AGENT].to_str().expect("text").starts_with("mcp-auth/"));
        assert_eq!(*asked.body(), json!({ "access_token": who.token() }).to_string());
    }
}

#[tokio::test]
async fn a_custom_header_replaces_the_default() {
    let api = Api::of(GitHub);
    let clock = ManualClock::new();
    let version = "x-github-api-version".parse().expect("a name");
    let server = api
        .server(&clock)
        .header(version, HeaderValue::from_static("2026-03-10"))
        .header(USER_AGENT, HeaderValue::from_static("notes"));
    assert_eq!(status(&behind(server, &clock), GitHub.token()).await, 200);
    let headers = api.asked.lock().expect("a list")[0].headers().clone();
    assert_eq!(
        (&headers["x-github-api-version"], &headers[USER_AGENT]),
        (&"2026-03-10".parse().expect("a value"), &"notes".parse().expect("a value"))
    );
    assert_eq!(headers.get_all(USER_AGENT).iter().count(), 1);
}

#[tokio::test]
async fn a_token_of_another_app_is_refused_unless_dangerously_allowed() {
    let other = "Iv1.0000000000000000";
    let api = Api::with(GitHub, |it| it["app"]["client_id"] = json!(other));
    type Change = fn(AuthorizationServer) -> AuthorizationServer;
    let rows: [(Change, u16); 4] = [
        (|it| it, 401),
        (|it| it.audience("Iv1.0000000000000000"), 401),
        (|it| it.scope_claims(["app"]), 401),
        (|it| it.dangerous_clients_instead_of_audience(["Iv1.0000000000000000"]), 200),
    ];
    for (change, expected) in rows {
        let clock = ManualClock::new();
        let builder = McpAuth::builder(RESOURCE).audience(other).clock(clock.clone());
        let auth = builder.authorization_server(change(api.server(&clock))).build();
        assert_eq!(status(&auth.expect("a description"), GitHub.token()).await, expected);
    }
}

#[tokio::test]
async fn claims_are_those_of_the_answer_without_the_token() {
    #[derive(serde::Deserialize)]
    struct Said {
        app: App,
        user: User,
        created_at: String,
    }
    #[derive(serde::Deserialize)]
    struct App {
        name: String,
        client_id: String,
    }
    #[derive(serde::Deserialize)]
    struct User {
        login: String,
        email: Option<String>,
    }
    let api = Api::with(GitHub, |it| {
        it["user"]["email"] = json!("octo@example.com");
        it["expires_at"] = json!("2026-07-28T08:00:00Z");
        it["a_new_member"] = json!(GitHub.token());
    });
    let (auth, _) = api.protects();
    let caller = admit(&auth, &bearer(GitHub.token())).await.expect("admitted");
    let said: Said = caller.claims().expect("what GitHub says");
    assert_eq!((&*said.app.name, &*said.app.client_id), ("notes", APP));
    assert_eq!(
        (&*said.user.login, said.user.email.as_deref()),
        ("octocat", Some("octo@example.com"))
    );
    assert_eq!(said.created_at, "2026-07-20T08:00:00Z");
    let claims = caller.claims_json();
    for secret in [GitHub.token(), "25f94a2a", "mpleexam\"", "hashed_token", "token_last_eight"] {
        assert!(!claims.contains(secret), "{secret} in {claims}");
    }
    assert!(serde_json::from_str::<Value>(claims).expect("JSON").get("token").is_none());

    let (auth, _) = Api::with(Google, |it| it["a_new_member"] = json!(Google.token())).protects();
    let caller = admit(&auth, &bearer(Google.token())).await.expect("admitted");
    let claims: Value = caller.claims().expect("JSON");
    assert_eq!(
        (&claims["email"], &claims["exp"]),
        (&json!("a@example.com"), &json!(1_785_200_399))
    );
    assert!(!caller.claims_json().contains("ya29"), "{claims}");
}

#[tokio::test]
async fn github_answers_are_validated() {
    const UNAVAILABLE: Option<Reason> = None;
    let set = |path: &'static str, value: Value| {
        move |it: &mut Value| *it.pointer_mut(path).expect(path) = value
    };
    let remove = |name: &'static str| {
        move |it: &mut Value| drop(it.as_object_mut().expect("an object").remove(name))
    };
    type Change = Box<dyn FnOnce(&mut Value)>;
    let rows: Vec<(&str, Change, Judged)> = vec![
        ("as it is", Box::new(|_| ()), Ok(())),
        ("no scopes, as GitHub Apps", Box::new(set("/scopes", json!(null))), Ok(())),
        ("scopes absent", Box::new(remove("scopes")), Ok(())),
        ("empty scopes", Box::new(set("/scopes", json!([]))), Ok(())),
        ("scopes are a number", Box::new(set("/scopes", json!(1))), Err(UNAVAILABLE)),
        ("a scope is a number", Box::new(set("/scopes", json!([1]))), Err(UNAVAILABLE)),
        ("expires_at absent", Box::new(remove("expires_at")), Ok(())),
        ("it expires later", Box::new(set("/expires_at", json!("2026-07-28T00:00:01Z"))), Ok(())),
        (
            "in another zone",
            Box::new(set("/expires_at", json!("2026-07-27T18:00:01.5-07:00"))),
            Ok(()),
        ),
        (
            "it expired",
            Box::new(set("/expires_at", json!("2026-07-27T23:58:00Z"))),
            Err(Some(Reason::Expired)),
        ),
        (
            "it expired long ago",
            Box::new(set("/expires_at", json!("1969-07-20T20:17:40Z"))),
            Err(Some(Reason::Expired)),
        ),
        (
            "expires_at is nonsense",
            Box::new(set("/expires_at", json!("tomorrow"))),
            Err(UNAVAILABLE),
        ),
        (
            "expires_at is no day",
            Box::new(set("/expires_at", json!("2027-02-29T00:00:00Z"))),
            Err(UNAVAILABLE),
        ),
        (
            "expires_at is a number",
            Box::new(set("/expires_at", json!(4_102_444_800_u64))),
            Err(UNAVAILABLE),
        ),
        (
            "another app's",
            Box::new(set("/app/client_id", json!("Iv1.0000000000000000"))),
            Err(Some(Reason::Audience)),
        ),
        (
            "another app's, in another case",
            Box::new(set("/app/client_id", json!("IV1.8A61F9B3A7ABA766"))),
            Err(Some(Reason::Audience)),
        ),
        (
            "an app without a name",
            Box::new(set("/app/client_id", json!(""))),
            Err(Some(Reason::Audience)),
        ),
        ("app absent", Box::new(remove("app")), Err(UNAVAILABLE)),
        ("app is null", Box::new(set("/app", json!(null))), Err(UNAVAILABLE)),
        ("app is a text", Box::new(set("/app", json!(APP))), Err(UNAVAILABLE)),
        ("client_id absent", Box::new(set("/app", json!({ "name": "notes" }))), Err(UNAVAILABLE)),
        ("client_id is null", Box::new(set("/app/client_id", json!(null))), Err(UNAVAILABLE)),
        ("client_id is a list", Box::new(set("/app/client_id", json!([APP]))), Err(UNAVAILABLE)),
        (
            "no user: from server to server",
            Box::new(set("/user", json!(null))),
            Err(Some(Reason::Claims)),
        ),
        ("user absent", Box::new(remove("user")), Err(Some(Reason::Claims))),
        ("user is a text", Box::new(set("/user", json!("octocat"))), Err(UNAVAILABLE)),
        (
            "user without id",
            Box::new(set("/user", json!({ "login": "octocat" }))),
            Err(UNAVAILABLE),
        ),
        ("id is a text", Box::new(set("/user/id", json!("583231"))), Err(UNAVAILABLE)),
        ("id is null", Box::new(set("/user/id", json!(null))), Err(UNAVAILABLE)),
        ("id is a fraction", Box::new(set("/user/id", json!(1.5))), Err(UNAVAILABLE)),
        ("id is negative", Box::new(set("/user/id", json!(-1))), Err(UNAVAILABLE)),
        ("id is a power", Box::new(set("/user/id", json!(1e30))), Err(UNAVAILABLE)),
        (
            "members of other issuers do nothing",
            Box::new(|it| {
                it["sub"] = json!("root");
                it["aud"] = json!(RESOURCE);
                it["client_id"] = json!("another");
                it["iss"] = json!("https://evil.example");
                it["scope"] = json!("admin");
                it["exp"] = json!(1);
                it["active"] = json!(false);
                it["cnf"] = json!({ "jkt": "x" });
            }),
            Ok(()),
        ),
    ];
    for (name, change, expected) in rows {
        let (auth, _) = Api::with(GitHub, change).protects();
        let admitted = admit(&auth, &bearer(GitHub.token())).await;
        let judged = admitted.as_ref().map(drop).map_err(|denial| denial.reason());
        assert_eq!(judged, expected, "{name}: {admitted:?}");
        match admitted {
            Ok(caller) => {
                assert_eq!((caller.subject(), caller.client_id()), ("583231", Some(APP)), "{name}");
                assert!(!caller.scopes().contains("admin"), "{name}");
            }
            Err(denial) => {
                let is_unavailable = matches!(denial.kind(), DenialKind::Unavailable { .. });
                assert_eq!(is_unavailable, expected == Err(UNAVAILABLE), "{name}: {denial}");
            }
        }
    }
}

#[tokio::test]
async fn google_answers_are_validated() {
    const UNAVAILABLE: Option<Reason> = None;
    let other = "789-ghi.apps.googleusercontent.com";
    let rows: Vec<(&str, &str, Value, Judged)> = vec![
        ("as it is", "access_type", json!("online"), Ok(())),
        ("another client's", "aud", json!(other), Err(Some(Reason::Audience))),
        ("got by another client", "azp", json!(other), Err(Some(Reason::Audience))),
        ("got by our other client", "azp", json!("456-def.apps.googleusercontent.com"), Ok(())),
        ("azp absent", "azp", Value::Null, Ok(())),
        ("azp is a number", "azp", json!(1), Err(Some(Reason::Claims))),
        ("aud absent", "aud", Value::Null, Err(UNAVAILABLE)),
        ("aud is a list", "aud", json!([CLIENT, other]), Err(UNAVAILABLE)),
        ("aud is empty", "aud", json!(""), Err(Some(Reason::Audience))),
        ("without the scope openid", "sub", Value::Null, Err(Some(Reason::Claims))),
        ("sub is empty", "sub", json!(""), Err(Some(Reason::Claims))),
        ("sub is a number", "sub", json!(1076), Err(Some(Reason::Claims))),
        ("exp is a number", "exp", json!(1_785_200_399), Ok(())),
        ("exp absent", "exp", Value::Null, Err(UNAVAILABLE)),
        ("exp is nonsense", "exp", json!("soon"), Err(UNAVAILABLE)),
        ("exp is negative", "exp", json!("-1"), Err(UNAVAILABLE)),
        ("exp is zero", "exp", json!("0"), Err(UNAVAILABLE)),
        ("exp has a sign", "exp", json!("+1785200399"), Err(UNAVAILABLE)),
        ("exp is too large", "exp", json!("99999999999999999999"), Err(UNAVAILABLE)),
        ("it expired", "exp", json!("1785196700"), Err(Some(Reason::Expired))),
        ("scope absent", "scope", Value::Null, Ok(())),
        ("scope is a number", "scope", json!(1), Err(Some(Reason::Claims))),
        ("members of other issuers do nothing", "cnf", json!({ "jkt": "x" }), Ok(())),
        ("nor this", "iss", json!("https://evil.example"), Ok(())),
    ];
    for (name, member, value, expected) in rows {
        let api = Api::with(Google, |it| {
            let members = it.as_object_mut().expect("an object");
            match value {
                Value::Null => drop(members.remove(member)),
                value => drop(members.insert(member.to_owned(), value)),
            }
        });
        let (auth, _) = api.protects();
        let admitted = admit(&auth, &bearer(Google.token())).await;
        let judged = admitted.as_ref().map(drop).map_err(|denial| denial.reason());
        assert_eq!(judged, expected, "{name}: {admitted:?}");
        if name == "without the scope openid" {
            let denial = admitted.expect_err(name);
            let detail = denial.operator_detail().unwrap_or_default();
            assert!(detail.contains("the scope `openid`"), "{detail}");
        }
    }
}

#[tokio::test]
async fn an_unreadable_answer_is_503() {
    for who in Who::ALL {
        let good = who.fixture()["answer"].to_string();
        let inner = |object: &str, json: &str| {
            let mut answer = who.fixture()["answer"].take();
            answer[object] = json!("here");
            answer.to_string().replace(r#""here""#, json)
        };
        let twice = good.replacen('{', r#"{"aud":"x","app":{},"#, 1);
        let mut rows = vec![
            String::new(),
            "null".into(),
            "true".into(),
            "{}".into(),
            format!("[{good}]"),
            format!("{good}{good}"),
            good[..good.len() - 1].to_owned(),
            twice,
            "<!DOCTYPE html>".into(),
            "\u{feff}{}".into(),
        ];
        if who != Google {
            let app = format!(r#"{{"client_id":"other","client_id":"{APP}"}}"#);
            let escaped = format!(r#"{{"client_id":"{APP}","\u0063lient_id":"other"}}"#);
            rows.extend([inner("app", &app), inner("app", &escaped)]);
            rows.push(inner("user", r#"{"id":1,"id":583231}"#));
        }
        for row in rows {
            let api = Api::of(who);
            api.knows(who.token(), row.clone());
            let (auth, _) = api.protects();
            assert_eq!(status(&auth, who.token()).await, 503, "{who:?}: {row}");
        }
    }
}

#[tokio::test]
async fn an_unknown_token_is_401_and_not_introspected_again_at_once() {
    for who in Who::ALL {
        let api = Api::of(who);
        let (auth, clock) = api.protects();
        let unknown = format!("{}x", who.token());
        for _ in 0..10 {
            let denial = admit(&auth, &bearer(&unknown)).await.expect_err("unknown");
            assert_eq!(denial.reason(), Some(Reason::Inactive), "{who:?}: {denial}");
            clock.advance(SECOND);
        }
        assert_eq!(api.asked(), 1, "{who:?}");
    }
    // GitHub documents its 422: "Validation failed, or the endpoint has been spammed."
    let api = Api::of(GitHub);
    api.trouble(Some(Trouble::Json(422, r#"{"message":"Validation Failed"}"#)));
    assert_eq!(status(&api.protects().0, GitHub.token()).await, 401);
}

#[tokio::test]
async fn a_token_of_another_form_is_never_sent() {
    let long = |n: usize| "a".repeat(n);
    let jwt = TestIssuer::new().token().claim("iss", "https://accounts.google.com").sign();
    for token in [
        "ghp_exampleexampleexampleexampleexam",
        "ghs_exampleexampleexampleexampleexam",
        "ghr_exampleexampleexampleexampleexam",
        "github_pat_11EXAMPLE",
        "GHO_exampleexampleexampleexampleexam",
        "gho",
        "gho_",
        "gho-example",
        "gho_exam.ple",
        "gho_exam/ple",
        "gho_exam+ple",
        "gho_example=",
        "xgho_example",
        "ya29.a0-Example_token",
        "../../etc/passwd",
        &format!("gho_{}", long(252)),
        &jwt,
    ] {
        for who in [GitHub, GitHubEnterprise] {
            let api = Api::of(who);
            let denial = admit(&api.protects().0, &bearer(token)).await.expect_err(token);
            assert_eq!(denial.reason(), Some(Reason::Malformed), "{token}: {denial}");
            let detail = denial.operator_detail().unwrap_or_default();
            assert!(detail.contains("`gho_`"), "{detail}");
            assert!(token.len() < 9 || !detail.contains(token), "{detail}");
            assert_eq!(api.asked(), 0, "{token}");
        }
    }
    for token in [&*jwt, &format!("ya29.{}", long(2044))] {
        let api = Api::of(Google);
        let denial = admit(&api.protects().0, &bearer(token)).await.expect_err("not its form");
        assert_eq!(denial.reason(), Some(Reason::Malformed), "{token}: {denial}");
        let detail = denial.operator_detail().unwrap_or_default();
        assert!(detail.contains("ID token") && !detail.contains(token), "{detail}");
        assert_eq!(api.asked(), 0, "{token}");
    }
    for (who, token) in [
        (GitHub, format!("gho_{}", long(251))),
        (GitHub, "ghu_A_b_9".to_owned()),
        (Google, format!("ya29.{}", long(2043))),
        (Google, "1/fFAGRNJru1FTz70BzhT3Zg".to_owned()),
    ] {
        let api = Api::of(who);
        assert_eq!((status(&api.protects().0, &token).await, api.asked()), (401, 1), "{token}");
    }
}

#[tokio::test]
async fn a_token_with_a_provider_prefix_is_sent_to_that_provider_only() {
    let clock = ManualClock::new();
    let (google, github) = (Api::of(Google), Api::of(GitHub));
    let asking = Introspection::basic("id", "secret").endpoint("https://login.test/introspect");
    let other = Api::of(Google);
    let server = AuthorizationServer::external("https://login.test").introspection(asking);
    other.trouble(Some(Trouble::Json(200, r#"{"active":false}"#)));
    let auth = McpAuth::builder(RESOURCE)
        .authorization_server(server.fetch(other.clone()).clock(clock.clone()))
        .authorization_server(google.server(&clock))
        .authorization_server(github.server(&clock))
        .clock(clock.clone())
        .build()
        .expect("a description");
    assert_eq!(status(&auth, GitHub.token()).await, 200);
    assert_eq!(status(&auth, "gho_unknown").await, 401);
    assert_eq!((other.asked(), google.asked(), github.asked()), (0, 0, 2));
    assert_eq!(status(&auth, Google.token()).await, 200);
    assert_eq!((other.asked(), google.asked(), github.asked()), (1, 1, 2));
    assert_eq!(status(&auth, "ghp_personal").await, 401);
    assert_eq!(github.asked(), 2, "a personal token is of no app");
}

#[tokio::test]
async fn a_jwt_causes_no_request_to_the_provider() {
    let issuer = TestIssuer::new();
    for who in Who::ALL {
        let api = Api::of(who);
        let clock = ManualClock::new();
        let auth = McpAuth::builder(RESOURCE)
            .authorization_server(api.server(&clock))
            .authorization_server(issuer.authorization_server())
            .clock(clock.clone())
            .build()
            .expect("a description");
        for iss in [who.server().issuer(), "https://github.com", "https://evil.example"] {
            let token = issuer.token().claim("iss", iss).audience(CLIENT).sign();
            let denial = admit(&auth, &bearer(&token)).await.expect_err(iss);
            assert_eq!(denial.reason(), Some(Reason::Issuer), "{who:?}: {iss}");
        }
        assert_eq!(status(&auth, &issuer.token().sign()).await, 200, "{who:?}");
        assert_eq!(api.asked(), 0, "{who:?}");
    }
}

#[tokio::test]
async fn a_thousand_requests_with_one_token_cause_one_introspection() {
    for who in Who::ALL {
        let api = Api::of(who);
        let (auth, _) = api.protects();
        api.trouble(Some(Trouble::Hang));
        let all = join_all((0..1000).map(|_| status(&auth, who.token())));
        let recovery = async {
            while api.asked() == 0 {
                tokio::task::yield_now().await;
            }
            api.trouble(None);
        };
        let (answers, ()) = tokio::join!(all, recovery);
        assert!(answers.iter().all(|status| *status == 200), "{who:?}");
        assert_eq!((status(&auth, who.token()).await, api.asked()), (200, 1), "{who:?}");
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_after_cache_for() {
    type Change = fn(Introspection) -> Introspection;
    let rows: [(Change, u64); 3] =
        [(|it| it, 60), (|it| it.cache_for(5 * SECOND), 5), (|it| it.cache_for(Duration::ZERO), 0)];
    for (who, (change, seconds)) in Who::ALL.into_iter().flat_map(|it| rows.map(|row| (it, row))) {
        let (api, clock) = (Api::of(who), ManualClock::new());
        let auth = behind(api.server(&clock).map_introspection(change), &clock);
        assert_eq!(status(&auth, who.token()).await, 200);
        api.revoke(who.token());
        for _ in 0..seconds {
            assert_eq!(status(&auth, who.token()).await, 200, "{who:?}: remembered");
            clock.advance(SECOND);
        }
        assert_eq!(status(&auth, who.token()).await, 401, "{who:?}: after {seconds} s");
    }
}

#[tokio::test]
async fn no_answer_is_cached_past_exp() {
    let api = Api::with(GitHub, |it| it["expires_at"] = json!("2026-07-28T00:00:10Z"));
    let (auth, clock) = api.protects();
    let caller = admit(&auth, &bearer(GitHub.token())).await.expect("admitted");
    assert_eq!(caller.expires_at(), Some(clock.now() + 10 * SECOND));
    clock.advance(9 * SECOND);
    assert_eq!((status(&auth, GitHub.token()).await, api.asked()), (200, 1));
    clock.advance(SECOND);
    assert_eq!((status(&auth, GitHub.token()).await, api.asked()), (200, 2), "leeway");
    clock.advance(60 * SECOND);
    assert_eq!(status(&auth, GitHub.token()).await, 401);
}

/// Every way in which an API can fail, and a part of the advice that the operator gets.
const TROUBLES: [(Trouble, &str); 17] = [
    (Trouble::Down, "check that it is up"),
    (Trouble::Hang, "check that it is up"),
    (Trouble::Html(200), "is it the right URL?"),
    (Trouble::Html(400), "is it the right URL?"),
    (Trouble::Html(404), "is it the right URL?"),
    (Trouble::Html(422), "is it the right URL?"),
    (Trouble::Html(500), "check that it is up"),
    (Trouble::Html(502), "check that it is up"),
    (Trouble::Html(503), "check that it is up"),
    (Trouble::Json(400, r#"{"error":"invalid_request"}"#), "is it the right URL?"),
    (Trouble::Json(401, r#"{"message":"Bad credentials"}"#), "credentials"),
    (Trouble::Json(403, r#"{"message":"API rate limit exceeded"}"#), "cache answers longer"),
    (
        Trouble::Json(429, r#"{"message":"You have exceeded a secondary rate limit"}"#),
        "cache answers longer",
    ),
    (Trouble::Json(404, r#"["Not Found"]"#), "is it the right URL?"),
    (Trouble::Redirect(301), "a redirect, which is not followed"),
    (Trouble::Redirect(307), "a redirect, which is not followed"),
    (Trouble::TooLarge, "check that it is up"),
];

#[tokio::test(start_paused = true)]
async fn an_outage_is_503_not_401_and_the_operator_detail_says_what_to_change() {
    for (who, (trouble, words)) in
        Who::ALL.into_iter().flat_map(|who| TROUBLES.map(|row| (who, row)))
    {
        let api = Api::of(who);
        let (auth, clock) = api.protects();
        let new = format!("{}new", who.token());
        api.knows(&new, who.fixture()["answer"].to_string());
        assert_eq!(status(&auth, who.token()).await, 200);
        api.trouble(Some(trouble));
        assert_eq!(status(&auth, who.token()).await, 200, "what is remembered passes");
        let denial = admit(&auth, &bearer(&new)).await.expect_err("no answer");
        let detail = denial.operator_detail().unwrap_or_default();
        assert!(detail.contains(words), "{who:?} {trouble:?}: {detail}");
        for _ in 0..20 {
            let response = answer(&auth, request(bearer(&new))).await;
            assert_eq!(response.status(), 503, "{who:?} {trouble:?}");
            assert!(response.headers().contains_key(RETRY_AFTER), "{who:?} {trouble:?}");
            assert!(!response.headers().contains_key(WWW_AUTHENTICATE), "{who:?} {trouble:?}");
        }
        assert_eq!(api.asked(), 2, "{who:?} {trouble:?}: not asked again at once");
        api.trouble(None);
        clock.advance(SECOND);
        assert_eq!(status(&auth, &new).await, 200, "{who:?} {trouble:?}");
        let asked = api.asked.lock().expect("a list");
        assert!(asked.iter().all(|it| it.uri().to_string() == who.url()), "{trouble:?}");
    }
}

#[tokio::test]
async fn refused_credentials_or_a_rate_limit_pause_all_introspection() {
    for status_code in [401, 403, 429] {
        let api = Api::of(GitHub);
        let (auth, _) = api.protects();
        api.trouble(Some(Trouble::Json(status_code, r#"{"message":"no"}"#)));
        for i in 0..100 {
            assert_eq!(status(&auth, &format!("gho_{i}")).await, 503);
        }
        assert_eq!(api.asked(), 1, "{status_code}");
    }
}

#[tokio::test]
async fn providers_with_an_api_are_ready_without_any_fetch() {
    for who in Who::ALL {
        let api = Api::of(who);
        let (auth, _) = api.protects();
        assert!(auth.readiness().is_ready(), "{who:?}");
        auth.warm_up().await.expect("there is nothing to fetch");
        assert_eq!(api.asked(), 0, "{who:?}");
        let metadata = auth.metadata_json();
        let published: Value = serde_json::from_str(metadata).expect("JSON");
        let issuer = &who.fixture()["caller"]["issuer"];
        assert_eq!(published["authorization_servers"], json!([issuer]), "{who:?}");
    }
}

#[tokio::test]
async fn server_metadata_is_still_available_for_old_clients() {
    let document = json!({
        "issuer": "https://github.com/login/oauth",
        "authorization_endpoint": "https://github.com/login/oauth/authorize",
        "token_endpoint": "https://github.com/login/oauth/access_token",
    });
    let place = "https://github.com/.well-known/oauth-authorization-server/login/oauth";
    let web = crate::world::Web::default().serve(place, document.to_string());
    let server = AuthorizationServer::github(APP, SECRET).fetch(web.clone());
    let metadata = server.metadata().await.expect("the document");
    assert_eq!(metadata.document()["token_endpoint"], document["token_endpoint"]);
    assert_eq!(web.asked_for(), [place]);
}

#[test]
fn build_rejects_invalid_settings() {
    type Server = AuthorizationServer;
    let github = || Server::github(APP, SECRET);
    let built = |server: Server| McpAuth::builder(RESOURCE).authorization_server(server).build();
    assert!(built(github()).is_ok() && built(Server::google([CLIENT])).is_ok());
    for (server, word) in [
        (Server::github("", SECRET), "environment variable"),
        (Server::github(APP, ""), "secret is empty"),
        (Server::github("Iv1/../user", SECRET), "`client_id`"),
        (Server::github("Iv1?x", SECRET), "`client_id`"),
        (Server::github("Iv1 x", SECRET), "`client_id`"),
        (Server::github_enterprise("", APP, SECRET), "`url`"),
        (Server::github_enterprise("http://github.example.com", APP, SECRET), "https"),
        (Server::google([""; 0]), "Google"),
        (Server::google([CLIENT, ""]), "environment variable"),
        (Server::provider("github", [("client", APP)]), "AuthorizationServer::github"),
        (Server::provider("google", []), "AuthorizationServer::google"),
        (github().introspection(Introspection::basic(APP, SECRET)), "map_introspection"),
        (github().map_introspection(|it| it.signed_responses()), "RFC 7662"),
        (github().map_introspection(|it| it.introspect_jwts()), "RFC 7662"),
        (github().map_introspection(|it| it.dangerous_audience_if_absent(RESOURCE)), "RFC 7662"),
        (github().map_introspection(|it| it.endpoint("http://api.github.com")), "https"),
    ] {
        let error = built(server).expect_err(word).to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
    let twice = McpAuth::builder(RESOURCE)
        .authorization_server(github())
        .authorization_server(Server::github("Iv1.other", SECRET));
    assert!(matches!(twice.build().err(), Some(ConfigError::Issuer(_))));
    let plain = Server::discover("https://auth.example.com");
    assert!(built(plain.map_introspection(|it| it.cache_for(SECOND))).is_ok(), "nothing to change");
}

#[test]
fn debug_shows_no_client_secret() {
    for who in Who::ALL {
        let shown = format!("{:?} {:#?}", who.server(), who.server());
        assert!(!shown.contains(SECRET), "{shown}");
    }
}
