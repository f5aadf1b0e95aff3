//! Fuzzes operations: a request can be read in one way only.
//!
//! If the library accepts it, a full parse of the body yields the same methods and names.

#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;
use mcp_auth::Operation;
use mcp_auth_fuzz::request;
use serde_json::Value;

/// What `Operation` displays, from a full parse.
fn shown(message: &Value) -> String {
    let Some(method) = message["method"].as_str() else { return "an answer".to_owned() };
    let params = &message["params"];
    let names: Vec<&Value> = match method {
        "tools/call" | "prompts/get" => vec![&params["name"]],
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => vec![&params["uri"]],
        "tasks/cancel" | "tasks/get" | "tasks/result" | "tasks/update" => vec![&params["taskId"]],
        "completion/complete" if params["ref"]["type"] == "ref/prompt" => vec![&params["ref"]["name"]],
        "completion/complete" => vec![&params["ref"]["uri"]],
        "subscriptions/listen" => {
            let uris = params["notifications"]["resourceSubscriptions"].as_array();
            uris.into_iter().flatten().collect()
        }
        _ => vec![],
    };
    names.into_iter().fold(method.to_owned(), |text, name| {
        text + " " + name.as_str().expect("a name is a string")
    })
}

fuzz_target!(|data: &[u8]| {
    let (headers, body) = request(data);
    let Ok(operation) = Operation::read(&Method::POST, &headers, body) else { return };
    assert!(serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok(), "what is admitted is JSON");
    // Nested too deeply for serde_json: there is nothing to compare with.
    let Ok(full) = serde_json::from_slice::<Value>(body) else { return };
    let expected: Vec<_> = match &full {
        Value::Array(messages) => messages.iter().map(shown).collect(),
        message => vec![shown(message)],
    };
    assert_eq!(operation.to_string(), expected.join(", "));
    let modern = headers.get("mcp-protocol-version").is_some_and(|version| version.as_bytes() >= b"2026-07-28".as_slice());
    if let (true, Some(method)) = (modern, headers.get("mcp-method")) {
        assert!(full["method"].is_null() || full["method"].as_str() == method.to_str().ok());
    }
});
