//! The JSON-RPC responses that the layer sends itself. Ids are JSON, and are repeated byte for byte.

use serde_json::Value;

/// An error response. Without an id, it answers a message whose id is not known.
pub(super) fn error(id: Option<&str>, code: i32, message: &str) -> String {
    let (id, message) = (id.unwrap_or("null"), Value::from(message));
    format!(r#"{{"error":{{"code":{code},"message":{message}}},"id":{id},"jsonrpc":"2.0"}}"#)
}

/// The result with which a server ends a subscription
/// ([MCP, Subscriptions](https://modelcontextprotocol.io/specification/2026-07-28/basic/utilities/subscriptions)).
pub(super) fn subscription_ended(id: &str) -> String {
    let meta = format!(r#""_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}"#);
    format!(r#"{{"id":{id},"jsonrpc":"2.0","result":{{{meta},"resultType":"complete"}}}}"#)
}
