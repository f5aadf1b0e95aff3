//! `OpenRequest`: a request whose response is not complete, and how the response ends early.

use http::Method;
use http::header::HeaderValue;

use crate::integrations::tower::json_rpc;
use crate::policy::operation;
use crate::resource::captured_message::CapturedMessage;

const LISTEN: HeaderValue = HeaderValue::from_static("subscriptions/listen");

/// The JSON-RPC error code for a request whose token is no longer accepted: the HTTP status of requests with such a
/// token, which is outside the range that JSON-RPC reserves.
const UNAUTHORIZED: i32 = 401;

/// A request whose response is not complete.
#[derive(Clone, Default)]
pub(super) struct OpenRequest {
    /// Every message of a client is a POST.
    is_post: bool,
    declares_subscription: bool,
    message: CapturedMessage,
}

impl OpenRequest {
    /// `mcp_method` is the header with the method of the message.
    pub(super) fn new(
        method: &Method,
        mcp_method: Option<&HeaderValue>,
        message: CapturedMessage,
    ) -> Self {
        if method != Method::POST {
            return Self::default();
        }
        let declares_subscription = mcp_method.is_some_and(|it| *it == LISTEN);
        Self { is_post: true, declares_subscription, message }
    }

    /// The request waits now: it keeps only what it needs for that.
    pub(super) fn wait(&mut self) {
        self.message.detach();
    }

    pub(super) fn is_post(&self) -> bool {
        self.is_post
    }

    /// Whether its headers say that its response is a listening stream: one with which a server sends what it likes,
    /// when it likes.
    pub(super) fn declares_listening(&self) -> bool {
        !self.is_post || self.declares_subscription
    }

    /// Whether its response is a listening stream. The headers alone do not decide: a server may ignore them. A message
    /// that cannot be read counts as a subscription, since no client sends one. Of a message that is too long to be
    /// kept, only the headers are known: servers with subscriptions compare them with the message.
    pub(super) fn is_listening(&self) -> bool {
        let is_subscription = || match self.message.open_requests() {
            Some(requests) => requests.iter().any(|request| request.is_subscription),
            None => !self.message.is_too_long(),
        };
        self.declares_listening() || is_subscription()
    }

    /// What tells the client that its subscription has ended: a result. Whatever else waits in its message gets an error.
    pub(super) fn expired_responses(&self) -> Vec<String> {
        let requests = self.message.open_requests().unwrap_or_default();
        let response = |request: &operation::OpenRequest| match request.is_subscription {
            true => json_rpc::subscription_ended(&request.id),
            false => {
                json_rpc::error(Some(&request.id), UNAUTHORIZED, "The access token has expired")
            }
        };
        requests.iter().map(response).collect()
    }

    /// The request, if it calls a tool, and no other in its message waits for a response.
    pub(super) fn tool_call(&self) -> Option<operation::OpenRequest> {
        let [request] = self.message.open_requests()?.try_into().ok()?;
        Some(request).filter(|request: &operation::OpenRequest| request.is_tool_call)
    }

    /// Whether the message is a batch, whose answer is one too.
    pub(super) fn is_batch(&self) -> bool {
        let requests = self.message.open_requests().unwrap_or_default();
        requests.iter().any(|request| request.is_in_batch)
    }

    /// The errors that tell the client that its token was revoked, one for each request in its message. Empty if it
    /// waits for no response.
    pub(super) fn revoked_errors(&self) -> Vec<String> {
        let error = |id| json_rpc::error(id, UNAUTHORIZED, "The access token was revoked");
        match self.message.open_requests() {
            Some(requests) => requests.iter().map(|request| error(Some(&request.id))).collect(),
            None if self.is_post => vec![error(None)],
            None => Vec::new(),
        }
    }
}
