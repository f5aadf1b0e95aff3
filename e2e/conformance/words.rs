//! Messages and contents of the protocol, as the scenarios expect them.

use serde_json::{Value, json};

/// An image of one pixel.
pub(crate) const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
/// A WAV file without any sound.
pub(crate) const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

pub(crate) fn tool(name: &str) -> Value {
    let properties = match name {
        "test_custom_header" => json!({ "region": { "type": "string", "x-mcp-header": "Region" } }),
        "test_sampling" => json!({ "prompt": { "type": "string" } }),
        "test_elicitation" => json!({ "message": { "type": "string" } }),
        _ => json!({}),
    };
    let schema = json!({ "type": "object", "properties": properties });
    json!({ "name": name, "description": "For a scenario", "inputSchema": schema })
}

pub(crate) fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

pub(crate) fn image() -> Value {
    json!({ "type": "image", "data": PNG, "mimeType": "image/png" })
}

pub(crate) fn resource(uri: &str, mime: &str, text: &str) -> Value {
    json!({ "type": "resource", "resource": { "uri": uri, "mimeType": mime, "text": text } })
}

/// An elicitation request to the user.
pub(crate) fn asked(message: &str, properties: Value) -> Value {
    let names: Vec<_> = properties.as_object().into_iter().flat_map(|all| all.keys()).collect();
    let schema = json!({ "type": "object", "properties": properties, "required": names });
    json!({ "method": "elicitation/create", "params": { "mode": "form", "message": message, "requestedSchema": schema } })
}

/// A sampling request to the client's model.
pub(crate) fn sampled(prompt: &str, max_tokens: u32) -> Value {
    let messages = json!([{ "role": "user", "content": text(prompt) }]);
    json!({ "method": "sampling/createMessage", "params": { "messages": messages, "maxTokens": max_tokens } })
}

pub(crate) fn input(questions: &[(&str, Value)], state: Option<&str>) -> Value {
    let questions: serde_json::Map<_, _> =
        questions.iter().map(|(key, question)| ((*key).to_owned(), question.clone())).collect();
    json!({ "resultType": "input_required", "inputRequests": questions, "requestState": state })
}
