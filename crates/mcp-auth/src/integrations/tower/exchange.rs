//! What a request and its response mean to one caller only: session and event ids, lists, and the end of a stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Response};
use http_body::Body;
use tokio::runtime::Handle;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::integrations::tower::body::ResponseBody;
use crate::integrations::tower::content::{is_encoded, says};
use crate::integrations::tower::events::Events;
use crate::integrations::tower::extensions::Raised;
use crate::integrations::tower::listed_answer::{self, Withheld};
use crate::integrations::tower::stream_state::{Rules, Show};
use crate::integrations::tower::{report, session};
use crate::model::auth_info::AuthInfo;
use crate::model::denial::Denial;
use crate::model::scheme::Scheme;
use crate::model::session_owner::Owner;
use crate::resource::mcp_auth::McpAuth;

/// An admitted request whose answer is still to come.
pub(super) struct Exchange<'a> {
    auth: &'a McpAuth,
    caller: Option<AuthInfo>,
    /// By which the caller came, and is answered.
    scheme: Scheme,
    /// What the headers call it, for the log.
    asked_for: Option<HeaderValue>,
    /// The answer to HEAD has the headers of a body, and none.
    is_head: bool,
    /// A POST asks for something, and so its answer has a first message.
    is_post: bool,
    /// The revision of MCP has lists that others may keep, unless they say no.
    may_be_cached: bool,
}

/// What becomes of an answer.
pub(super) enum End<B> {
    Passed(Response<ResponseBody<B>>),
    /// [`finish`](Exchange::finish) it.
    Unfinished(Unfinished<B>),
}

/// An answer whose body is looked at before its head is sent.
pub(super) enum Unfinished<B> {
    Stream(Response<Pin<Box<Events<B>>>>),
    /// It may hold lists.
    Listed(Response<B>, Show),
}

/// How long an answer is waited for its first message, at most: long enough for a handler that looks something up before it
/// refuses, and short enough for nobody to notice that the head is late.
const FIRST_MESSAGE: Duration = Duration::from_millis(100);

impl<'a> Exchange<'a> {
    /// Opens what the request presents: the ids of a session and of an event, if they are the caller's.
    pub(super) fn begin(
        auth: &'a McpAuth,
        caller: Option<&AuthInfo>,
        scheme: Scheme,
        parts: &mut Parts,
    ) -> Self {
        let (is_head, is_post) = (parts.method == Method::HEAD, parts.method == Method::POST);
        let headers = &mut parts.headers;
        // One look at each name is quicker than to look for four.
        let (mut has_ids, mut is_modern, mut name) = (false, false, None);
        for (it, value) in headers.iter() {
            has_ids |= session::is_id(it);
            is_modern |= *it == report::VERSION && report::is_modern(value);
            if *it == report::NAME {
                name = name.or(Some(value));
            }
        }
        let asked_for = name.filter(|_| is_modern).cloned();
        if has_ids {
            let owner = Owner::of(caller);
            if !session::open_session(auth.seal(), &owner, headers) {
                report::foreign_session(auth);
            }
            if !session::open_last_event(auth.seal(), &owner, headers) {
                report::foreign_event(auth);
            }
        }
        let (caller, may_be_cached) = (caller.cloned(), is_modern);
        Self { auth, caller, scheme, asked_for, is_head, is_post, may_be_cached }
    }

    /// Seals what the answer gives away, and lets a stream end when the caller's token does. If a handler
    /// refused the caller, that is the answer.
    pub(super) fn end<B: Body<Data = Bytes>>(&self, mut response: Response<B>) -> End<B> {
        let raised = response.extensions().get().map(|Raised(denial)| denial);
        if let Some(refusal) = self.refusal(raised) {
            return End::Passed(refusal);
        }
        let owner = || Owner::of(self.caller.as_ref());
        session::seal_sessions(self.auth.seal(), owner, response.headers_mut());
        if self.is_head {
            return End::Passed(response.map(ResponseBody::inner));
        }
        let show = self.show().filter(|_| response.status().is_success());
        if says(response.headers(), CONTENT_TYPE, "text/event-stream") {
            return self.stream(response, show);
        }
        match show.filter(|_| says(response.headers(), CONTENT_TYPE, "json")) {
            Some(show) => End::Unfinished(Unfinished::Listed(response, show)),
            None => End::Passed(response.map(ResponseBody::inner)),
        }
    }

