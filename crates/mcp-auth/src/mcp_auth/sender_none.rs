//! Without the feature `jwt` no proof can be checked: a token that is bound to its sender is refused.

use std::time::{Duration, SystemTime};

use http::HeaderValue;
use http::request::Parts;

use super::ConfigError;
use crate::challenge::Challenge;
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::denial::{Denial, Reason};
use crate::metadata::ResourceMetadata;
use crate::policy::Accepted;
use crate::scheme::Scheme;

#[derive(Default)]
pub(super) struct Settings;

impl Settings {
    pub(super) fn describe(&self, metadata: ResourceMetadata) -> ResourceMetadata {
        metadata
    }

    pub(super) fn ready(self, _: &str, _: Duration) -> Result<Sender, ConfigError> {
        Ok(Sender)
    }
}

pub(super) struct Sender;

impl Sender {
    pub(super) fn confirm(
        &self,
        token: &Accepted,
        credentials: &Credentials,
        _: &Parts,
        _: SystemTime,
    ) -> Result<(), Denial> {
        match (&token.facts().binding, credentials.scheme()) {
            (None, Scheme::Bearer) => Ok(()),
            (Some(_), _) => Err(Denial::invalid(Reason::Binding)),
            (None, Scheme::Dpop) => Err(Denial::invalid(Reason::Unbound)),
        }
    }

    pub(super) fn challenge(&self, challenge: Challenge, _: &Denial) -> Challenge {
        challenge
    }

    pub(super) fn nonce(&self, _: &dyn Clock) -> Option<HeaderValue> {
        None
    }
}
