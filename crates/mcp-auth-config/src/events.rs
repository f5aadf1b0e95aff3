//! Revocations and security events, as data.

use std::collections::BTreeMap;

use mcp_auth::{EventPoll, Revocations};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::{DurationSetting, Seconds};
use crate::error::Error;
use crate::http_client::{HttpConfig, secret_header};
use crate::secret::SecretSource;

/// The list of revoked tokens, sessions and users, which all resources share.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RevocationsConfig {
    /// How many revocations of one issuer are kept. Default: 100000, about 15 MB.
    pub capacity: Option<usize>,
    /// How long they are kept: longer than any token lives. Default: `48h`.
    pub retention: Option<Seconds>,
}

/// Where issuers send logout tokens (OpenID Connect back-channel logout) and security events (RFC 8935).
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityEventsConfig {
    /// The path, on the host of the resource. Default: `/security-events`.
    #[serde(default = "default_path")]
    pub path: String,
    /// The names of the gateway at the issuers: the client IDs for which the logout URL is registered, or the audience of
    /// the event stream.
    pub audiences: Vec<String>,
}

fn default_path() -> String {
    "/security-events".into()
}

/// A stream of security events that is polled (RFC 8936), for a gateway that its transmitter cannot reach.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EventPollConfig {
    /// The `endpoint_url` that the transmitter gave.
    pub url: String,
    /// The names of the gateway at the transmitter.
    pub audiences: Vec<String>,
    /// The token that is sent as `Authorization: Bearer`.
    pub bearer: Option<SecretSource>,
    /// Headers, where the transmitter wants another authorization: names and where their values come from.
    #[serde(default)]
    pub headers: BTreeMap<String, SecretSource>,
    /// The most events in one answer. Default: 50, and 200 at most.
    pub max_events: Option<usize>,
    /// How long a request may take; longer than the transmitter waits for an event. Default: `90s`.
    pub timeout: Option<Seconds>,
    /// The time between requests to a transmitter that answers at once. Default: `10s`.
    pub interval: Option<Seconds>,
    /// How the connections to the transmitter are made: certificates and a proxy.
    pub http: Option<HttpConfig>,
}

impl RevocationsConfig {
    /// A new, empty list.
    #[must_use]
    pub fn to_revocations(&self) -> Revocations {
        let mut revocations = Revocations::new();
        if let Some(capacity) = self.capacity {
            revocations = revocations.capacity(capacity);
        }
        if let Some(Seconds(retention)) = self.retention {
            revocations = revocations.retention(retention);
        }
        revocations
    }
}

impl SecurityEventsConfig {
    /// Checks what the library would ignore.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return Err(Error::new(
                "`security_events` needs `audiences`: the client IDs of the gateway at the issuer, none of them empty",
            ));
        }
        if !self.path.starts_with('/') || self.path.contains(['?', '#', ' ']) {
            return Err(Error::new(format!(
                "`security_events`: {:?} is not a path: write it like \"/security-events\"",
                self.path
            )));
        }
        Ok(())
    }
}

impl EventPollConfig {
    /// The stream that is described.
    ///
    /// # Errors
    ///
    /// If a secret or a certificate cannot be read.
    pub fn to_poll(&self) -> Result<EventPoll, Error> {
        let mut poll = EventPoll::at(&self.url, self.audiences.clone());
        if let Some(token) = &self.bearer {
            poll = poll.bearer(token.to_secret()?);
        }
        for (name, value) in &self.headers {
            let (name, value) = secret_header(name, value)?;
            poll = poll.header(name, value);
        }
        if let Some(number) = self.max_events {
            poll = poll.max_events(number);
        }
        let durations: [DurationSetting<EventPoll>; 2] =
            [(self.timeout, EventPoll::timeout), (self.interval, EventPoll::interval)];
        for (duration, set) in durations {
            if let Some(Seconds(duration)) = duration {
                poll = set(poll, duration);
            }
        }
        Ok(match &self.http {
            Some(http) => poll.fetch(http.to_client()?),
            None => poll,
        })
    }
}
