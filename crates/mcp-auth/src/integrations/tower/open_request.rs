//! `OpenRequest`: a request whose response is not complete, and how the response ends early.

use http::Method;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;

use crate::integrations::tower::json_rpc;
use crate::resource::captured_message::CapturedMessage;
use crate::resource::guarded_body::GuardedBody;

/// The header with the method of the message.
pub(super) const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");

const LISTEN: HeaderValue = HeaderValue::from_static("subscriptions/listen");

/// The JSON-RPC error code for a request whose token was revoked: the HTTP status of requests with such a token, which
/// is outside the range that JSON-RPC reserves.
const REVOKED: i32 = 401;

/// A request whose response is not complete.
#[derive(Clone, Default)]
pub(super) struct OpenRequest {
    /// Every message of a client is a POST.
    is_post: bool,
    declares_subscription: bool,
    message: CapturedMessage,
}

impl OpenRequest {
    pub(super) fn new<B>(parts: &Parts, body: &mut GuardedBody<B>) -> Self {
        if parts.method != Method::POST {
            return Self::default();
        }
        let declares_subscription = parts.headers.get(MCP_METHOD).is_some_and(|it| *it == LISTEN);
        Self { is_post: true, declares_subscription, message: body.capture() }
    }

    pub(super) fn is_post(&self) -> bool {
        self.is_post
    }

    /// Whether its headers say that its response is a listening stream: one with which a server sends what it likes,
    /// when it likes.
    pub(super) fn declares_listening(&self) -> bool {
        !self.is_post || self.declares_subscription
    }

    /// Whether its response is a listening stream. Not only the headers are asked: a server may ignore them.
    pub(super) fn is_listening(&self) -> bool {
        let requests = || self.message.open_requests().unwrap_or_default();
        self.declares_listening() || requests().iter().any(|request| request.is_subscription)
    }

    /// The results that tell the client that its subscription has ended. Empty if it has none.
    pub(super) fn subscription_results(&self) -> Vec<String> {
        let requests = self.message.open_requests().unwrap_or_default();
        let subscriptions = requests.iter().filter(|request| request.is_subscription);
        subscriptions.map(|request| json_rpc::subscription_ended(&request.id)).collect()
    }

    /// The errors that tell the client that its token was revoked, one for each request in its message. Empty if it
    /// waits for no response.
    pub(super) fn revoked_errors(&self) -> Vec<String> {
        let error = |id| json_rpc::error(id, REVOKED, "The access token was revoked");
        match self.message.open_requests() {
            Some(requests) => requests.iter().map(|request| error(Some(&request.id))).collect(),
            None if self.is_post => vec![error(None)],
            None => Vec::new(),
        }
    }
}
