//! Polling for security events (RFC 8936).

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;

use tokio::time::{Instant, sleep};

use crate::issuer::event_poll::{Acks, EventPoll, PollBackoff, PollOutcome, Sets};
use crate::model::denial::{Denial, DenialKind};
use crate::net::fetch::FetchError;
use crate::net::log_limiter::LogLimiter;
use crate::resource::config_error::ConfigError;
use crate::resource::mcp_auth::McpAuth;
use crate::resource::security_events::UNKNOWN_SUBJECT;
use crate::util::shown;
use crate::verify::jwt::{SecurityEventKind, set_error};

impl McpAuth {
    /// Polls a transmitter for security events and revokes what they name, for as long as the returned future
    /// runs ([RFC 8936](https://www.rfc-editor.org/rfc/rfc8936)).
    ///
    /// For servers that the transmitter cannot push to.
    ///
    /// Each event is validated like a [pushed](Self::receive_security_event) one. The next request acknowledges
    /// it, or reports the error. An event that cannot be verified at the moment, because the keys of its issuer
    /// cannot be fetched, is neither acknowledged nor reported, so that the transmitter sends it again.
    ///
    /// The future never completes, and no event is lost when it is dropped. It needs a tokio runtime. An event is acknowledged by one receiver only, so each
    /// replica needs its own stream.
    ///
    /// ```no_run
    /// # async fn serve(token: String) -> Result<(), mcp_auth::ConfigError> {
    /// use mcp_auth::{EventPoll, McpAuth};
    ///
    /// let auth = McpAuth::builder("https://api.example.com/mcp")
    ///     .authorization_server("https://auth.example.com")
    ///     .build()?;
    /// let events = EventPoll::at("https://auth.example.com/events/poll", ["my-client-id"]).bearer(token);
    /// tokio::spawn(auth.poll_security_events(events)?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::EventPoll`] if the URL is not https, if there is no audience, or if the token is empty.
    /// It is returned before anything is fetched.
    pub fn poll_security_events(
        &self,
        events: EventPoll,
    ) -> Result<impl Future<Output = Infallible> + Send + use<>, ConfigError> {
        if let Some(why) = events.config_error() {
            return Err(ConfigError::EventPoll { url: events.url().to_owned(), why });
        }
        let polling = Polling {
            auth: self.clone(),
            events,
            acks: Acks::default(),
            backoff: PollBackoff::default(),
            failures: LogLimiter::default(),
            refusals: LogLimiter::default(),
            unknown_subjects: LogLimiter::default(),
        };
        Ok(polling.run())
    }
}

/// The polling of one stream. It holds data of one response at most, whatever the transmitter sends.
struct Polling {
    auth: McpAuth,
    events: EventPoll,
    /// The acknowledgements and errors to send with the next request.
    acks: Acks,
    backoff: PollBackoff,
    failures: LogLimiter,
    refusals: LogLimiter,
    /// For events whose subject matches no token.
    unknown_subjects: LogLimiter,
}

/// Why there is nothing new to acknowledge.
enum Failure {
    Request(FetchError),
    Unavailable(Denial),
    /// The transmitter sent again what the same request had acknowledged.
    Redelivered,
}

impl Polling {
    async fn run(mut self) -> Infallible {
        loop {
            let begin = Instant::now();
            let outcome = self.poll_once().await.unwrap_or_else(|failure| {
                self.log_failure(&failure);
                PollOutcome::Failed
            });
            let least = self.backoff.after(outcome, self.events.min_interval());
            sleep(least.saturating_sub(begin.elapsed())).await;
        }
    }