    /// The answer in place of the handler's, if that refused the caller.
    fn refusal<B>(&self, raised: Option<&Denial>) -> Option<Response<ResponseBody<B>>> {
        let denial = self.caller.as_ref().and_then(AuthInfo::denied).or(raised)?;
        let denial = denial.clone().under(self.scheme);
        Some(self.auth.turn_away(&denial, self.asked_for.as_ref()))
    }

    fn stream<B: Body<Data = Bytes>>(
        &self,
        mut response: Response<B>,
        show: Option<Show>,
    ) -> End<B> {
        let mut rules = Rules::new(self.auth, self.caller.as_ref());
        match (is_encoded(response.headers()), show) {
            (true, Some(_)) => return End::Passed(self.withhold(Withheld::Encoded)),
            // It can be passed on, since an id that is not sealed opens nothing.
            (true, None) => report::encoded_stream(self.auth),
            (false, show) => {
                rules = rules.with_ids_of(Owner::of(self.caller.as_ref())).with_lists(show);
            }
        }
        response.headers_mut().remove(CONTENT_LENGTH);
        let stream = response.map(|body| Box::pin(Events::new(body, rules)));
        End::Unfinished(Unfinished::Stream(stream))
    }

    pub(super) async fn finish<B: Body<Data = Bytes>>(
        &self,
        answer: Unfinished<B>,
    ) -> Response<ResponseBody<B>> {
        match answer {
            Unfinished::Stream(response) => self.begin_stream(response).await,
            Unfinished::Listed(response, show) => self.filter(response, show).await,
        }
    }

    /// Waits a moment for the first message of an answer, so that a handler that refuses the caller at once refuses it by the head,
    /// which servers with sessions send before they ask a handler. Outside of tokio it is not waited for.
    async fn begin_stream<B: Body<Data = Bytes>>(
        &self,
        mut response: Response<Pin<Box<Events<B>>>>,
    ) -> Response<ResponseBody<B>> {
        let mut begun = None;
        if self.is_post && self.caller.is_some() && Handle::try_current().is_ok() {
            let events = response.body_mut();
            let first = poll_fn(|context| events.as_mut().poll_first_message(context));
            let first = timeout(FIRST_MESSAGE, first).await;
            begun = first.ok().map(|first| first.map_err(|_| Withheld::Broken));
        }
        match (self.refusal(None), begun) {
            (Some(refusal), _) => return refusal,
            (None, Some(Err(why))) => return self.withhold(why),
            // Most answers are over by then, and are sent as a whole.
            (None, Some(Ok(()))) => yield_now().await,
            (None, None) => {}
        }
        response.map(ResponseBody::events)
    }

    /// Leaves out of lists what the caller may not use.
    async fn filter<B: Body<Data = Bytes>>(
        &self,
        response: Response<B>,
        show: Show,
    ) -> Response<ResponseBody<B>> {
        if is_encoded(response.headers()) {
            return self.withhold(Withheld::Encoded);
        }
        let (mut parts, body) = response.into_parts();
        match listed_answer::shown(body, show).await {
            Ok(body) => {
                parts.headers.insert(CONTENT_LENGTH, body.len().into());
                Response::from_parts(parts, ResponseBody::whole(body))
            }
            Err(why) => self.withhold(why),
        }
    }

    /// What of a message the caller may see, if lists are filtered at all.
    fn show(&self) -> Option<Show> {
        self.auth.lists()?;
        let (auth, caller) = (self.auth.clone(), self.caller.clone());
        let may_be_cached = self.may_be_cached;
        Some(Box::new(move |message| match auth.lists() {
            Some(lists) => lists.shown_to(caller.as_ref(), message, may_be_cached),
            None => Ok(None),
        }))
    }

    fn withhold<B>(&self, why: Withheld) -> Response<ResponseBody<B>> {
        report::withheld(self.auth, why);
        listed_answer::bad_gateway().map(ResponseBody::whole)
    }
}
