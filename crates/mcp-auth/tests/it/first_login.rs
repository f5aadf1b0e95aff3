//! What clients are told to ask for: at first, at an anonymous call, and when a tool needs more.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use mcp_auth::{
    AnyOf, AuthInfo, Challenge, Denial, Dpop, GuardedBody, McpAuth, McpAuthBuilder, Rule,
    ToolScopes,
};
use mcp_auth_testkit::TestIssuer;
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::logs::Log;
use crate::rmcp_world::{self, Mode, Visitor, app, whole};
use crate::world::{RESOURCE, answer, bearer, request, shown};

fn snapshot(name: &str, response: &Response<Bytes>) {
    insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "first_login" }, {
        insta::assert_snapshot!(name.replace(' ', "_"), shown(response));
    });
}

fn protected(issuer: &TestIssuer) -> McpAuthBuilder {
    let rules = ToolScopes::new()
        .tool("add_note", ["write"])
        .tool("export", AnyOf(["export", "admin"]))
        .tool("pay", Rule::from(["pay"]).claim("team", "a"))
        .tool("payroll", Rule::default().claim("team", "a"))
        .prompt("review", ["write"]);
    issuer.protects(RESOURCE).required_scopes(["read"]).tools(rules)
}

fn built(builder: McpAuthBuilder) -> McpAuth {
    builder.build().expect("a description")
}

fn call(id: &str, tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
}

async fn post(auth: &McpAuth, headers: HeaderMap, body: &str) -> Response<Bytes> {
    let mut request = request(headers);
    request.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    *request.body_mut() = Full::new(body.to_owned().into());
    answer(auth, request).await
}

fn challenge(response: &Response<Bytes>) -> Option<Challenge> {
    Challenge::parse(response.headers().get("www-authenticate")?.to_str().expect("text"))
}

fn asked(response: &Response<Bytes>) -> Option<String> {
    challenge(response)?.scope.map(|scope| scope.to_string())
}

#[tokio::test]
async fn the_first_challenge_asks_for_the_initial_scopes_and_admission_requires_less() {
    let issuer = TestIssuer::new();
    type Setting = fn(McpAuthBuilder) -> McpAuthBuilder;
    let rows: &[(Setting, &str, &str)] = &[
        (|it| it, "read", "read"),
        (|it| it.initial_scopes(["read", "write"]), "read write", "read write"),
        (|it| it.initial_scopes(["write", "export"]), "read write export", "read write export"),
        (|it| it.initial_scopes("write  export"), "read write export", "read write export"),
        (|it| it.initial_scopes([""; 0]), "read", "read"),
        (
            |it| it.initial_scopes(["write"]).metadata(|it| it.scopes_supported(["read"])),
            "read write",
            "read",
        ),
        (
            |it| it.initial_scopes(["write"]).requested_with_prefix("api://x/"),
            "api://x/read api://x/write",
            "api://x/read api://x/write",
        ),
    ];
    for (setting, first, published) in rows {
        let auth = built(setting(protected(&issuer)));
        let read = bearer(&issuer.token().scopes(["read"]).sign());
        for refused in [HeaderMap::new(), bearer(&issuer.token().expired().sign())] {
            let response = post(&auth, refused, &call("1", "whoami")).await;
            assert_eq!(
                (response.status().as_u16(), asked(&response).as_deref()),
                (401, Some(*first))
            );
        }
        let metadata: Value = serde_json::from_str(auth.metadata_json()).expect("JSON");
        assert_eq!(metadata["scopes_supported"], json!(published.split(' ').collect::<Vec<_>>()));
        assert_eq!(post(&auth, read.clone(), &call("1", "whoami")).await.status(), 200);
        assert_eq!(post(&auth, read, &call("1", "add_note")).await.status(), 403);
    }
    let auth = built(protected(&issuer).initial_scopes(["read", "write"]));
    snapshot("initial scopes", &post(&auth, HeaderMap::new(), &call("1", "whoami")).await);
    let broken = protected(&issuer).initial_scopes(["a\"b"]).build();
    assert!(broken.is_err(), "it could end the challenge");
}