    async fn poll_once(&mut self) -> Result<PollOutcome, Failure> {
        let sets = match self.events.exchange(&self.acks).await {
            Ok(sets) => sets,
            // The acknowledgements are sent again, unless they may have caused the error. In that case they are
            // dropped: the transmitter sends those events again, and they are validated again.
            Err(error) => {
                if matches!(error, FetchError::Status { status: 400 | 413 | 422, .. }) {
                    self.acks = Acks::default();
                }
                return Err(Failure::Request(error));
            }
        };
        let sent = std::mem::take(&mut self.acks);
        if sets.is_empty() {
            return Ok(PollOutcome::Quiet);
        }
        let unavailable = self.process(sets).await;
        match unavailable {
            _ if self.acks.reports_more_than(&sent) => Ok(PollOutcome::Progress),
            Some(denial) => Err(Failure::Unavailable(denial)),
            None => Err(Failure::Redelivered),
        }
    }

    /// Validates events one by one, and records the results. Returns the denial if some cannot be verified at
    /// the moment.
    async fn process(&mut self, sets: Sets) -> Option<Denial> {
        let mut unavailable = None;
        for (jti, set) in sets {
            let (kind, audiences) = (SecurityEventKind::Set, self.events.audiences());
            match self.auth.accept(kind, set.as_deref().unwrap_or_default(), audiences).await {
                Ok(event) => {
                    if event.has_unknown_subject && self.unknown_subjects.should_log() {
                        tracing::warn!(target: "mcp_auth", issuer = &*shown::field(&event.issuer), "{UNKNOWN_SUBJECT}");
                    }
                    self.acks.acknowledged(jti);
                }
                Err(denial) if matches!(denial.kind(), DenialKind::Unavailable { .. }) => {
                    unavailable = Some(denial);
                }
                Err(denial) => {
                    self.log_refusal(&denial);
                    self.acks.refused(jti, set_error(&denial));
                }
            }
            tokio::task::yield_now().await; // let requests run first
        }
        unavailable
    }

    fn log_refusal(&mut self, denial: &Denial) {
        if self.refusals.should_log() {
            let (url, code) = (self.events.url(), denial.code());
            let detail = denial.operator_detail().map(shown::sentence).map(tracing::field::display);
            tracing::warn!(target: "mcp_auth", url, detail, "a polled security event was not accepted, and perhaps others: {code}");
        }
    }

    fn log_failure(&mut self, failure: &Failure) {
        if !self.failures.should_log() {
            return;
        }
        let url = self.events.url();
        let (why, error): (_, Option<&(dyn Error + 'static)>) = match failure {
            Failure::Request(error) => (advice(error), Some(error)),
            Failure::Unavailable(denial) => (
                "they cannot be verified, and are not acknowledged: the keys of their issuer are unavailable",
                denial.source(),
            ),
            Failure::Redelivered => (
                "the transmitter sends what was acknowledged: is it one stream for several receivers?",
                None,
            ),
        };
        let error = error.map(shown::error);
        tracing::warn!(target: "mcp_auth", url, error, "no security events: {why}");
    }
}

/// What the operator can check, for the log.
fn advice(error: &FetchError) -> &'static str {
    match error {
        FetchError::Status { status: 401 | 403, .. } => {
            "the transmitter refuses this server's authorization: check the bearer token, and whether it has expired"
        }
        FetchError::Status { status: 404 | 405, .. } => {
            "the transmitter does not know this URL: give the `endpoint_url` of the stream, whose delivery must be by polling"
        }
        FetchError::Status { status: 300..=399, .. } => {
            "the transmitter answers with a redirect, which is not followed: give the URL to which it leads, if that is right"
        }
        FetchError::Timeout(_) => {
            "the transmitter did not answer in time: if it waits for events as long as this, set a longer `.timeout(..)`"
        }
        FetchError::InvalidDocument { .. } => {
            "the transmitter does not answer as RFC 8936 says: is it the right URL?"
        }
        FetchError::Secret(_) => {
            "the transmitter cannot be asked: the function given to `Secret::from_fn` returned no token"
        }
        FetchError::Panicked => {
            "the transmitter was not asked: the client given with `.fetch(..)` panicked"
        }
        FetchError::TooLarge(_) => {
            "the transmitter sends more at once than this server takes: set `.max_events(..)` lower"
        }
        _ => {
            "the transmitter does not answer: check that it is up, and that this machine may connect to it"
        }
    }
}
