//! `StreamState`: when one event stream ends, and how its events are rewritten for its reader.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::integrations::tower::decision_log;
use crate::integrations::tower::open_request::OpenRequest;
use crate::integrations::tower::sse_event_ids::SseEventIds;
use crate::integrations::tower::sse_list_filter::{MAX_EVENT_BYTES, SseListFilter};
use crate::integrations::tower::token_watch::{TokenEnd, TokenWatch};
use crate::model::auth_info::AuthInfo;
use crate::model::session_owner::SessionOwner;
use crate::net::box_future::BoxFuture;
use crate::policy::list_filter::UnfilterableList;
use crate::resource::listening_streams::StreamEnd;
use crate::resource::mcp_auth::McpAuth;
use crate::verify::id_signer::Purpose;

/// The state of one event stream.
pub(super) struct StreamState {
    pub(super) auth: McpAuth,
    caller: Option<AuthInfo>,
    request: OpenRequest,
    /// `None` if the caller is anonymous.
    watch: Option<TokenWatch>,
    /// All listening streams of the resource end.
    closed: Event,
    /// A caller goes on with the session that an anonymous caller began.
    claimed: Event,
    /// `None` if the stream does not end with its token.
    _end: Option<StreamEnd>,
    lists: Option<SseListFilter<RewriteFn>>,
    ids: Option<SseEventIds<SignId>>,
}

/// An event that ends a stream.
enum Event {
    Never,
    Awaited(BoxFuture<'static, ()>),
    Happened,
}

type SignId = Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// Filters a message for its reader. Returns `None` if the message stays unchanged.
pub(super) type RewriteFn =
    Box<dyn Fn(&str) -> Result<Option<String>, UnfilterableList> + Send + Sync>;

impl StreamState {
    /// A stream that ends when the caller's token is revoked. A listening stream also ends when it expires; that of an
    /// anonymous caller in `session`, when another caller goes on with the session.
    pub(super) fn new(
        auth: &McpAuth,
        caller: Option<&AuthInfo>,
        session: Option<Box<[u8]>>,
        mut request: OpenRequest,
    ) -> Self {
        request.wait();
        let listening = caller.filter(|_| request.declares_listening());
        let end = listening.and_then(|caller| auth.end_of_stream(caller));
        let watch = caller.map(|caller| {
            let at = match &end {
                Some(end) => end.at(),
                None => auth.end_of_token(caller),
            };
            TokenWatch::new(auth, caller, at)
        });
        let (mut closed, mut claimed) = (Event::Never, Event::Never);
        if request.declares_listening() {
            closed = Event::Awaited(auth.streams_ended());
            if let Some((sessions, id)) = auth.claimed_sessions().zip(session) {
                claimed = Event::Awaited(Box::pin(Arc::clone(sessions).claimed(id)));
            }
        }
        let (auth, caller) = (auth.clone(), caller.cloned());
        let (lists, ids) = (None, None);
        Self { auth, caller, request, watch, closed, claimed, _end: end, lists, ids }
    }

    /// Signs the event ids, so that only this owner can resume the stream.
    pub(super) fn with_ids_of(mut self, owner: SessionOwner) -> Self {
        let auth = self.auth.clone();
        self.ids = Some(SseEventIds::new(Box::new(move |id: &[u8]| {
            auth.id_signer().sign(Purpose::Event, &owner, id)
        })));
        self
    }

    /// Filters the lists in the stream with `rewrite`, if there is one.
    pub(super) fn with_lists(mut self, rewrite: Option<RewriteFn>) -> Self {
        self.lists = rewrite.map(|rewrite| SseListFilter::new(rewrite, MAX_EVENT_BYTES));
        self
    }

    /// The last messages of the stream, if it must end now, even if its body continues.
    pub(super) fn ended(&mut self, context: &mut Context<'_>) -> Option<Vec<String>> {
        if self.closed.has_happened(context) {
            decision_log::stream_closed(&self.auth);
            return Some(self.request.expired_responses());
        }
        if self.claimed.has_happened(context) {
            decision_log::stream_claimed(&self.auth);
            return Some(Vec::new());
        }
        let watch = self.watch.as_mut()?;
        let why = watch.ended(context)?;
        let last_messages = match why {
            TokenEnd::Revoked => self.request.revoked_errors(),
            TokenEnd::Expired if self.request.is_listening() => self.request.expired_responses(),
            // The response to a request that was authorized when it arrived, however long it takes.
            TokenEnd::Expired => {
                watch.ignore_expiry();
                return None;
            }
        };
        decision_log::stream_ended(&self.auth, why);
        Some(last_messages)
    }

    /// Ready when [`ended`](Self::ended) must be called again.
    pub(super) fn wait(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.closed.has_happened(context) || self.claimed.has_happened(context) {
            return Poll::Ready(());
        }
        self.watch.as_mut().map_or(Poll::Pending, |watch| watch.wait(context))
    }

    /// Logs a refusal by the handler that was too late for a 403, because the head had been sent.
    pub(super) fn log_late_refusal(&self) {
        if let Some(caller) = &self.caller
            && let Some(denial) = caller.denied()
        {
            decision_log::refused_late(&self.auth, caller, denial);
        }
    }

    pub(super) fn feed(
        &mut self,
        chunk: Bytes,
        out: &mut VecDeque<Bytes>,
    ) -> Result<(), UnfilterableList> {
        let Some(lists) = &mut self.lists else {
            self.pass(chunk, out);
            return Ok(());
        };
        let mut shown = VecDeque::new();
        let outcome = lists.feed(&chunk, &mut shown);
        shown.into_iter().for_each(|chunk| self.pass(chunk, out));
        outcome
    }

    pub(super) fn finish(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), UnfilterableList> {
        if let Some(lists) = &mut self.lists {
            let mut shown = VecDeque::new();
            lists.finish(&mut shown)?;
            shown.into_iter().for_each(|chunk| self.pass(chunk, out));
        }
        if let Some(ids) = &mut self.ids {
            ids.finish(out);
        }
        Ok(())
    }

    pub(super) fn pass(&mut self, chunk: Bytes, out: &mut VecDeque<Bytes>) {
        match &mut self.ids {
            Some(ids) => ids.feed(&chunk, out),
            None => out.push_back(chunk),
        }
    }
}

impl Event {
    /// Whether it has happened. The task is woken when it does.
    fn has_happened(&mut self, context: &mut Context<'_>) -> bool {
        if let Self::Awaited(event) = self
            && event.as_mut().poll(context).is_ready()
        {
            *self = Self::Happened;
        }
        matches!(self, Self::Happened)
    }
}

impl fmt::Debug for StreamState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamState").finish_non_exhaustive()
    }
}
