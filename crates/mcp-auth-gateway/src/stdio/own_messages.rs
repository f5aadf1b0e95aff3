//! The messages that the gateway writes itself.

use bytes::Bytes;
use serde_json::Value;

/// An error that answers a request. `id` is JSON. The codes are HTTP statuses, which are outside the range that JSON-RPC
/// reserves, as in the library.
pub(crate) fn error(id: &str, code: i64, message: &str) -> Bytes {
    let message = Value::from(message);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message}}}}}"#).into()
}

/// Tells a process that nobody waits for a request any more.
pub(crate) fn cancelled(number: u64) -> Bytes {
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{number},"reason":"the client has closed the response"}}}}"#).into()
}