#[tokio::test]
async fn an_anonymous_call_is_told_what_the_call_needs() {
    let issuer = TestIssuer::new();
    let auth = built(protected(&issuer).optional());
    for (body, expected) in [
        (call("1", "add_note"), Some("read write")),
        (call("1", "export"), Some("read export")),
        (call("1", "pay"), Some("read pay")),
        (call("1", "payroll"), Some("read")),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"review"}}"#.into(),
            Some("read write"),
        ),
        (format!("[{},{}]", call("1", "add_note"), call("2", "pay")), Some("read write pay")),
        (call("1", "whoami"), None),
    ] {
        let response = post(&auth, HeaderMap::new(), &body).await;
        let status = if expected.is_some() { 401 } else { 200 };
        assert_eq!(
            (response.status().as_u16(), asked(&response).as_deref()),
            (status, expected),
            "{body}"
        );
        let again = post(&auth, HeaderMap::new(), &body).await;
        assert_eq!(shown(&again), shown(&response), "byte for byte");
    }
    snapshot("anonymous call", &post(&auth, HeaderMap::new(), &call("1", "add_note")).await);
    let auth = built(protected(&issuer).optional().initial_scopes(["export"]));
    let response = post(&auth, HeaderMap::new(), &call("1", "add_note")).await;
    assert_eq!(asked(&response).as_deref(), Some("read export write"));
    // A token that is not valid is not anonymous: its request is not read.
    let response = post(&auth, bearer("x"), &call("1", "add_note")).await;
    assert_eq!(asked(&response).as_deref(), Some("read export"));
}

#[tokio::test]
async fn a_403_says_which_scopes_are_missing() {
    let issuer = TestIssuer::new();
    let sentence = "The access token does not grant the scopes that this operation requires";
    for (granted, tool, expected) in [
        ("read", "add_note", format!("{sentence}: write")),
        ("write", "add_note", format!("{sentence}: read")),
        ("", "add_note", format!("{sentence}: read write")),
        ("read", "export", format!("{sentence}: export")),
    ] {
        let auth = built(protected(&issuer));
        let token = issuer.token().claim("team", "a").scopes(granted.split(' ')).sign();
        let response = post(&auth, bearer(&token), &call("1", tool)).await;
        assert_eq!(response.status(), 403);
        let body: Value = serde_json::from_slice(response.body()).expect("JSON");
        assert_eq!(body["error_description"], json!(expected));
        let description = challenge(&response).and_then(|challenge| challenge.error_description);
        assert_eq!(description, Some(expected));
    }
    // By the names that clients request. A name that could pass for a parameter is left out.
    for (scope, expected) in
        [("write", format!("{sentence}: api://x/write")), ("scope=evil", sentence.to_owned())]
    {
        let rules = ToolScopes::new().tool("add_note", [scope]);
        let auth = issuer.protects(RESOURCE).tools(rules).requested_with_prefix("api://x/");
        let auth = built(auth);
        let token = issuer.token().scopes(["read"]).sign();
        let response = post(&auth, bearer(&token), &call("1", "add_note")).await;
        let description = challenge(&response).and_then(|challenge| challenge.error_description);
        assert_eq!(description, Some(expected));
    }
    let own = built(protected(&issuer)).challenge(&Denial::insufficient_scope(["a", "b"]));
    assert_eq!(own.and_then(|it| it.error_description), Some(format!("{sentence}: a b")));
}

