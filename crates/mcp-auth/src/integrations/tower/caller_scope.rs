//! `CallerScope`: the parts of a request and its response that belong to one caller.

use std::pin::Pin;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response};
use http_body::Body;

use crate::integrations::tower::content_headers::{is_encoded, says};
use crate::integrations::tower::decision_log::{self, RequestNames};
use crate::integrations::tower::extensions::HandlerDenial;
use crate::integrations::tower::json_list_filter::{self, FilterError};
use crate::integrations::tower::open_request::OpenRequest;
use crate::integrations::tower::response_body::ResponseBody;
use crate::integrations::tower::session_ids::{self, Session};
use crate::integrations::tower::sse_body::SseBody;
use crate::integrations::tower::stream_state::{RewriteFn, StreamState};
use crate::model::auth_info::AuthInfo;
use crate::model::denial::Denial;
use crate::model::session_owner::SessionOwner;
use crate::model::tool_call::ToolCall;
use crate::resource::captured_message::CapturedMessage;
use crate::resource::mcp_auth::McpAuth;

/// The header with the method of the message.
const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");

/// An admitted request that waits for its response.
pub(super) struct CallerScope<'a> {
    pub(super) auth: &'a McpAuth,
    pub(super) caller: Option<AuthInfo>,
    /// By which of the resource's names the client called, as an index.
    pub(super) name: usize,
    /// The name of the tool in the headers, for the log.
    pub(super) tool_name: Option<HeaderValue>,
    /// The response to HEAD has the headers of a body, but no body.
    is_head: bool,
    pub(super) request: OpenRequest,
    /// Whether the request's MCP revision lets others cache lists that do not forbid it.
    may_be_cached: bool,
    /// The session of an anonymous caller, by the id of the inner server. Rare, so it takes one word.
    anonymous_session: Option<Box<Box<[u8]>>>,
}

/// A response that is ready, or one whose body must be read first.
pub(super) enum Outcome<B> {
    Passed(Response<ResponseBody<B>>),
    /// It must be [completed](CallerScope::complete).
    Pending(Pending<B>),
}

/// A response whose body is read before its head is sent.
pub(super) enum Pending<B> {
    Stream(Response<Pin<Box<SseBody<B>>>>),
    /// It may contain lists.
    Json(Response<B>, RewriteFn),
}

impl<'a> CallerScope<'a> {
    /// Verifies the signed session and event ids of the request, and replaces them by the ids of the inner
    /// service. An id that is not the caller's is replaced by a decoy (session) or removed (event).
    pub(super) fn from_request(
        auth: &'a McpAuth,
        caller: Option<&AuthInfo>,
        parts: &mut Parts,
        message: CapturedMessage,
    ) -> Self {
        let is_head = parts.method == Method::HEAD;
        let name = auth.names().index_for(parts);
        let headers = &mut parts.headers;
        // One pass over the names is faster than four lookups.
        let (mut has_ids, mut is_modern) = (false, false);
        let (mut mcp_method, mut tool_name) = (None, None);
        for (it, value) in headers.iter() {
            has_ids |= session_ids::is_id(it);
            is_modern |=
                *it == decision_log::MCP_PROTOCOL_VERSION && decision_log::is_modern(value);
            if *it == decision_log::MCP_NAME {
                tool_name = tool_name.or(Some(value));
            }
            if *it == MCP_METHOD {
                mcp_method = mcp_method.or(Some(value));
            }
        }
        let request = OpenRequest::new(&parts.method, mcp_method, message);
        let tool_name = tool_name.filter(|_| is_modern).cloned();
        let mut anonymous_session = None;
        if has_ids {
            let owner = SessionOwner::of(caller);
            let (id_signer, claimed) = (auth.id_signer(), auth.claimed_sessions());
            let claimed = claimed.map(|claimed| &**claimed);
            let session = session_ids::verify_session_id(id_signer, claimed, &owner, headers);
            if session == Session::Unknown {
                decision_log::unverified_session_id(auth);
            }
            if !session_ids::verify_last_event_id(id_signer, &session, &owner, headers) {
                decision_log::unverified_event_id(auth);
            }
            if let Session::BegunAnonymously(id) = session {
                anonymous_session = caller.is_none().then(|| Box::new(id));
            }
        }
        let (caller, may_be_cached) = (caller.cloned(), is_modern);
        Self { auth, caller, name, tool_name, is_head, request, may_be_cached, anonymous_session }
    }

