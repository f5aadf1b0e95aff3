//! Where security events are polled, with what authorization, and how many at once: settings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::issuer::introspection::{Secret, sensitive};
use crate::net::fetch::{Fetch, default_client};
use crate::util::url;

/// More than this many tokens of full length would not fit into one answer.
const MOST_EVENTS: usize = 200;

/// A stream of security events that is polled: the `endpoint_url` that its transmitter gave, and how it is asked.
/// For [`McpAuth::poll_security_events`](crate::McpAuth::poll_security_events).
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
    pub(super) bearer: Option<Secret>,
    pub(super) headers: HeaderMap,
    pub(super) max_events: usize,
    pub(super) timeout: Duration,
    pub(super) pause: Duration,
    pub(super) fetch: Option<Arc<dyn Fetch>>,
}

impl EventPoll {
    /// Events at this URL, https but for this machine.
    ///
    /// `audiences` are the names of the receiver at the transmitter, one of which must stand in `aud` of each
    /// event.
    #[must_use]
    pub fn at<S: Into<String>>(
        url: impl AsRef<str>,
        audiences: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            url: url.as_ref().into(),
            audiences: audiences.into_iter().map(|one| one.into().into_boxed_str()).collect(),
            bearer: None,
            headers: HeaderMap::new(),
            max_events: 50,
            timeout: Duration::from_secs(90),
            pause: Duration::from_secs(10),
            fetch: default_client(),
        }
    }

    /// Sends this as `Authorization: Bearer`
    /// ([RFC 8936 §4.4](https://www.rfc-editor.org/rfc/rfc8936#section-4.4)).
    #[must_use]
    pub fn bearer(self, token: impl Into<Secret>) -> Self {
        Self { bearer: Some(token.into()), ..self }
    }

    /// Adds a header to each request, for transmitters that want another authorization than
    /// [`bearer`](Self::bearer). Its value is not shown anywhere.
    #[must_use]
    pub fn header(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.headers.append(name, value);
        self
    }

    /// How many events are taken at once: 50 unless set, and 200 at most. Others come with the next answer.
    #[must_use]
    pub fn max_events(self, number: usize) -> Self {
        Self { max_events: number, ..self }
    }

    /// How long an answer may take: 90 seconds unless set. The transmitter is asked to wait until there is an
    /// event, so let it be longer than the transmitter waits.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// How often a transmitter is asked that does not wait and has nothing: every 10 seconds unless set, every
    /// second at most.
    #[must_use]
    pub fn pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Uses this to fetch, instead of an [`HttpClient`](crate::HttpClient).
    #[must_use]
    pub fn fetch(self, fetch: impl Fetch) -> Self {
        Self { fetch: Some(Arc::new(fetch)), ..self }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn audiences(&self) -> &[Box<str>] {
        &self.audiences
    }

    /// The time between two requests, where nothing says otherwise.
    pub(crate) fn usual_pause(&self) -> Duration {
        self.pause
    }

    /// What is wrong with it, if anything is.
    pub(crate) fn config_error(&self) -> Option<&'static str> {
        if !url::is_secure(&self.url) {
            return Some("https is required, except for a loopback address");
        }
        if self.audiences.is_empty() || self.audiences.iter().any(|one| one.is_empty()) {
            return Some(
                "an audience is empty, or there is none: is an environment variable unset?",
            );
        }
        if self.fetch.is_none() {
            return Some(
                "there is no HTTP client: enable the feature `reqwest`, or give one with `.fetch(..)`",
            );
        }
        if self.max_events == 0 || self.max_events > MOST_EVENTS {
            return Some("it must take one event at once, and 200 at most");
        }
        match &self.bearer {
            Some(token) if token.expose().is_empty() => {
                Some("the bearer token is empty: is an environment variable unset?")
            }
            Some(token) if sensitive("Bearer", token.expose()).is_none() => Some(
                "the bearer token has characters that no header has: is there a line break at its end?",
            ),
            _ => None,
        }
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
