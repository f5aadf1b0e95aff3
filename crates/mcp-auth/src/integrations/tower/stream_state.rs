//! `StreamState`: the deadline of one event stream, and how its events are rewritten for its reader.

use std::collections::VecDeque;
use std::fmt;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::integrations::tower::decision_log;
use crate::integrations::tower::sse_event_ids::SseEventIds;
use crate::integrations::tower::sse_list_filter::{MAX_EVENT_BYTES, SseListFilter};
use crate::integrations::tower::stream_deadline::StreamDeadline;
use crate::model::auth_info::AuthInfo;
use crate::model::session_owner::SessionOwner;
use crate::policy::list_filter::UnfilterableList;
use crate::resource::mcp_auth::McpAuth;
use crate::verify::id_signer::Purpose;

/// The state of one event stream.
pub(super) struct StreamState {
    pub(super) auth: McpAuth,
    caller: Option<AuthInfo>,
    /// The version of the revocations at which the caller was last looked up.
    version: usize,
    end: StreamDeadline,
    lists: Option<SseListFilter<RewriteFn>>,
    ids: Option<SseEventIds<SignId>>,
}

type SignId = Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// Filters a message for its reader. Returns `None` if the message stays unchanged.
pub(super) type RewriteFn =
    Box<dyn Fn(&str) -> Result<Option<String>, UnfilterableList> + Send + Sync>;

impl StreamState {
    /// A stream that ends when the caller's token expires or is revoked.
    pub(super) fn new(auth: &McpAuth, caller: Option<&AuthInfo>) -> Self {
        let at = caller.and_then(|caller| auth.streams_end_at(caller));
        let mut end = StreamDeadline::new(at, auth.clock().clone());
        if caller.is_some_and(|caller| auth.needs_recheck(caller)) {
            end = end.with_recheck();
        }
        let (auth, caller) = (auth.clone(), caller.cloned());
        Self { auth, caller, version: 0, end, lists: None, ids: None }
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

    /// Whether the stream must end, even if its body continues.
    pub(super) fn is_finished(&mut self, context: &mut Context<'_>) -> bool {
        let version = self.auth.revocations().version();
        let is_news = std::mem::replace(&mut self.version, version) != version;
        let is_revoked = |caller| is_news && self.auth.is_revoked(caller);
        let Some(caller) = &self.caller else { return false };
        is_revoked(caller)
            || self.end.has_expired()
            || self.end.is_refused(context, || self.auth.is_refused(caller))
    }

    /// Ready when the stream must be checked again with [`is_finished`](Self::is_finished).
    pub(super) fn wait(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let (auth, caller) = (&self.auth, &self.caller);
        self.end.poll(context, || match caller {
            Some(caller) => Box::pin(auth.revoked(caller)),
            None => Box::pin(std::future::pending()),
        })
    }

    /// Logs a refusal by the handler that was too late for a 403, because the head had been sent.
    pub(super) fn log_late_refusal(&self) {
        if let Some(denial) = self.caller.as_ref().and_then(AuthInfo::denied) {
            decision_log::refused_late(&self.auth, denial);
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

impl fmt::Debug for StreamState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamState").finish_non_exhaustive()
    }
}