    /// Signs the session ids in the response. A stream is set up to end with the caller's token, and to be
    /// rewritten for the caller. If a handler refused the caller, the response is that refusal.
    pub(super) fn on_response<B: Body<Data = Bytes>>(
        &self,
        mut response: Response<B>,
    ) -> Outcome<B> {
        let raised = response.extensions().get().map(|HandlerDenial(denial)| denial);
        if let Some(refusal) = self.refusal(raised) {
            return Outcome::Passed(refusal);
        }
        let session = self.anonymous_session_of(&response);
        let owner = || SessionOwner::of(self.caller.as_ref());
        session_ids::sign_session_ids(self.auth.id_signer(), owner, response.headers_mut());
        if self.is_head {
            return Outcome::Passed(response.map(ResponseBody::inner));
        }
        let rewrite = self.rewrite().filter(|_| response.status().is_success());
        if says(response.headers(), CONTENT_TYPE, "text/event-stream") {
            return self.stream(response, session, rewrite);
        }
        match rewrite.filter(|_| says(response.headers(), CONTENT_TYPE, "json")) {
            Some(rewrite) => Outcome::Pending(Pending::Json(response, rewrite)),
            None => Outcome::Passed(response.map(ResponseBody::inner)),
        }
    }

    /// The session of a response to an anonymous caller: the one that the inner server issues in it, or that of the request.
    fn anonymous_session_of<B>(&self, response: &Response<B>) -> Option<Box<[u8]>> {
        if self.caller.is_some() {
            return None;
        }
        let issued = session_ids::issued(response.headers()).map(Box::from);
        issued.or_else(|| self.anonymous_session.as_deref().cloned())
    }

    /// The response to send instead of the handler's, if the handler refused the caller.
    pub(super) fn refusal<B>(&self, raised: Option<&Denial>) -> Option<Response<ResponseBody<B>>> {
        let denial = self.caller.as_ref().and_then(AuthInfo::denied).or(raised)?;
        let request = self.auth.tool_error_hint().and_then(|_| self.request.tool_call());
        let tool_call =
            request.as_ref().map(|it| ToolCall { id: &it.id, is_in_batch: it.is_in_batch });
        let denial = self.auth.denial_of(denial.clone(), tool_call);
        let scheme = self.caller.as_ref().map(AuthInfo::scheme).unwrap_or_default();
        let denial = denial.under(scheme).called_by(self.name);
        Some(self.log_and_refuse(denial))
    }

    /// Refuses the caller after the request was admitted. Its names are with the inner service, except for the tool.
    pub(super) fn log_and_refuse<B>(&self, denial: Denial) -> Response<ResponseBody<B>> {
        let denial = match &self.caller {
            Some(caller) => denial.held_by(caller.verified()),
            None => denial,
        };
        let request = RequestNames { tool: self.tool_name.as_ref(), ..RequestNames::default() };
        self.auth.log_and_refuse(&denial, request)
    }

    fn stream<B: Body<Data = Bytes>>(
        &self,
        mut response: Response<B>,
        session: Option<Box<[u8]>>,
        rewrite: Option<RewriteFn>,
    ) -> Outcome<B> {
        let owner = match &session {
            Some(session) => SessionOwner::anonymous_in(session),
            None => SessionOwner::of(self.caller.as_ref()),
        };
        let caller = self.caller.as_ref();
        let mut state = StreamState::new(self.auth, caller, session, self.request.clone());
        let is_encoded = is_encoded(response.headers());
        match (is_encoded, rewrite) {
            (true, Some(_)) => return Outcome::Passed(self.bad_gateway(FilterError::Encoded)),
            // It can be passed on, because an id that is not signed is never accepted.
            (true, None) => decision_log::encoded_stream(self.auth),
            (false, rewrite) => state = state.with_ids_of(owner).with_lists(rewrite),
        }
        response.headers_mut().remove(CONTENT_LENGTH);
        let stream = response.map(|body| Box::pin(SseBody::new(body, state, is_encoded)));
        Outcome::Pending(Pending::Stream(stream))
    }

    /// The function that filters a message for the caller. Returns `None` if lists are not filtered.
    fn rewrite(&self) -> Option<RewriteFn> {
        self.auth.lists()?;
        let (auth, caller) = (self.auth.clone(), self.caller.clone());
        let may_be_cached = self.may_be_cached;
        Some(Box::new(move |message| match auth.lists() {
            Some(lists) => lists.filter_for(caller.as_ref(), message, may_be_cached),
            None => Ok(None),
        }))
    }

    pub(super) fn bad_gateway<B>(&self, why: FilterError) -> Response<ResponseBody<B>> {
        decision_log::bad_gateway(self.auth, why);
        json_list_filter::bad_gateway().map(ResponseBody::whole)
    }
}
