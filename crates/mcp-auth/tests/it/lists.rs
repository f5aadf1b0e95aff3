//! Filtered lists: a caller sees only what it may use, in every mode of a real server and in any other answer.

use std::convert::Infallible;
use std::future::ready;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use mcp_auth::{ListItemKind, McpAuth};
use mcp_auth_testkit::TestIssuer;
use serde_json::Value;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::rmcp_world::{Mode, RESOURCE, Visitor, app, ids, whole};
use crate::streams::{EVENTS, data, next, streamed, streamed_later};
use crate::world::{bearer, request};

/// Hides the tool `slow` from callers without the scope `slow`.
fn filtering(issuer: &TestIssuer) -> McpAuth {
    let auth = issuer.protects(RESOURCE).list_only(|caller, listed, name| {
        assert_eq!(listed, ListItemKind::Tool);
        name != "slow" || caller.is_some_and(|caller| caller.scopes().contains(name))
    });
    auth.build().expect("a description")
}

const LIST: &str = r#"{"jsonrpc":"2.0","id":5,"method":"tools/list"}"#;
const MODERN_LIST: &str = r#"{"jsonrpc":"2.0","id":5,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;

/// The `result` of a complete answer, in JSON or in events.
fn result(body: &str) -> Value {
    let data = body.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
    let message = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    message.map(|message| message["result"].clone()).find(Value::is_object).expect("a result")
}

