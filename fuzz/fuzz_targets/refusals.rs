//! Fuzzes refusals: nothing panics, and a response contains no text of the request except the id of its message.

#![no_main]

use std::collections::HashMap;
use std::sync::LazyLock;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use libfuzzer_sys::fuzz_target;
use mcp_auth::{Denial, GuardedBody, McpAuth, Rule, ToolScopes};
use mcp_auth_fuzz::{infallible, now, protected, request};
use serde_json::value::RawValue;
use tower::{Layer as _, ServiceExt as _, service_fn};

static AUTHS: LazyLock<[McpAuth; 2]> = LazyLock::new(|| {
    let rules = ToolScopes::new()
        .tool("n*", Rule::never())
        .tool("admin", ["admin"])
        .prompt("p", ["admin"])
        .resource("notes://{owner}/*", Rule::never())
        .method("m/*", ["admin"])
        .unknown_methods(Rule::never());
    [
        protected(|builder| builder.tools(rules.clone())),
        protected(|builder| builder.tools(rules).optional()),
    ]
});

/// The text of a member of an object, byte for byte.
fn member<'m>(object: &'m [u8], name: &str) -> Option<&'m str> {
    let members: HashMap<String, &RawValue> = serde_json::from_slice(object).ok()?;
    members.get(name).map(|value| value.get())
}

fuzz_target!(|data: &[u8]| {
    let (headers, body) = request(data);
    let sent = body.to_vec();
    for auth in &*AUTHS {
        let mut request = Request::post("/mcp").body(Full::<Bytes>::from(sent.clone())).expect("a request");
        *request.headers_mut() = headers.clone();
        let service = auth.bearer_auth().layer(service_fn(|request: Request<GuardedBody<Full<Bytes>>>| async move {
            let body = infallible(request.into_body().collect().await).to_bytes();
            Ok(Response::new(Full::from(body)))
        }));
        let response = infallible(now(service.oneshot(request)));
        let denial = response.extensions().get::<Denial>().cloned();
        let (status, challenge) = (response.status(), response.headers().contains_key("www-authenticate"));
        let answer = infallible(now(response.into_body().collect())).to_bytes();
        if denial.is_none() {
            assert!(status == StatusCode::OK && answer == sent, "admitted, with the bytes that were sent");
            continue;
        }
        assert!(challenge || status != StatusCode::UNAUTHORIZED);
        assert!(!challenge || matches!(status.as_u16(), 400 | 401 | 403), "{status}");
        let id = member(&answer, "id");
        match id {
            None | Some("null") => {}
            Some(id) => assert_eq!(Some(id), member(&sent, "id"), "its own bytes"),
        }
        let rest = String::from_utf8(answer.to_vec()).expect("text");
        assert!(serde_json::from_str::<&RawValue>(&rest).is_ok(), "{rest}");
        let rest = id.map_or(rest.clone(), |id| rest.replacen(&format!(r#""id":{id}"#), "", 1));
        assert!(rest.is_ascii() && !rest.contains('\\'), "constant text: {rest}");
    }
});
