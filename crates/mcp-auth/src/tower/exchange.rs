//! What a request and its answer say to one caller only: sessions, events, and how long a stream lasts.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName};
use http::{Method, Request, Response};

use super::body::GuardedBody;
use super::events::Rules;
use super::{report, session};
use crate::mcp_auth::McpAuth;
use crate::token::{AuthInfo, Principal};

/// An admitted request whose answer is still to come.
pub(super) struct Exchange {
    auth: McpAuth,
    caller: Option<AuthInfo>,
    /// The answer to HEAD has the headers of a body, and none.
    is_head: bool,
}

impl Exchange {
    /// Opens what the request presents: the ids of a session and of an event, if they are the caller's.
    pub(super) fn begin<B>(
        auth: &McpAuth,
        caller: Option<&AuthInfo>,
        request: &mut Request<B>,
    ) -> Self {
        let is_head = *request.method() == Method::HEAD;
        let headers = request.headers_mut();
        if session::is_in(headers) {
            let owner = Principal::of(caller);
            if !session::open_session(auth.seal(), &owner, headers) {
                report::foreign_session(auth);
            }
            if !session::open_last_event(auth.seal(), &owner, headers) {
                report::foreign_event(auth);
            }
        }
        Self { auth: auth.clone(), caller: caller.cloned(), is_head }
    }

    /// Seals what the answer gives away, and lets a stream end when the caller's token does.
    pub(super) fn end<B>(self, mut response: Response<B>) -> Response<GuardedBody<B>> {
        let owner = || Principal::of(self.caller.as_ref());
        session::seal_sessions(self.auth.seal(), owner, response.headers_mut());
        let headers = response.headers_mut();
        if self.is_head || !says(headers, CONTENT_TYPE, "text/event-stream") {
            return response.map(GuardedBody::inner);
        }
        let mut rules = Rules::new(&self.auth, self.caller.as_ref());
        if is_encoded(headers) {
            report::encoded_stream(&self.auth);
        } else {
            rules = rules.with_ids_of(owner());
        }
        headers.remove(CONTENT_LENGTH);
        response.map(|body| GuardedBody::events(body, rules))
    }
}

/// Whether a header says this anywhere, as clients look for it.
fn says(headers: &HeaderMap, name: HeaderName, what: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        value.as_bytes().windows(what.len()).any(|part| part.eq_ignore_ascii_case(what.as_bytes()))
    })
}

/// Whether the body is compressed, and so cannot be read here.
fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|encoding| !encoding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"))
}
