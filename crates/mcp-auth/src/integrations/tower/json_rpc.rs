//! The JSON-RPC responses that the layer sends itself. Ids are JSON, and are repeated byte for byte.

use serde_json::Value;

/// An error response. Without an id, it answers a message whose id is not known.
pub(super) fn error(id: Option<&str>, code: i32, message: &str) -> String {
    let (id, message) = (id.unwrap_or("null"), Value::from(message));
    format!(r#"{{"error":{{"code":{code},"message":{message}}},"id":{id},"jsonrpc":"2.0"}}"#)
}

/// The result of a tool that was not called. `challenge` is for clients that start a login from it
/// ([Apps SDK](https://developers.openai.com/apps-sdk/build/auth)).
pub(super) fn tool_error(id: &str, text: &str, challenge: Option<&str>) -> String {
    let (text, challenges) = (Value::from(text), Value::from_iter(challenge));
    let meta = format!(r#""_meta":{{"mcp/www_authenticate":{challenges}}}"#);
    let content = format!(r#""content":[{{"text":{text},"type":"text"}}]"#);
    let result = format!(r#"{{{meta},{content},"isError":true,"resultType":"complete"}}"#);
    format!(r#"{{"id":{id},"jsonrpc":"2.0","result":{result}}}"#)
}

/// The result with which a server ends a subscription
/// ([MCP, Subscriptions](https://modelcontextprotocol.io/specification/2026-07-28/basic/utilities/subscriptions)).
pub(super) fn subscription_ended(id: &str) -> String {
    let meta = format!(r#""_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}"#);
    format!(r#"{{"id":{id},"jsonrpc":"2.0","result":{{{meta},"resultType":"complete"}}}}"#)
}
