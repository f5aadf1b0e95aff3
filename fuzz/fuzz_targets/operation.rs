//! Fuzzes operations: a request can be read in one way only.
//!
//! If the library accepts it, a full parse of the body yields the same methods and names.

#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;
use mcp_auth::Operation;
use mcp_auth_fuzz::request;
use serde_json::Value;

/// What `Operation` displays, from a full parse: the method, what it applies to, and all else that it names.
fn shown(message: &Value) -> String {
    let Some(method) = message["method"].as_str() else { return "an answer".to_owned() };
    let params = &message["params"];
    let (mut first, mut others) = (Vec::new(), Vec::new());
    let each = |list: &Value| list.as_array().map_or(&[][..], |list| &list[..list.len().min(256)]).to_vec();
    let is_listen = method == "subscriptions/listen";
    if is_listen || params["notifications"].is_object() {
        others.extend(each(&params["notifications"]["resourceSubscriptions"]));
    }
    let mut name = |member: &str, is_first: bool| {
        let names = if is_first { &mut first } else { &mut others };
        names.push(params[member].clone());
    };
    name("name", matches!(method, "tools/call" | "prompts/get"));
    name(
        "uri",
        matches!(
            method,
            "resources/directory/read"
                | "resources/read"
                | "resources/subscribe"
                | "resources/unsubscribe"
                | "skills/get"
        ),
    );
    if matches!(method, "tasks/cancel" | "tasks/get" | "tasks/result" | "tasks/update") {
        name("taskId", true);
    }
    others.extend(each(&params["names"]));
    others.extend(each(&params["uris"]));
    let reference = &params["ref"];
    match method {
        "completion/complete" if reference["type"] == "ref/prompt" => first.push(reference["name"].clone()),
        "completion/complete" => first.push(reference["uri"].clone()),
        _ if reference.is_object() => others.extend([reference["name"].clone(), reference["uri"].clone()]),
        _ => others.extend([reference.clone(), reference.clone()]),
    }
    let names = first.iter().chain(&others).filter_map(Value::as_str);
    let names = names.filter(|name| is_valid(name)).map(plain);
    names.fold(plain(method).to_owned(), |text, name| text + " " + name)
}

/// A name that is shown as it is, or a mark that it is not: then it is escaped, or cut.
fn plain(name: &str) -> &str {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | ':');
    if name.len() <= 64 && name.chars().all(is_plain) { name } else { ESCAPED }
}

const ESCAPED: &str = "\0";

/// Whether a rule may apply to a name. A message with any other name is refused where rules exist.
fn is_valid(name: &str) -> bool {
    (1..=8 * 1024).contains(&name.len()) && !name.contains(char::is_control)
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
    let (text, expected) = (operation.to_string(), expected.join(", "));
    if !expected.contains(ESCAPED) {
        assert_eq!(text, expected);
    }
    let modern = headers.get("mcp-protocol-version").is_some_and(|version| version.as_bytes() >= b"2026-07-28".as_slice());
    if let (true, Some(method)) = (modern, headers.get("mcp-method")) {
        assert!(full["method"].is_null() || full["method"].as_str() == method.to_str().ok());
    }
});
