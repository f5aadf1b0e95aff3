//! `Target`: what the requested token is for.

use crate::model::scope::{Scopes, is_scope_token};

/// How a token is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    /// In exchange for the caller's ([RFC 8693](https://www.rfc-editor.org/rfc/rfc8693)).
    Exchange,
    /// With the caller's as an assertion ([RFC 7523 §2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1)).
    OnBehalfOf,
    /// For this server itself ([RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)).
    ClientCredentials,
}

/// What the requested token is for.
pub(crate) struct Target {
    pub(crate) grant: Grant,
    /// `audience`, `resource`, or what else says it. Empty if only the scopes do.
    pub(crate) parameter: &'static str,
    pub(crate) name: Box<str>,
    pub(crate) scopes: Scopes,
}

impl Target {
    /// What names it, and how.
    pub(super) fn described(&self) -> (&'static str, &str) {
        match self.grant {
            Grant::OnBehalfOf => ("scopes", self.scopes.as_str()),
            Grant::ClientCredentials if self.name.is_empty() => ("scopes", self.scopes.as_str()),
            _ => (self.parameter, &self.name),
        }
    }

    /// Returns what is wrong with it, if anything.
    pub(crate) fn config_error(&self) -> Option<&'static str> {
        if self.grant == Grant::OnBehalfOf && self.scopes.is_empty() {
            return Some(
                "an on-behalf-of request names the scopes of the other server, such as \"api://calendar/.default\"",
            );
        }
        if self.name.is_empty() && !self.parameter.is_empty() {
            return Some(
                "the audience is empty: is an environment variable unset? Without one the token would be for any server",
            );
        }
        let is_uri =
            |text: &str| text.split_once(':').is_some_and(|(scheme, _)| !scheme.is_empty());
        if self.parameter == "resource" && (!is_uri(&self.name) || self.name.contains('#')) {
            return Some(
                "a resource is an absolute URI without a fragment (RFC 8693, 2.1): for another name use `.to_audience(..)`",
            );
        }
        let are_scopes = self.scopes.iter().all(is_scope_token);
        (!are_scopes).then_some("scopes are visible ASCII without spaces, quotes and backslashes")
    }
}