#[tokio::test]
async fn a_call_that_lacks_a_scope_is_answered_by_a_tool_error() {
    let issuer = TestIssuer::new();
    let settings = || protected(&issuer).insufficient_scope_as_tool_error();
    let hinted = || settings().insufficient_scope_hint("Run `login notes` again.");
    let read = bearer(&issuer.token().scopes(["read"]).sign());
    let body = call("7", "add_note");
    let rows = [
        ("tool error", settings(), read.clone()),
        ("tool error with a hint", hinted(), read.clone()),
        ("tool error with a prefix", settings().requested_with_prefix("api://x/"), read.clone()),
        ("tool error where DPoP is offered", settings().dpop(Dpop::optional()), read.clone()),
        ("anonymous tool error", hinted().optional(), HeaderMap::new()),
        ("no tool error unless set", protected(&issuer), read.clone()),
        ("no tool error without a token", settings(), HeaderMap::new()),
    ];
    for (name, builder, headers) in rows {
        snapshot(name, &post(&built(builder), headers, &body).await);
    }

    // The challenge is that of the header, byte for byte.
    let (off, on) = (built(protected(&issuer).optional()), built(settings().optional()));
    for headers in [read.clone(), HeaderMap::new()] {
        let header = post(&off, headers.clone(), &body).await.headers()["www-authenticate"].clone();
        let response = post(&on, headers, &body).await;
        assert!(!response.headers().contains_key("www-authenticate"));
        let result: Value = serde_json::from_slice(response.body()).expect("JSON");
        let challenges = &result["result"]["_meta"]["mcp/www_authenticate"];
        assert_eq!(*challenges, json!([header.to_str().expect("text")]));
    }
}

#[tokio::test]
async fn only_a_single_call_of_a_tool_gets_a_tool_error() {
    let issuer = TestIssuer::new();
    let auth = built(protected(&issuer).insufficient_scope_as_tool_error().optional());
    let read = bearer(&issuer.token().scopes(["read"]).sign());
    let notification = r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"add_note"}}"#;
    for (body, alice, anonymous) in [
        (call("1", "add_note"), 200, 200),
        (call("\"a\"", "add_note"), 200, 200),
        (call("1e999", "add_note"), 200, 200),
        (call("18446744073709551616", "add_note"), 200, 200),
        // The answer to a batch is one, also of a single message.
        (format!("[{}]", call("1", "add_note")), 200, 200),
        (format!("[{},{}]", call("1", "add_note"), call("2", "add_note")), 403, 401),
        (format!("[{notification}]"), 403, 401),
        (notification.into(), 403, 401),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"review"}}"#.into(),
            403,
            401,
        ),
        // No scope would help: a JSON-RPC error, as without the setting.
        (call("1", "payroll"), 200, 200),
    ] {
        for (headers, expected) in [(read.clone(), alice), (HeaderMap::new(), anonymous)] {
            let is_anonymous = headers.is_empty();
            let response = post(&auth, headers, &body).await;
            assert_eq!(response.status(), expected, "{body}");
            let text = String::from_utf8_lossy(response.body());
            let is_forbidden = body.contains("payroll") && !is_anonymous;
            assert_eq!(
                text.contains(r#""isError":true"#),
                expected == 200 && !is_forbidden,
                "{text}"
            );
            if expected == 200 {
                let id = body.split("\"id\":").nth(1).and_then(|rest| rest.split(',').next());
                assert!(text.contains(&format!("\"id\":{},", id.expect("an id"))), "{text}");
                assert_eq!(
                    (text.starts_with('['), text.ends_with(']')),
                    (body.starts_with('['), body.starts_with('[')),
                    "{text}"
                );
            }
        }
    }
}

/// The decision is the same as without the setting.
#[tokio::test]
async fn a_tool_error_is_logged_as_the_403_that_it_replaces() {
    let issuer = TestIssuer::new();
    let auth = built(protected(&issuer).insufficient_scope_as_tool_error());
    let (log, _guard) = Log::at(tracing::Level::INFO);
    let read = bearer(&issuer.token().scopes(["read"]).sign());
    let response = post(&auth, read, &call("1", "add_note")).await;
    assert_eq!(response.extensions().get::<Denial>().map(Denial::code), Some("insufficient_scope"));
    let text = log.text();
    assert!(text.contains("refused: insufficient_scope") && text.contains("status=200"), "{text}");
}

