//! `Target`: what the requested token is for.

use crate::model::scope::{Scopes, is_scope_token};

/// What the requested token is for.
pub(crate) struct Target {
    /// `audience` or `resource`.
    pub(crate) parameter: &'static str,
    pub(crate) name: Box<str>,
    pub(crate) scopes: Scopes,
}

impl Target {
    /// Returns what is wrong with it, if anything.
    pub(crate) fn config_error(&self) -> Option<&'static str> {
        if self.name.is_empty() {
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
