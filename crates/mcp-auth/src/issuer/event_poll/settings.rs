//! The settings of event polling: the URL, the authorization, and how many events are requested at once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};

use crate::net::fetch::{Fetch, Outbound, Secret, default_client};
use crate::util::url;

/// The highest `max_events`. More tokens of the maximum length would not fit into one response.
const MAX_EVENTS: usize = 200;

/// A stream of security events that is polled, at the `endpoint_url` that its transmitter gave. For
/// [`McpAuth::poll_security_events`](crate::McpAuth::poll_security_events).
///
/// ```
/// # let token = String::from("correct-horse-battery-staple");
/// use mcp_auth::EventPoll;
///
/// let events = EventPoll::at("https://auth.example.com/events/poll", ["my-client-id"]).bearer(token);
/// ```
#[derive(Clone)]
pub struct EventPoll {
    pub(super) url: Arc<str>,
    pub(super) audiences: Arc<[Box<str>]>,
    pub(super) max_events: usize,
    pub(super) timeout: Duration,
    pub(super) interval: Duration,
    pub(super) outbound: Outbound,
}

impl EventPoll {
    /// Polls events at this URL, which must be https except for a loopback address.
    ///
    /// `audiences` are the names of the receiver at the transmitter; the `aud` of each event must contain one of
    /// them.
    #[must_use]
    pub fn at<S: Into<String>>(
        url: impl AsRef<str>,
        audiences: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            url: url.as_ref().into(),
            audiences: audiences.into_iter().map(|one| one.into().into_boxed_str()).collect(),
            max_events: 50,
            timeout: Duration::from_secs(90),
            interval: Duration::from_secs(10),
            outbound: Outbound::new(default_client()),
        }
    }

    /// Sends this as `Authorization: Bearer`
    /// ([RFC 8936 §4.4](https://www.rfc-editor.org/rfc/rfc8936#section-4.4)). For a token that expires, see
    /// [`Secret::from_fn`].
    #[must_use]
    pub fn bearer(mut self, token: impl Into<Secret>) -> Self {
        self.outbound.bearer = Some(token.into());
        self
    }

    /// Adds a header to each request, for transmitters that require another authorization than
    /// [`bearer`](Self::bearer). Its value is marked as sensitive, so that logs do not show it.
    #[must_use]
    pub fn header(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.outbound.headers.append(name, value);
        self
    }

    /// Maximum number of events in one response: 50 unless set, and 200 at most. Further events come with the next
    /// response.
    #[must_use]
    pub fn max_events(self, number: usize) -> Self {
        Self { max_events: number, ..self }
    }

    /// Timeout of one request: 90 seconds unless set. The transmitter is asked to hold the request until there is
    /// an event, so the timeout should be longer than the transmitter waits.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Interval between requests to a transmitter that answers at once and has no events: 10 seconds unless set,
    /// and at least one second.
    #[must_use]
    pub fn interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// Fetches with this client instead of an [`HttpClient`](crate::HttpClient).
    #[must_use]
    pub fn fetch(mut self, fetch: impl Fetch) -> Self {
        self.outbound.fetch = Some(Arc::new(fetch));
        self
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn audiences(&self) -> &[Box<str>] {
        &self.audiences
    }

    /// The interval between two requests after a response without events.
    pub(crate) fn min_interval(&self) -> Duration {
        self.interval
    }

    /// Returns what is wrong with the settings, if anything.
    pub(crate) fn config_error(&self) -> Option<&'static str> {
        if let Some(why) = url::problem(&self.url, &[]) {
            return Some(why);
        }
        if self.audiences.is_empty() || self.audiences.iter().any(|one| one.is_empty()) {
            return Some(
                "an audience is empty, or there is none: is an environment variable unset?",
            );
        }
        let Some(fetch) = &self.outbound.fetch else {
            return Some(
                "there is no HTTP client: enable the feature `reqwest`, or give one with `.fetch(..)`",
            );
        };
        if let Some(why) = fetch.config_error() {
            return Some(why);
        }
        if self.max_events == 0 || self.max_events > MAX_EVENTS {
            return Some("it must take one event at once, and 200 at most");
        }
        self.outbound.bearer.as_ref().and_then(Secret::bearer_error)
    }
}

impl fmt::Debug for EventPoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventPoll")
            .field("url", &self.url)
            .field("audiences", &self.audiences)
            .field("max_events", &self.max_events)
            .finish_non_exhaustive()
    }
}
