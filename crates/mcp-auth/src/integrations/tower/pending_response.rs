//! Completes a response whose body is read before its head is sent: the first message of a stream, lists in JSON.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_LENGTH;
use http_body::Body;
use tokio::runtime::Handle;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::integrations::tower::caller_scope::{CallerScope, Pending};
use crate::integrations::tower::content_headers::is_encoded;
use crate::integrations::tower::json_list_filter::{self, FilterError};
use crate::integrations::tower::response_body::ResponseBody;
use crate::integrations::tower::sse_body::SseBody;
use crate::integrations::tower::stream_state::RewriteFn;
use crate::integrations::tower::token_watch::TokenWatch;
use crate::integrations::tower::{decision_log, denial_response};
use crate::model::denial::Denial;
use crate::model::error_codes::Reason;

/// How long the response head is held back for the first message. It is long enough for a handler that looks
/// something up before it refuses, and too short for users to notice.
const FIRST_MESSAGE_TIMEOUT: Duration = Duration::from_millis(100);

impl CallerScope<'_> {
    /// While the inner service has not answered: ready with a response if the caller's token is revoked. `watch` is
    /// created at the first call.
    pub(super) fn poll_revoked<B>(
        &self,
        watch: &mut Option<Box<TokenWatch>>,
        context: &mut Context<'_>,
    ) -> Poll<Response<ResponseBody<B>>> {
        let Some(caller) = &self.caller else { return Poll::Pending };
        // The request was authorized when it arrived, so it may outlive its token.
        let watch = watch.get_or_insert_with(|| Box::new(TokenWatch::new(self.auth, caller, None)));
        while watch.ended(context).is_none() {
            ready!(watch.wait(context));
        }
        Poll::Ready(self.revoked_response())
    }

    /// The response to a request whose token was revoked before the inner service has answered.
    fn revoked_response<B>(&self) -> Response<ResponseBody<B>> {
        let errors = self.request.revoked_errors();
        if errors.is_empty() {
            let denial = Denial::invalid(Reason::Inactive).called_by(self.name);
            return self.log_and_refuse(denial);
        }
        decision_log::request_revoked(self.auth);
        denial_response::json_rpc(&errors, self.request.is_batch()).map(ResponseBody::whole)
    }

    pub(super) async fn complete<B: Body<Data = Bytes>>(
        &self,
        answer: Pending<B>,
    ) -> Response<ResponseBody<B>> {
        match answer {
            Pending::Stream(response) => self.begin_stream(response).await,
            Pending::Json(response, rewrite) => self.filter(response, rewrite).await,
        }
    }

    /// Holds back the head until the first message, so that a handler that refuses the caller at once can still
    /// set the status. Servers with sessions send the head before they call the handler. Outside of tokio there
    /// is no wait.
    async fn begin_stream<B: Body<Data = Bytes>>(
        &self,
        mut response: Response<Pin<Box<SseBody<B>>>>,
    ) -> Response<ResponseBody<B>> {
        let mut begun = None;
        if self.request.is_post() && self.caller.is_some() && Handle::try_current().is_ok() {
            let events = response.body_mut();
            let first = poll_fn(|context| events.as_mut().poll_first_message(context));
            let first = timeout(FIRST_MESSAGE_TIMEOUT, first).await;
            begun = first.ok().map(|first| first.map_err(|_| FilterError::Broken));
        }
        match (self.refusal(None), begun) {
            (Some(refusal), _) => return refusal,
            (None, Some(Err(why))) => return self.bad_gateway(why),
            // Most responses are complete after this, and are sent as a whole.
            (None, Some(Ok(()))) => yield_now().await,
            (None, None) => {}
        }
        response.map(ResponseBody::events)
    }

    /// Filters the lists in a JSON response.
    async fn filter<B: Body<Data = Bytes>>(
        &self,
        response: Response<B>,
        rewrite: RewriteFn,
    ) -> Response<ResponseBody<B>> {
        if is_encoded(response.headers()) {
            return self.bad_gateway(FilterError::Encoded);
        }
        let (mut parts, body) = response.into_parts();
        match json_list_filter::rewritten(body, rewrite).await {
            Ok(body) => {
                parts.headers.insert(CONTENT_LENGTH, body.len().into());
                Response::from_parts(parts, ResponseBody::whole(body))
            }
            Err(why) => self.bad_gateway(why),
        }
    }
}