fn names(result: &Value) -> Vec<&str> {
    let tools = result["tools"].as_array().expect("tools").iter();
    tools.map(|tool| tool["name"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn forbidden_items_are_not_listed_in_any_mode() {
    let issuer = TestIssuer::new();
    let auth = filtering(&issuer);
    for mode in [Mode::Stateful, Mode::Json, Mode::Stored] {
        let (router, _) = app(Some(&auth), mode);
        let (bare, _) = app(None, mode);
        for (scopes, expected) in
            [(&["slow"][..], &["ask", "slow", "whoami"][..]), (&[], &["ask", "whoami"])]
        {
            let token = issuer.token().scopes(scopes).sign();
            for is_modern in [false, true] {
                let answer = async |app| {
                    let visitor = Visitor::new(app, &token);
                    if is_modern {
                        let visitor = visitor.with("mcp-protocol-version", "2026-07-28");
                        return whole(
                            visitor.with("mcp-method", "tools/list").post(MODERN_LIST).await,
                        )
                        .await
                        .2;
                    }
                    let session = match mode {
                        Mode::Stateful => visitor.initialize().await,
                        _ => "none".to_owned(),
                    };
                    whole(visitor.in_session(&session).post(LIST).await).await.2
                };
                let (shown, all) = (answer(&router).await, answer(&bare).await);
                let (mut shown, mut all) = (result(&shown), result(&all));
                assert_eq!(names(&shown), expected, "{mode:?} {is_modern}");
                if is_modern {
                    assert_eq!(
                        (&shown["cacheScope"], &all["cacheScope"]),
                        (&"private".into(), &"public".into())
                    );
                }
                all["tools"]
                    .as_array_mut()
                    .expect("tools")
                    .retain(|tool| expected.iter().any(|name| tool["name"] == *name));
                for result in [&mut shown, &mut all] {
                    result.as_object_mut().expect("an object").remove("cacheScope");
                }
                assert_eq!(shown, all, "and nothing else has changed");
            }
        }
    }
}

#[tokio::test]
async fn a_list_that_is_replayed_is_filtered_as_well() {
    let issuer = TestIssuer::new();
    let (router, _) = app(Some(&filtering(&issuer)), Mode::Stored);
    let broad = Visitor::new(&router, &issuer.token().scopes(["slow"]).sign());
    let (_, _, events) = whole(broad.post(LIST).await).await;
    assert_eq!(names(&result(&events)), ["ask", "slow", "whoami"]);
    let narrow = Visitor::new(&router, &issuer.token().sign());
    let again = narrow.with("last-event-id", ids(&events)[0]).send(Method::GET, "").await;
    assert_eq!(names(&result(&whole(again).await.2)), ["ask", "whoami"]);
}

/// What the client receives if the inner server sends `answer` with these headers.
async fn through(
    method: Method,
    mut answer: Response<&'static str>,
    headers: &[(&'static str, &str)],
) -> Response<Bytes> {
    let issuer = TestIssuer::new();
    let auth = filtering(&issuer);
    for (name, value) in headers {
        answer.headers_mut().append(*name, value.parse().expect("a value"));
    }
    let answer = answer.map(|body| Full::new(Bytes::from_static(body.as_bytes())));
    let service = auth
        .bearer_auth()
        .layer(service_fn(move |_: Request<_>| ready(Ok::<_, Infallible>(answer.clone()))));
    let mut request = request(bearer(&issuer.token().sign()));
    *request.method_mut() = method;
    let (parts, body) = service.oneshot(request).await.expect("an answer").into_parts();
    Response::from_parts(parts, body.collect().await.expect("a body").to_bytes())
}

const ZIPPED: (&str, &str) = ("content-encoding", "gzip");
const IDENTITY: (&str, &str) = ("content-encoding", "Identity");
const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");
const TOOLS: &str =
    r#"{"id":1,"result":{"tools":[{"name":"a","n":1.0},{"name":"slow"}],"nextCursor":"2"}}"#;
const SHOWN: &str = r#"{"id":1,"result":{"tools":[{"name":"a","n":1.0}],"nextCursor":"2"}}"#;

/// The inner server's body, status and headers; then the client's status and body (`None`: the error of a 502).
type Row = (&'static str, u16, &'static [(&'static str, &'static str)], u16, Option<&'static str>);

#[tokio::test]
async fn answers_are_filtered_passed_on_or_502() {
    let call = r#"{ "id":1, "result": {"content":[], "n":12345678901234567890} }"#;
    let rows: [Row; 13] = [
        (TOOLS, 200, &[JSON], 200, Some(SHOWN)),
        (TOOLS, 200, &[("content-type", "Application/JSON"), IDENTITY], 200, Some(SHOWN)),
        (TOOLS, 200, &[("content-type", "application/vnd.mcp+json")], 200, Some(SHOWN)),
        (call, 200, &[JSON], 200, Some(call)),
        ("", 202, &[JSON], 202, Some("")),
        ("", 202, &[], 202, Some("")),
        (TOOLS, 200, &[JSON, ZIPPED], 502, None),
        (TOOLS, 200, &[EVENTS, ZIPPED], 502, None),
        ("{", 200, &[JSON], 502, None),
        (r#"{"result":{},"result":{"tools":[]}}"#, 200, &[JSON], 502, None),
        ("Not Found: Session not found", 404, &[JSON], 404, Some("Not Found: Session not found")),
        ("a page", 200, &[("content-type", "text/html")], 200, Some("a page")),
        (TOOLS, 200, &[("content-type", "text/plain")], 200, Some(TOOLS)), // which no client reads as a list
    ];
    for (i, (body, status, headers, expected, text)) in rows.into_iter().enumerate() {
        let mut answer = Response::new(body);
        *answer.status_mut() = status.try_into().expect("a status");
        let response = through(Method::POST, answer, headers).await;
        assert_eq!(response.status(), expected, "row {i}");
        if let Some(length) = response.headers().get("content-length") {
            assert_eq!(length.to_str().ok(), Some(&*response.body().len().to_string()), "row {i}");
        }
        match text {
            Some(text) => assert_eq!(response.body(), text, "row {i}"),
            None => {
                let body = String::from_utf8_lossy(response.body());
                assert!(
                    body.contains(r#""error":"bad_gateway""#) && !body.contains("slow"),
                    "{body}"
                );
            }
        }
    }
    let length = ("content-length", "1234");
    let response = through(Method::HEAD, Response::new(""), &[JSON, length]).await;
    assert_eq!(response.headers()["content-length"], "1234", "of a body that is not there");
}

#[tokio::test]
async fn a_stream_ends_before_an_unfilterable_list() {
    let issuer = TestIssuer::new();
    let auth = filtering(&issuer);
    let (frames, response) = streamed(&auth, Some(&issuer.token().sign()), &[EVENTS]).await;
    let mut body = response.into_body();
    frames.send(data(&format!("data: {TOOLS}\n\n"))).await.expect("open");
    assert_eq!(next(&mut body).await, Some(format!("data: {SHOWN}\n\n")));
    let double = r#"{"result":{"tools":[]},"result":{"tools":[{"name":"slow"}]}}"#;
    frames.send(data(&format!("data: {double}\n\n"))).await.expect("open");
    assert_eq!(next(&mut body).await, None);
    assert!(frames.is_closed());
}

#[tokio::test]
async fn an_endless_or_broken_answer_is_502() {
    let issuer = TestIssuer::new();
    let auth = filtering(&issuer);
    let token = issuer.token().sign();
    for is_long in [true, false] {
        let (frames, opened) =
            streamed_later(&auth, Some(&token), &[("content-type", "application/json")]);
        let send = async {
            if is_long {
                let mebibyte = " ".repeat(1024 * 1024);
                while frames.send(data(&mebibyte)).await.is_ok() {}
            } else {
                frames.send(Err("reset")).await.expect("open");
            }
        };
        let (response, ()) = tokio::join!(opened, send);
        assert_eq!(response.status(), 502, "{is_long}");
    }
}
