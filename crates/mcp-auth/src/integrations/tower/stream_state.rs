//! `StreamState`: when one event stream ends, and how its events are rewritten for its reader.

use std::collections::VecDeque;
use std::fmt;
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
    closing: Closing,
    /// `None` if the stream does not end with its token.
    _end: Option<StreamEnd>,
    lists: Option<SseListFilter<RewriteFn>>,
    ids: Option<SseEventIds<SignId>>,
}

/// Whether a stream ends because all listening streams of its resource do.
enum Closing {
    /// It is not a listening stream.
    Never,
    Waiting(BoxFuture<'static, ()>),
    Now,
}

type SignId = Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// Filters a message for its reader. Returns `None` if the message stays unchanged.
pub(super) type RewriteFn =
    Box<dyn Fn(&str) -> Result<Option<String>, UnfilterableList> + Send + Sync>;

impl StreamState {
    /// A stream that ends when the caller's token is revoked. A listening stream also ends when it expires.
    pub(super) fn new(auth: &McpAuth, caller: Option<&AuthInfo>, mut request: OpenRequest) -> Self {
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
        let closing = match request.declares_listening() {
            true => Closing::Waiting(auth.streams_ended()),
            false => Closing::Never,
        };
        let (auth, caller) = (auth.clone(), caller.cloned());
        Self { auth, caller, request, watch, closing, _end: end, lists: None, ids: None }
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
        if self.closing.is_due(context) {
            decision_log::stream_closed(&self.auth);
            return Some(self.request.expired_responses());
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
        if self.closing.is_due(context) {
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

impl Closing {
    /// Whether the stream ends now. The task is woken when it does.
    fn is_due(&mut self, context: &mut Context<'_>) -> bool {
        if let Self::Waiting(ended) = self
            && ended.as_mut().poll(context).is_ready()
        {
            *self = Self::Now;
        }
        matches!(self, Self::Now)
    }
}

impl fmt::Debug for StreamState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamState").finish_non_exhaustive()
    }
}