/// A tool that refuses by itself, before or while the message passes through the layer.
#[tokio::test]
async fn a_refusal_by_the_tool_itself_is_a_tool_error_too() {
    let issuer = TestIssuer::new();
    let read = bearer(&issuer.token().scopes(["read"]).sign());
    let (with_rules, without): (fn(_) -> _, fn(_) -> _) =
        (|it: McpAuthBuilder| it.tools(ToolScopes::new().tool("pay", ["pay"])), |it| it);
    for rules in [with_rules, without] {
        for (is_set, body, expected) in [
            (true, call("7", "admin_tool"), 200),
            (false, call("7", "admin_tool"), 403),
            (true, format!("[{}]", call("7", "admin_tool")), 200),
            (true, format!("[{},{}]", call("7", "admin_tool"), call("8", "admin_tool")), 403),
            (
                true,
                r#"{"jsonrpc":"2.0","id":7,"method":"resources/read","params":{"uri":"a://b"}}"#
                    .into(),
                403,
            ),
        ] {
            let auth = rules(issuer.protects(RESOURCE));
            let auth = if is_set { auth.insufficient_scope_as_tool_error() } else { auth };
            let handler = service_fn(|request: Request<GuardedBody<Full<Bytes>>>| async move {
                let (parts, body) = request.into_parts();
                body.collect().await.expect("a body");
                let caller = parts.extensions.get::<AuthInfo>().expect("a caller");
                assert!(caller.require("admin").is_err());
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("done")))
            });
            let mut request = request(read.clone());
            *request.body_mut() = Full::new(body.clone().into());
            let response = built(auth).bearer_auth().layer(handler).oneshot(request).await;
            let response = response.unwrap_or_else(|never| match never {});
            assert_eq!(response.status(), expected, "{is_set} {body}");
            let text = response.into_body().collect().await.expect("a body").to_bytes();
            let text = String::from_utf8_lossy(&text);
            assert_eq!(text.contains(r#""isError":true"#), expected == 200, "{text}");
            assert!(text.contains("requires: admin"), "{text}");
            assert_eq!(text.starts_with('['), expected == 200 && body.starts_with('['), "{text}");
        }
    }
}

#[tokio::test]
async fn a_session_that_began_anonymously_goes_on_after_the_login() {
    let issuer = TestIssuer::new();
    let auth = built(issuer.protects(rmcp_world::RESOURCE).optional());
    let (app, _) = app(Some(&auth), Mode::Stateful);
    let visitor = |subject: Option<&str>| match subject {
        Some(subject) => Visitor::new(&app, &issuer.token().subject(subject).sign()),
        None => {
            let mut visitor = Visitor::new(&app, "");
            visitor.headers.remove("authorization");
            visitor
        }
    };
    let id = visitor(None).initialize().await;
    let lists = r#"{"jsonrpc":"2.0","id":5,"method":"tools/list"}"#;
    for (subject, expected) in [
        (None, 200),
        (Some("alice"), 200),
        (Some("alice"), 200),
        (Some("bob"), 404),
        (None, 404),
        (Some("alice"), 200),
    ] {
        let visitor = visitor(subject).in_session(&id);
        assert_eq!(visitor.post(lists).await.status(), expected, "{subject:?}");
    }
    let call = visitor(Some("alice")).in_session(&id).post(&rmcp_world::call("whoami")).await;
    assert!(whole(call).await.2.contains("you are alice"));
    for subject in [Some("bob"), None] {
        let ended = visitor(subject).in_session(&id).send(Method::DELETE, "").await;
        let unknown = visitor(subject).in_session("x").send(Method::DELETE, "").await;
        assert_eq!(whole(ended).await, whole(unknown).await);
    }
    assert_eq!(visitor(Some("alice")).in_session(&id).post(lists).await.status(), 200);

    // A session that a caller began is not another's after all.
    let id = visitor(Some("bob")).initialize().await;
    for (subject, expected) in [(None, 404), (Some("alice"), 404), (Some("bob"), 200)] {
        assert_eq!(visitor(subject).in_session(&id).post(lists).await.status(), expected);
    }
}

#[tokio::test]
async fn a_resource_that_asks_for_no_scope_says_so_at_start() {
    let issuer = TestIssuer::new();
    for (builder, says) in [
        (issuer.protects(RESOURCE), true),
        (issuer.protects(RESOURCE).required_scopes(["read"]), false),
        (issuer.protects(RESOURCE).initial_scopes(["read"]), false),
        (issuer.protects(RESOURCE).metadata(|it| it.scopes_supported(["read"])), false),
    ] {
        let (log, guard) = Log::at(tracing::Level::INFO);
        built(builder);
        drop(guard);
        assert_eq!(log.text().contains("`.initial_scopes(..)`"), says, "{}", log.text());
    }
}
