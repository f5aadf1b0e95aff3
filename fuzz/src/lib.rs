//! Shared by the targets.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::{HeaderMap, HeaderName, HeaderValue};
use mcp_auth::{Credentials, Denial, McpAuth, McpAuthBuilder, VerifiedToken};

pub const RESOURCE: &str = "https://api.example.com/mcp";
pub const ISSUER: &str = "https://auth.example.com";

/// Splits the input: header fields, one per line, then an empty line, then the body.
pub fn request(data: &[u8]) -> (HeaderMap, &[u8]) {
    let split = data.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = split.map_or((&[][..], data), |at| (&data[..at], &data[at + 2..]));
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = parts.next().and_then(|name| HeaderName::from_bytes(name).ok());
        let value = parts.next().and_then(|value| HeaderValue::from_bytes(value).ok());
        if let (Some(name), Some(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    (headers, body)
}

/// A resource whose every token is one of the user that the token names.
pub fn protected(change: impl FnOnce(McpAuthBuilder) -> McpAuthBuilder) -> McpAuth {
    let verifier = |credentials: Credentials| async move {
        let token = VerifiedToken::assert(ISSUER, credentials.token().expose());
        Ok::<_, Denial>(token.audience(RESOURCE).scopes(["read"]))
    };
    let builder = McpAuth::builder(RESOURCE).authorization_server(ISSUER).verifier(verifier);
    change(builder).build().expect("a description")
}

/// The output of a future that needs no runtime.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// The value of a result that cannot fail.
pub fn infallible<T>(result: Result<T, Infallible>) -> T {
    result.unwrap_or_else(|never| match never {})
}
